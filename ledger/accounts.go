package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// acct is one account. Counted credits and debits are two sums that only grow; neither is ever negative.
type acct struct {
	Counted uint256.Int
	Pending uint256.Int // credits whose proof is under way
	Debits  uint256.Int
	Seq     uint64      // debits in the chain
	Head    common.Hash // of the chain
	Last    uint64      // id of the row booked last; rows link to the one before
}

// uncovered is what the account's debits exceed its counted and pending credits by.
func (a acct) uncovered() uint256.Int {
	var credit, out uint256.Int
	credit.Add(&a.Counted, &a.Pending)
	if a.Debits.Gt(&credit) {
		out.Sub(&a.Debits, &credit)
	}
	return out
}

// owed is what the network owes the account.
func (a acct) owed() uint256.Int {
	var out uint256.Int
	if a.Counted.Gt(&a.Debits) {
		out.Sub(&a.Counted, &a.Debits)
	}
	return out
}

// acct reads an account; one without rows has the empty chain.
func (tx *Tx) acct(address common.Address) (a acct, known bool, err error) {
	raw := tx.b.Bucket(bucketAccounts).Get(address[:])
	if raw == nil {
		a.Head = quorum.AccountHead(address)
		return a, false, nil
	}
	return a, true, a.decode(raw)
}

// debit is one link of an account's chain.
type debit struct {
	Kind   EventKind
	Amount uint256.Int // 0 when malformed
	Seq    uint64      // from 1
	Head   common.Hash // with this link
	Sum    uint256.Int // of the chain up to and with this link
}

func debitKey(account common.Address, event uint64) []byte { return join(account[:], be64(event)) }

// debitOf reads the link of an event.
func (tx *Tx) debitOf(account common.Address, event uint64) (d debit, ok bool, err error) {
	ok, err = tx.get(bucketDebits, debitKey(account, event), &d)
	return d, ok, err
}

// debitBefore reads the last link with an id below event; without one, the chain's start.
func (tx *Tx) debitBefore(account common.Address, event uint64) (d debit, err error) {
	c := tx.b.Bucket(bucketDebits).Cursor()
	var k, v []byte
	if at, _ := c.Seek(debitKey(account, event)); at == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if !bytes.HasPrefix(k, account[:]) {
		return debit{Head: quorum.AccountHead(account)}, nil
	}
	return d, decode(v, &d)
}

// chain puts a debit at its place by id. Links beyond it, when it comes late, are linked anew.
func (b *book) chain(e Event, amount uint256.Int) error {
	a, err := b.account(e.Account)
	if err != nil {
		return err
	}
	last := debit{Seq: a.Seq, Head: a.Head, Sum: a.Debits}
	late := e.ID < b.totals.LastID
	if late {
		if last, err = b.tx.debitBefore(e.Account, e.ID); err != nil {
			return err
		}
	}
	if last, err = b.link(last, e, amount, false); err != nil {
		return err
	}
	if late {
		if last, err = b.relink(e.Account, e.ID, last); err != nil {
			return err
		}
	}
	return b.change(e.Account, func(a *acct) { a.Seq, a.Head, a.Debits = last.Seq, last.Head, last.Sum })
}

// link stores the link that follows before; again says that the event has a link already.
func (b *book) link(before debit, e Event, amount uint256.Int, again bool) (debit, error) {
	d := debit{Kind: e.Kind, Amount: amount, Seq: before.Seq + 1}
	d.Head = nextHead(before.Head, e)
	d.Sum.Add(&before.Sum, &amount)
	bucket, key := b.tx.b.Bucket(bucketDebits), debitKey(e.Account, e.ID)
	if again {
		return d, bucket.Put(key, d.encode())
	}
	_, err := bucket.replaceOwn(key, d.encode(), 0, false)
	return d, err
}

// nextHead is [quorum.NextHead] of an event.
func nextHead(before common.Hash, e Event) common.Hash {
	var buffer [160]byte
	to := append(buffer[:0], before[:]...)
	to = appendHeader(to, 0xc0, rlp.IntSize(e.ID)+rlp.IntSize(uint64(e.Kind))+int(rlp.StringSize(e.Amount)))
	to = rlp.AppendUint64(rlp.AppendUint64(to, e.ID), uint64(e.Kind))
	return crypto.Keccak256Hash(appendString(to, e.Amount))
}

// relink renews the links beyond an inserted one and returns the last.
func (b *book) relink(account common.Address, after uint64, last debit) (debit, error) {
	type beyond struct {
		id uint64
		d  debit
	}
	var links []beyond
	c := b.tx.b.Bucket(bucketDebits).Cursor()
	for k, v := c.Seek(debitKey(account, after+1)); bytes.HasPrefix(k, account[:]); k, v = c.Next() {
		l := beyond{id: readBE64(k[len(account):])}
		if err := decode(v, &l.d); err != nil {
			return last, err
		}
		links = append(links, l)
	}
	for _, l := range links {
		e, ok, err := b.tx.debitEvent(account, l.id)
		if err != nil || !ok {
			return last, errors.Join(err, fmt.Errorf("%w: debit %d without its event", ErrCorrupt, l.id))
		}
		if last, err = b.link(last, e, l.d.Amount, true); err != nil {
			return last, err
		}
	}
	return last, nil
}

// FreezeCode names why an account is frozen: a closed set.
type FreezeCode string

// The causes of a freeze.
const (
	FreezeMalformedDebit FreezeCode = "malformed-debit"
	FreezeLateDebit      FreezeCode = "late-debit"
	FreezeDeposit        FreezeCode = "deposit-contradicted"
	FreezeOverdraft      FreezeCode = "overdraft" // by withdrawal: ends when that withdrawal is covered, or decided
	FreezeHead           FreezeCode = "two-heads"
	FreezeOperator       FreezeCode = "operator"
	FreezeAccrual        FreezeCode = "accrual"       // more credits within a window than the policy's ceiling
	FreezeMaximum        FreezeCode = "event-maximum" // by event: a row above the policy's maximum for its kind
)

// Freeze is one reason for which an account gets no verdict. An account is frozen while it has any.
type Freeze struct {
	Code     FreezeCode
	Ref      uint64 // the withdrawal of an overdraft, the event above a maximum, else 0
	Text     string
	Evidence []uint64 // event ids
	Since    uint64   // unix ms by this node's clock
}

func freezeKey(account common.Address, code FreezeCode, ref uint64) []byte {
	return join(account[:], be64(ref), []byte(code))
}

// Freeze adds a reason; added is false when it stands already, and then the first evidence and time are kept.
func (tx *Tx) Freeze(account common.Address, f Freeze) (added bool, err error) {
	key := freezeKey(account, f.Code, f.Ref)
	if tx.b.Bucket(bucketFreezes).Get(key) != nil {
		return false, nil
	}
	return true, tx.put(bucketFreezes, key, f)
}

// freezeRow is Freeze over a row of the log. Of several rows the lowest is the evidence, whichever came first, so that equal
// logs give equal books.
func (tx *Tx) freezeRow(e Event, code FreezeCode, text string, now uint64) error {
	f := Freeze{Code: code, Text: text, Evidence: []uint64{e.ID}, Since: now}
	added, err := tx.Freeze(e.Account, f)
	if added || err != nil {
		return err
	}
	key := freezeKey(e.Account, code, 0)
	if _, err := tx.get(bucketFreezes, key, &f); err != nil || len(f.Evidence) != 1 || f.Evidence[0] <= e.ID {
		return err
	}
	f.Evidence[0] = e.ID
	return tx.put(bucketFreezes, key, f)
}

// Unfreeze takes one reason away; removed is false when it did not stand.
func (tx *Tx) Unfreeze(account common.Address, code FreezeCode, ref uint64) (removed bool, err error) {
	key := freezeKey(account, code, ref)
	if tx.b.Bucket(bucketFreezes).Get(key) == nil {
		return false, nil
	}
	return true, tx.b.Bucket(bucketFreezes).Delete(key)
}

// Freezes returns the reasons for which an account is frozen, none when it is not.
func (tx *Tx) Freezes(account common.Address) (out []Freeze, err error) {
	err = tx.scan(bucketFreezes, account[:], func(_, v []byte) error {
		var f Freeze
		err := decode(v, &f)
		out = append(out, f)
		return err
	})
	return out, err
}

// FrozenAccounts counts the accounts that are frozen. Users can make them, so the number trips nothing.
func (tx *Tx) FrozenAccounts() (n uint64) {
	c := tx.b.Bucket(bucketFreezes).Cursor()
	for k, _ := c.First(); k != nil; n++ {
		k, _ = c.Seek(join(k[:common.AddressLength], be64(math.MaxUint64), []byte{math.MaxUint8}))
	}
	return n
}
