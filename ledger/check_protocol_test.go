package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"sort"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

const (
	protoLane  = "devnet"
	protoChain = 1337
)

var protoPolicy = quorum.PolicyRef{Version: 1, Hash: common.HexToHash("0x01")}

// protoNet is a committee of test keys, and the database of its first member.
type protoNet struct {
	t         *testing.T
	dir       string
	network   common.Hash
	keys      []*ecdsa.PrivateKey // made for this test, in the members' order
	operators []*ecdsa.PrivateKey // made for this test, in the members' order
	payer     *ecdsa.PrivateKey
	genesis   quorum.Roster
	roster    quorum.Roster // epoch 1
	l         *Ledger
	count     uint64 // the others' counters
}

// newProtoNet opens a fresh database, with the MEMBERS decision of height 1 in it.
func newProtoNet(t *testing.T, n int) *protoNet {
	p := bareProtoNet(t, n)
	p.update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.genesis, 1, "members"), DecisionEffects{Members: p.members(1)})
	})
	return p
}

func bareProtoNet(t *testing.T, n int) *protoNet {
	p := &protoNet{t: t, dir: t.TempDir(), network: common.HexToHash("0xc0"), count: 1000}
	for range n {
		p.keys = append(p.keys, protoKey(t))
	}
	sort.Slice(p.keys, func(i, j int) bool {
		return bytes.Compare(addressOf(p.keys[i]).Bytes(), addressOf(p.keys[j]).Bytes()) < 0
	})
	p.payer = protoKey(t)

	var members []quorum.Member
	for i, k := range p.keys {
		p.operators = append(p.operators, protoKey(t))
		members = append(members, quorum.Member{
			Name: fmt.Sprintf("m%d", i), Address: addressOf(k), PublicKey: quorum.PublicKey(crypto.CompressPubkey(&k.PublicKey)),
			Operator: addressOf(p.operators[i]), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"},
		})
	}
	var err error
	p.genesis, err = quorum.NewRoster(0, members)
	require.NoError(t, err)
	p.roster, err = quorum.NewRoster(1, members)
	require.NoError(t, err)
	p.l, err = Open(p.dir, p.network)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.l.Close()) })
	return p
}

func protoKey(t *testing.T) *ecdsa.PrivateKey {
	k, err := crypto.GenerateKey()
	require.NoError(t, err)
	return k
}

func addressOf(k *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(k.PublicKey) }

func (p *protoNet) members(epoch uint64) *quorum.MembersAction {
	return &quorum.MembersAction{Epoch: epoch, Members: p.roster.Members, Transcript: quorum.Transcript{
		Epoch: epoch, PublicKey: quorum.PublicKey(crypto.CompressPubkey(&p.payer.PublicKey)), Members: p.roster.IDs(), Threshold: uint64(p.roster.Q()),
	}}
}

// reopen closes the database and opens it again, as after a crash.
func (p *protoNet) reopen() {
	require.NoError(p.t, p.l.Close())
	var err error
	p.l, err = Open(p.dir, p.network)
	require.NoError(p.t, err)
	require.NoError(p.t, p.l.Rollback())
}

// update writes, then lets the process end and checks every invariant of what the next one finds.
func (p *protoNet) update(fn func(*Tx) error) {
	p.t.Helper()
	require.NoError(p.t, p.l.Update(fn))
	p.reopen()
	p.check()
}

func (p *protoNet) founding() Founding {
	return Founding{Roster: p.genesis, FirstNonce: map[uint64]uint64{protoChain: 0}}
}

func (p *protoNet) check() ProtocolReport {
	p.t.Helper()
	report, err := p.l.CheckProtocol(p.founding())
	require.NoError(p.t, err)
	return report
}

// refused runs fn and demands an error of a kind; nothing may be left of it.
func (p *protoNet) refused(want error, fn func(*Tx) error) {
	p.t.Helper()
	var before, after Mark
	require.NoError(p.t, p.l.View(func(tx *Tx) (err error) { before, err = tx.mark(); return }))
	require.ErrorIs(p.t, p.l.Update(fn), want)
	require.NoError(p.t, p.l.View(func(tx *Tx) (err error) { after, err = tx.mark(); return }))
	require.Equal(p.t, before, after, "a refusal takes no counter and no position")
	p.check()
}

func (p *protoNet) view(fn func(*Tx) error) {
	p.t.Helper()
	require.NoError(p.t, p.l.View(fn))
}

// by signs with a member's key.
func by[T quorum.Body](p *protoNet, member int) func(T) (quorum.Signed[T], error) {
	return func(body T) (quorum.Signed[T], error) { return quorum.Sign(p.keys[member], p.network, body) }
}

// theirs is a statement of another member.
func theirs[T quorum.Body](p *protoNet, member int, body T) quorum.Signed[T] {
	p.t.Helper()
	s, err := by[T](p, member)(body)
	require.NoError(p.t, err)
	return s
}

func (p *protoNet) next() uint64 { p.count++; return p.count }

// commit decides a value by the last q members.
func (p *protoNet) commit(r quorum.Roster, height uint64, value string) quorum.Committed {
	p.t.Helper()
	id := quorum.ValueID(p.network, []byte(value))
	var votes []quorum.Signed[quorum.Vote]
	for i := len(p.keys) - r.Q(); i < len(p.keys); i++ {
		votes = append(votes, theirs(p, i, quorum.Vote{Epoch: r.Epoch, Height: height, Phase: quorum.Precommit, ID: id, Counter: p.next()}))
	}
	qc, ok := quorum.NewQC(r, height, 0, quorum.Precommit, id, votes)
	require.True(p.t, ok)
	c, err := quorum.NewCommitted(p.network, qc, []byte(value))
	require.NoError(p.t, err)
	return c
}

// content is a withdrawal of its own account, message and event, by its id.
func (p *protoNet) content(wid uint64) quorum.Content {
	return quorum.Content{
		WID: wid, Account: common.BigToAddress(uint256.NewInt(wid).ToBig()), Network: protoLane, To: common.HexToAddress("0xee"),
		Amount: *uint256.NewInt(1000 + wid), Fee: *uint256.NewInt(wid), EventID: 10 * wid, Message: crypto.Keccak256Hash(be64(wid)),
	}
}

func (p *protoNet) slot(nonce uint64) *SlotFields {
	lane := quorum.LaneKey{ChainID: protoChain, Payer: addressOf(p.payer)}
	return &SlotFields{Network: protoLane, Lane: lane, Nonce: nonce, Value: *uint256.NewInt(1), GasLimit: 50_000, FeeCap: *uint256.NewInt(7)}
}

func (p *protoNet) slotKey(nonce uint64) SlotKey {
	return SlotKey{protoChain, addressOf(p.payer), nonce}
}

// pay decides the next height: one item for each id, at a nonce.
func (p *protoNet) pay(nonce uint64, wids ...uint64) quorum.Committed {
	p.t.Helper()
	var fx DecisionEffects
	for _, wid := range wids {
		fx.Items = append(fx.Items, p.content(wid))
	}
	fx.Slot = p.slot(nonce)
	return p.decide(fx)
}

func (p *protoNet) decide(fx DecisionEffects) quorum.Committed {
	p.t.Helper()
	var height uint64
	p.view(func(tx *Tx) error { height = tx.LastHeight() + 1; return nil })
	c := p.commit(p.roster, height, fmt.Sprintf("value %d", height))
	p.update(func(tx *Tx) error { return tx.Decide(c, fx) })
	return c
}

// broken writes past the rules and demands that the check names the invariant.
func (p *protoNet) broken(invariant string, vandal func(*Tx) error) {
	p.t.Helper()
	undo := errors.New("undo")
	var found error
	err := p.l.Update(func(tx *Tx) error {
		if err := vandal(tx); err != nil {
			return err
		}
		found = p.checkIn(tx)
		return undo
	})
	require.ErrorIs(p.t, err, undo)
	var v *Violation
	require.ErrorAs(p.t, found, &v)
	require.Equal(p.t, invariant, v.Invariant, v.What)
	p.check()
}

// checkIn runs the whole check inside a transaction that will not be committed.
func (p *protoNet) checkIn(tx *Tx) error {
	_, err := checkProtocol(tx, p.founding())
	return err
}

// busy is a database with something in every bucket that the check reads.
func busy(t *testing.T) *protoNet {
	p := newProtoNet(t, 4)
	p.update(func(tx *Tx) error {
		_, err := tx.CastVote(quorum.Vote{Epoch: 1, Height: 2, Round: 0, Phase: quorum.Prevote}, by[quorum.Vote](p, 0))
		return err
	})
	p.update(func(tx *Tx) error {
		_, err := tx.CastVote(quorum.Vote{Epoch: 1, Height: 2, Round: 0, Phase: quorum.Precommit}, by[quorum.Vote](p, 0))
		return err
	})
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	p.update(func(tx *Tx) error { _, err := p.refuse(tx, 2); return err })
	first := p.pay(0, 1)
	p.decide(DecisionEffects{Items: []quorum.Content{p.content(3)}, Rejects: []quorum.Content{p.content(2)}, Slot: p.slot(1)})
	_, err := p.l.RecordIntent(p.intent(first, 0, 0))
	require.NoError(t, err)
	_, err = p.l.RecordIntent(p.intent(first, 0, 1))
	require.NoError(t, err)
	p.sign(first, 0)
	p.settle(0, first, 1)
	return p
}

func TestCheckProtocolCounts(t *testing.T) {
	p := busy(t)
	report := p.check()
	require.Equal(t, uint64(3), report.Decisions)
	require.Equal(t, uint64(2), report.Slots)
	require.Equal(t, uint64(1), report.Paid)
	require.Equal(t, uint64(2), report.Reports)
	require.Equal(t, uint64(4), report.Statements)
	require.NotZero(t, report.AuditHash)
}

func TestCheckProtocolProgress(t *testing.T) {
	p := newProtoNet(t, 4)
	require.NoError(t, p.l.Update(func(tx *Tx) error {
		for round := range uint64(progressEvery) {
			v := quorum.Vote{Epoch: 1, Height: 2, Round: round, Phase: quorum.Prevote}
			if _, err := tx.CastVote(v, by[quorum.Vote](p, 0)); err != nil {
				return err
			}
		}
		return nil
	}))
	var told []uint64
	f := p.founding()
	f.Progress = func(what string, n uint64) { require.Equal(t, "statements", what); told = append(told, n) }
	_, err := p.l.CheckProtocol(f)
	require.NoError(t, err)
	require.Equal(t, []uint64{progressEvery}, told)
}

// TestCheckProtocolNames breaks one thing at a time behind the rules' back.
func TestCheckProtocolNames(t *testing.T) {
	p := busy(t)
	edit := func(tx *Tx, bucket, key []byte, into any, change func()) error {
		if ok, err := tx.get(bucket, key, into); err != nil || !ok {
			return fmt.Errorf("%s: no record to break: %w", bucket, err)
		}
		change()
		return tx.put(bucket, key, into)
	}
	del := func(bucket []byte, key []byte) func(*Tx) error {
		return func(tx *Tx) error { return tx.b.Bucket(bucket).Delete(key) }
	}
	k0 := p.slotKey(0).bytes()

	for name, c := range map[string]struct {
		invariant string
		vandal    func(*Tx) error
	}{
		"a decision is gone": {"I1", del(bucketDecisions, be64(2))},
		"a decision is another": {"I1", func(tx *Tx) error {
			var d quorum.UncheckedDecision
			return edit(tx, bucketDecisions, be64(2), &d, func() { d.Value = []byte("other") })
		}},
		"a commit certificate is short": {"I1", func(tx *Tx) error {
			var d quorum.UncheckedDecision
			return edit(tx, bucketDecisions, be64(2), &d, func() { d.Commit.Votes = d.Commit.Votes[1:] })
		}},
		"the bytes of a vote are gone": {"I2", del(bucketOwn, be64(1))},
		"a vote stands at no place":    {"I2", del(bucketVotes, voteKey(2, 0, StepPrevote))},
		"two votes for one place": {"I2", func(tx *Tx) error {
			_, err := say(tx, bucketVotes, voteKey(2, 0, StepPrevote), func(n uint64) quorum.Vote {
				return quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, ID: common.HexToHash("0x2"), Counter: n}
			}, by[quorum.Vote](p, 0))
			return err
		}},
		"votes went back": {"I12", func(tx *Tx) error {
			_, err := say(tx, bucketVotes, voteKey(1, 0, StepPrevote), func(n uint64) quorum.Vote {
				return quorum.Vote{Epoch: 1, Height: 1, Phase: quorum.Prevote, Counter: n}
			}, by[quorum.Vote](p, 0))
			return err
		}},
		"a second verdict for one policy": {"I4", func(tx *Tx) error {
			_, err := say(tx, bucketVerdictOwn, verdictClaim{wid: 1, epoch: 1, policy: protoPolicy}.key(), func(n uint64) quorum.Refuse {
				return quorum.Refuse{Epoch: 1, Policy: protoPolicy, Counter: n, WID: 1, Content: p.content(1).Hash(p.network), Reason: quorum.ReasonMinimum}
			}, by[quorum.Refuse](p, 0))
			return err
		}},
		"a second content for one wid": {"I4", func(tx *Tx) error {
			policy := quorum.PolicyRef{Version: 2}
			_, err := say(tx, bucketVerdictOwn, verdictClaim{wid: 1, epoch: 1, policy: policy}.key(), func(n uint64) quorum.Refuse {
				return quorum.Refuse{Epoch: 1, Policy: policy, Counter: n, WID: 1, Content: common.HexToHash("0x9"), Reason: quorum.ReasonMinimum}
			}, by[quorum.Refuse](p, 0))
			return err
		}},
		"a second head for one debit": {"I4", func(tx *Tx) error {
			policy := quorum.PolicyRef{Version: 2}
			_, err := say(tx, bucketVerdictOwn, verdictClaim{wid: 1, epoch: 1, policy: policy}.key(), func(n uint64) quorum.Approve {
				a := p.approval(1)
				a.Policy, a.Counter, a.Head = policy, n, common.HexToHash("0x9")
				return a
			}, by[quorum.Approve](p, 0))
			return err
		}},
		"a counter is not the one filed under": {"I12", func(tx *Tx) error {
			raw := bytes.Clone(tx.b.Bucket(bucketOwn).Get(be64(1)))
			_, err := tx.NextCounter()
			return errors.Join(err, tx.b.Bucket(bucketOwn).Put(be64(tx.Counter()), raw))
		}},
		"the counter went back": {"I12", func(tx *Tx) error { return tx.b.Bucket(bucketMeta).Put(keyCounter, be64(1)) }},
		"a statement of another key": {"I12", func(tx *Tx) error {
			var s ownStatement
			return edit(tx, bucketOwn, be64(1), &s, func() { s.Signer = addressOf(p.keys[1]) })
		}},
		"an epoch from the future": {"I12", func(tx *Tx) error {
			var rec epochRecord
			if _, err := tx.get(bucketEpochs, be64(1), &rec); err != nil {
				return err
			}
			rec.Since, rec.Roster.Epoch = 99, 2
			return tx.put(bucketEpochs, be64(2), rec)
		}},
		"a spent withdrawal without a decision": {"I6", func(tx *Tx) error {
			c := p.content(9)
			return tx.spend(c, SpentItem, 77)
		}},
		"a withdrawal decided twice": {"I6", func(tx *Tx) error {
			c := p.content(1)
			c.Account, c.EventID = common.HexToAddress("0x77"), 770
			return tx.put(bucketSpent, join(c.Account[:], be64(1)), Spent{Content: c, Hash: c.Hash(p.network), Kind: SpentItem, Height: 3})
		}},
		"an event used twice": {"I6", func(tx *Tx) error {
			c := p.content(9)
			c.EventID = p.content(1).EventID
			return errors.Join(
				tx.put(bucketSpent, join(c.Account[:], be64(9)), Spent{Content: c, Hash: c.Hash(p.network), Kind: SpentReject, Height: 3}),
				tx.b.Bucket(bucketSpentWID).Put(be64(9), c.Account[:]))
		}},
		"a message used twice": {"I6", func(tx *Tx) error {
			c := p.content(9)
			c.Message = p.content(1).Message
			return errors.Join(
				tx.put(bucketSpent, join(c.Account[:], be64(9)), Spent{Content: c, Hash: c.Hash(p.network), Kind: SpentItem, Height: 3}),
				tx.b.Bucket(bucketSpentWID).Put(be64(9), c.Account[:]))
		}},
		"an item in no slot": {"I6", func(tx *Tx) error {
			var s Slot
			return edit(tx, bucketSlots, k0, &s, func() { s.Items = nil })
		}},
		"an item in two slots": {"I6", func(tx *Tx) error {
			var s Slot
			return edit(tx, bucketSlots, p.slotKey(1).bytes(), &s, func() { s.Items = append(s.Items, 1) })
		}},
		"a nonce is missing": {"I11", del(bucketSlots, k0)},
		"a slot of another batch": {"I7", func(tx *Tx) error {
			var s Slot
			return edit(tx, bucketSlots, k0, &s, func() { s.Batch = common.HexToHash("0x5") })
		}},
		"a slot without a stage": {"I7", del(bucketPayouts, k0)},
		"a session of another batch": {"I7", func(tx *Tx) error {
			f := p.intentOf(tx, 0)
			f.Slot.Nonce = 1
			return tx.put(bucketIntents, join(f.Batch[:], be64(0), be64(0)), f)
		}},
		"two payloads for one step": {"I7", func(tx *Tx) error {
			f := p.intentOf(tx, 0)
			f.Digest = common.HexToHash("0xbad")
			return tx.put(bucketIntents, join(f.Batch[:], be64(0), be64(0)), f)
		}},
		"one session for two attempts": {"I7", func(tx *Tx) error {
			f, g := p.intentOf(tx, 0), p.intentOf(tx, 1)
			g.Session = f.Session
			return tx.put(bucketIntents, join(f.Batch[:], be64(0), be64(1)), g)
		}},
		"an attempt above the highest": {"I12", func(tx *Tx) error {
			f := p.intentOf(tx, 0)
			return tx.b.Bucket(bucketAttempts).Put(join(f.Batch[:], be64(0)), be64(0))
		}},
		"paid without a certificate": {"I6", del(bucketSettled, k0)},
		"paid by another transaction": {"I6", func(tx *Tx) error {
			var paid Paid
			return edit(tx, bucketPaid, be64(1), &paid, func() { paid.TxHash = common.HexToHash("0x8") })
		}},
		"a certificate whose item is not paid": {"I6", del(bucketPaid, be64(1))},
		"an outcome certificate is short": {"I6", func(tx *Tx) error {
			var u quorum.UncheckedOutcome
			return edit(tx, bucketSettled, k0, &u, func() { u.Votes = u.Votes[1:] })
		}},
		"a fulfil turned into a reject": {"outbox", func(tx *Tx) error {
			var r Report
			return edit(tx, bucketOutbox, be64(1), &r, func() { r.Outcome = ReportReject })
		}},
		"a report is forgotten": {"outbox", func(tx *Tx) error {
			return errors.Join(tx.b.Bucket(bucketOutbox).Delete(be64(2)), tx.b.Bucket(bucketOutboxPending).Delete(be64(2)))
		}},
		"a report waits no more": {"outbox", del(bucketOutboxPending, be64(2))},
		"an audit line is gone":  {"I12", del(bucketAudit, be64(2))},
		"an audit line changed": {"I12", func(tx *Tx) error {
			var line AuditLine
			return edit(tx, bucketAudit, be64(2), &line, func() { line.Ref = "nothing to see" })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			p.broken(c.invariant, c.vandal)
		})
	}
	p.t = t
}

func (p *protoNet) intentOf(tx *Tx, attempt uint64) (f IntentFields) {
	slot, _, err := tx.Slot(p.slotKey(0))
	require.NoError(p.t, err)
	ok, err := tx.get(bucketIntents, join(slot.Batch[:], be64(0), be64(attempt)), &f)
	require.NoError(p.t, err)
	require.True(p.t, ok)
	return f
}
