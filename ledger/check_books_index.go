package ledger

import (
	"bytes"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// counted compares how many records a bucket has.
func (c *booksCheck) counted(bucket []byte, want int, what string) error {
	if n := c.tx.b.Bucket(bucket).keys(); n != want {
		return differs("%d records of %s, there are %d %s", n, bucket, want, what)
	}
	return nil
}

// link sums an account's row links: the last row, and the one before each row, are all its rows.
func (a *plainAccount) link(id, prev uint64) { a.ids, a.prevs = a.ids+id, a.prevs+prev }

// waiting checks the rows that are held: each once, behind a hold, and not in the log as well.
func (c *booksCheck) waiting() error {
	held := 0
	err := c.tx.scan(bucketHeld, nil, func(k, v []byte) error {
		var e Event
		if err := decodeEvent(v, &e); err != nil {
			return err
		}
		held++
		if e.ID != readBE64(k) || e.Kind > MaxEventKind || c.tx.b.Bucket(bucketLog).Get(k) != nil {
			return differs("event %d is held as %d, or booked as well", readBE64(k), e.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, stands, err := c.tx.HoldSince(); err != nil || held > MaxHeld || (held > 0 && !stands) {
		return differs("%d events are held, with a hold: %t (%v)", held, stands, err)
	}
	return nil
}

// openDeposits compares which deposits may still change.
func (c *booksCheck) openDeposits() error {
	open, named := 0, map[DepositRef]int{}
	for _, e := range c.deposits {
		named[e.Deposit]++
	}
	for id, e := range c.deposits {
		p, _ := c.tx.ProofOf(id)
		may := c.tx.b.Bucket(bucketDepositsOpen).Get(be64(id)) != nil
		// One that is unproven for good lost its transfer to another, which may have let go of it since.
		alone := named[e.Deposit] == 1 && !c.pastDeposits[e.Deposit]
		switch {
		case p > Contradicted, may && (p == Counted || p == Contradicted), !may && p == Pending, !may && p == Unproven && alone:
			return differs("deposit %d is %s, and may change: %t", id, p, may)
		case may:
			open++
		case p == Contradicted:
			c.frozen[freezeOf{e.Account, FreezeDeposit}] = id
		}
	}
	for _, id := range c.pastRows {
		if p, ok := c.tx.ProofOf(id); !ok || p != Counted {
			return differs("deposit %d of the history is %s", id, p)
		}
	}
	if err := c.counted(bucketDepositsOpen, open, "open deposits"); err != nil {
		return err
	}
	return c.counted(bucketDeposits, len(c.deposits)+len(c.pastRows), "deposits")
}

type freezeOf struct {
	account common.Address
	code    FreezeCode
}

// freezes demands a freeze for every row that is a reason for one. A RESOLVE of the account ended them.
func (c *booksCheck) freezes() error {
	for f, event := range c.frozen {
		if c.tx.ResolvedUpTo(f.account) == 0 && c.tx.b.Bucket(bucketFreezes).Get(freezeKey(f.account, f.code, 0)) == nil {
			return differs("account %s is not frozen by event %d (%s)", f.account, event, f.code)
		}
	}
	return c.tx.scan(bucketFreezes, nil, func(k, v []byte) error {
		var f Freeze
		if err := decode(v, &f); err != nil {
			return err
		}
		if account := common.BytesToAddress(k[:common.AddressLength]); !bytes.Equal(k, freezeKey(account, f.Code, f.Ref)) {
			return differs("a freeze of %s is stored as %+v", account, f)
		}
		return nil
	})
}

// feeRows compares fee income, row by row: one address has it, and no amount is known that nobody had.
func (c *booksCheck) feeRows() error {
	var of common.Address
	err := c.tx.scan(bucketFees, nil, func(k, v []byte) error {
		var m feeMatch
		if err := decode(v, &m); err != nil {
			return err
		}
		var amount uint256.Int
		amount.SetBytes(k)
		if _, ok := c.fees[amount]; !ok || (m.Account == (common.Address{})) != (m.Events == 0) {
			return differs("fees of %s wei are stored as %+v, neither log nor decisions have any", amount.Dec(), m)
		}
		if m.Events == 0 {
			return nil
		}
		if of == (common.Address{}) {
			of = m.Account
		}
		if m.Account != of || m.Events != c.feesOf[refundKey{of, amount}] {
			return differs("fees of %s wei are stored as %+v, the log gives %s %d", amount.Dec(), m, of, c.feesOf[refundKey{of, amount}])
		}
		return nil
	})
	if err != nil || of == (common.Address{}) {
		return err
	}
	for key, n := range c.feesOf {
		var m feeMatch
		if _, err := c.tx.get(bucketFees, amountKey(key.amount), &m); err != nil {
			return err
		}
		if key.account == of && !key.amount.IsZero() && m.Events != n {
			return differs("fees of %s wei: %d rows are stored, the log has %d", key.amount.Dec(), m.Events, n)
		}
	}
	return nil
}

// refundRows looks for refunds that nobody had, and for rejects that wait for nothing.
func (c *booksCheck) refundRows() error {
	err := c.tx.scan(bucketRefunds, nil, func(k, _ []byte) error {
		key := refundKey{account: common.BytesToAddress(k[:common.AddressLength])}
		key.amount.SetBytes(k[common.AddressLength:])
		if _, ok := c.refunds[key]; !ok {
			return differs("refunds of %s wei to %s are stored, neither log nor decisions have any", key.amount.Dec(), key.account)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.tx.scan(bucketRejectWait, nil, func(k, v []byte) error {
		account, event := common.BytesToAddress(k[:common.AddressLength]), readBE64(k[common.AddressLength:])
		s, err := c.tx.spentMissingAt(account, event)
		if err != nil {
			return err
		}
		if s == nil || s.Kind != SpentReject {
			return differs("a reject at event %d of %s waits, no decision rejects it", event, account)
		}
		total, _ := contentTotal(s.Content)
		if _, debited, err := c.tx.debitOf(account, event); err != nil || debited || !bytes.Equal(v, amountKey(total)) {
			return differs("reject %d waits for its debit, which stands: %t (%v)", s.Content.WID, debited, err)
		}
		return nil
	})
}

// schedules compares every vesting with its row and its index.
func (c *booksCheck) schedules() error {
	n := 0
	err := c.tx.scan(bucketVesting, nil, func(k, v []byte) error {
		n++
		var s Schedule
		if err := decode(v, &s); err != nil {
			return err
		}
		e, ok, err := c.tx.Event(s.Event)
		if err != nil {
			return err
		}
		r := e.Vesting
		total, proper := Event{Amount: r.Total}.wei()
		by := c.tx.b.Bucket(bucketVestingKey).Get(join(s.Account[:], be64(s.Start), []byte(s.Type)))
		if !ok || !proper || e.Kind != VestingCreated || e.Account != s.Account || s.ID != readBE64(k) || !bytes.Equal(by, k) ||
			s != (Schedule{r.ID, r.Account, total, r.Start, r.DurationDays, r.Type, e.ID}) {
			return differs("vesting %d is stored as %+v, event %d says %+v", readBE64(k), s, s.Event, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.counted(bucketVestingKey, n, "vestings")
}

// released compares every release with the log, with its schedule at the latest clock, and with the list of those that time
// alone makes due.
func (c *booksCheck) released() error {
	due := 0
	clock, clocked := c.tx.clock()
	err := c.tx.scan(bucketReleases, nil, func(k, v []byte) error {
		var r release
		if err := decode(v, &r); err != nil {
			return err
		}
		key := releaseID{readBE64(k[:8]), common.BytesToAddress(k[8:])}
		sum := c.releases[key]
		if sum == nil {
			sum = new(big.Int)
		}
		var s Schedule
		known, err := c.tx.get(bucketVesting, k[:8], &s)
		if err != nil {
			return err
		}
		credit := new(uint256.Int).Add(&r.Standing.Counted, &r.Standing.Pending)
		now, soon := s.Released(clock), s.Released(clock+vestingSoon)
		if r.Released.ToBig().Cmp(sum) != 0 || (clocked && (r.Standing.Counted.Gt(&now) || credit.Gt(&soon))) {
			return differs("vesting %d of %s: %+v is stored, the log releases %s, the schedule %s", key.id, key.account, r, sum, now.Dec())
		}
		signed := known && s.Account == key.account
		if signed && r.Standing.Counted.Lt(&r.Released) {
			due++
		}
		noted := c.tx.b.Bucket(bucketReleasesDue).Get(k[:8]) != nil
		if signed && noted != r.Standing.Counted.Lt(&r.Released) {
			return differs("vesting %d counts %s of %s, is noted as due: %t", key.id, r.Standing.Counted.Dec(), r.Released.Dec(), noted)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.counted(bucketReleasesDue, due, "releases that time makes due")
}

// strays looks for index records of requests and fates that do not exist.
func (c *booksCheck) strays() error {
	spent, missing, paid := 0, 0, 0
	err := c.tx.scan(bucketSpent, nil, func(k, v []byte) error {
		var s Spent
		if err := decode(v, &s); err != nil {
			return err
		}
		spent++
		if c.tx.b.Bucket(bucketSpentMissing).Get(join(s.Content.Account[:], be64(s.Content.WID))) != nil {
			missing++
		}
		if s.Kind == SpentItem && c.tx.b.Bucket(bucketFeesPaid).Get(be64(s.Content.WID)) != nil {
			paid++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, want := range []struct {
		bucket []byte
		n      int
		what   string
	}{
		{bucketSpentAt, spent, "spent withdrawals"}, {bucketSpentMissing, missing, "missing ones"}, {bucketFeesPaid, paid, "paid items"},
		{bucketRequestEvent, int(c.report.Withdrawals), "requests"}, {bucketRequestMessage, int(c.report.Withdrawals), "requests"},
		{bucketRequestAccount, int(c.report.Withdrawals), "requests"}, {bucketRequestOpen, c.undecided, "undecided requests"},
	} {
		if err := c.counted(want.bucket, want.n, want.what); err != nil {
			return err
		}
	}
	return nil
}
