package ledger

import (
	"errors"
	"fmt"
)

// Objection is the word of this node's operator that a withdrawal shall wait. It binds this node alone: f+1 objecting
// operators leave fewer than q nodes to approve, and RESOLVE decides. It ends when a decision disposes of the withdrawal.
type Objection struct {
	WID    uint64
	Reason string
	Since  uint64 // unix ms
}

// Bounds of objections: an operator writes them by hand.
const (
	maxObjections      = 1000
	maxObjectionReason = 256 // bytes, as of a HALT
)

// Object makes this node wait with a withdrawal, listed or not yet. It fails with [ErrDecided] when a decision disposed of
// it. late reports that this node gave a verdict before: that word is out, and the objection holds back only what a later
// policy or epoch asks again. A second objection replaces the reason and keeps the time.
func (tx *Tx) Object(o Objection) (late bool, err error) {
	if o.Reason == "" || len(o.Reason) > maxObjectionReason {
		return false, fmt.Errorf("object to withdrawal %d: a reason of 1 to %d bytes is needed", o.WID, maxObjectionReason)
	}
	if _, decided, err := tx.DecidedWID(o.WID); err != nil {
		return false, err
	} else if decided {
		return false, fmt.Errorf("object to withdrawal %d: %w", o.WID, ErrDecided)
	}
	if _, late, err = tx.OwnVerdict(o.WID); err != nil {
		return false, err
	}
	was, standing, err := tx.Objection(o.WID)
	if err != nil {
		return false, err
	}
	if standing {
		o.Since = was.Since
	} else if all, err := tx.Objections(); err != nil || len(all) >= maxObjections {
		return false, errors.Join(err, fmt.Errorf("object to withdrawal %d: %d objections stand: %w", o.WID, len(all), ErrFull))
	}
	return late, errors.Join(tx.put(bucketObjections, be64(o.WID), o), tx.Audit("objection", fmt.Sprintf("withdrawal %d: %s", o.WID, o.Reason)))
}

// WithdrawObjection ends an objection. It fails with [ErrNotFound] when none stands.
func (tx *Tx) WithdrawObjection(wid uint64) error {
	if _, ok, err := tx.Objection(wid); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("objection to withdrawal %d: %w", wid, ErrNotFound))
	}
	return errors.Join(tx.b.Bucket(bucketObjections).Delete(be64(wid)), tx.Audit("objection-ended", fmt.Sprintf("withdrawal %d", wid)))
}

// endObjection: a decision disposed of the withdrawal, and what is objected to no more takes no room.
func (tx *Tx) endObjection(wid uint64) error {
	if _, ok, err := tx.Objection(wid); err != nil || !ok {
		return err
	}
	return errors.Join(tx.b.Bucket(bucketObjections).Delete(be64(wid)), tx.Audit("objection-spent", fmt.Sprintf("withdrawal %d", wid)))
}

// Objection returns this operator's objection to a withdrawal.
func (tx *Tx) Objection(wid uint64) (o Objection, ok bool, err error) {
	ok, err = tx.get(bucketObjections, be64(wid), &o)
	return o, ok, err
}

// Objections returns what this operator objects to, by withdrawal.
func (tx *Tx) Objections() (out []Objection, err error) {
	err = tx.scan(bucketObjections, nil, func(_, raw []byte) error {
		var o Objection
		err := decode(raw, &o)
		out = append(out, o)
		return err
	})
	return out, err
}
