package ledger

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Standing is all that the books know about a request: what a verdict on it rests on, beside the policy and the chain.
type Standing struct {
	Binding Binding

	Seq  uint64      // of the account's chain at the bound event; 0 unless bound
	Head common.Hash // there

	Counted  uint256.Int // the account's counted credits, wherever they stand
	Pending  uint256.Int // its pending ones
	Debits   uint256.Int // its debits up to and with the bound event
	Reserved uint256.Int // its debits beyond that event that belong to spent withdrawals

	Freezes []Freeze  // why the account is frozen; none when it is not
	Fate    SpentKind // 0 while undecided

	Unbound      uint64 // the first earlier type-6 event of the account without its one request, 0 for none
	MessageOwner uint64 // an earlier request with the same message, 0 for none
	SpentMissing uint64 // a spent withdrawal of the account that the books lack or hold otherwise, 0 for none

	HistoryOpen string // why nothing may rest on the books yet, see [History.Open]; empty when something may
}

// Balance is counted credits less what stands before them; short reports by how much they fall short, and then the
// balance is zero.
func (s Standing) Balance() (balance, short uint256.Int) { return s.over(s.Counted) }

// Prospect is Balance with the pending credits counted.
func (s Standing) Prospect() (balance, short uint256.Int) {
	var credit uint256.Int
	return s.over(*credit.Add(&s.Counted, &s.Pending))
}

func (s Standing) over(credit uint256.Int) (balance, short uint256.Int) {
	var taken uint256.Int
	if _, over := taken.AddOverflow(&s.Debits, &s.Reserved); over {
		taken.SetAllOne() // as spentBeyond does: what is out of bounds covers nothing
	}
	if taken.Gt(&credit) {
		short.Sub(&taken, &credit)
	} else {
		balance.Sub(&credit, &taken)
	}
	return balance, short
}

// Standing reads how a request stands in the books.
func (tx *Tx) Standing(w Withdrawal) (s Standing, err error) {
	a, _, err := tx.acct(w.Account)
	if err != nil {
		return s, err
	}
	s.Counted, s.Pending = a.Counted, a.Pending
	history, _, err := tx.History()
	if err != nil {
		return s, err
	}
	s.HistoryOpen = history.Open()
	if s.Freezes, err = tx.Freezes(w.Account); err != nil {
		return s, err
	}
	fate, decided, err := tx.DecidedWID(w.ID)
	if err != nil {
		return s, err
	}
	if decided {
		s.Fate = fate.Kind
	}
	k, _ := tx.b.Bucket(bucketSpentMissing).Cursor().Seek(w.Account[:])
	if bytes.HasPrefix(k, w.Account[:]) {
		s.SpentMissing = readBE64(k[len(w.Account):])
	}
	var d debit
	if s.Binding, d, err = tx.binding(w); err != nil || s.Binding != Bound {
		return s, err
	}
	s.Seq, s.Head, s.Debits = d.Seq, d.Head, d.Sum
	s.Reserved = tx.spentBeyond(w.Account, w.EventID)
	if k, _ := tx.b.Bucket(bucketUnbound).Cursor().Seek(w.Account[:]); bytes.HasPrefix(k, w.Account[:]) {
		if first := readBE64(k[len(w.Account):]); first < w.EventID {
			s.Unbound = first
		}
	}
	s.MessageOwner, err = tx.messageOwner(w)
	return s, err
}

// spentBeyond sums what spent withdrawals took beyond an event.
func (tx *Tx) spentBeyond(account common.Address, event uint64) (sum uint256.Int) {
	c := tx.b.Bucket(bucketSpentAt).Cursor()
	for k, v := c.Seek(debitKey(account, event+1)); bytes.HasPrefix(k, account[:]); k, v = c.Next() {
		var total uint256.Int
		total.SetBytes(v[:32])
		if _, over := sum.AddOverflow(&sum, &total); over {
			sum.SetAllOne()
		}
	}
	return sum
}

// messageOwner returns the first bound request with w's message whose event stands before w's, 0 when w comes first.
func (tx *Tx) messageOwner(w Withdrawal) (uint64, error) {
	wids, err := tx.RequestsOfMessage(w.Message())
	if err != nil {
		return 0, err
	}
	for _, wid := range wids {
		if wid == w.ID {
			return 0, nil
		}
		other, ok, err := tx.Withdrawal(wid)
		if err != nil || !ok {
			return 0, err
		}
		if is, _, err := tx.binding(other); err != nil || (is == Bound && other.EventID < w.EventID) {
			return wid, err
		}
	}
	return 0, nil
}
