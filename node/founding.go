package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
)

// Rhythms of the ceremony.
const (
	callEvery      = time.Second      // how often a member says that it is here
	canaryPatience = 20 * time.Second // how long those who do not sign wait for the canary
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
	// Share returns the share of a key, or ErrNoShare.
	Share(quorum.PublicKey) (*tss.KeyShare, error)
}

// founding is the ceremony before height 1: all members meet, make a key, sign its transcript, try it with a canary, and
// put the proofs to the vote. It is nil once the network is founded.
type founding struct {
	pre           *tss.PreParams // nil while they are being found
	finding       bool           // one search at a time: each takes a core for a minute
	attempt       uint64
	nonce         common.Hash
	calls         map[common.Address]quorum.Ceremony
	nextCall      time.Time
	running       bool
	round, rounds int

	key      *tss.Key
	canary   uint64
	canaryBy time.Time
	signing  bool
	action   *quorum.MembersAction
}

// resumeFounding begins to call the members. What an earlier life of this process made of an unfinished ceremony is void,
// unless another member still holds the proofs: it then sends them.
func (c *core) resumeFounding() error {
	c.founding = &founding{calls: map[common.Address]quorum.Ceremony{}}
	return c.founding.again(c, 0)
}

// again begins an attempt. Preparameters may take a minute to find, so they come before the call: who calls is ready.
func (f *founding) again(c *core, attempt uint64) error {
	f.attempt, f.running = attempt, false
	if f.pre == nil && !f.finding {
		f.finding = true
		go f.prepare(c) // not waited for at the end: nothing can stop a search
	}
	_, err := rand.Read(f.nonce[:])
	return err
}

// prepare runs off the core.
func (f *founding) prepare(c *core) {
	pre, err := c.vault.PreParams()
	c.post(func() {
		f.finding = false
		if err != nil {
			c.stop(fmt.Errorf("preparameters: %w", err))
			return
		}
		f.pre, f.nextCall = pre, time.Time{}
	})
}

// tick calls the members, and starts what can start.
func (f *founding) tick(c *core, now time.Time) {
	if f == nil || c.fatal != nil || !c.joins() {
		return
	}
	// It goes on calling while it makes the key: a member that misses this call would not start.
	if (f.pre != nil || f.running || f.key != nil) && !now.Before(f.nextCall) {
		f.nextCall = now.Add(callEvery)
		f.call(c)
	}
	if f.key == nil {
		f.maybeKeygen(c)
		return
	}
	f.maybeCanary(c, now)
}

func (f *founding) call(c *core) {
	s, err := quorum.Sign(c.key, c.network, quorum.Ceremony{
		Epoch: c.state.Roster.Epoch + 1, Attempt: f.attempt, Nonce: f.nonce, Canary: f.canary,
	})
	if err != nil {
		c.stop(err)
		return
	}
	f.calls[c.self] = s.Body()
	c.sendAll(protoSigning, marshal(signMsg{signStatement, s.Bytes()}))
}

// hearCall takes another member's call. Who holds the finished proofs answers with them.
func (f *founding) hearCall(c *core, s quorum.Signed[quorum.Ceremony]) {
	if f == nil {
		c.answerDecided(s.Signer(), 1)
		return
	}
	b := s.Body()
	if b.Epoch != c.state.Roster.Epoch+1 {
		return
	}
	f.calls[s.Signer()] = b
	if f.action != nil {
		f.show(c, s.Signer())
		return
	}
	if f.key != nil {
		f.meet(c, s)
		return
	}
	if b.Attempt > f.attempt && b.Attempt < f.attempt+maxCallJump && !f.running {
		if err := f.again(c, b.Attempt); err != nil {
			c.stop(err)
		}
		f.nextCall = time.Time{}
	}
}

// meet is hearCall once this member holds the key: who lost the last round of the ceremony is shown the transcript with all
// signatures, and the members come to the same try of the canary.
func (f *founding) meet(c *core, s quorum.Signed[quorum.Ceremony]) {
	f.show(c, s.Signer())
	if n := s.Body().Canary; n > f.canary && n < f.canary+maxCallJump && !f.signing {
		f.canary, f.canaryBy = n, time.Time{}
	}
}

// show sends a member what this one holds of the ceremony's end. Who lost it, by a crash or in the last round, goes on from it.
func (f *founding) show(c *core, to common.Address) {
	switch {
	case f == nil:
	case f.action != nil:
		c.send(to, protoSigning, marshal(signMsg{signFounding, marshal(*f.action)}))
	case f.key != nil:
		m := transcriptMsg{Transcript: f.key.Transcript, Signatures: f.key.Signatures}
		c.send(to, protoSigning, marshal(signMsg{signTranscript, marshal(m)}))
	}
}

// recall takes a transcript that all members signed. This member's own signature on it says that its share was saved before,
// so the ceremony is over for it too.
func (f *founding) recall(c *core, m transcriptMsg) error {
	if f == nil || f.key != nil || f.running || f.action != nil {
		return nil
	}
	if m.Transcript.Epoch != c.state.Roster.Epoch+1 || !slices.Equal(m.Transcript.Members, c.state.Roster.IDs()) {
		return errTranscript
	}
	if _, err := tss.NewCanaryWarrant(c.network, m.Transcript, m.Signatures, canarySet(c.state.Roster.IDs(), 0), 0); err != nil {
		return err
	}
	share, err := c.vault.Share(m.Transcript.PublicKey)
	if err != nil {
		return fmt.Errorf("share of a transcript that this node signed: %w", err)
	}
	f.key = &tss.Key{Share: share, Transcript: m.Transcript, Signatures: m.Signatures}
	c.log.Info("key recalled", zap.Stringer("payer", share.Payer()))
	return nil
}

// maybeKeygen starts the key generation once every member calls for the same attempt.
func (f *founding) maybeKeygen(c *core) {
	ids := c.state.Roster.IDs()
	if f.running || f.pre == nil || f.action != nil {
		return
	}
	nonces := make([]common.Hash, len(ids))
	for i, id := range ids {
		call, ok := f.calls[id]
		if !ok || call.Attempt != f.attempt {
			return
		}
		nonces[i] = call.Nonce
	}
	f.running = true
	pre := f.pre
	f.pre = nil // an attempt that gets far enough spends them
	req := tss.KeygenRequest{
		Session: quorum.Digest(quorum.KindSession, c.network, struct {
			Epoch, Attempt uint64
			Nonces         []common.Hash
		}{c.state.Roster.Epoch + 1, f.attempt, nonces}),
		Epoch: c.state.Roster.Epoch + 1, Members: ids, Threshold: ids.Q(), PreParams: pre, RoundTimeout: keygenRound,
		// The share is on disk before this member signs the transcript: a signed transcript means that all can sign.
		Save:     c.vault.SaveShare,
		Progress: func(round, of int) { c.offer(func() { f.round, f.rounds = round, of }) },
	}
	c.log.Info("key generation starts", zap.Uint64("attempt", f.attempt), zap.Int("members", len(ids)))
	c.spawn(func() { f.keygen(c, req) })
}

// keygen runs off the core.
func (f *founding) keygen(c *core, req tss.KeygenRequest) {
	key, out := c.engine.Keygen(c.ctx, req)
	c.post(func() {
		f.running = false
		c.keepSession(out.Evidence)
		if key != nil {
			f.key = key
			c.alerts.recover(codeCeremony)
			c.log.Info("key generated", zap.Stringer("payer", key.Share.Payer()))
			return
		}
		c.alerts.raise(alertCeremony(out))
		if err := f.again(c, f.attempt+1); err != nil {
			c.stop(err)
		}
	})
}

// canarySet is who signs the canary of an attempt: q members, another first one each time.
func canarySet(ids quorum.Members, attempt uint64) quorum.Members {
	set := make(quorum.Members, 0, ids.Q())
	for i := range ids.Q() {
		set = append(set, ids[(int(attempt)+i)%len(ids)])
	}
	slices.SortFunc(set, func(a, b common.Address) int { return bytes.Compare(a[:], b[:]) })
	return set
}

func (f *founding) maybeCanary(c *core, now time.Time) {
	if f.action != nil || f.signing {
		return
	}
	if f.canaryBy.IsZero() {
		f.canaryBy = now.Add(canaryPatience)
	}
	transcript := quorum.Digest(quorum.KindTranscript, c.network, f.key.Transcript)
	err := c.led.View(func(tx *ledger.Tx) error { f.canary = max(f.canary, tx.NextCanary(transcript)); return nil })
	if err != nil {
		c.stop(err)
		return
	}
	set := canarySet(c.state.Roster.IDs(), f.canary)
	if !set.Has(c.self) {
		if now.After(f.canaryBy) {
			f.canary, f.canaryBy = f.canary+1, time.Time{}
		}
		return
	}
	key, attempt := f.key, f.canary
	// A try that this member joined twice would have it sign two messages for one place, and convict it.
	if !c.update("record try of the canary", func(tx *ledger.Tx) error { return tx.RecordCanary(transcript, attempt) }) {
		return
	}
	f.signing = true
	c.spawn(func() {
		out := f.signCanary(c, key, set, attempt)
		c.post(func() {
			f.signing = false
			if out.Ending != tss.Signed {
				c.log.Warn("canary failed", zap.Uint64("attempt", attempt), zap.Stringer("ending", out.Ending), zap.Error(out.Err))
				f.canary, f.canaryBy = attempt+1, time.Time{}
				return
			}
			canary := quorum.Canary{Set: set, Sig: out.Signature}
			f.complete(c, canary)
			m := canaryMsg{quorum.Digest(quorum.KindTranscript, c.network, key.Transcript), canary}
			c.sendAll(protoSigning, marshal(signMsg{signCanary, marshal(m)}))
		})
	})
}

func (f *founding) signCanary(c *core, key *tss.Key, set quorum.Members, attempt uint64) tss.Outcome {
	w, err := tss.NewCanaryWarrant(c.network, key.Transcript, key.Signatures, set, attempt)
	if err != nil {
		return tss.Outcome{Err: err}
	}
	ctx, cancel := context.WithTimeout(c.ctx, canaryPatience)
	defer cancel()
	return c.engine.Sign(ctx, w, key.Share, 0)
}

// complete joins the proofs when all are here.
func (f *founding) complete(c *core, canary quorum.Canary) {
	if f == nil || f.key == nil || f.action != nil {
		return
	}
	action := quorum.MembersAction{
		Epoch: c.state.Roster.Epoch + 1, Members: c.state.Roster.Members,
		Transcript: f.key.Transcript, Signatures: f.key.Signatures, Canaries: []quorum.Canary{canary},
	}
	f.adopt(c, action)
}

// adopt takes proofs as complete, own ones or another member's.
func (f *founding) adopt(c *core, action quorum.MembersAction) {
	if f == nil || f.action != nil {
		return
	}
	if _, err := action.Verify(c.network); err != nil {
		c.log.Warn("founding proofs refused", zap.Error(err))
		return
	}
	f.action = &action
	c.maybeBegin(c.now())
}

// build makes the MEMBERS batch.
func (f *founding) build(c *core) (batch.Batch, bool) {
	if f == nil || f.action == nil {
		return batch.Batch{}, false
	}
	b, err := c.state.BuildMembers(*f.action, c.pool.viewList())
	return b, err == nil
}
