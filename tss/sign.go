package tss

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// DefaultSignTimeout is a round's deadline in signing.
const DefaultSignTimeout = 10 * time.Second

// signRequest is what a session of signing needs. It stays inside the package: whoever signs must hold a warrant.
type signRequest struct {
	session      common.Hash
	digest       common.Hash
	participants []common.Address // exactly the threshold, any order
	share        *KeyShare
	canary       bool          // tries the share
	roundTimeout time.Duration // zero means DefaultSignTimeout
}

// sign makes one signature with the other participants.
func (e *Engine) sign(ctx context.Context, req signRequest) Outcome {
	refuse := func(err error) Outcome {
		return Outcome{Ending: NotStarted, Session: req.session, Err: fmt.Errorf("sign: %w", err)}
	}
	if req.share == nil || req.share.self != e.self {
		return refuse(fmt.Errorf("%w: not the share of %s", ErrShare, e.self))
	}
	sorted, err := checkSigners(req.share, req.participants)
	if err != nil {
		return refuse(err)
	}
	me := slices.Index(sorted, e.self)
	if me < 0 {
		return refuse(fmt.Errorf("%s is not a participant", e.self))
	}

	run, err := newSignParty(sorted, me, req.session, req.digest, req.share)
	if err != nil {
		return refuse(err)
	}
	s := e.newSession(req.session, signPlan(), sorted, orDefault(req.roundTimeout, DefaultSignTimeout))
	s.machine = run
	s.guard = signGuard(req.share, sorted, run.named())
	s.takeOver = takeOverSigned(req.share.payer, req.digest)
	s.judge = func(ev Evidence) error { return req.share.Convicts(e.network, ev) }
	s.conclude = func(result any) ([]byte, *Outcome) {
		sig, ok := result.(quorum.Signature)
		if !ok || !req.share.verify(req.digest, sig) {
			return nil, unattributed("the signature does not verify")
		}
		return nil, &Outcome{Ending: Signed, Signature: sig}
	}
	return e.run(ctx, s, req.share.payer.Hex(), claims(req.share, req.canary)...)
}

// claims names what a session of signing has for itself while it is live: payments the whole key, a canary the shares that it tries.
// So a key makes one payment's signature at a time and shares serve one session, but while a committee's new shares are tried, the
// old ones go on paying.
func claims(share *KeyShare, canary bool) []string {
	own := fmt.Sprintf("%s of epoch %d", share.payer, share.epoch)
	if canary {
		return []string{own}
	}
	return []string{share.payer.Hex(), own}
}

// checkSigners returns the signers in the library's order. Exactly the threshold signs: every further one only costs.
func checkSigners(share *KeyShare, participants []common.Address) ([]common.Address, error) {
	if len(participants) != share.threshold || len(distinct(participants)) != share.threshold {
		return nil, fmt.Errorf("%d signers, want %d different ones", len(participants), share.threshold)
	}
	for _, p := range participants {
		if !slices.Contains(share.members, p) {
			return nil, fmt.Errorf("%s is not a member of epoch %d", p, share.epoch)
		}
	}
	return partyOrder(participants, share.epoch)
}

// signGuard reads the messages of a signing session with the committee's public material.
func signGuard(share *KeyShare, sorted []common.Address, ids map[common.Address]partyID) *guard {
	known := map[common.Address]moduli{}
	for i, m := range share.members {
		if slices.Contains(sorted, m) {
			known[m] = share.parties[i].moduli
		}
	}
	return &guard{plan: signPlan(), threshold: share.threshold, self: share.self, ids: ids, known: known}
}
