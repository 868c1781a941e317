package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Buckets: own OUTCOMEs by epoch ‖ slot ‖ block; each member's newest by slot ‖ epoch ‖ member; certificates by slot; paid
// withdrawals.
var (
	bucketOutcomeOwn = []byte("outcome-own")
	bucketOutcomes   = []byte("outcomes")
	bucketSettled    = []byte("settled")
	bucketPaid       = []byte("paid")
)

// Paid is the proof that a withdrawal is paid.
type Paid struct {
	WID    uint64
	Slot   SlotKey
	TxHash common.Hash
	Height uint64 // of the decision that it stood in
}

func slotKeyOfOutcome(o quorum.Outcome) SlotKey {
	return SlotKey{o.Lane.ChainID, o.Lane.Payer, o.Nonce}
}

// checkOutcome checks that an outcome is of a slot and its batch, by the epoch in force.
func (tx *Tx) checkOutcome(o quorum.Outcome) (Slot, error) {
	slot, ok, err := tx.Slot(slotKeyOfOutcome(o))
	switch {
	case err != nil:
		return slot, err
	case !ok || !slot.holds(o.Batch) || slot.Token != o.Lane.Token:
		return slot, fmt.Errorf("outcome of %s, batch %s: %w", slotKeyOfOutcome(o), o.Batch, ErrNoSlot)
	}
	return slot, nil
}

// Outcome signs an OUTCOME, its counter filled in, and records it. One is signed per epoch, slot and block; the same
// again gives the stored bytes, another is [ErrConflict].
func (tx *Tx) Outcome(body quorum.Outcome, sign func(quorum.Outcome) (quorum.Signed[quorum.Outcome], error)) ([]byte, error) {
	if err := body.Check(); err != nil {
		return nil, err
	}
	if now := tx.epoch(); body.Epoch != now {
		return nil, fmt.Errorf("outcome of epoch %d: %w: in force is %d", body.Epoch, ErrNotInForce, now)
	}
	slot, err := tx.checkOutcome(body)
	if err != nil {
		return nil, err
	}
	key := join(be64(body.Epoch), slot.Key.bytes(), body.BlockHash[:])
	if raw, ok, err := tx.said(bucketOutcomeOwn, key); ok || err != nil {
		if err != nil {
			return nil, err
		}
		return raw, tx.sameOutcome(raw, body)
	}
	s, err := say(tx, bucketOutcomeOwn, key, func(counter uint64) quorum.Outcome {
		body.Counter = counter
		return body
	}, sign)
	if err != nil {
		return nil, err
	}
	_, err = tx.PutOutcome(s)
	return s.Bytes(), err
}

func (tx *Tx) sameOutcome(raw []byte, body quorum.Outcome) error {
	self, _ := tx.Self()
	s, err := reopen[quorum.Outcome](tx, self, raw)
	if err != nil {
		return err
	}
	body.Counter = s.Body().Counter
	if s.Body() != body {
		return fmt.Errorf("outcome of %s: %w: another was signed for this block", slotKeyOfOutcome(body), ErrConflict)
	}
	return nil
}

// PutOutcome records a member's OUTCOME: of each member the one with the highest counter, for a block may change. It
// fails with [ErrNoSlot] when this node does not hold the decision yet.
func (tx *Tx) PutOutcome(s quorum.Signed[quorum.Outcome]) (added bool, err error) {
	o, signer := s.Body(), s.Signer()
	if now := tx.epoch(); o.Epoch != now {
		return false, fmt.Errorf("outcome of epoch %d: %w: in force is %d", o.Epoch, ErrNotInForce, now)
	}
	slot, err := tx.checkOutcome(o)
	if err != nil {
		return false, err
	}
	if _, err := tx.Hear(signer, o.Counter, s.Bytes()); err != nil {
		return false, err
	}
	key := join(slot.Key.bytes(), be64(o.Epoch), signer[:])
	if raw := tx.b.Bucket(bucketOutcomes).Get(key); raw != nil {
		was, err := reopen[quorum.Outcome](tx, signer, raw)
		if err != nil || o.Counter <= was.Body().Counter {
			return false, err
		}
	}
	return true, tx.b.Bucket(bucketOutcomes).Put(key, s.Bytes())
}

// Outcomes returns the members' newest OUTCOMEs of a slot in the epoch in force, own one included, for
// [quorum.CertifyOutcome].
func (tx *Tx) Outcomes(key SlotKey) ([]quorum.Signed[quorum.Outcome], error) {
	var out []quorum.Signed[quorum.Outcome]
	err := tx.each(bucketOutcomes, join(key.bytes(), be64(tx.epoch())), func(k, raw []byte) error {
		s, err := reopen[quorum.Outcome](tx, common.BytesToAddress(k[44:]), raw)
		if err != nil {
			return err
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// Settle closes a slot by an outcome certificate. With status 1 its withdrawals are paid, the books know it, and the
// Relay is owed a fulfil for each, in the same transaction. With status 0 nothing is paid and nothing is released: the slot has failed, and
// its items wait. A certificate that agrees with the stored one is nothing new; one that does not is [ErrConflict].
func (tx *Tx) Settle(c quorum.OutcomeCertificate) error {
	if len(c.Signers()) == 0 {
		return errors.New("settle: no certificate")
	}
	o := c.Outcome()
	slot, err := tx.checkOutcome(o)
	if err != nil {
		return err
	}
	key := slot.Key.bytes()
	var was quorum.UncheckedOutcome
	if ok, err := tx.get(bucketSettled, key, &was); err != nil {
		return err
	} else if ok {
		// A later epoch certifies anew, and the block may be named by another hash; what happened stays.
		if was.Outcome.Batch != o.Batch || was.Outcome.Status != o.Status || was.Outcome.K != o.K || was.Outcome.TxHash != o.TxHash {
			return fmt.Errorf("settle %s: %w: certified was %s with status %d", slot.Key, ErrConflict, was.Outcome.TxHash, was.Outcome.Status)
		}
		return nil
	}
	if now := tx.epoch(); o.Epoch > now {
		return fmt.Errorf("settle by epoch %d: %w: in force is %d", o.Epoch, ErrNotInForce, now)
	} else if o.Epoch < now {
		if err := tx.ruledThen(slot, o); err != nil {
			return err
		}
	}
	stage := slot.closedBy(o)
	if stage == StageSettled {
		if err := tx.markPaid(slot, o); err != nil {
			return err
		}
	}
	return errors.Join(
		tx.awaitRelease(slot, stage),
		tx.put(bucketSettled, key, c.Unchecked()),
		tx.closeSlot(slot.Key, stage, o),
		tx.Audit(stage.String(), fmt.Sprintf("%s, batch %s step %d: %s", slot.Key, o.Batch, o.K, o.TxHash)))
}

func (tx *Tx) closeSlot(key SlotKey, stage Stage, o quorum.Outcome) error {
	p, _, err := tx.Payout(key)
	if err != nil {
		return err
	}
	// This node may not have seen the block itself: the number is its own observation, the rest is certified.
	p.Stage, p.K, p.TxHash, p.BlockHash, p.Status, p.Changed = stage, o.K, o.TxHash, o.BlockHash, o.Status, nowMS()
	return errors.Join(tx.putPayout(key, p), tx.b.Bucket(bucketSlotOpen).Delete(key.bytes()))
}

func (tx *Tx) markPaid(slot Slot, o quorum.Outcome) error {
	for _, wid := range slot.Items {
		if _, ok, err := tx.PaidBy(wid); err != nil || ok {
			return errors.Join(err, fmt.Errorf("withdrawal %d: %w: it was paid before", wid, ErrConflict))
		}
		err := errors.Join(
			tx.put(bucketPaid, be64(wid), Paid{wid, slot.Key, o.TxHash, slot.Height}),
			tx.BookPaid(wid),
			tx.queueReport(Report{WID: wid, Outcome: ReportFulfil, TxHash: o.TxHash, Height: slot.Height}))
		if err != nil {
			return err
		}
	}
	return nil
}

// OutcomeOf returns the certificate that closed a slot. ok is false while it is open.
func (tx *Tx) OutcomeOf(key SlotKey) (u quorum.UncheckedOutcome, ok bool, err error) {
	ok, err = tx.get(bucketSettled, key.bytes(), &u)
	return u, ok, err
}

// IsPaid reports whether an outcome certificate proves that a withdrawal is paid.
func (tx *Tx) IsPaid(wid uint64) (bool, error) {
	_, ok, err := tx.PaidBy(wid)
	return ok, err
}

// PaidBy returns by what a withdrawal was paid. ok is false while it is not.
func (tx *Tx) PaidBy(wid uint64) (p Paid, ok bool, err error) {
	ok, err = tx.get(bucketPaid, be64(wid), &p)
	return p, ok, err
}

// PaidFee returns the fee of a withdrawal that this network paid. ok is false while it is not paid.
func (tx *Tx) PaidFee(wid uint64) (fee uint256.Int, ok bool, err error) {
	if ok, err := tx.IsPaid(wid); err != nil || !ok {
		return fee, false, err
	}
	s, ok, err := tx.SpentWID(wid)
	return s.Content.Fee, ok, err
}

// PaidWithdrawals calls fn for every paid withdrawal, by id ascending.
func (tx *Tx) PaidWithdrawals(fn func(Paid) error) error {
	return tx.each(bucketPaid, nil, func(_, raw []byte) error {
		var p Paid
		if err := decode(raw, &p); err != nil {
			return err
		}
		return fn(p)
	})
}
