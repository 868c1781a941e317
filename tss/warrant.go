package tss

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// ErrWarrant means that decision, recorded intent and rendered transaction do not belong together.
var ErrWarrant = errors.New("no authority to sign")

// Intent is what a ledger recorded, durably, before a session may start.
type Intent interface {
	Batch() common.Hash
	Session() common.Hash
	Digest() common.Hash
}

// Render gives the signing digest of the k-th fee step of a decided batch, computed from the batch's own bytes.
type Render func(value []byte, k uint64) (digest common.Hash, err error)

// Warrant is the authority to make one signature in one session. Its zero value is none; [NewWarrant] and
// [NewCanaryWarrant] are the only makers. There is deliberately no way to sign a digest without one.
type Warrant struct {
	session common.Hash
	digest  common.Hash
	set     quorum.Members
	canary  bool
}

// NewWarrant makes the authority for a decided payment: the decision's commit certificate was verified, the intent is on
// disk and names this very session, and the digest is re-derived here from the decided bytes.
func NewWarrant(d quorum.Committed, recorded Intent, s quorum.Session, render Render) (Warrant, error) {
	if d.Zero() || d.ID() != s.Batch || recorded.Batch() != s.Batch {
		return Warrant{}, fmt.Errorf("%w: the session is not of the decided batch", ErrWarrant)
	}
	if recorded.Session() != s.Hash() || recorded.Digest() != s.Digest {
		return Warrant{}, fmt.Errorf("%w: the recorded intent is of another session", ErrWarrant)
	}
	digest, err := render(d.Value(), s.K)
	if err != nil {
		return Warrant{}, fmt.Errorf("%w: render: %w", ErrWarrant, err)
	}
	if digest != s.Digest {
		return Warrant{}, fmt.Errorf("%w: the decided batch renders to another digest", ErrWarrant)
	}
	return Warrant{session: s.Hash(), digest: digest, set: s.Set}, nil
}

// NewCanaryWarrant makes the authority for the canary signature of a key that all members of its ceremony signed for.
// No transaction can have its digest.
func NewCanaryWarrant(network common.Hash, t quorum.Transcript, signatures []quorum.Signature, set quorum.Members, attempt uint64) (Warrant, error) {
	digest := quorum.Digest(quorum.KindTranscript, network, t)
	if len(signatures) != len(t.Members) {
		return Warrant{}, fmt.Errorf("%w: the transcript lacks signatures", ErrWarrant)
	}
	for i, sig := range signatures {
		if signer, err := sig.Recover(digest); err != nil || signer != t.Members[i] {
			return Warrant{}, fmt.Errorf("%w: transcript signature %d is not of %s", ErrWarrant, i, t.Members[i])
		}
	}
	canary := t.CanaryDigest(network, set)
	session := quorum.Digest(quorum.KindSession, network, struct {
		Canary  common.Hash
		Attempt uint64
	}{canary, attempt})
	return Warrant{session: session, digest: canary, set: set, canary: true}, nil
}

// Session names the session that the warrant is good for.
func (w Warrant) Session() common.Hash { return w.session }

// Digest is what the warrant allows to sign. It is for those who watch a session: nothing signs a bare digest.
func (w Warrant) Digest() common.Hash { return w.digest }

// Set names the members who sign together, in no particular order. The caller must not write to it.
func (w Warrant) Set() quorum.Members { return w.set }

// Claims names what the warrant's session with a share has for itself: two that claim the same are never live at once.
func (w Warrant) Claims(share *KeyShare) []string { return claims(share, w.canary) }

// Sign makes the one signature that the warrant allows, together with the other members of its set. It blocks until the
// session ends; roundTimeout zero means [DefaultSignTimeout].
func (e *Engine) Sign(ctx context.Context, w Warrant, share *KeyShare, roundTimeout time.Duration) Outcome {
	if w.session == (common.Hash{}) {
		return Outcome{Ending: NotStarted, Err: fmt.Errorf("sign: %w", ErrWarrant)}
	}
	return e.sign(ctx, signRequest{
		session: w.session, digest: w.digest, participants: w.set, share: share, canary: w.canary, roundTimeout: roundTimeout,
	})
}
