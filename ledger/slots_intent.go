package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Errors of intents.
var (
	// ErrNoSlot means that no decision gave the nonce to the batch: there is nothing that may be signed.
	ErrNoSlot = errors.New("no decision gave this nonce to this batch")
	// ErrSigned means that the batch is signed at that fee step or a higher one: send those bytes, never sign again.
	ErrSigned = errors.New("already signed")
	// ErrNotEarliest means that an earlier slot of the same key is unsigned.
	ErrNotEarliest = errors.New("an earlier slot is unsigned")
	// ErrOtherPayload means that another digest was recorded for the batch's fee step: a rendering is not deterministic.
	ErrOtherPayload = errors.New("another payload was recorded for this batch and fee step")
)

// Buckets: intents by batch ‖ k ‖ attempt; the highest attempt by batch ‖ k; the intent's key by session.
var (
	bucketIntents  = []byte("intents")
	bucketAttempts = []byte("attempts")
	bucketSessions = []byte("sessions")
)

// IntentFields is one signing session that this node is about to join.
type IntentFields struct {
	Slot    SlotKey
	Batch   common.Hash
	K       uint64
	Attempt uint64
	Session common.Hash    // [quorum.Session.Hash]
	Set     quorum.Members // the session's signers, ascending
	Digest  common.Hash    // of Render(batch, k), by this node's own rendering
}

// Intent is the record of a signing session, on disk. It can only come from [Ledger.RecordIntent], so whoever holds one
// knows that the slot names the batch and that no crash can make this node join the same attempt twice. It is worth one
// session: after a restart a new attempt is needed. Its zero value allows nothing.
type Intent struct {
	f IntentFields
}

// Zero reports whether this is no intent at all.
func (i Intent) Zero() bool { return i.f.Session == (common.Hash{}) }

// Slot returns the nonce that the transaction takes.
func (i Intent) Slot() SlotKey { return i.f.Slot }

// Batch returns the decided batch's id.
func (i Intent) Batch() common.Hash { return i.f.Batch }

// K returns the fee step.
func (i Intent) K() uint64 { return i.f.K }

// Attempt returns the number of the attempt.
func (i Intent) Attempt() uint64 { return i.f.Attempt }

// Session returns the session's id.
func (i Intent) Session() common.Hash { return i.f.Session }

// Set returns the session's signers, ascending.
func (i Intent) Set() quorum.Members { return append(quorum.Members(nil), i.f.Set...) }

// Digest returns what may be signed.
func (i Intent) Digest() common.Hash { return i.f.Digest }

// RecordIntent records that this node joins a signing session. It is a transaction of its own: the value exists only
// after the commit, so nothing can be signed on an intent that a crash would forget. It fails with [ErrNoSlot],
// [ErrSigned], [ErrNotEarliest], [ErrNotDue], [ErrOtherPayload], [ErrHalted], [ErrNotInForce] for a set that is not a quorum of the
// epoch in force, and with [ErrOrder] when the attempt is not higher than every recorded one.
func (l *Ledger) RecordIntent(f IntentFields) (Intent, error) {
	f.Set = append(quorum.Members(nil), f.Set...)
	err := l.Update(func(tx *Tx) error {
		if err := tx.mayIntend(f); err != nil {
			return err
		}
		key := join(f.Batch[:], be64(f.K), be64(f.Attempt))
		return errors.Join(
			tx.put(bucketIntents, key, f),
			tx.b.Bucket(bucketAttempts).Put(key[:40], be64(f.Attempt)),
			tx.b.Bucket(bucketSessions).Put(f.Session[:], key),
			tx.Audit("intent", fmt.Sprintf("batch %s step %d attempt %d session %s", f.Batch, f.K, f.Attempt, f.Session)))
	})
	if err != nil {
		return Intent{}, fmt.Errorf("record intent: %w", err)
	}
	return Intent{f}, nil
}

func (tx *Tx) mayIntend(f IntentFields) error {
	slot, ok, err := tx.Slot(f.Slot)
	last, _ := slot.Last()
	switch {
	case err != nil:
		return err
	case !ok || last != f.Batch || slot.Released != 0:
		return fmt.Errorf("%s, batch %s: %w", f.Slot, f.Batch, ErrNoSlot)
	case f.Digest == (common.Hash{}) || f.Session == (common.Hash{}):
		return errors.New("an intent needs a digest and a session")
	case tx.b.Bucket(bucketSessions).Get(f.Session[:]) != nil:
		return fmt.Errorf("session %s: %w: it was joined before", f.Session, ErrConflict)
	}
	if err := errors.Join(tx.MayJoin(), tx.MaySignSlot(slot)); err != nil {
		return err
	}
	if err := tx.isQuorum(f.Set); err != nil {
		return err
	}
	if err := errors.Join(tx.unsignedAt(slot, f.K), tx.mayStep(f.Batch, f.K)); err != nil {
		return err
	}
	return tx.freshAttempt(f)
}

// isQuorum checks that a session's set is exactly q members in force, ascending, this node among them.
func (tx *Tx) isQuorum(set quorum.Members) error {
	roster, _, _, err := tx.CurrentEpoch()
	if err != nil {
		return err
	}
	if len(roster.Members) == 0 || len(set) != roster.Q() || !ascendingMembers(set, roster.IDs()) {
		return fmt.Errorf("set of %d signers is no ascending quorum: %w", len(set), ErrNotInForce)
	}
	if self, ok := tx.Self(); ok && !set.Has(self) {
		return fmt.Errorf("set without this node: %w", ErrNotInForce)
	}
	return nil
}

// unsignedAt checks that a slot is the one whose turn it is, and that no step from k on is signed.
func (tx *Tx) unsignedAt(slot Slot, k uint64) error {
	p, _, err := tx.Payout(slot.Key)
	if err != nil {
		return err
	}
	if p.Stage >= StageMined {
		return fmt.Errorf("%s: %w: it is %s", slot.Key, ErrSigned, p.Stage)
	}
	last, _ := slot.Last()
	err = tx.SignedOf(last, func(s Signed) error {
		if s.K >= k {
			return fmt.Errorf("batch %s step %d: %w", last, s.K, ErrSigned)
		}
		return nil
	})
	if err != nil {
		return err
	}
	next, ok, err := tx.NextUnsigned(slot.Key.Nonces())
	if err != nil {
		return err
	}
	if ok && next.Key.Nonce < slot.Key.Nonce {
		return fmt.Errorf("%s: %w: %s", slot.Key, ErrNotEarliest, next.Key)
	}
	return nil
}

// freshAttempt checks that the attempt is higher than every recorded one, and over the same payload.
func (tx *Tx) freshAttempt(f IntentFields) error {
	highest, ok, err := tx.HighestAttempt(f.Batch, f.K)
	if err != nil || !ok {
		return err
	}
	if f.Attempt <= highest {
		return fmt.Errorf("attempt %d: %w: attempt %d is recorded", f.Attempt, ErrOrder, highest)
	}
	var was IntentFields
	if ok, err := tx.get(bucketIntents, join(f.Batch[:], be64(f.K), be64(highest)), &was); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%w: intent of attempt %d", ErrCorrupt, highest))
	}
	if was.Digest != f.Digest {
		return fmt.Errorf("%w: %s, not %s", ErrOtherPayload, was.Digest, f.Digest)
	}
	return nil
}

// HighestAttempt returns the highest attempt that this node recorded for a batch and fee step. ok is false before the
// first one.
func (tx *Tx) HighestAttempt(batch common.Hash, k uint64) (attempt uint64, ok bool, err error) {
	raw := tx.b.Bucket(bucketAttempts).Get(join(batch[:], be64(k)))
	if raw == nil {
		return 0, false, nil
	}
	if len(raw) != 8 {
		return 0, false, fmt.Errorf("%w: attempts of batch %s", ErrCorrupt, batch)
	}
	return readBE64(raw), true, nil
}

// Intents calls fn for every recorded session of a batch, by fee step and attempt ascending. The fields say what was
// joined; they allow nothing.
func (tx *Tx) Intents(batch common.Hash, fn func(IntentFields) error) error {
	return tx.intents(batch[:], fn)
}

func (tx *Tx) intents(prefix []byte, fn func(IntentFields) error) error {
	return tx.each(bucketIntents, prefix, func(_, raw []byte) error {
		var f IntentFields
		if err := decode(raw, &f); err != nil {
			return err
		}
		return fn(f)
	})
}

// IntentOf returns the recorded intent of a session. ok is false when this node never joined it.
func (tx *Tx) IntentOf(session common.Hash) (f IntentFields, ok bool, err error) {
	key := tx.b.Bucket(bucketSessions).Get(session[:])
	if key == nil {
		return f, false, nil
	}
	ok, err = tx.get(bucketIntents, key, &f)
	return f, ok, err
}
