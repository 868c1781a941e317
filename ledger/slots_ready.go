package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

// MaxAborts bounds the aborts that are kept of one member in one epoch. It exceeds the 4,368 sets of 11 out of 16, so an
// honest member never meets it.
const MaxAborts = 8192

// Buckets: own READYs by batch ‖ kmax ‖ attempt; own ABORTs by session; everyone's ABORTs by epoch ‖ set ‖ session ‖ member;
// how many of them a member has in an epoch; struck sets by epoch ‖ set.
var (
	bucketReady      = []byte("ready")
	bucketAbortOwn   = []byte("abort-own")
	bucketAborts     = []byte("aborts")
	bucketAbortCount = []byte("abort-count")
	bucketStruck     = []byte("struck")
)

// Ready signs a READY, its counter filled in, and records it. The same batch, highest step and attempt again give the
// stored bytes. It fails with [ErrNoSlot], [ErrHalted] and [ErrNotInForce].
func (tx *Tx) Ready(body quorum.Ready, sign func(quorum.Ready) (quorum.Signed[quorum.Ready], error)) ([]byte, error) {
	if err := body.Check(); err != nil {
		return nil, err
	}
	slot, ok, err := tx.SlotOfBatch(body.Batch)
	if err != nil {
		return nil, err
	}
	if last, height := slot.Last(); !ok || last != body.Batch || height != body.Height || slot.Released != 0 {
		return nil, fmt.Errorf("ready for batch %s at height %d: %w", body.Batch, body.Height, ErrNoSlot)
	}
	// A halt stops READYs at once, resent ones too: others would draw this node into sessions that it will not join.
	if err := errors.Join(tx.MayJoin(), tx.MaySignSlot(slot), tx.mayStep(body.Batch, body.KMax)); err != nil {
		return nil, err
	}
	if now := tx.epoch(); body.Epoch != now {
		return nil, fmt.Errorf("ready of epoch %d: %w: in force is %d", body.Epoch, ErrNotInForce, now)
	}
	key := join(be64(body.Epoch), body.Batch[:], be64(body.KMax), be64(body.Attempt))
	if raw, ok, err := tx.said(bucketReady, key); ok || err != nil {
		return raw, err
	}
	s, err := say(tx, bucketReady, key, func(counter uint64) quorum.Ready {
		body.Counter = counter
		return body
	}, sign)
	return s.Bytes(), err
}

// Abort signs an ABORT of a session that this node joined and that ended without a signature and without a culprit. The
// caller names the session; epoch is that of the key. The same session again gives the stored bytes.
func (tx *Tx) Abort(epoch uint64, session common.Hash, sign func(quorum.Abort) (quorum.Signed[quorum.Abort], error)) ([]byte, error) {
	if raw, ok, err := tx.said(bucketAbortOwn, session[:]); ok || err != nil {
		return raw, err
	}
	f, ok, err := tx.IntentOf(session)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("abort session %s: %w: it was never joined", session, ErrNotFound)
	}
	if err := tx.MayJoin(); err != nil {
		return nil, err
	}
	s, err := say(tx, bucketAbortOwn, session[:], func(counter uint64) quorum.Abort {
		return quorum.Abort{Epoch: epoch, Counter: counter, Session: session, Batch: f.Batch, K: f.K, Attempt: f.Attempt, Set: f.Set}
	}, sign)
	if err != nil {
		return nil, err
	}
	_, err = tx.PutAbort(s)
	return s.Bytes(), err
}

// PutAbort records a member's ABORT. struck is true when it is the one by which f+1 members of the set aborted the
// session: the set is then not drawn again in this epoch. Aborts by who is not in the set are refused.
func (tx *Tx) PutAbort(s quorum.Signed[quorum.Abort]) (struck bool, err error) {
	a, signer := s.Body(), s.Signer()
	roster, _, _, err := tx.CurrentEpoch()
	if err != nil {
		return false, err
	}
	if a.Epoch != roster.Epoch {
		return false, fmt.Errorf("abort of epoch %d: %w: in force is %d", a.Epoch, ErrNotInForce, roster.Epoch)
	}
	if !ascendingMembers(a.Set, roster.IDs()) || !a.Set.Has(signer) {
		return false, fmt.Errorf("abort by %s: not of a set that it is in: %w", signer, ErrNotInForce)
	}
	if _, err := tx.Hear(signer, a.Counter, s.Bytes()); err != nil {
		return false, err
	}
	set := setKey(a.Set)
	prefix := join(be64(a.Epoch), set, a.Session[:])
	key, share := join(prefix, signer[:]), join(be64(a.Epoch), signer[:])
	if tx.b.Bucket(bucketAborts).Get(key) != nil {
		return false, nil
	}
	if tx.count(bucketAbortCount, share) >= MaxAborts {
		return false, fmt.Errorf("abort by %s: %w", signer, ErrFull)
	}
	if err := errors.Join(tx.b.Bucket(bucketAborts).Put(key, s.Bytes()), tx.addCount(bucketAbortCount, share, 1)); err != nil {
		return false, err
	}
	n := 0
	if err := tx.each(bucketAborts, prefix, func(_, _ []byte) error { n++; return nil }); err != nil || n <= roster.F() {
		return false, err
	}
	return tx.strike(a, set)
}

// strike takes a set out of the draw, once.
func (tx *Tx) strike(a quorum.Abort, set []byte) (bool, error) {
	key := join(be64(a.Epoch), set)
	if tx.b.Bucket(bucketStruck).Get(key) != nil {
		return false, nil
	}
	return true, errors.Join(
		tx.put(bucketStruck, key, a.Set),
		tx.Audit("struck", fmt.Sprintf("%d signers of session %s, epoch %d", len(a.Set), a.Session, a.Epoch)))
}

// Struck calls fn for every set that is out of the draw in an epoch.
func (tx *Tx) Struck(epoch uint64, fn func(quorum.Members) error) error {
	return tx.each(bucketStruck, be64(epoch), func(_, raw []byte) error {
		var set quorum.Members
		if err := decode(raw, &set); err != nil {
			return err
		}
		return fn(set)
	})
}

// Aborts calls fn with the bytes of every ABORT that is held of an epoch: they prove the struck sets to others.
func (tx *Tx) Aborts(epoch uint64, fn func(raw []byte) error) error {
	return tx.each(bucketAborts, be64(epoch), func(_, raw []byte) error { return fn(bytes.Clone(raw)) })
}

func setKey(set quorum.Members) []byte { return crypto.Keccak256(encode(set)) }

// ascendingMembers reports whether set is ascending, distinct and of members: one encoding per set.
func ascendingMembers(set, members quorum.Members) bool {
	for i, m := range set {
		if !members.Has(m) || (i > 0 && bytes.Compare(set[i-1][:], m[:]) >= 0) {
			return false
		}
	}
	return true
}
