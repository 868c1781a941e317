package node

import (
	"context"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

// canaryPatience is how long those who do not sign wait for a canary.
const canaryPatience = 20 * time.Second

// maybeRun starts the session once everyone who takes part calls for the same attempt.
func (f *ceremony) maybeRun(c *core) {
	if f.running || f.action != nil || !f.ready(c) || !f.allConfirmed(c) {
		return
	}
	party := f.party(c)
	nonces, joined := make([]common.Hash, len(party)), map[common.Address]common.Hash{}
	for i, id := range party {
		call, ok := f.calls[id]
		if !ok || call.Attempt != f.attempt {
			return
		}
		nonces[i], joined[id] = call.Nonce, call.Nonce
	}
	f.running, f.attempted = true, newAttempted(f.ctx, joined)
	session := quorum.Digest(quorum.KindSession, c.network, struct {
		Epoch, Attempt uint64
		Change         common.Hash
		Nonces         []common.Hash
	}{f.target.Epoch, f.attempt, f.hash, nonces})
	c.log.Info("session of the ceremony starts", zap.Uint64("epoch", f.target.Epoch), zap.Uint64("attempt", f.attempt), zap.Int("members", len(party)))
	pre := f.pre
	f.pre = nil // an attempt that gets far enough spends them
	run := f.keygen(c, session, pre)
	if !f.makesKey() {
		run = f.reshare(c, session, pre)
	}
	leave := f.leave
	c.spawn(func() {
		defer leave(errOver)
		key, out := run()
		c.post(func() { f.ended(c, key, out) })
	})
}

// keygen and reshare give what runs off the core. The share is on disk before this member signs the transcript: a signed
// transcript means that all can sign.
func (f *ceremony) keygen(c *core, session common.Hash, pre *tss.PreParams) func() (*tss.Key, tss.Outcome) {
	ids := f.target.IDs()
	req := tss.KeygenRequest{
		Session: session, Epoch: f.target.Epoch, Members: ids, Threshold: ids.Q(), PreParams: pre, RoundTimeout: keygenRound,
		Save: c.vault.SaveShare, Progress: f.progress(c),
	}
	return func() (*tss.Key, tss.Outcome) { return c.engine.Keygen(f.session, req) }
}

func (f *ceremony) progress(c *core) func(round, of int) {
	return func(round, of int) { c.offer(func() { f.round, f.rounds = round, of }) }
}

func (f *ceremony) ended(c *core, key *tss.Key, out tss.Outcome) {
	f.running = false
	c.keepSession(out.Evidence)
	if f != c.ceremony {
		return // given up meanwhile
	}
	if f.key != nil || f.action != nil {
		return // another member showed what came of an earlier attempt
	}
	if key != nil {
		f.key, f.failed = key, nil
		c.alerts.recover(codeCeremony)
		c.log.Info("shares made", zap.Uint64("epoch", f.target.Epoch), zap.Stringer("transcript", quorum.Digest(quorum.KindTranscript, c.network, key.Transcript)))
		return
	}
	f.failed = &out
	c.alerts.raise(alertCeremony(out))
	if err := f.again(c, f.attempt+1); err != nil {
		c.stop(err)
	}
}

// maybeCanary tries the new shares: q members of the new committee sign the transcript's canary, then others, until everyone has.
func (f *ceremony) maybeCanary(c *core, now time.Time) {
	if f.action != nil || f.signing || f.key.Share == nil {
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
	set := quorum.CanarySet(f.target.IDs(), f.canary)
	if !set.Has(c.self) {
		if now.After(f.canaryBy) {
			f.nextCanary(f.canary + 1)
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
			c.keepSession(out.Evidence)
			if out.Ending != tss.Signed {
				c.log.Warn("canary failed", zap.Uint64("attempt", attempt), zap.Stringer("ending", out.Ending), zap.Error(out.Err))
				f.nextCanary(attempt + 1)
				return
			}
			canary := quorum.Canary{Set: set, Sig: out.Signature}
			f.nextCanary(attempt + 1)
			f.tell(c, signMsg{signCanary, f.canaryBody(c, canary)})
			f.hearCanary(c, canary)
		})
	})
}

func (f *ceremony) nextCanary(try uint64) { f.canary, f.canaryBy = max(f.canary, try), time.Time{} }

func (f *ceremony) signCanary(c *core, key *tss.Key, set quorum.Members, attempt uint64) tss.Outcome {
	w, err := tss.NewCanaryWarrant(c.network, key.Transcript, key.Signatures, set, attempt)
	if err != nil {
		return tss.Outcome{Err: err}
	}
	ctx, cancel := context.WithTimeout(f.ctx, canaryPatience)
	defer cancel()
	return c.engine.Sign(ctx, w, key.Share, 0)
}

func (f *ceremony) canaryBody(c *core, canary quorum.Canary) []byte {
	return marshal(canaryMsg{quorum.Digest(quorum.KindTranscript, c.network, f.key.Transcript), canary})
}

func (f *ceremony) canaryMsg(c *core, canary quorum.Canary) []byte {
	return marshal(signMsg{signCanary, f.canaryBody(c, canary)})
}

// hearCanary keeps a canary, own or shown, and joins the proofs when everyone has signed one.
func (f *ceremony) hearCanary(c *core, canary quorum.Canary) {
	if f == nil || f.key == nil || f.action != nil {
		return
	}
	action := quorum.MembersAction{
		Epoch: f.target.Epoch, Members: f.target.Members, Transcript: f.key.Transcript, Signatures: f.key.Signatures,
	}
	if !action.Tried(c.network, canary) {
		return
	}
	for _, held := range f.canaries {
		if held.Set.Equal(canary.Set) {
			return
		}
	}
	f.canaries = append(f.canaries, canary)
	// Who did not sign this one waits for the next.
	if canary.Set.Equal(quorum.CanarySet(f.target.IDs(), f.canary)) && !f.signing {
		f.nextCanary(f.canary + 1)
	}
	if action.Canaries = f.canaries; quorum.Covered(f.target.IDs(), f.canaries) {
		f.adopt(c, action)
	}
}
