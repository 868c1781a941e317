package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Nothing in the Relay's log says to which withdrawal a fee (type 2) or a refund (type 7) belongs; both match by amount.
// Counting events and withdrawals of one amount, and crediting the smaller number, gives the same credit in whatever order
// the rows, the decisions and the payments come.

// feeMatch is all fee income of one amount.
type feeMatch struct {
	Account common.Address // the fee address; zero while there are no events
	Events  uint64         // type-2 rows
	Decided uint64         // decided items with that fee
	Paid    uint64         // of these, final on chain
}

func (m feeMatch) standing(amount uint256.Int) standingCredit {
	return matched(amount, min(m.Events, m.Paid), min(m.Events, m.Decided))
}

// refundMatch is all refunds of one account and amount.
type refundMatch struct {
	Events  uint64 // type-7 rows
	Rejects uint64 // decided rejects whose type-6 row these books debited
}

func (m refundMatch) standing(amount uint256.Int) standingCredit {
	n := min(m.Events, m.Rejects)
	return matched(amount, n, n)
}

// matched is n times the amount counted, and what upTo holds beyond it pending.
func matched(amount uint256.Int, n, upTo uint64) (s standingCredit) {
	s.Counted.Mul(&amount, uint256.NewInt(n))
	s.Pending.Mul(&amount, uint256.NewInt(upTo-n))
	return s
}

func amountKey(v uint256.Int) []byte {
	b := v.Bytes32()
	return b[:]
}

// fee changes the match of an amount and credits what follows.
func (b *book) fee(amount uint256.Int, fn func(*feeMatch)) error {
	var m feeMatch
	if _, err := b.tx.get(bucketFees, amountKey(amount), &m); err != nil {
		return err
	}
	was := m.standing(amount)
	fn(&m)
	if err := b.shift(m.Account, was, m.standing(amount)); err != nil {
		return err
	}
	return b.tx.put(bucketFees, amountKey(amount), m)
}

func (b *book) refund(account common.Address, amount uint256.Int, fn func(*refundMatch)) (m refundMatch, err error) {
	key := join(account[:], amountKey(amount))
	if _, err := b.tx.get(bucketRefunds, key, &m); err != nil {
		return m, err
	}
	was := m.standing(amount)
	fn(&m)
	if err := b.shift(account, was, m.standing(amount)); err != nil {
		return m, err
	}
	return m, b.tx.put(bucketRefunds, key, m)
}

// postFee takes a type-2 row. One of another address than the network's can match nothing.
func (b *book) postFee(e Event, amount uint256.Int) error {
	if e.Account != b.in.FeeAddress {
		b.alert(AlertFeeAddress, Critical, e, "the Relay books fees to somebody else: ask its operator",
			"fee income %d goes to %s, the network's fee address is %s: it counts nothing", e.ID, e.Account, b.in.FeeAddress)
		return nil
	}
	if amount.IsZero() {
		return nil
	}
	return b.fee(amount, func(m *feeMatch) {
		m.Account = e.Account
		m.Events++
	})
}

// postRefund takes a type-7 row. The Relay writes one when a withdrawal is rejected; only what this network decided to
// reject counts.
func (b *book) postRefund(e Event, amount uint256.Int) error {
	m, err := b.refund(e.Account, amount, func(m *refundMatch) { m.Events++ })
	if err == nil && m.Events > m.Rejects {
		b.alert(AlertRefund, Critical, e, "see whether another holder of the API key rejected it; it counts once this network rejects a withdrawal of that account and amount",
			"refund %d of %s wei to %s belongs to no withdrawal that this network rejected", e.ID, amount.Dec(), e.Account)
	}
	return err
}

// bookSpent books what follows from a withdrawal's fate: its fee becomes pending, or its refund may count.
func (tx *Tx) bookSpent(s Spent) error {
	b, err := tx.openBook(Intake{})
	if err != nil {
		return err
	}
	c := s.Content
	if s.Kind == SpentItem && !c.Fee.IsZero() && c.Fee.BitLen() <= maxAmountBits {
		err = b.fee(c.Fee, func(m *feeMatch) { m.Decided++ })
	}
	total, ok := contentTotal(c)
	if err == nil && s.Kind == SpentReject && ok {
		err = b.rejectDecided(c.Account, c.EventID, total)
	}
	if err != nil {
		return fmt.Errorf("book withdrawal %d: %w", c.WID, err)
	}
	return errors.Join(b.close(), tx.spentRequest(s, total))
}

// rejectDecided lets a refund count if the reject's debit stands, else when it comes.
func (b *book) rejectDecided(account common.Address, event uint64, total uint256.Int) error {
	d, ok, err := b.tx.debitOf(account, event)
	if err != nil {
		return err
	}
	if !ok {
		return b.tx.b.Bucket(bucketRejectWait).Put(debitKey(account, event), amountKey(total))
	}
	if d.Kind != Withdraw || d.Amount != total {
		return nil
	}
	_, err = b.refund(account, total, func(m *refundMatch) { m.Rejects++ })
	return err
}

// creditReject is rejectDecided for a debit that came after the decision.
func (b *book) creditReject(e Event, amount uint256.Int) error {
	key := debitKey(e.Account, e.ID)
	raw := b.tx.b.Bucket(bucketRejectWait).Get(key)
	if raw == nil {
		return nil
	}
	var total uint256.Int
	total.SetBytes(raw)
	if err := b.tx.b.Bucket(bucketRejectWait).Delete(key); err != nil || total != amount {
		return err
	}
	_, err := b.refund(e.Account, total, func(m *refundMatch) { m.Rejects++ })
	return err
}

// forgetReject is creditReject for a debit that no withdrawal can be: the decision waits for nothing then, whichever came
// first.
func (b *book) forgetReject(e Event) error {
	wait := b.tx.b.Bucket(bucketRejectWait)
	if !b.asked {
		k, _ := wait.Cursor().First()
		b.asked, b.waiting = true, k != nil
	}
	if !b.waiting {
		return nil // nearly always
	}
	return wait.Delete(debitKey(e.Account, e.ID))
}

// BookPaid books that a decided withdrawal's payment is final: from here its fee counts as income once the Relay reports
// it. The same again changes nothing.
func (tx *Tx) BookPaid(wid uint64) error {
	s, ok, err := tx.SpentWID(wid)
	if err != nil {
		return err
	}
	if !ok || s.Kind != SpentItem {
		return fmt.Errorf("book payment of withdrawal %d: %w: no decision pays it", wid, ErrNotFound)
	}
	if tx.b.Bucket(bucketFeesPaid).Get(be64(wid)) != nil {
		return nil
	}
	if err := tx.b.Bucket(bucketFeesPaid).Put(be64(wid), []byte{1}); err != nil {
		return err
	}
	fee := s.Content.Fee
	if fee.IsZero() || fee.BitLen() > maxAmountBits {
		return nil
	}
	b, err := tx.openBook(Intake{})
	if err != nil {
		return err
	}
	return errors.Join(b.fee(fee, func(m *feeMatch) { m.Paid++ }), b.close())
}
