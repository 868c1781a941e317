package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
)

// Rhythms of the ceremony.
const (
	callEvery      = time.Second      // how often a member says that it is here
	gatherPatience = 30 * time.Second // how long a resharing waits for those of the old committee who deal, before it draws others
	keygenRound    = time.Minute      // a round's deadline; the slowest takes five seconds of two free cores
)

// maxCallJump bounds how far ahead a call may be, so that one member cannot name a number that nobody exceeds.
const maxCallJump = 1000

// errTranscript refuses a transcript of another committee.
var errTranscript = errors.New("the transcript is not of this committee")

// ErrNoShare means that the vault holds no share of a key.
var ErrNoShare = errors.New("the vault holds no share of this key")

// KeyStore is what the core needs of the vault.
type KeyStore interface {
	// PreParams returns preparameters that no ceremony has used yet.
	PreParams() (*tss.PreParams, error)
	// SaveShare makes a share durable. It returns only when the bytes are on disk.
	SaveShare(*tss.KeyShare) error
	// ShareOf returns the share that a transcript tells of, or ErrNoShare.
	ShareOf(quorum.Transcript) (*tss.KeyShare, error)
	// Shares returns all shares that it holds.
	Shares() ([]*tss.KeyShare, error)
	// DeleteShare destroys a share whose successor it holds; DropShare does without one. What is gone already is no error.
	DeleteShare(old, successor quorum.Transcript) error
	DropShare(quorum.Transcript) error
}

// ceremony is how a committee comes to its shares. The founding one makes the key for the members of the genesis document; each
// later one reshares it to the committee that q operators proposed, while the old one goes on paying. All who take part
// meet, run one session, sign its transcript, try the shares with canaries that together hold every member, and put the
// proofs to the vote of those who rule. Nothing of it binds before that decision; nil when there is nothing to do.
type ceremony struct {
	change quorum.VerifiedAction // the operators' word; the zero value in the founding
	hash   common.Hash           // names it; zero in the founding
	rekeys bool                  // it makes another key for the committee in force, which a decided change ordered
	target quorum.Roster         // the committee of the epoch to come
	ctx    context.Context       // ends when it is given up
	end    context.CancelFunc

	pre           *tss.PreParams // nil while they are being found
	finding       bool           // one search at a time: each takes a core for a minute
	searched      time.Time      // when it began
	attempt       uint64
	nonce         common.Hash
	began         time.Time // of the attempt
	calls         map[common.Address]quorum.Ceremony
	nextCall      time.Time
	standings     map[common.Address]heardStanding
	nextStanding  time.Time
	running       bool
	attempted     // what the session that runs was joined with
	round, rounds int
	failed        *tss.Outcome // how the last attempt ended, if it failed

	key      *tss.Key // its share is nil with a member that leaves
	canary   uint64
	canaryBy time.Time
	signing  bool
	canaries []quorum.Canary
	action   *quorum.MembersAction // all proofs, without the operators' word
	tried    time.Time             // when a batch was last tried
}

func (c *core) newCeremony(target quorum.Roster) *ceremony {
	f := &ceremony{target: target, calls: map[common.Address]quorum.Ceremony{}, standings: map[common.Address]heardStanding{}}
	f.ctx, f.end = context.WithCancel(c.ctx)
	return f
}

// resumeFounding begins to call the members. What an earlier life of this process made of an unfinished ceremony is void,
// unless another member still holds the proofs: it then sends them.
func (c *core) resumeFounding() error {
	c.ceremony = c.newCeremony(quorum.Roster{Epoch: c.state.Roster.Epoch + 1, Members: c.state.Roster.Members})
	return c.ceremony.again(c, 0)
}

// founding reports whether the ceremony makes the key, rather than reshares it.
func (f *ceremony) founding() bool { return f.hash == (common.Hash{}) }

// dealers are the q members of the committee in force that hand the key on in an attempt. Who stays must be there anyway, so
// they come first; of the others each attempt draws anew, so that a silent one is left out sooner or later.
func (f *ceremony) dealers(c *core) quorum.Members {
	if f.makesKey() {
		return nil
	}
	ids, stay := c.state.Roster.IDs(), f.target.IDs()
	lot := func(a common.Address) common.Hash {
		return crypto.Keccak256Hash(f.hash[:], marshal(f.attempt), a[:])
	}
	drawn := slices.Clone(ids)
	slices.SortFunc(drawn, func(a, b common.Address) int {
		if stay.Has(a) != stay.Has(b) {
			if stay.Has(a) {
				return -1
			}
			return 1
		}
		return lot(a).Cmp(lot(b))
	})
	drawn = drawn[:ids.Q()]
	slices.SortFunc(drawn, common.Address.Cmp)
	return drawn
}

// party is everyone who takes part in an attempt's session, ascending.
func (f *ceremony) party(c *core) quorum.Members {
	all := slices.Concat(f.target.IDs(), f.dealers(c))
	slices.SortFunc(all, common.Address.Cmp)
	return slices.Compact(all)
}

// again begins an attempt. Preparameters may take a minute to find, so they come before the call: who calls is ready.
func (f *ceremony) again(c *core, attempt uint64) error {
	f.attempt, f.running, f.round, f.began, f.nextCall = attempt, false, 0, c.now(), time.Time{}
	if f.pre == nil && !f.finding && !c.sealed && f.target.IDs().Has(c.self) && f.confirmed(c) {
		f.finding, f.searched = true, c.now()
		go f.prepare(c) // not waited for at the end: nothing can stop a search
	}
	random := c.random
	if random == nil {
		random = rand.Reader
	}
	_, err := io.ReadFull(random, f.nonce[:])
	return err
}

// prepare runs off the core.
func (f *ceremony) prepare(c *core) {
	pre, err := c.vault.PreParams()
	c.post(func() {
		f.finding = false
		if errors.Is(err, ErrSealed) {
			return // unseal begins again
		}
		if err != nil && f.founding() {
			c.stop(fmt.Errorf("preparameters: %w", err))
			return
		}
		if err != nil {
			// The old epoch goes on paying whatever a change lacks here.
			c.log.Warn("no preparameters for the change of members", zap.Error(err))
			f.began = c.now()
			return
		}
		f.pre, f.nextCall = pre, time.Time{}
	})
}

// ready reports whether this node can take part in the attempt: a new member needs preparameters, a dealer its share.
func (f *ceremony) ready(c *core) bool {
	if !f.party(c).Has(c.self) {
		return false
	}
	if f.dealers(c).Has(c.self) && (c.signer == nil || c.signer.share == nil) {
		return false
	}
	return f.pre != nil || !f.target.IDs().Has(c.self)
}

// tick calls the others, and starts what can start.
func (f *ceremony) tick(c *core, now time.Time) {
	if f == nil || c.fatal != nil || !f.confirmed(c) {
		return
	}
	f.sayStanding(c, now)
	if c.question.closed || (f.founding() && !c.joins()) {
		return
	}
	// It goes on calling while the session runs: a member that misses this call would not start.
	if (f.ready(c) || f.running || f.key != nil) && !now.Before(f.nextCall) {
		f.nextCall = now.Add(callEvery)
		f.call(c)
	}
	if f.key != nil {
		f.maybeCanary(c, now)
		return
	}
	f.maybeRun(c)
	if f.running || f.action != nil || f.makesKey() || now.Sub(f.began) < gatherPatience {
		return
	}
	if err := f.again(c, f.attempt+1); err != nil {
		c.stop(err)
	}
}

func (f *ceremony) call(c *core) {
	s, err := quorum.Sign(c.key, c.network, quorum.Ceremony{
		Epoch: f.target.Epoch, Attempt: f.attempt, Nonce: f.nonce, Canary: f.canary, Change: f.hash,
	})
	if err != nil {
		c.stop(err)
		return
	}
	f.calls[c.self] = s.Body()
	f.tell(c, signMsg{signStatement, s.Bytes()})
}

// tell sends to everyone whom the ceremony concerns.
func (f *ceremony) tell(c *core, m signMsg) {
	for _, id := range c.linked() {
		c.send(id, protoSigning, marshal(m))
	}
}

// hearCall takes another member's call. Who holds the finished proofs answers with them.
func (c *core) hearCall(s quorum.Signed[quorum.Ceremony]) {
	f, b := c.ceremony, s.Body()
	if b.Epoch <= c.state.Roster.Epoch {
		c.answerEpoch(s.Signer(), b.Epoch)
		return
	}
	if f == nil || b.Epoch != f.target.Epoch || b.Change != f.hash {
		return
	}
	f.calls[s.Signer()] = b
	if f.action != nil || f.key != nil {
		f.show(c, s.Signer())
	}
	if f.action != nil {
		return
	}
	if f.key != nil {
		// The members come to the same try of the canary.
		if b.Canary > f.canary && b.Canary < f.canary+maxCallJump && !f.signing {
			f.canary, f.canaryBy = b.Canary, time.Time{}
		}
		return
	}
	if f.running {
		f.lose(c, s)
		return
	}
	if b.Attempt > f.attempt && b.Attempt < f.attempt+maxCallJump {
		if err := f.again(c, b.Attempt); err != nil {
			c.stop(err)
		}
	}
}

// answerEpoch shows who still calls for an epoch the decision that made it.
func (c *core) answerEpoch(to common.Address, epoch uint64) {
	var since uint64
	err := c.led.View(func(tx *ledger.Tx) (err error) { _, _, since, _, err = tx.EpochRecord(epoch); return err })
	if err == nil && since > 0 {
		c.answerDecided(to, since-1)
	}
}

// show sends a member what this one holds of the ceremony's end. Who lost it, by a crash or in the last round, goes on from it.
func (f *ceremony) show(c *core, to common.Address) {
	switch {
	case f == nil:
	case f.action != nil:
		c.send(to, protoSigning, marshal(signMsg{signFounding, marshal(*f.action)}))
	case f.key != nil:
		m := transcriptMsg{Transcript: f.key.Transcript, Signatures: f.key.Signatures}
		c.send(to, protoSigning, marshal(signMsg{signTranscript, marshal(m)}))
		for _, canary := range f.canaries {
			c.send(to, protoSigning, f.canaryMsg(c, canary))
		}
	}
}

// recall takes a transcript that all members signed. This member's own signature on it says that its share was saved before,
// so the session is over for it too.
func (f *ceremony) recall(c *core, m transcriptMsg) error {
	if f == nil || f.key != nil || f.action != nil || !f.target.IDs().Has(c.self) {
		return nil
	}
	if err := f.fits(c, m.Transcript); err != nil {
		return err
	}
	if _, err := tss.NewCanaryWarrant(c.network, m.Transcript, m.Signatures, quorum.CanarySet(f.target.IDs(), 0), 0); err != nil {
		return err
	}
	share, err := c.vault.ShareOf(m.Transcript)
	if err != nil {
		return fmt.Errorf("share of a transcript that this node signed: %w", err)
	}
	f.key = &tss.Key{Share: share, Transcript: m.Transcript, Signatures: m.Signatures}
	f.leaveSession(errEndShown) // it joined alone: the others hold this key and make no other
	c.log.Info("key recalled", zap.Stringer("payer", share.Payer()))
	return nil
}

// fits checks that a transcript is of this ceremony: its committee, and after the founding the key that pays.
func (f *ceremony) fits(c *core, t quorum.Transcript) error {
	if t.Epoch != f.target.Epoch || !slices.Equal(t.Members, f.target.IDs()) || f.makesKey() == (t.PublicKey == c.state.Key) {
		return errTranscript
	}
	return nil
}

// adopt takes proofs as complete, own ones or another member's.
func (f *ceremony) adopt(c *core, action quorum.MembersAction) {
	if f == nil || f.action != nil {
		return
	}
	roster, err := action.Verify(c.network)
	if err == nil {
		err = f.fits(c, action.Transcript)
	}
	if err == nil && !bytes.Equal(marshal(roster.Members), marshal(f.target.Members)) {
		err = errTranscript
	}
	if err != nil {
		c.log.Warn("proofs of the ceremony refused", zap.Error(err))
		return
	}
	action.Change = nil // the operators' word is added when a batch is made
	f.action = &action
	f.leaveSession(errEndShown)
	f.tell(c, signMsg{signFounding, marshal(action)})
	c.maybeBegin(c.now())
}

// build makes the MEMBERS batch.
func (f *ceremony) build(c *core) (batch.Batch, bool) {
	if f == nil || f.action == nil {
		return batch.Batch{}, false
	}
	action, now := *f.action, c.now()
	if !f.founding() {
		if now.Sub(f.tried) < buildEvery {
			return batch.Batch{}, false
		}
	}
	if !f.makesKey() {
		signed, ok := f.change.Within(batch.Timeliness(uint64(now.UnixMilli()))).Quorum(c.state.Roster.Q())
		if !ok {
			f.tried = now
			return batch.Batch{}, false
		}
		action.Change = signed.Encode()
	}
	b, err := c.state.BuildMembers(action, c.pool.viewList())
	if err != nil {
		f.tried = now
		c.log.Debug("change of members waits", zap.Error(err))
	}
	return b, err == nil
}
