package ledger

import (
	"bytes"
	"errors"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// BooksReport counts what [Ledger.CheckBooks] looked at.
type BooksReport struct {
	Events      uint64
	Accounts    uint64
	Debits      uint64
	Withdrawals uint64
	Root        common.Hash // of the log
}

// plainAccount is an account derived from the log alone, in big integers and in the plainest way.
type plainAccount struct {
	counted, pending, debits big.Int
	seq                      uint64
	head                     common.Hash
	links                    []plainLink // by id
	ids, prevs               uint64      // sums over rows, of their ids and of those that they link to
}

type plainLink struct {
	event Event
	sum   big.Int
}

// booksCheck derives the books again from the log, the requests, the proofs and the decisions.
type booksCheck struct {
	tx       *Tx
	progress func(what string, n uint64)
	report   BooksReport
	accounts map[common.Address]*plainAccount
	fees     map[uint256.Int]feeMatch
	refunds  map[refundKey]refundMatch
	releases map[releaseID]*big.Int
	deposits map[uint64]Event
	feesOf   map[refundKey]uint64 // fee rows by whoever got them

	history      History
	pastDeposits map[DepositRef]bool // transfers that the history used up
	pastRows     []uint64            // deposits of the history
	frozen       map[freezeOf]uint64 // what must have frozen an account, and the row that did
	undecided    int                 // requests
}

type refundKey struct {
	account common.Address
	amount  uint256.Int
}

type releaseID struct {
	id      uint64
	account common.Address
}

// CheckBooks derives sums, chains, matches and indexes again from the log and compares. The first difference is named by a
// [*Violation] of I13. It reads one moment of the database. progress, which may be nil, is called now and then.
func (l *Ledger) CheckBooks(progress func(what string, n uint64)) (BooksReport, error) {
	c := booksCheck{progress: progress, accounts: map[common.Address]*plainAccount{}, fees: map[uint256.Int]feeMatch{},
		refunds: map[refundKey]refundMatch{}, releases: map[releaseID]*big.Int{}, deposits: map[uint64]Event{},
		feesOf: map[refundKey]uint64{}, pastDeposits: map[DepositRef]bool{}, frozen: map[freezeOf]uint64{}}
	err := l.View(func(tx *Tx) error {
		c.tx = tx
		var err error
		if c.history, _, err = tx.History(); err != nil {
			return err
		}
		for _, check := range []func() error{
			c.resolved, c.log, c.waiting, c.ranges, c.chains, c.proofs, c.openDeposits, c.fates, c.feeRows, c.refundRows, c.matches,
			c.schedules, c.vestings, c.released, c.freezes, c.sums, c.requests, c.openRequests, c.strays,
		} {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
	return c.report, err
}

func (c *booksCheck) step(what string, n *uint64) {
	if *n++; c.progress != nil && *n%progressEvery == 0 {
		c.progress(what, *n)
	}
}

func differs(format string, args ...any) error { return violation("I13", format, args...) }

func (c *booksCheck) account(a common.Address) *plainAccount {
	p := c.accounts[a]
	if p == nil {
		p = &plainAccount{head: quorum.AccountHead(a)}
		c.accounts[a] = p
	}
	return p
}

// log reads every row once and sorts its amount to where it belongs.
func (c *booksCheck) log() error {
	return c.tx.scan(bucketLog, nil, func(k, v []byte) error {
		e, prev, flags, err := row(v)
		if err != nil {
			return err
		}
		if e.ID != readBE64(k) || flags&^rowExcluded != 0 || (flags != 0 && !e.Kind.Debit()) {
			return differs("row %d holds event %d with flags %d", readBE64(k), e.ID, flags)
		}
		c.step("events", &c.report.Events)
		a := c.account(e.Account)
		a.link(e.ID, prev)
		amount, ok := e.wei()
		if flags&rowExcluded != 0 {
			c.frozen[freezeOf{e.Account, FreezeLateDebit}] = e.ID
		}
		if e.Kind.Debit() && flags&rowExcluded == 0 && e.ID > c.tx.ResolvedUpTo(e.Account) {
			a.debit(e, amount)
			if !ok {
				c.frozen[freezeOf{e.Account, FreezeMalformedDebit}] = e.ID
			}
		} else if ok && !e.Kind.Debit() {
			c.credit(a, e, amount)
		}
		return nil
	})
}

func (a *plainAccount) debit(e Event, amount uint256.Int) {
	a.debits.Add(&a.debits, amount.ToBig())
	a.seq++
	a.head = quorum.NextHead(a.head, quorum.Debit{ID: e.ID, Kind: uint8(e.Kind), Amount: e.Amount})
	a.links = append(a.links, plainLink{event: e, sum: *new(big.Int).Set(&a.debits)})
}

func (c *booksCheck) credit(a *plainAccount, e Event, amount uint256.Int) {
	if e.ID <= c.history.Event {
		switch e.Kind {
		case Deposit:
			c.pastDeposits[e.Deposit] = true
			c.pastRows = append(c.pastRows, e.ID)
			a.counted.Add(&a.counted, amount.ToBig())
			return
		case WithdrawalFeeIncome, WithdrawRefund:
			a.counted.Add(&a.counted, amount.ToBig())
			return
		}
	}
	switch e.Kind {
	case TaskIncome, DaoTaskShare, TaskRefund, UserDelegation:
		a.counted.Add(&a.counted, amount.ToBig())
	case Deposit:
		c.deposits[e.ID] = e
	case WithdrawalFeeIncome:
		m := c.fees[amount]
		m.Account = e.Account
		m.Events++
		c.fees[amount] = m
		c.feesOf[refundKey{e.Account, amount}]++
	case WithdrawRefund:
		key := refundKey{e.Account, amount}
		m := c.refunds[key]
		m.Events++
		c.refunds[key] = m
	case VestingRelease:
		key := releaseID{e.Vesting.ID, e.Account}
		if c.releases[key] == nil {
			c.releases[key] = new(big.Int)
		}
		c.releases[key].Add(c.releases[key], amount.ToBig())
	}
}

// ranges hashes every range again.
func (c *booksCheck) ranges() error {
	t, err := c.tx.totals()
	if err != nil {
		return err
	}
	if t.Closed != t.LastID/RangeSize {
		return differs("ranges are closed up to %d, the last id is %d", t.Closed, t.LastID)
	}
	stored := 0
	err = c.tx.scan(bucketRanges, nil, func(k, v []byte) error {
		var sum RangeSum
		if err := decode(v, &sum); err != nil {
			return err
		}
		stored++
		if again := c.tx.sumRange(readBE64(k), t.LastID); again != sum || sum.Range >= t.Closed || sum.Count == 0 {
			return differs("range %d is stored as %v, its rows give %v", readBE64(k), sum, again)
		}
		return nil
	})
	if err != nil {
		return err
	}
	seen := map[uint64]bool{}
	err = c.tx.scan(bucketLog, nil, func(k, _ []byte) error {
		if r := readBE64(k) / RangeSize; r < t.Closed {
			seen[r] = true
		}
		return nil
	})
	if err == nil && len(seen) != stored {
		err = differs("%d ranges have events, %d are stored", len(seen), stored)
	}
	if err == nil {
		c.report.Root, err = c.tx.LogRoot(t.LastID)
	}
	return err
}

// chains compares every link.
func (c *booksCheck) chains() error {
	stored := uint64(0)
	err := c.tx.scan(bucketDebits, nil, func(k, v []byte) error {
		stored++
		return nil
	})
	if err != nil {
		return err
	}
	for address, a := range c.accounts {
		head := quorum.AccountHead(address)
		for i, l := range a.links {
			head = crypto.Keccak256Hash(head[:], encode(quorum.Debit{ID: l.event.ID, Kind: uint8(l.event.Kind), Amount: l.event.Amount}))
			d, ok, err := c.tx.debitOf(address, l.event.ID)
			if err != nil {
				return err
			}
			amount, _ := l.event.wei()
			if !ok || d.Seq != uint64(i+1) || d.Head != head || d.Kind != l.event.Kind || d.Amount != amount || d.Sum.ToBig().Cmp(&l.sum) != 0 {
				return differs("debit %d of %s is stored as %+v, the log gives number %d, head %s, sum %s", l.event.ID, address, d, i+1, head, &l.sum)
			}
			c.step("debits", &c.report.Debits)
		}
	}
	if stored != c.report.Debits {
		return differs("%d debits are stored, the log gives %d", stored, c.report.Debits)
	}
	return nil
}

// proofs books deposits as they stand proven.
func (c *booksCheck) proofs() error {
	used := len(c.pastDeposits)
	for id, e := range c.deposits {
		p, ok := c.tx.ProofOf(id)
		if !ok {
			return differs("deposit %d has no proof recorded", id)
		}
		a := c.account(e.Account)
		amount, _ := e.wei()
		switch p {
		case Pending:
			a.pending.Add(&a.pending, amount.ToBig())
		case Counted:
			a.counted.Add(&a.counted, amount.ToBig())
		default:
			continue
		}
		used++
		if by := c.tx.b.Bucket(bucketDepositTx).Get(depositTxKey(e.Deposit)); !bytes.Equal(by, be64(id)) {
			return differs("deposit %d is %s, its transfer is used by %d", id, p, readBE64(by))
		}
	}
	if n := c.tx.b.Bucket(bucketDepositTx).keys(); n != used {
		return differs("%d transfers are used, %d deposits count or pend", n, used)
	}
	return nil
}

// fates adds the decisions' side to the matches of fees and refunds.
func (c *booksCheck) fates() error {
	return c.tx.scan(bucketSpent, nil, func(_, v []byte) error {
		var s Spent
		if err := decode(v, &s); err != nil {
			return err
		}
		content := s.Content
		total, fits := contentTotal(content)
		if s.Kind == SpentItem && !content.Fee.IsZero() {
			m := c.fees[content.Fee]
			m.Decided++
			if c.tx.b.Bucket(bucketFeesPaid).Get(be64(content.WID)) != nil {
				m.Paid++
			}
			c.fees[content.Fee] = m
		}
		at := c.tx.b.Bucket(bucketSpentAt).Get(debitKey(content.Account, content.EventID))
		if want := join(amountKey(total), be64(content.WID)); !bytes.Equal(at, want) {
			return differs("spent withdrawal %d is not indexed at event %d", content.WID, content.EventID)
		}
		held, err := c.tx.HasDebited(content)
		if err != nil {
			return err
		}
		missing := c.tx.b.Bucket(bucketSpentMissing).Get(join(content.Account[:], be64(content.WID))) != nil
		if missing == held {
			return differs("spent withdrawal %d: in the books %t, noted as missing %t", content.WID, held, missing)
		}
		d, ok, err := c.tx.debitOf(content.Account, content.EventID)
		if s.Kind == SpentReject && ok && fits && d.Kind == Withdraw && d.Amount == total {
			key := refundKey{content.Account, total}
			m := c.refunds[key]
			m.Rejects++
			c.refunds[key] = m
		}
		return err
	})
}

// matches credits fees and refunds.
func (c *booksCheck) matches() error {
	for amount, m := range c.fees {
		var stored feeMatch
		if _, err := c.tx.get(bucketFees, amountKey(amount), &stored); err != nil {
			return err
		}
		if stored.Events == 0 {
			// Rows of another address than the fee address match nothing.
			m.Events, m.Account = 0, common.Address{}
		}
		if m.Decided != stored.Decided || m.Paid != stored.Paid || stored.Events > m.Events {
			return differs("fees of %s wei are stored as %+v, log and decisions give %+v", amount.Dec(), stored, m)
		}
		c.stand(stored.Account, stored.standing(amount))
	}
	for key, m := range c.refunds {
		var stored refundMatch
		if _, err := c.tx.get(bucketRefunds, join(key.account[:], amountKey(key.amount)), &stored); err != nil {
			return err
		}
		if m != stored {
			return differs("refunds of %s wei to %s are stored as %+v, log and decisions give %+v", key.amount.Dec(), key.account, stored, m)
		}
		c.stand(key.account, m.standing(key.amount))
	}
	return nil
}

func (c *booksCheck) stand(address common.Address, s standingCredit) {
	if s == (standingCredit{}) {
		return
	}
	a := c.account(address)
	a.counted.Add(&a.counted, s.Counted.ToBig())
	a.pending.Add(&a.pending, s.Pending.ToBig())
}

// vestings checks that no more counts than was signed and released.
func (c *booksCheck) vestings() error {
	for key, sum := range c.releases {
		var r release
		if _, err := c.tx.get(bucketReleases, releaseKey(key.id, key.account), &r); err != nil {
			return err
		}
		var s Schedule
		known, err := c.tx.get(bucketVesting, be64(key.id), &s)
		if err != nil {
			return err
		}
		var credit uint256.Int
		credit.Add(&r.Standing.Counted, &r.Standing.Pending)
		signed := known && s.Account == key.account
		if r.Released.ToBig().Cmp(sum) != 0 || credit.Gt(&r.Released) || credit.Gt(&s.Total) || (!signed && !credit.IsZero()) {
			return differs("vesting %d of %s: %+v is stored, the log releases %s, signed is %t of %s", key.id, key.account, r, sum, signed, s.Total.Dec())
		}
		c.stand(key.account, r.Standing)
	}
	return nil
}

// sums compares accounts and totals.
func (c *booksCheck) sums() error {
	var counted, pending, debits, uncovered, owed big.Int
	for address, p := range c.accounts {
		a, known, err := c.tx.acct(address)
		if err != nil {
			return err
		}
		if !known || a.Counted.ToBig().Cmp(&p.counted) != 0 || a.Pending.ToBig().Cmp(&p.pending) != 0 ||
			a.Debits.ToBig().Cmp(&p.debits) != 0 || a.Seq != p.seq || a.Head != p.head || a.Last+p.prevs != p.ids {
			return differs("account %s is stored as %+v; its rows give counted %s, pending %s, debits %s in %d, head %s; linked: %t",
				address, a, &p.counted, &p.pending, &p.debits, p.seq, p.head, a.Last+p.prevs == p.ids)
		}
		c.step("accounts", &c.report.Accounts)
		counted.Add(&counted, &p.counted)
		pending.Add(&pending, &p.pending)
		debits.Add(&debits, &p.debits)
		credit := new(big.Int).Add(&p.counted, &p.pending)
		addPositive(&uncovered, &p.debits, credit)
		addPositive(&owed, &p.counted, &p.debits)
	}
	t, err := c.tx.totals()
	if err != nil {
		return err
	}
	same := t.Events == c.report.Events && t.Accounts == c.report.Accounts && t.Counted.ToBig().Cmp(&counted) == 0 &&
		t.Pending.ToBig().Cmp(&pending) == 0 && t.Debits.ToBig().Cmp(&debits) == 0 &&
		t.Uncovered.ToBig().Cmp(&uncovered) == 0 && t.Liabilities.ToBig().Cmp(&owed) == 0
	if stored := c.tx.b.Bucket(bucketAccounts).keys(); !same || uint64(stored) != c.report.Accounts {
		return differs("totals are %+v over %d accounts; the rows give %d events, %d accounts, counted %s, pending %s, debits %s, uncovered %s, owed %s",
			t, stored, c.report.Events, c.report.Accounts, &counted, &pending, &debits, &uncovered, &owed)
	}
	return nil
}

// addPositive adds a − b when that is positive.
func addPositive(sum, a, b *big.Int) {
	if a.Cmp(b) > 0 {
		sum.Add(sum, new(big.Int).Sub(a, b))
	}
}

// requests compares every request with its indexes.
func (c *booksCheck) requests() error {
	return c.tx.scan(bucketRequests, nil, func(k, v []byte) error {
		var w Withdrawal
		if err := decode(v, &w); err != nil {
			return err
		}
		c.step("withdrawals", &c.report.Withdrawals)
		byEvent, err := c.tx.RequestsOfEvent(w.EventID)
		if err != nil {
			return err
		}
		byMessage, err := c.tx.RequestsOfMessage(w.Message())
		if err != nil {
			return err
		}
		_, decided, err := c.tx.DecidedWID(w.ID)
		if err != nil {
			return err
		}
		open := c.tx.b.Bucket(bucketRequestOpen).Get(k) != nil
		if open {
			c.undecided++
		}
		byAccount := c.tx.b.Bucket(bucketRequestAccount).Get(join(w.Account[:], k)) != nil
		if w.ID != readBE64(k) || !slices.Contains(byEvent, w.ID) || !slices.Contains(byMessage, w.ID) || open == decided || !byAccount {
			return differs("withdrawal %d: by event %v, by message %v, by account %t, open %t, decided %t", w.ID, byEvent, byMessage, byAccount, open, decided)
		}
		return nil
	})
}

// openRequests compares the index of events without their request.
func (c *booksCheck) openRequests() error {
	unbound := 0
	for address, a := range c.accounts {
		for _, l := range a.links {
			e, ok, err := c.tx.Event(l.event.ID)
			if err != nil {
				return err
			}
			if !ok || e.Kind != Withdraw || l.event.Kind != Withdraw {
				continue // a resolved debit may have no row here, or one that it does not fit
			}
			bound, err := c.bound(l.event.ID)
			if err != nil {
				return err
			}
			if !bound {
				unbound++
			}
			if noted := c.tx.b.Bucket(bucketUnbound).Get(debitKey(address, l.event.ID)) != nil; noted == bound {
				return differs("event %d has its request: %t, is noted as without: %t", l.event.ID, bound, noted)
			}
		}
	}
	if n := c.tx.b.Bucket(bucketUnbound).keys(); n != unbound {
		return differs("%d events are noted as without their request, %d are", n, unbound)
	}
	return nil
}

func (c *booksCheck) bound(event uint64) (bool, error) {
	wids, err := c.tx.RequestsOfEvent(event)
	if err != nil || len(wids) != 1 {
		return false, err
	}
	w, ok, err := c.tx.Withdrawal(wids[0])
	if err != nil || !ok {
		return false, errors.Join(err, differs("withdrawal %d is indexed and missing", wids[0]))
	}
	is, _, err := c.tx.binding(w)
	return is == Bound, err
}
