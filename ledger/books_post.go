package ledger

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// maxAmountBits bounds an amount that counts. Ids are unique 64-bit numbers, so no sum of such amounts leaves 256 bits
// and no addition in the books can overflow. No real asset comes near.
const maxAmountBits = 192

// wei reads an event's amount; false means that it counts nothing.
func (e Event) wei() (uint256.Int, bool) {
	v, ok := ParseAmount(e.Amount)
	if !ok || v.BitLen() > maxAmountBits {
		return uint256.Int{}, false
	}
	return v, true
}

// book is the books open for writing: accounts and totals are read once and written once per transaction.
type book struct {
	tx       *Tx
	in       Intake
	totals   totals
	accounts map[common.Address]*openAcct // what is at hand: what this book opened and, in a replay, what books before it did
	opened   []placed                     // what this book opened
	number   uint64                       // of this book among those that share accounts
	dirty    []uint64                     // closed ranges that a late row entered
	rlp      []byte                       // of the event that is being booked; nil when it is not at hand
	asked    bool                         // waiting is known
	waiting  bool                         // rejects wait for their debit
	alerts   []Alert
	history  History

	lastOpen    *openAcct // of lastAddress: an event asks for its account several times
	lastAddress common.Address

	historyWas History       // as it is stored
	accrual    *AccrualState // read with the first credit
}

// openAcct is an account that a book holds, and what its record's place says.
type openAcct struct {
	acct
	known bool   // it has a record
	sum   uint32 // checksum of the record
	in    uint64 // number of the book that opened it last

	asked    bool // upTo is read
	approved uint64
}

func (tx *Tx) openBook(in Intake) (*book, error) {
	t, err := tx.totals()
	w := tx.warm
	if w == nil {
		w = newWarm()
	}
	w.books++
	return &book{tx: tx, in: in, totals: t, accounts: w.accounts, number: w.books}, err
}

// close writes what changed.
func (b *book) close() error {
	bucket := b.tx.b.Bucket(bucketAccounts)
	for _, at := range b.inOrder() {
		a := at.acct
		var err error
		if a.sum, err = bucket.replaceOwn(at.address[:], a.encode(), a.sum, a.known); err != nil {
			return err
		}
		a.known = true
	}
	if err := errors.Join(b.closeRanges(), b.keepClock()); err != nil {
		return err
	}
	return b.tx.put(bucketBooks, keyTotals, b.totals)
}

// warm is the accounts that stay at hand between the commits of a replay.
type warm struct {
	accounts map[common.Address]*openAcct
	books    uint64
}

func newWarm() *warm { return &warm{accounts: map[common.Address]*openAcct{}} }

// placed is an account and its place among the keys: the address's first bytes as a number, which compares at once.
type placed struct {
	prefix  uint64
	address common.Address
	acct    *openAcct
}

// inOrder returns the opened accounts in key order, which bbolt likes and which makes equal histories equal files.
func (b *book) inOrder() []placed {
	slices.SortFunc(b.opened, func(x, y placed) int {
		if c := cmp.Compare(x.prefix, y.prefix); c != 0 {
			return c
		}
		return x.address.Cmp(y.address)
	})
	return b.opened
}

func (b *book) alert(code AlertCode, s Severity, e Event, hint, format string, args ...any) {
	b.alerts = append(b.alerts, Alert{code, s, e.Account, e.ID, fmt.Sprintf(format, args...), hint})
}

// peek reads an account without making it known.
func (b *book) peek(address common.Address) (acct, error) {
	if b.lastOpen != nil && b.lastAddress == address {
		return b.lastOpen.acct, nil
	}
	if a := b.accounts[address]; a != nil {
		return a.acct, nil
	}
	a, _, err := b.tx.acct(address)
	return a, err
}

// account returns an account for reading; change it through change only.
func (b *book) account(address common.Address) (*acct, error) {
	a, err := b.open(address)
	return &a.acct, err
}

func (b *book) open(address common.Address) (*openAcct, error) {
	if b.lastOpen != nil && b.lastAddress == address {
		return b.lastOpen, nil
	}
	a, err := b.find(address)
	if err == nil {
		b.lastOpen, b.lastAddress = a, address
	}
	return a, err
}

// find is open without what was opened last.
func (b *book) find(address common.Address) (*openAcct, error) {
	a := b.accounts[address]
	if a == nil {
		var err error
		if a, err = b.read(address); err != nil {
			return a, err
		}
		b.accounts[address] = a
	}
	if a.in != b.number {
		a.in, a.asked = b.number, false
		b.opened = append(b.opened, placed{binary.BigEndian.Uint64(address[:]), address, a})
	}
	return a, nil
}

// read takes an account from the database, or makes it known.
func (b *book) read(address common.Address) (*openAcct, error) {
	a := &openAcct{}
	var raw []byte
	raw, a.sum, a.known = b.tx.b.Bucket(bucketAccounts).read(address[:])
	switch {
	case raw != nil:
		if err := a.decode(raw); err != nil {
			return a, err
		}
	case a.known:
		return a, b.tx.b.corrupt
	default:
		a.Head = quorum.AccountHead(address)
		b.totals.Accounts++
	}
	return a, nil
}

// change alters an account and carries the change into the totals.
func (b *book) change(address common.Address, fn func(*acct)) error {
	a, err := b.account(address)
	if err != nil {
		return err
	}
	was := *a
	fn(a)
	t := &b.totals
	move(&t.Counted, was.Counted, a.Counted)
	move(&t.Pending, was.Pending, a.Pending)
	move(&t.Debits, was.Debits, a.Debits)
	move(&t.Uncovered, was.uncovered(), a.uncovered())
	move(&t.Liabilities, was.owed(), a.owed())
	return nil
}

// move replaces one summand of a sum.
func move(sum *uint256.Int, was, is uint256.Int) { sum.Add(sum.Sub(sum, &was), &is) }

func (b *book) count(address common.Address, amount uint256.Int) error {
	return b.change(address, func(a *acct) { a.Counted.Add(&a.Counted, &amount) })
}

// shift moves what a match counts and holds pending from one state to the next.
func (b *book) shift(address common.Address, was, is standingCredit) error {
	if was == is {
		return nil
	}
	return b.change(address, func(a *acct) {
		move(&a.Counted, was.Counted, is.Counted)
		move(&a.Pending, was.Pending, is.Pending)
	})
}

// standingCredit is how much of a group of credits counts and how much is pending.
type standingCredit struct{ Counted, Pending uint256.Int }

// post books one event: first its effect, then its row.
func (b *book) post(e Event) error {
	amount, ok := e.wei()
	if !ok && !e.Kind.Debit() {
		b.alert(AlertMalformedCredit, Warning, e, "see whose task or transfer it was; nobody was credited",
			"event %d (%s) has the amount %.40q, which counts nothing", e.ID, e.Kind, e.Amount)
		return b.log(e, 0)
	}
	if e.Kind.Debit() {
		return b.postDebit(e, amount, ok)
	}
	if err := errors.Join(b.postCredit(e, amount), b.accrue(e)); err != nil {
		return err
	}
	return b.log(e, 0)
}

func (b *book) postCredit(e Event, amount uint256.Int) error {
	if done, err := b.postPast(e, amount); done || err != nil {
		return err
	}
	switch e.Kind {
	case TaskIncome, DaoTaskShare, TaskRefund, UserDelegation:
		return b.count(e.Account, amount)
	case WithdrawalFeeIncome:
		return b.postFee(e, amount)
	case Deposit:
		return b.postDeposit(e)
	case WithdrawRefund:
		return b.postRefund(e, amount)
	case VestingCreated:
		return b.postSchedule(e)
	case VestingRelease:
		return b.postRelease(e, amount)
	}
	panic(fmt.Sprintf("ledger: kind %d passed the screen", e.Kind))
}

// excluded reports whether this node approved something of the account beyond the debit, which therefore comes too late.
func (b *book) excluded(e Event) (bool, error) {
	if b.tx.excluded != nil {
		return b.tx.excluded[e.ID], nil
	}
	if e.ID <= b.tx.ResolvedUpTo(e.Account) {
		return true, nil // its row takes nothing: the operators' list does
	}
	a := b.accounts[e.Account]
	if a != nil && a.in != b.number {
		a = nil // what an earlier book asked may have changed
	}
	if a == nil || !a.asked {
		upTo, err := b.tx.ApprovedUpTo(e.Account)
		if a == nil || err != nil {
			return upTo > e.ID, err
		}
		a.asked, a.approved = true, upTo
	}
	return a.approved > e.ID, nil
}

// postDebit puts a debit at its place in the account's chain. Order matters for debits only: one that comes late may stand
// before a debit that this node already approved up to, and then its head is somebody else's word against ours.
func (b *book) postDebit(e Event, amount uint256.Int, ok bool) error {
	if done, err := b.postResolved(e); done || err != nil {
		return err
	}
	excluded, err := b.excluded(e)
	if err != nil {
		return err
	}
	if excluded {
		b.alert(AlertLateDebit, Critical, e, "compare with the other custodians; RESOLVE settles the account",
			"debit %d of %s came after this node approved beyond it: not booked, the account is frozen", e.ID, e.Account)
		return b.freezeAndLog(e, FreezeLateDebit, "a debit came behind what this node approved", rowExcluded)
	}
	if !ok {
		b.alert(AlertMalformedDebit, Critical, e, "a negative task fee looks like this; RESOLVE settles the account",
			"event %d (%s) of %s has the amount %.40q: it counts nothing, the account is frozen", e.ID, e.Kind, e.Account, e.Amount)
		if err := b.tx.freezeRow(e, FreezeMalformedDebit, "a debit with a malformed amount", b.in.Now); err != nil {
			return err
		}
	}
	if err := b.chain(e, amount); err != nil {
		return err
	}
	if err := b.log(e, 0); err != nil {
		return err
	}
	if e.Kind != Withdraw {
		return b.forgetReject(e)
	}
	if err := b.creditReject(e, amount); err != nil {
		return err
	}
	return b.tx.rebind(e.ID)
}

func (b *book) freezeAndLog(e Event, code FreezeCode, text string, flags byte) error {
	// The account exists in the books from its first row, booked or not.
	if _, err := b.account(e.Account); err != nil {
		return err
	}
	if err := b.tx.freezeRow(e, code, text, b.in.Now); err != nil {
		return err
	}
	return b.log(e, flags)
}
