package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Buckets of what operators resolved. Of the books: how far an account's debits are theirs, these debits by account ‖ id,
// and the uncovered debits that no longer count, by height. Of the protocol: the own counter at each time that an
// account's debits were replaced, by account ‖ height, for A2 begins anew there.
var (
	bucketResolved       = []byte("resolved")
	bucketResolvedDebits = []byte("resolved-debits")
	bucketWaived         = []byte("waived")
	bucketResolvedAt     = []byte("resolved-at")
)

func resolveBuckets() [][]byte { return [][]byte{bucketResolved, bucketResolvedDebits, bucketWaived} }

// ResolvedUpTo is the id up to which the operators' list holds an account's debits, 0 without one.
func (tx *Tx) ResolvedUpTo(account common.Address) uint64 {
	if !tx.anyResolved() {
		return 0
	}
	return readBE64(tx.b.Bucket(bucketResolved).Get(account[:]))
}

// anyResolved reports whether operators ever resolved an account or waived anything. Every debit of a replay asks, and nearly
// every network has neither: the answer is kept for the transaction.
func (tx *Tx) anyResolved() bool {
	const no, yes = 1, 2
	if tx.b.spoke == 0 {
		tx.b.spoke = no
		for _, name := range [][]byte{bucketResolved, bucketWaived} {
			if k, _ := tx.b.Bucket(name).Cursor().First(); k != nil {
				tx.b.spoke = yes
			}
		}
	}
	return tx.b.spoke == yes
}

// resolvedDebit returns a debit of the operators' list.
func (tx *Tx) resolvedDebit(account common.Address, event uint64) (d quorum.Debit, ok bool, err error) {
	ok, err = tx.get(bucketResolvedDebits, debitKey(account, event), &d)
	return d, ok, err
}

// debitEvent is the row behind a link: the operators' where they spoke, else the Relay's.
func (tx *Tx) debitEvent(account common.Address, event uint64) (Event, bool, error) {
	d, ok, err := tx.resolvedDebit(account, event)
	if err != nil || !ok {
		e, found, fail := tx.Event(event)
		return e, found, errors.Join(err, fail)
	}
	return eventOf(account, d), true, nil
}

func eventOf(account common.Address, d quorum.Debit) Event {
	return Event{ID: d.ID, Account: account, Kind: EventKind(d.Kind), Amount: d.Amount}
}

// waived is what the operators took out of the uncovered debits, in all.
func (tx *Tx) waived() (sum uint256.Int) {
	if !tx.anyResolved() {
		return sum
	}
	c := tx.b.Bucket(bucketWaived).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		var amount uint256.Int
		amount.SetBytes(v)
		if _, over := sum.AddOverflow(&sum, &amount); over {
			sum.SetAllOne()
		}
	}
	return sum
}

// resolve books the operators' word. A rule that it breaks has been refused before it was decided.
func (tx *Tx) resolve(r quorum.Resolve, a ActionEffects, height uint64) error {
	if !r.Uncovered.IsZero() {
		if err := tx.b.Bucket(bucketWaived).Put(be64(height), amountKey(r.Uncovered)); err != nil {
			return err
		}
	}
	for _, account := range r.Accounts {
		if err := tx.resolveAccount(account, height); err != nil {
			return fmt.Errorf("resolve account %s: %w", account.Account, err)
		}
	}
	tx.b.spoke = 0 // it has been said just now
	if err := tx.resolveLog(r.Log, a); err != nil {
		return fmt.Errorf("resolve rows: %w", err)
	}
	return tx.Audit("resolved", fmt.Sprintf("%d withdrawals, %d accounts, %d rows, uncovered %s: %s",
		len(r.Contents), len(r.Accounts), len(r.Log), r.Uncovered.Dec(), r.Reason))
}

// resolveAccount replaces an account's debits up to an id. What the node held against it is over: it is free, and A2
// begins anew.
func (tx *Tx) resolveAccount(r quorum.Rewrite, height uint64) error {
	b, err := tx.openBook(Intake{})
	if err != nil {
		return err
	}
	was, err := tx.dropDebits(r)
	if err != nil {
		return err
	}
	last, err := b.relist(r)
	if err != nil {
		return err
	}
	err = b.change(r.Account, func(a *acct) { a.Seq, a.Head, a.Debits = last.Seq, last.Head, last.Sum })
	if err == nil {
		err = b.includeRows(r)
	}
	for _, d := range r.Debits {
		if err == nil && EventKind(d.Kind) == Withdraw {
			err = b.matchReject(eventOf(r.Account, d), was[d.ID])
		}
	}
	if err != nil {
		return err
	}
	upTo := max(r.UpTo, tx.ResolvedUpTo(r.Account))
	return errors.Join(b.close(),
		tx.b.Bucket(bucketResolved).Put(r.Account[:], be64(upTo)),
		tx.b.Bucket(bucketResolvedAt).Put(join(r.Account[:], be64(height)), be64(tx.Counter())),
		tx.rebindList(r, was),
		tx.drop(bucketFreezes, r.Account[:]), tx.drop(bucketVerdictHead, r.Account[:]),
		tx.b.Bucket(bucketVerdictUpTo).Delete(r.Account[:]))
}

// dropDebits takes the account's links and earlier resolved debits up to the list's end away, and returns the links.
func (tx *Tx) dropDebits(r quorum.Rewrite) (was map[uint64]debit, err error) {
	was = map[uint64]debit{}
	for _, name := range [][]byte{bucketDebits, bucketResolvedDebits} {
		var keys [][]byte
		err := tx.each(name, r.Account[:], func(k, raw []byte) error {
			id := readBE64(k[common.AddressLength:])
			if id > r.UpTo {
				return nil
			}
			keys = append(keys, bytes.Clone(k))
			if !bytes.Equal(name, bucketDebits) {
				return nil
			}
			var d debit
			err := decode(raw, &d)
			was[id] = d
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if err := tx.b.Bucket(name).Delete(k); err != nil {
				return nil, err
			}
		}
	}
	return was, nil
}

// drop deletes every record under a prefix.
func (tx *Tx) drop(bucket, prefix []byte) error {
	var keys [][]byte
	err := tx.each(bucket, prefix, func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return nil })
	for _, k := range keys {
		err = errors.Join(err, tx.b.Bucket(bucket).Delete(k))
	}
	return err
}

// relist links the list, and what stands beyond it.
func (b *book) relist(r quorum.Rewrite) (last debit, err error) {
	last = debit{Head: quorum.AccountHead(r.Account)}
	for _, d := range r.Debits {
		amount, ok := ParseAmount(d.Amount)
		if !ok {
			return last, fmt.Errorf("debit %d has the amount %q", d.ID, d.Amount)
		}
		if err := b.tx.put(bucketResolvedDebits, debitKey(r.Account, d.ID), d); err != nil {
			return last, err
		}
		if last, err = b.link(last, eventOf(r.Account, d), amount, false); err != nil {
			return last, err
		}
	}
	return b.relink(r.Account, r.UpTo, last)
}

// includeRows takes the mark of lateness off the account's rows up to the list's end: the list says what they count.
func (b *book) includeRows(r quorum.Rewrite) error {
	a, err := b.account(r.Account)
	if err != nil {
		return err
	}
	log := b.tx.b.Bucket(bucketLog)
	for id := a.Last; id != 0; {
		raw := bytes.Clone(log.Get(be64(id)))
		_, prev, flags, err := row(raw)
		if err != nil {
			return err
		}
		if id <= r.UpTo && flags&rowExcluded != 0 {
			raw[rowHeader-1] = flags &^ rowExcluded
			if err := log.Put(be64(id), raw); err != nil {
				return err
			}
		}
		id = prev
	}
	return nil
}

// matchReject lets a refund count whose reject was decided before these books debited it.
func (b *book) matchReject(e Event, was debit) error {
	amount, _ := ParseAmount(e.Amount)
	at := b.tx.b.Bucket(bucketSpentAt).Get(debitKey(e.Account, e.ID))
	if at == nil || (was.Kind == Withdraw && was.Amount == amount) {
		return nil // nobody's, or counted when the row was booked or the reject decided
	}
	s, ok, err := b.tx.SpentWID(readBE64(at[32:]))
	if err != nil || !ok || s.Kind != SpentReject {
		return err
	}
	if b.tx.b.Bucket(bucketRejectWait).Get(debitKey(e.Account, e.ID)) != nil {
		return b.creditReject(e, amount)
	}
	if total, fits := contentTotal(s.Content); !fits || total != amount {
		return nil
	}
	_, err = b.refund(e.Account, amount, func(m *refundMatch) { m.Rejects++ })
	return err
}

// rebindList renews the indexes of requests and of spent withdrawals over what was and what is debited up to the list's end.
func (tx *Tx) rebindList(r quorum.Rewrite, was map[uint64]debit) error {
	var err error
	for id := range was {
		err = errors.Join(err, tx.b.Bucket(bucketUnbound).Delete(debitKey(r.Account, id)))
	}
	for _, d := range r.Debits {
		if EventKind(d.Kind) == Withdraw {
			err = errors.Join(err, tx.rebind(d.ID))
		}
	}
	if err != nil {
		return err
	}
	var spent []Spent
	if err := tx.SpentOf(r.Account, func(s Spent) error { spent = append(spent, s); return nil }); err != nil {
		return err
	}
	for _, s := range spent {
		if err := tx.checkSpent(s); err != nil {
			return err
		}
	}
	return nil
}

// postResolved takes a row that the operators' list of its account speaks for: on the list it is debited already, outside
// it counts nothing. done is false for every other row.
func (b *book) postResolved(e Event) (done bool, err error) {
	if e.ID > b.tx.ResolvedUpTo(e.Account) {
		return false, nil
	}
	d, ok, err := b.tx.resolvedDebit(e.Account, e.ID)
	if err != nil {
		return true, err
	}
	if listed := ok && d.Kind == uint8(e.Kind) && d.Amount == e.Amount; !listed {
		b.alert(AlertResolved, Warning, e, "the operators resolved the account's debits up to here; ask the Relay's operator",
			"debit %d of %s wei is not among the resolved debits of %s: it counts nothing", e.ID, e.Amount, e.Account)
	}
	if err := b.log(e, 0); err != nil || e.Kind != Withdraw {
		return true, err
	}
	return true, b.tx.rebind(e.ID)
}

// AlertResolved is a row of an account's resolved past that the operators' list does not hold.
const AlertResolved AlertCode = "debit-outside-resolve"

// AlertResolvedRow is a row that the operators signed and that this node cannot take.
const AlertResolvedRow AlertCode = "row-differs-from-resolve"

// resolveLog books rows that only the operators still vouch for, by the rules for late rows. A row that these books hold
// otherwise stays: what was taken is never rewritten, and a person must look.
func (tx *Tx) resolveLog(rows []quorum.LogRow, a ActionEffects) error {
	if len(rows) == 0 {
		return nil
	}
	raise := a.Raise
	if raise == nil {
		raise = func(Alert) {}
	}
	var fresh []Event
	for _, r := range rows {
		e := rowOf(r)
		known, held := tx.b.Bucket(bucketLog).Get(be64(e.ID)), tx.b.Bucket(bucketHeld).Get(be64(e.ID))
		switch {
		case known == nil && held == nil:
			fresh = append(fresh, e)
		case known != nil && !bytes.Equal(known[rowHeader:], encode(e)), held != nil && !bytes.Equal(held, encode(e)):
			raise(Alert{AlertResolvedRow, Critical, e.Account, e.ID, fmt.Sprintf("event %d was resolved otherwise than these books hold it", e.ID),
				"compare with the other custodians: this node was shown another row"})
		}
	}
	if tx.b.Bucket(bucketHeld).keys()+len(fresh) > MaxHeld {
		raise(Alert{Code: AlertResolvedRow, Severity: Critical, Text: "resolved rows were not taken: too many events wait behind uncovered debits",
			Hint: "a later RESOLVE can bring them again"})
		return nil
	}
	a.Intake.Brought = true
	out, err := tx.Append(fresh, a.Intake)
	for _, alert := range out.Alerts {
		raise(alert)
	}
	return err
}

// rowOf is the event of a row that operators signed.
func rowOf(r quorum.LogRow) Event {
	e := Event{ID: r.ID, CreatedAt: r.CreatedAt, Account: r.Account, Kind: EventKind(r.Kind), Amount: r.Amount,
		Deposit: DepositRef{r.Network, r.TxHash}, Vesting: VestingRef(r.Vesting)}
	if len(e.Vesting.Signature) == 0 {
		e.Vesting.Signature = nil // decoded as empty, and an event without payload ends at its amount
	}
	return e
}

// RowOf is an event as operators sign it.
func RowOf(e Event) quorum.LogRow {
	return quorum.LogRow{ID: e.ID, CreatedAt: e.CreatedAt, Account: e.Account, Kind: uint8(e.Kind), Amount: e.Amount,
		Network: e.Deposit.Network, TxHash: e.Deposit.TxHash, Vesting: quorum.LogVesting(e.Vesting)}
}

// era counts how often an account's debits were replaced before a statement of this node.
func (tx *Tx) era(account common.Address, counter uint64) (n int, err error) {
	err = tx.scan(bucketResolvedAt, account[:], func(_, v []byte) error {
		if readBE64(v) < counter {
			n++
		}
		return nil
	})
	return n, err
}

// resolved books the operators' lists before the log is read, which then stands behind them.
func (c *booksCheck) resolved() error {
	return c.tx.scan(bucketResolvedDebits, nil, func(k, v []byte) error {
		var d quorum.Debit
		if err := decode(v, &d); err != nil {
			return err
		}
		address := common.BytesToAddress(k[:common.AddressLength])
		amount, ok := ParseAmount(d.Amount)
		if id := readBE64(k[common.AddressLength:]); !ok || id != d.ID || id > c.tx.ResolvedUpTo(address) {
			return differs("resolved debit %d of %s is stored as %+v", id, address, d)
		}
		c.account(address).debit(eventOf(address, d), amount)
		return nil
	})
}

// DebitsUpTo returns an account's debits up to an id, as a draft of what operators may say: those that these books took, and
// those whose rows came too late to be taken. A malformed amount stands as 0, which is what it takes.
func (tx *Tx) DebitsUpTo(account common.Address, upTo uint64) (out []quorum.Debit, err error) {
	err = tx.scan(bucketDebits, account[:], func(k, raw []byte) error {
		id := readBE64(k[common.AddressLength:])
		if id > upTo {
			return nil
		}
		var d debit
		if err := decode(raw, &d); err != nil {
			return err
		}
		out = append(out, quorum.Debit{ID: id, Kind: uint8(d.Kind), Amount: d.Amount.Dec()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	a, _, err := tx.acct(account)
	for id := a.Last; id != 0 && err == nil; {
		var e Event
		var flags byte
		var prev uint64
		e, prev, flags, err = row(tx.b.Bucket(bucketLog).Get(be64(id)))
		if flags&rowExcluded != 0 && id <= upTo {
			amount, _ := e.wei()
			out = append(out, quorum.Debit{ID: id, Kind: uint8(e.Kind), Amount: amount.Dec()})
		}
		id = prev
	}
	slices.SortFunc(out, func(x, y quorum.Debit) int { return cmp.Compare(x.ID, y.ID) })
	return out, err
}
