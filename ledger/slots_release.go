package ledger

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// bucketSlotFailed holds the keys of slots that an outcome certificate closed without paying their items, until a decision releases
// these.
var bucketSlotFailed = []byte("slot-failed")

// closedBy is the stage in which an outcome of the slot leaves it.
func (s Slot) closedBy(o quorum.Outcome) Stage {
	switch {
	case o.Batch != s.Batch:
		return StageCancelled
	case o.Status == 1:
		return StageSettled
	}
	return StageFailed
}

// awaitRelease notes a slot that was closed without paying anybody.
func (tx *Tx) awaitRelease(slot Slot, stage Stage) error {
	if stage == StageSettled || len(slot.Items) == 0 || slot.Released != 0 {
		return nil
	}
	return tx.b.Bucket(bucketSlotFailed).Put(slot.Key.bytes(), nil)
}

// Failed calls fn for every slot that was closed without paying its items and is not released yet, by chain, payer and nonce.
func (tx *Tx) Failed(fn func(Slot, Payout) error) error {
	return tx.each(bucketSlotFailed, nil, func(k, _ []byte) error {
		slot, ok, err := tx.Slot(slotKeyOf(k))
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%w: failed %s is missing", ErrCorrupt, slotKeyOf(k)))
		}
		p, _, err := tx.Payout(slot.Key)
		if err != nil {
			return err
		}
		return fn(slot, p)
	})
}

// AwaitsRelease reports whether a slot was closed without paying its items and is not released yet.
func (tx *Tx) AwaitsRelease(key SlotKey) bool {
	k, _ := tx.b.Bucket(bucketSlotFailed).Cursor().Seek(key.bytes())
	return string(k) == string(key.bytes())
}

// DecidedWID is SpentWID for what stands in a decision: a withdrawal that was released and not decided again is undecided.
func (tx *Tx) DecidedWID(wid uint64) (s Spent, ok bool, err error) {
	s, ok, err = tx.SpentWID(wid)
	return s, ok && !s.Free, err
}

// freeSlots takes over the releases of a decision: each slot's items may be judged and decided again. A slot that a certificate here
// calls paid is never freed: then more than f members have signed both.
func (tx *Tx) freeSlots(keys []SlotKey, height uint64) error {
	for _, key := range keys {
		slot, ok, err := tx.Slot(key)
		if err != nil {
			return err
		}
		p, _, err := tx.Payout(key)
		switch {
		case err != nil:
			return err
		case !ok || slot.Released != 0 || len(slot.Items) == 0:
			return fmt.Errorf("release %s: %w: it holds nothing", key, ErrConflict)
		case p.Stage == StageSettled:
			return fmt.Errorf("release %s: %w: an outcome certificate says that it paid", key, ErrConflict)
		}
		if err := tx.dropOutflow(slot); err != nil {
			return err
		}
		for _, wid := range slot.Items {
			if err := tx.free(wid); err != nil {
				return fmt.Errorf("release %s: %w", key, err)
			}
		}
		slot.Released = height
		err = errors.Join(
			tx.put(bucketSlots, key.bytes(), slot),
			tx.b.Bucket(bucketSlotFailed).Delete(key.bytes()),
			tx.Audit("released", fmt.Sprintf("%s, withdrawals %v", key, slot.Items)))
		if err != nil {
			return err
		}
	}
	return nil
}

// free makes one item undecided again. Its debit stays reserved.
func (tx *Tx) free(wid uint64) error {
	s, ok, err := tx.SpentWID(wid)
	if err != nil {
		return err
	}
	if _, paid, err := tx.PaidBy(wid); err != nil || paid || !ok || s.Free || s.Kind != SpentItem {
		return errors.Join(err, fmt.Errorf("withdrawal %d: %w: it is no unpaid item", wid, ErrConflict))
	}
	s.Free = true
	key := append(s.Content.Account.Bytes(), be64(wid)...)
	return errors.Join(
		tx.put(bucketSpent, key, s),
		tx.b.Bucket(bucketSpentEvent).Delete(be64(s.Content.EventID)),
		tx.b.Bucket(bucketSpentMessage).Delete(s.Content.Message[:]),
		tx.openRequest(s),
		tx.reopenVerdicts(wid))
}

// openRequest keeps the index of undecided requests.
func (tx *Tx) openRequest(s Spent) error {
	wid := be64(s.Content.WID)
	if !s.Free {
		return tx.b.Bucket(bucketRequestOpen).Delete(wid)
	}
	if _, listed, err := tx.Withdrawal(s.Content.WID); err != nil || !listed {
		return err
	}
	return tx.b.Bucket(bucketRequestOpen).Put(wid, []byte{1})
}

// reopenVerdicts is the reverse of closeVerdicts: what members said counts again, where it is of the epoch and policy in force.
func (tx *Tx) reopenVerdicts(wid uint64) error {
	self, _ := tx.Self()
	signers, held := map[common.Address]bool{}, false
	var own Verdict
	err := tx.Verdicts(wid, func(v Verdict) error {
		held, signers[v.Signer] = true, true
		if v.Signer == self && (own.Raw == nil || string(own.key()) < string(v.key())) {
			own = v
		}
		return nil
	})
	for signer := range signers {
		err = errors.Join(err, tx.addCount(bucketVerdictCount, signer[:], 1))
	}
	if held {
		err = errors.Join(err, tx.b.Bucket(bucketVerdictWID).Put(be64(wid), nil))
	}
	if own.Raw == nil || err != nil {
		return err
	}
	claim := verdictClaim{wid: wid, epoch: own.Epoch, policy: own.Policy}
	if counter := tx.b.Bucket(bucketVerdictOwn).Get(claim.key()); counter != nil {
		return tx.b.Bucket(bucketVerdictOpen).Put(be64(wid), slices.Clone(counter))
	}
	return nil
}

// bookAgain books a fate that follows a release. An item was booked as one when it was decided first; a reject is an item no more.
func (tx *Tx) bookAgain(s Spent) error {
	b, err := tx.openBook(Intake{})
	if err != nil {
		return err
	}
	c := s.Content
	total, ok := contentTotal(c)
	if s.Kind == SpentReject {
		if !c.Fee.IsZero() && c.Fee.BitLen() <= maxAmountBits {
			err = b.fee(c.Fee, func(m *feeMatch) { m.Decided-- })
		}
		if err == nil && ok {
			err = b.rejectDecided(c.Account, c.EventID, total)
		}
	}
	if err != nil {
		return fmt.Errorf("book withdrawal %d again: %w", c.WID, err)
	}
	return errors.Join(b.close(), tx.spentRequest(s, total))
}

// dropOutflow takes what a slot did not pay out of the sum of what decisions pay, where it is in it.
func (tx *Tx) dropOutflow(slot Slot) error {
	var sum outflow
	if _, err := tx.get(bucketOutflow, keyOutflow, &sum); err != nil || sum.Height < slot.Height {
		return err
	}
	var items uint256.Int
	for _, wid := range slot.Items {
		s, _, err := tx.SpentWID(wid)
		if err != nil {
			return err
		}
		addTo(&items, s.Content.Amount)
		addTo(&items, s.Content.Fee)
	}
	if _, under := sum.Sum.SubOverflow(&sum.Sum, &items); under {
		return fmt.Errorf("%w: %s holds more than decisions pay", ErrFlow, slot.Key)
	}
	return tx.put(bucketOutflow, keyOutflow, sum)
}

// released is I6 for what is freed: only what a certificate calls unpaid is, and what is not freed yet is noted.
func (c *protocolCheck) released(s Slot, p Payout) error {
	unpaid := p.Stage == StageFailed || p.Stage == StageCancelled
	waits := c.tx.b.Bucket(bucketSlotFailed).Cursor()
	k, _ := waits.Seek(s.Key.bytes())
	noted := string(k) == string(s.Key.bytes())
	switch {
	case s.Released != 0 && p.Stage == StageSettled:
		return violation("I6", "%s paid its items and was released at height %d", s.Key, s.Released)
	case noted != (unpaid && s.Released == 0 && len(s.Items) > 0):
		return violation("I6", "%s is %s: it waits for a release: %t", s.Key, p.Stage, noted)
	}
	return nil
}
