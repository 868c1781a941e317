package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/p2p"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
)

const testPolicy = `
version = 1
gap_grace = "60s"
uncovered_max = "1000"
hold_max = "10m"
batch_wait = "300ms"
in_flight = 2
bump_after = "30s"
[fees]
tip_floor = "1"
offer_percent = 200
cap_percent = 400
ceiling = "500"
gas_limit = 60000
token_gas_limit = 120000
[[tariff]]
network = "devnet"
fixed = "1"
minimum = "1"
[[tariff.tiers]]
from = "0"
ratio = "0.01"
`

// testKey is made for tests from public words; it must never hold anything.
func testKey(word string, i int) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "conclave test key, holds nothing: %s %d", word, i)))
	if err != nil {
		panic(err)
	}
	return key
}

func compressed(key *ecdsa.PrivateKey) (p quorum.PublicKey) {
	copy(p[:], crypto.CompressPubkey(&key.PublicKey))
	return p
}

// wire takes what the core sends and answers no question.
type wire struct{ asked chan common.Address }

func (*wire) Self() common.Address                      { return common.Address{} }
func (*wire) Publish(string, []byte) error              { return nil }
func (*wire) Send(common.Address, string, []byte) error { return nil }
func (*wire) Peers() []p2p.PeerStatus                   { return nil }
func (*wire) Run(context.Context) error                 { return nil }
func (*wire) SetMembers(peers []p2p.Peer) error {
	for _, p := range peers {
		for _, a := range p.Multiaddrs {
			if err := p2p.Dialable(a); err != nil {
				return err // as a host does
			}
		}
	}
	return p2p.ValidateMembers(peers)
}
func (w *wire) Request(_ context.Context, to common.Address, _ string, _ []byte) ([]byte, error) {
	w.asked <- to
	return nil, errors.New("no answer")
}

// noVault holds no share: the core then verifies, and never signs.
type noVault struct{}

func (noVault) PreParams() (*tss.PreParams, error)               { return nil, ErrNoShare }
func (noVault) SaveShare(*tss.KeyShare) error                    { return nil }
func (noVault) ShareOf(quorum.Transcript) (*tss.KeyShare, error) { return nil, ErrNoShare }
func (noVault) Shares() ([]*tss.KeyShare, error)                 { return nil, nil }
func (noVault) DeleteShare(_, _ quorum.Transcript) error         { return nil }
func (noVault) DropShare(quorum.Transcript) error                { return nil }

// lab is a founded core of member 0 that runs nowhere: the test is its goroutine.
type lab struct {
	*core
	t    testing.TB
	keys []*ecdsa.PrivateKey // ascending by address
	wire *wire
}

func newLab(t testing.TB, watch ...ledger.Steps) *lab {
	l := newBareLab(t, watch...)
	l.found()
	return l
}

// newBareLab is a lab before its founding.
func newBareLab(t testing.TB, watch ...ledger.Steps) *lab { return newLabOf(t, 4, 0, watch...) }

// newLabOf is a bare lab of one of n members.
func newLabOf(t testing.TB, n, self int, watch ...ledger.Steps) *lab {
	l := &lab{t: t, wire: &wire{asked: make(chan common.Address, 16)}}
	g := quorum.Genesis{
		Version: quorum.GenesisVersion, Name: "testnet", FeeAddress: common.Address{0xfe}, DaoAddress: common.Address{0xda}, Policy: testPolicy,
		Lanes: []quorum.Lane{{Network: "devnet", ChainID: 1337, Way: quorum.WaySingle, DepositAddress: common.Address{0xde}, MinEndpoints: 1}},
	}
	for i := range n {
		key := testKey("member", i)
		l.keys = append(l.keys, key)
		g.Members = append(g.Members, quorum.Member{
			Name: fmt.Sprint(i), Address: crypto.PubkeyToAddress(key.PublicKey), PublicKey: compressed(key),
			Operator: crypto.PubkeyToAddress(testKey("operator", i).PublicKey), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/7000"},
		})
	}
	slices.SortFunc(l.keys, func(a, b *ecdsa.PrivateKey) int {
		return crypto.PubkeyToAddress(a.PublicKey).Cmp(crypto.PubkeyToAddress(b.PublicKey))
	})
	slices.SortFunc(g.Members, func(a, b quorum.Member) int { return a.Address.Cmp(b.Address) })
	require.NoError(t, g.Check())
	state, err := batch.NewState(g)
	require.NoError(t, err)
	led, err := ledger.OpenWatched(t.TempDir(), g.ID(), slices.Concat(watch, []ledger.Steps{nil})[0])
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, led.Close()) })
	log := zap.NewNop()
	l.core = &core{
		key: l.keys[self], self: g.Members[self].Address, genesis: g, network: g.ID(), led: led, vault: noVault{}, net: l.wire,
		alerts: newAlerts(log, time.Now), log: log, now: time.Now, tasks: make(chan func(), taskQueue), state: state,
		answered: map[common.Address]time.Time{}, shown: map[common.Address]time.Time{}, behind: map[common.Address]uint64{},
		heard: map[common.Address]time.Time{}, lanes: map[string]laneFacts{},
		onDecision: func(batch.Effects) {}, onPaid: func() {}, kick: func(string) {},
		content: func(uint64) (quorum.Content, bool) { return quorum.Content{}, false },
	}
	l.ctx, l.end = context.WithCancel(context.Background())
	t.Cleanup(func() { l.end(); l.work.Wait() })
	led.OnEvidence(l.core.evidenceKept)
	l.pool = newPool(state.Roster, state.Policy.Ref())
	require.NoError(t, l.newHeight())
	return l
}

// prove signs the transcript by every member, and its canaries by the key that is the threshold key here.
func (l *lab) prove(a *quorum.MembersAction) {
	ids := a.Transcript.Members
	for _, key := range l.keys {
		sig, err := quorum.SignDigest(key, quorum.Digest(quorum.KindTranscript, l.network, a.Transcript))
		require.NoError(l.t, err)
		a.Signatures = append(a.Signatures, sig)
	}
	for try := range quorum.CoveringSets(len(ids)) {
		set := quorum.CanarySet(ids, uint64(try))
		sig, err := quorum.SignDigest(testKey("payer", 0), a.Transcript.CanaryDigest(l.network, set))
		require.NoError(l.t, err)
		a.Canaries = append(a.Canaries, quorum.Canary{Set: set, Sig: sig})
	}
}

// found decides height 1. The threshold key is an ordinary key here.
func (l *lab) found() {
	ids, payer := l.state.Roster.IDs(), testKey("payer", 0)
	a := quorum.MembersAction{Epoch: 1, Members: l.genesis.Members, Transcript: quorum.Transcript{
		Epoch: 1, Session: common.Hash{1}, PublicKey: compressed(payer), Members: ids, Threshold: uint64(ids.Q()),
	}}
	l.prove(&a)
	b, err := l.state.BuildMembers(a, l.views(0, uint64(time.Now().UnixMilli())))
	require.NoError(l.t, err)
	require.NoError(l.t, l.hearDecision(l.decision(b)))
	require.True(l.t, l.state.Founded())
}

func by[T quorum.Body](l *lab, member int, body T) quorum.Signed[T] {
	s, err := quorum.Sign(l.keys[member], l.network, body)
	require.NoError(l.t, err)
	return s
}

func (l *lab) views(height, ms uint64) (out []quorum.Signed[quorum.View]) {
	for i := range l.keys {
		out = append(out, by(l, i, quorum.View{Epoch: l.state.Roster.Epoch, Time: ms, Height: height}))
	}
	return out
}

func (l *lab) decision(b batch.Batch) quorum.UncheckedDecision {
	id := b.ID(l.network)
	var votes []quorum.Signed[quorum.Vote]
	for i := range l.state.Roster.Q() {
		votes = append(votes, by(l, i, quorum.Vote{Epoch: b.Epoch, Height: b.Height, Phase: quorum.Precommit, ID: id}))
	}
	qc, ok := quorum.NewQC(l.state.Roster, b.Height, 0, quorum.Precommit, id, votes)
	require.True(l.t, ok)
	return quorum.UncheckedDecision{Commit: qc.Unchecked(), Value: b.Encode()}
}

func (l *lab) proposerOf(round uint64) int {
	return slices.Index(l.state.Roster.IDs(), l.state.Roster.IDs().Proposer(l.state.Height+1, round))
}

// refused is a valid batch: one certified reject, with views of that time.
func (l *lab) refused(wid, ms uint64) batch.Batch {
	c := quorum.Content{WID: wid, Account: common.Address{1}, Network: "devnet", EventID: wid}
	var all []quorum.Signed[quorum.Refuse]
	for i := range l.keys {
		all = append(all, by(l, i, quorum.Refuse{
			Epoch: l.state.Roster.Epoch, Policy: l.state.Policy.Ref(), WID: wid, Content: c.Hash(l.network), Reason: quorum.ReasonMinimum, Time: ms,
		}))
	}
	cert, ok := quorum.CertifyRefusal(l.state.Roster, all)
	require.True(l.t, ok)
	b, ok := l.state.Build([]batch.Candidate{{Content: c, Refuse: &cert}}, l.views(1, ms))
	require.True(l.t, ok)
	return b
}

func contentOf(wid uint64) quorum.Content {
	return quorum.Content{
		WID: wid, Account: common.BigToAddress(uint256.NewInt(wid + 1000).ToBig()), Network: "devnet", To: common.Address{0x70, byte(wid)},
		Amount: *uint256.NewInt(1e18), Fee: *uint256.NewInt(9), EventID: 10_000 + wid, Message: crypto.Keccak256Hash(marshal(wid)),
	}
}

// approved is a withdrawal with everybody's approval.
func (l *lab) approved(wid, ms uint64) (c quorum.Content, approvals []quorum.Signed[quorum.Approve]) {
	c = contentOf(wid)
	for i := range l.keys {
		approvals = append(approvals, by(l, i, quorum.Approve{
			Epoch: l.state.Roster.Epoch, Policy: l.state.Policy.Ref(), Counter: 1000 + wid, WID: wid, Content: c.Hash(l.network), Account: c.Account, Seq: 1, Head: common.Hash{1}, Time: ms,
		}))
	}
	return c, approvals
}

// payout is a valid batch that pays one certified withdrawal. Everybody has seen every earlier payment final.
func (l *lab) payout(wid, ms uint64) batch.Batch {
	lane := l.state.LaneKeys()[0]
	seen := quorum.LaneView{Lane: lane, Block: 100, Nonce: l.state.NextNonce(lane.Nonces()), BaseFee: *uint256.NewInt(7)}
	seen.Gas.Lsh(uint256.NewInt(1), 100)
	seen.Balance = seen.Gas
	var views []quorum.Signed[quorum.View]
	for i := range l.keys {
		views = append(views, by(l, i, quorum.View{Epoch: l.state.Roster.Epoch, Time: ms, Height: l.state.Height, Lanes: []quorum.LaneView{seen}}))
	}
	c, approvals := l.approved(wid, ms)
	cert, ok := quorum.Certify(l.state.Roster, approvals)
	require.True(l.t, ok)
	b, ok := l.state.Build([]batch.Candidate{{Content: c, Pay: &cert}}, views)
	require.True(l.t, ok)
	return b
}

func (l *lab) propose(member int, round uint64, b batch.Batch) {
	p := by(l, member, quorum.Proposal{Epoch: l.state.Roster.Epoch, Height: l.state.Height + 1, Round: round, ID: b.ID(l.network), Counter: round})
	l.hearVote(voteMsg{Statement: p.Bytes(), Value: b.Encode()})
}

// A member that proposes valid values without end fills neither memory nor the place of honest ones.
func TestProposalsFillOnlyTheirTurns(t *testing.T) {
	l := newLab(t)
	now := uint64(time.Now().UnixMilli())
	liar := (l.proposerOf(0) + 1) % 4
	if liar == 0 {
		liar = 1 // 0 is this node
	}
	for i := range uint64(40) {
		l.propose(liar, i, l.refused(100+i, now+i))
		l.propose(liar, i, l.refused(200+i, now+i))
	}
	require.LessOrEqual(t, len(l.values), roundsAhead/4+1)
	honest := l.refused(1, now)
	round := uint64(0)
	for l.proposerOf(round) == liar || l.proposerOf(round) == 0 {
		round++
	}
	l.propose(l.proposerOf(round), round, honest)
	require.Contains(t, l.valueOf, honest.ID(l.network))
	require.NoError(t, l.fatal)
}

// Own statements that the database holds may come back; others mean that somebody else has the key or the past.
func TestOwnStatementsFromTheWire(t *testing.T) {
	l := newLab(t)
	vote := quorum.Vote{Epoch: 1, Height: 2, Round: 0, Phase: quorum.Prevote}
	var raw []byte
	require.NoError(t, l.led.Update(func(tx *ledger.Tx) (err error) {
		raw, err = tx.CastVote(vote, func(v quorum.Vote) (quorum.Signed[quorum.Vote], error) { return by(l, 0, v), nil })
		return err
	}))
	l.hearVote(voteMsg{Statement: raw})
	require.False(t, l.halted())
	vote.Counter = 77
	l.hearVote(voteMsg{Statement: by(l, 0, vote).Bytes()})
	require.True(t, l.halted(), "a second prevote under the own key")
}

// A height that no decision proves must not keep a node from calling a payment foreign, and f+1 that show it must.
func TestClaimedHeights(t *testing.T) {
	l := newLab(t)
	odd := l.now()
	l.now = func() time.Time { return odd.Add(time.Second) }
	ms := uint64(odd.UnixMilli()) + 1
	require.False(t, l.caughtUp(odd), "nobody was heard")
	for i := 1; i < 4; i++ {
		l.hearView(by(l, i, quorum.View{Epoch: 1, Time: ms, Height: 1}))
	}
	require.True(t, l.caughtUp(odd))
	l.hearView(by(l, 3, quorum.View{Epoch: 1, Time: ms + 1, Height: math.MaxUint64}))
	require.True(t, l.caughtUp(odd), "one claims")
	l.hearView(by(l, 2, quorum.View{Epoch: 1, Time: ms + 1, Height: 2}))
	require.False(t, l.caughtUp(odd), "two show")
}

// What the ledger holds of open withdrawals is in the pool after a restart.
func TestVerdictsSurviveInThePool(t *testing.T) {
	l := newLab(t)
	for i := 1; i < 4; i++ {
		l.hearFact(by(l, i, quorum.Approve{
			Epoch: 1, Policy: l.state.Policy.Ref(), Counter: 9, WID: 7, Content: common.Hash{7}, Account: common.Address{1}, Seq: 1, Time: 1,
		}).Bytes())
		l.hearFact(by(l, i, quorum.Refuse{
			Epoch: 1, Policy: l.state.Policy.Ref(), Counter: 10, WID: 8, Content: common.Hash{8}, Reason: quorum.ReasonMinimum, Time: 1,
		}).Bytes())
	}
	require.Contains(t, l.pool.pay, uint64(7))
	require.Contains(t, l.pool.refuse, uint64(8))
	l.pool = newPool(l.state.Roster, l.state.Policy.Ref())
	require.NoError(t, l.reloadVerdicts())
	require.Contains(t, l.pool.pay, uint64(7))
	require.Contains(t, l.pool.refuse, uint64(8))
}

// The end of a halt is told again as long as the halt is remembered.
func TestEndsOfHaltsAreToldAgain(t *testing.T) {
	l := newLab(t)
	l.trip("test", "for the test")
	require.True(t, l.halted())
	require.NoError(t, l.clear("looked at"))
	require.False(t, l.halted())
	told := l.ownFacts()
	require.True(t, slices.ContainsFunc(told, func(raw []byte) bool {
		kind, err := quorum.PeekKind(raw)
		return err == nil && kind == quorum.KindClear
	}))
	require.False(t, slices.ContainsFunc(told, func(raw []byte) bool { return bytes.Contains(raw, []byte("for the test")) }))
}

// One member's verdicts fill its own share and nobody else's.
func TestPoolShares(t *testing.T) {
	l := newLab(t)
	p := l.pool
	p.held[l.genesis.Members[3].Address] = maxOpenPerMember
	approve := func(i int) bool {
		return p.addApproval(by(l, i, quorum.Approve{Epoch: 1, Policy: l.state.Policy.Ref(), WID: 7, Seq: 1}))
	}
	require.False(t, approve(3))
	require.True(t, approve(1))
	require.False(t, approve(1), "the first counts")
	require.False(t, p.addApproval(by(l, 2, quorum.Approve{Epoch: 0, Policy: l.state.Policy.Ref(), WID: 7, Seq: 1})))
	require.False(t, p.addApproval(by(l, 2, quorum.Approve{Epoch: 1, WID: 7, Seq: 1})), "another policy")
	require.Equal(t, 1, p.held[l.genesis.Members[1].Address])
	p.drop(7)
	require.Zero(t, p.held[l.genesis.Members[1].Address])
	require.Empty(t, p.approvals)
}
