package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// Account is an account as people ask for it.
type Account struct {
	Address  common.Address
	Counted  uint256.Int // credits that count
	Pending  uint256.Int // credits whose proof is under way
	Debits   uint256.Int // debits, reserves included
	Balance  uint256.Int // counted − debits, zero when that is negative
	Short    uint256.Int // debits − counted, zero when that is negative
	Reserved uint256.Int // of the debits: withdrawals that are neither paid nor rejected
	Seq      uint64
	Head     common.Hash
	Freezes  []Freeze
	Recent   []Event // the last booked first
}

// maxRecent bounds the recent events of one answer.
const maxRecent = 100

// Account returns an account with up to recent of its last events; ok is false when the books never saw it.
func (tx *Tx) Account(address common.Address, recent int) (out Account, ok bool, err error) {
	a, ok, err := tx.acct(address)
	if err != nil || !ok {
		return out, ok, err
	}
	out = Account{Address: address, Counted: a.Counted, Pending: a.Pending, Debits: a.Debits, Seq: a.Seq, Head: a.Head, Balance: a.owed()}
	if a.Debits.Gt(&a.Counted) {
		out.Short.Sub(&a.Debits, &a.Counted)
	}
	if out.Freezes, err = tx.Freezes(address); err != nil {
		return out, true, err
	}
	if out.Reserved, err = tx.reserved(address); err != nil {
		return out, true, err
	}
	for id := a.Last; id != 0 && len(out.Recent) < min(recent, maxRecent); {
		raw := tx.b.Bucket(bucketLog).Get(be64(id))
		e, prev, _, err := row(raw)
		if err != nil {
			return out, true, err
		}
		out.Recent, id = append(out.Recent, e), prev
	}
	return out, true, nil
}

// reserved sums the debited withdrawals of an account that are neither paid nor rejected.
func (tx *Tx) reserved(address common.Address) (sum uint256.Int, err error) {
	err = tx.scan(bucketRequestAccount, address[:], func(k, _ []byte) error {
		wid := readBE64(k[len(address):])
		w, ok, err := tx.Withdrawal(wid)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%w: withdrawal %d is indexed and missing", ErrCorrupt, wid))
		}
		is, d, err := tx.binding(w)
		if err != nil || is != Bound {
			return err
		}
		s, decided, err := tx.SpentWID(wid)
		if err != nil || (decided && s.Kind == SpentReject) || tx.b.Bucket(bucketFeesPaid).Get(be64(wid)) != nil {
			return err
		}
		sum.Add(&sum, &d.Amount)
		return nil
	})
	return sum, err
}

// Totals is the books in a few numbers.
type Totals struct {
	Events      uint64 // booked
	LastID      uint64 // highest id that was taken, booked or held
	SettledID   uint64 // highest booked id
	Accounts    uint64
	Counted     uint256.Int
	Pending     uint256.Int
	Debits      uint256.Int
	Uncovered   uint256.Int // debits beyond counted and pending credits, summed over accounts
	Liabilities uint256.Int // counted credits beyond debits, summed over accounts
	Root        common.Hash // of the log up to SettledID
}

// Totals returns the books in a few numbers.
func (tx *Tx) Totals() (Totals, error) {
	t, err := tx.totals()
	if err != nil {
		return Totals{}, err
	}
	out := Totals{Events: t.Events, LastID: t.LastID, SettledID: t.LastID, Accounts: t.Accounts, Counted: t.Counted,
		Pending: t.Pending, Debits: t.Debits, Uncovered: t.Uncovered, Liabilities: t.Liabilities}
	if k, _ := tx.b.Bucket(bucketHeld).Cursor().Last(); k != nil {
		out.LastID = max(out.LastID, readBE64(k))
	}
	out.Root, err = tx.LogRoot(t.LastID)
	return out, err
}

// StateHash is one hash over the books: nodes with equal logs, proofs, decisions and clocks have equal ones. Times of
// this node's own (since when something is held or frozen) and the order in which rows came are left out.
func (tx *Tx) StateHash() (common.Hash, error) { return tx.hashOf(booksBuckets()) }

// hashOf is StateHash over some buckets.
func (tx *Tx) hashOf(buckets [][]byte) (common.Hash, error) {
	h := crypto.NewKeccakState()
	for _, name := range buckets {
		// Held events wait for this node's own proofs; the meta records hold times and links.
		if string(name) == string(bucketBooks) || string(name) == string(bucketHeld) {
			continue
		}
		h.Write(encode(name))
		err := tx.scan(name, nil, func(k, v []byte) error {
			v, err := timeless(name, v)
			h.Write(encode([][]byte{k, v}))
			return err
		})
		if err != nil {
			return common.Hash{}, err
		}
	}
	t, err := tx.totals()
	if err != nil {
		return common.Hash{}, err
	}
	h.Write(encode(t))
	var out common.Hash
	h.Sum(out[:0])
	return out, nil
}

// timeless is a stored value without what only this node knows.
func timeless(bucket, v []byte) ([]byte, error) {
	switch string(bucket) {
	case string(bucketLog):
		return v[rowHeader-1:], nil
	case string(bucketFreezes):
		var f Freeze
		err := decode(v, &f)
		f.Since, f.Text = 0, ""
		if f.Code == FreezeAccrual {
			f.Evidence = nil // the row that came last, of several that are too much together
		}
		return encode(f), err
	case string(bucketAccounts):
		var a acct
		err := decode(v, &a)
		a.Last = 0
		return encode(a), err
	case string(bucketRequests):
		var w Withdrawal
		err := decode(v, &w)
		w.Status = 0 // as this node read the list last; it informs and never decides
		return encode(w), err
	}
	return v, nil
}
