package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// SlotCancel is a decided CANCEL: a transfer of nothing to the payer itself at the slot's nonce.
type SlotCancel struct {
	Batch  common.Hash
	Height uint64
}

// holders are what was decided for the nonce: its batch, then its CANCELs in their order.
func (s Slot) holders() []SlotCancel {
	return append([]SlotCancel{{s.Batch, s.Height}}, s.Cancels...)
}

// Last is the decision whose transaction is signed for the slot: its newest CANCEL, else its batch.
func (s Slot) Last() (batch common.Hash, height uint64) {
	all := s.holders()
	return all[len(all)-1].Batch, all[len(all)-1].Height
}

// Cancelled reports whether a CANCEL of the slot is decided.
func (s Slot) Cancelled() bool { return len(s.Cancels) > 0 }

// Holder is what was decided for the nonce: its batch, then its CANCELs in their order.
func (s Slot) Holder(i int) common.Hash { return s.holders()[i].Batch }

// HeightOf is the height that gave the nonce to a batch. ok is false for one that does not hold it.
func (s Slot) HeightOf(batch common.Hash) (height uint64, ok bool) {
	for _, h := range s.holders() {
		if h.Batch == batch {
			return h.Height, true
		}
	}
	return 0, false
}

func (s Slot) holds(batch common.Hash) bool {
	_, ok := s.HeightOf(batch)
	return ok
}

// cancelSlot adds a CANCEL to its slot. A slot that is closed here already stays what it is: members may have decided before they saw
// its transaction final.
func (tx *Tx) cancelSlot(key SlotKey, c quorum.Committed) error {
	slot, ok, err := tx.Slot(key)
	switch {
	case err != nil:
		return err
	case !ok || slot.Released != 0:
		return fmt.Errorf("cancel %s: %w", key, ErrNoSlot)
	case slot.holds(c.ID()):
		return fmt.Errorf("cancel %s: %w: it holds %s already", key, ErrConflict, c.ID())
	}
	slot.Cancels = append(slot.Cancels, SlotCancel{c.ID(), c.Height()})
	return errors.Join(
		tx.put(bucketSlots, key.bytes(), slot),
		tx.b.Bucket(bucketSlotBatch).Put(slot.Cancels[len(slot.Cancels)-1].Batch[:], key.bytes()),
		tx.Audit("cancel", fmt.Sprintf("%s, batch %s, by height %d", key, slot.Batch, c.Height())))
}

// SignedFor calls fn for every signed transaction of a slot, whatever was decided for it since: any of them may be mined.
func (tx *Tx) SignedFor(slot Slot, fn func(Signed) error) error {
	for _, h := range slot.holders() {
		if err := tx.SignedOf(h.Batch, fn); err != nil {
			return err
		}
	}
	return nil
}

// TopOf returns the highest signed fee step of what was decided for a slot last: the only one that is still sent. ok is false when none is signed.
func (tx *Tx) TopOf(slot Slot) (batch common.Hash, top Signed, ok bool, err error) {
	batch, _ = slot.Last()
	top, ok, err = tx.TopSigned(batch)
	return batch, top, ok, err
}

// cancelled is I7 for CANCELs: each was decided, behind what it takes the nonce from, and is found by its id.
func (c *protocolCheck) cancelled(s Slot) error {
	last := s.Height
	for _, x := range s.Cancels {
		d, ok, err := c.tx.Decision(x.Height)
		if err != nil {
			return err
		}
		found, indexed, err := c.tx.SlotOfBatch(x.Batch)
		if err != nil || !ok || d.Commit.ID != x.Batch || x.Height <= last || !indexed || found.Key != s.Key {
			return errors.Join(err, violation("I7", "%s names CANCEL %s, which height %d did not decide", s.Key, x.Batch, x.Height))
		}
		last = x.Height
	}
	return nil
}
