package ledger

import (
	"fmt"

	"conclave/quorum"
)

// OutcomesFrom returns the certificates that closed slots of the heights from one on, ascending, at most limit.
func (tx *Tx) OutcomesFrom(height uint64, limit int) (out []quorum.UncheckedOutcome, err error) {
	c := tx.b.Bucket(bucketSlotHeight).Cursor()
	for k, _ := c.Seek(be64(height)); k != nil && len(out) < limit; k, _ = c.Next() {
		slot, ok, err := tx.slotBy(bucketSlotHeight, k)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("%w: slot of height %d is missing", ErrCorrupt, readBE64(k))
		}
		u, settled, err := tx.OutcomeOf(slot.Key)
		if err != nil {
			return nil, err
		}
		if settled {
			out = append(out, u)
		}
	}
	return out, nil
}

// PastOpen returns the lowest height of an open slot that an earlier epoch decided: its members' OUTCOMEs count, and those in
// force may have nothing more to say of it. ok is false when there is none.
func (tx *Tx) PastOpen() (height uint64, ok bool, err error) {
	_, _, since, err := tx.CurrentEpoch()
	if err != nil {
		return 0, false, err
	}
	err = tx.OpenSlots(func(s Slot, _ Payout) error {
		if s.Height < since && (!ok || s.Height < height) {
			height, ok = s.Height, true
		}
		return nil
	})
	return height, ok, err
}

// ruledThen checks that an earlier epoch's word on a slot counts: what it says was mined there was decided before that epoch ended.
// Whoever follows the decisions from the first on trusts that epoch's quorum with more than this.
func (tx *Tx) ruledThen(slot Slot, o quorum.Outcome) error {
	_, _, since, ok, err := tx.EpochRecord(o.Epoch + 1)
	if err != nil {
		return err
	}
	if height, held := slot.HeightOf(o.Batch); !ok || !held || height >= since {
		return fmt.Errorf("settle by epoch %d: %w: batch %s is of height %d", o.Epoch, ErrNotInForce, o.Batch, height)
	}
	return nil
}
