package ledger

import (
	"maps"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

// checkMore adds what has a record in every bucket: a vesting that is partly released, deposits that are open and
// contradicted, a malformed debit, a late one, and a reject whose debit never came.
func checkMore(t *testing.T, l *Ledger) {
	a, key := testAccount(1), crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test vesting admin")))
	in := plenty()
	in.Now, in.VestingAdmins = 3*dayMS, []common.Address{crypto.PubkeyToAddress(key.PublicKey)}
	release := event(5103, a, VestingRelease, "300")
	release.Vesting = VestingRef{ID: 1}
	appendAll(t, l, in, deposit(5100, testAccount(2), "9", 2), deposit(5101, a, "9", 3), testVesting(t, key, 5102, 1, a, "1000"), release,
		event(5104, testAccount(3), TaskPayment, "-5"), event(5106, testAccount(4), Withdraw, "0"))
	prove(t, l, 5100, Contradicted)
	update(t, l, func(tx *Tx) error { return tx.raiseApproved(testAccount(4), 5106) })
	appendAll(t, l, in, event(5105, testAccount(4), TaskPayment, "1"))
	list(t, l, request(3, testAccount(4), 0, 0, 5106))
	spend(t, l, Spent{Content: request(9, a, 10, 5, 6000).Content(common.Address{}), Kind: SpentReject, Height: 1})
}

// TestCheckBooksNamesEveryDifference tampers with one record of every bucket that follows from the log.
func TestCheckBooksNamesEveryDifference(t *testing.T) {
	a := testAccount(1)
	full := func(t *testing.T) *Ledger {
		l := newBooks(t)
		appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"), deposit(2, a, "50", 1), event(3, a, Withdraw, "15"), event(4, a, Withdraw, "15"),
			event(5, feeAccount, WithdrawalFeeIncome, "5"), event(6, a, WithdrawRefund, "15"), event(5000, a, Withdraw, "15"))
		prove(t, l, 2, Counted)
		list(t, l, request(1, a, 10, 5, 3), request(2, a, 10, 5, 4))
		spend(t, l, Spent{Content: request(1, a, 10, 5, 3).Content(common.Address{}), Kind: SpentItem, Height: 1})
		spend(t, l, Spent{Content: request(2, a, 10, 5, 4).Content(common.Address{}), Kind: SpentReject, Height: 1})
		update(t, l, func(tx *Tx) error { return tx.BookPaid(1) })
		checkMore(t, l)
		return l
	}
	report := checked(t, full(t))
	require.Equal(t, BooksReport{Events: 14, Accounts: 5, Debits: 5, Withdrawals: 3, Root: report.Root}, report)
	require.NotZero(t, report.Root)

	remove := func(b *bucket) error { k, _ := b.Cursor().First(); return b.Delete(k) }
	for _, name := range [][]byte{bucketLog, bucketRanges, bucketAccounts, bucketDebits, bucketDeposits, bucketDepositTx, bucketFees, bucketFeesPaid,
		bucketRefunds, bucketRequests, bucketRequestEvent, bucketRequestMessage, bucketRequestAccount, bucketUnbound, bucketSpentAt,
		bucketDepositsOpen, bucketVesting, bucketVestingKey, bucketReleases, bucketReleasesDue, bucketRequestOpen, bucketSpentMissing, bucketFreezes} {
		t.Run("without a record of "+string(name), func(t *testing.T) {
			l := full(t)
			update(t, l, func(tx *Tx) error { return remove(tx.b.Bucket(name)) })
			_, err := l.CheckBooks(nil)
			require.Error(t, err)
		})
	}
	bent := bentSums(t, a)
	maps.Copy(bent, bentIndexes(t, a))
	for name, put := range bent {
		t.Run(name, func(t *testing.T) {
			l := full(t)
			update(t, l, put)
			_, err := l.CheckBooks(nil)
			var broken *Violation
			require.ErrorAs(t, err, &broken)
			require.Equal(t, "I13", broken.Invariant)
		})
	}
	t.Run("a torn record is corruption", func(t *testing.T) {
		l := full(t)
		update(t, l, func(tx *Tx) error { return tx.b.Bucket(bucketLog).Put(be64(1), []byte{1}) })
		_, err := l.CheckBooks(nil)
		require.ErrorIs(t, err, ErrCorrupt)
	})
}

// bentSums tampers with what follows from rows.
func bentSums(t *testing.T, a common.Address) map[string]func(tx *Tx) error {
	return map[string]func(tx *Tx) error{
		"a credit from nowhere": func(tx *Tx) error {
			b, err := tx.openBook(plenty())
			require.NoError(t, err)
			require.NoError(t, b.count(a, wei(1)))
			return b.close()
		},
		"open though decided":     func(tx *Tx) error { return tx.b.Bucket(bucketRequestOpen).Put(be64(1), []byte{1}) },
		"missing though held":     func(tx *Tx) error { return tx.b.Bucket(bucketSpentMissing).Put(join(a[:], be64(1)), []byte{1}) },
		"a debit from nowhere":    func(tx *Tx) error { return tx.put(bucketDebits, debitKey(a, 77), debit{}) },
		"unbound though bound":    func(tx *Tx) error { return tx.b.Bucket(bucketUnbound).Put(debitKey(a, 3), []byte{1}) },
		"an account from nowhere": func(tx *Tx) error { return tx.put(bucketAccounts, feeAccount[:19], acct{}) },
		"an amount rewritten": func(tx *Tx) error {
			return tx.b.Bucket(bucketLog).Put(be64(1), join(be64(0), []byte{0}, encode(event(1, a, TaskIncome, "101"))))
		},
		"a debit rewritten": func(tx *Tx) error {
			return tx.b.Bucket(bucketLog).Put(be64(3), join(be64(2), []byte{0}, encode(event(3, a, Withdraw, "14"))))
		},
		"a row that excludes a credit": func(tx *Tx) error {
			return tx.b.Bucket(bucketLog).Put(be64(1), join(be64(0), []byte{rowExcluded}, encode(event(1, a, TaskIncome, "100"))))
		},
	}
}

// bentIndexes tampers with what is looked up.
func bentIndexes(t *testing.T, a common.Address) map[string]func(tx *Tx) error {
	return map[string]func(tx *Tx) error{
		"held though booked":            func(tx *Tx) error { return tx.put(bucketHeld, be64(1), event(1, a, TaskIncome, "100")) },
		"held without a hold":           func(tx *Tx) error { return tx.put(bucketHeld, be64(9999), event(9999, a, TaskPayment, "1")) },
		"held under another id":         func(tx *Tx) error { return tx.put(bucketHeld, be64(9999), event(9998, a, TaskPayment, "1")) },
		"a proven deposit is open":      func(tx *Tx) error { return tx.b.Bucket(bucketDepositsOpen).Put(be64(2), []byte{1}) },
		"a deposit from nowhere":        func(tx *Tx) error { return tx.b.Bucket(bucketDeposits).Put(be64(1), []byte{0}) },
		"a proof that there is not":     func(tx *Tx) error { return tx.b.Bucket(bucketDeposits).Put(be64(5101), []byte{9}) },
		"a fee of an amount of nobody":  func(tx *Tx) error { return tx.put(bucketFees, amountKey(wei(6)), feeMatch{Paid: 1, Decided: 1}) },
		"fewer fees than rows":          func(tx *Tx) error { return tx.put(bucketFees, amountKey(wei(5)), feeMatch{Paid: 1, Decided: 1}) },
		"more fees than rows":           func(tx *Tx) error { return tx.put(bucketFees, amountKey(wei(5)), feeMatch{feeAccount, 2, 1, 1}) },
		"a refund of nobody":            func(tx *Tx) error { return tx.put(bucketRefunds, join(a[:], amountKey(wei(6))), refundMatch{1, 1}) },
		"a reject that waits":           func(tx *Tx) error { return tx.b.Bucket(bucketRejectWait).Put(debitKey(a, 4), amountKey(wei(15))) },
		"a reject that nobody decided":  func(tx *Tx) error { return tx.b.Bucket(bucketRejectWait).Put(debitKey(a, 9999), amountKey(wei(15))) },
		"a reject for another amount":   func(tx *Tx) error { return tx.b.Bucket(bucketRejectWait).Put(debitKey(a, 6000), amountKey(wei(16))) },
		"a vesting that nobody created": func(tx *Tx) error { return tx.put(bucketVesting, be64(8), Schedule{ID: 8, Account: a, Event: 5102}) },
		"an index of no vesting":        func(tx *Tx) error { return tx.b.Bucket(bucketVestingKey).Put([]byte("else"), be64(1)) },
		"a longer vesting": func(tx *Tx) error {
			var s Schedule
			_, err := tx.get(bucketVesting, be64(1), &s)
			require.NoError(t, err)
			s.Total.SetUint64(2000)
			return tx.put(bucketVesting, be64(1), s)
		},
		"released ahead of the clock": func(tx *Tx) error {
			b, err := tx.openBook(Intake{})
			require.NoError(t, err)
			s := Schedule{ID: 1, Account: a}
			require.NoError(t, b.keepRelease(s, release{wei(300), standingCredit{Counted: wei(300)}}))
			require.NoError(t, b.count(a, wei(100)))
			return b.close()
		},
		"not due though it is": func(tx *Tx) error { return tx.b.Bucket(bucketReleasesDue).Delete(be64(1)) },
		"due though it is not": func(tx *Tx) error { return tx.b.Bucket(bucketReleasesDue).Put(be64(7), []byte{1}) },
		"a release of nobody":  func(tx *Tx) error { return tx.put(bucketReleases, releaseKey(7, a), release{Released: wei(1)}) },
		"a freeze under another name": func(tx *Tx) error {
			return tx.put(bucketFreezes, freezeKey(a, FreezeHead, 0), Freeze{Code: FreezeOperator})
		},
		"an index of no request":    func(tx *Tx) error { return tx.b.Bucket(bucketRequestEvent).Put(join(be64(4), be64(77)), []byte{1}) },
		"paid though it is no item": func(tx *Tx) error { return tx.b.Bucket(bucketFeesPaid).Put(be64(2), []byte{1}) },
		"a fate at an event of nobody": func(tx *Tx) error {
			return tx.b.Bucket(bucketSpentAt).Put(debitKey(a, 7), join(amountKey(wei(15)), be64(1)))
		},
		"an open request of nobody": func(tx *Tx) error { return tx.b.Bucket(bucketRequestOpen).Put(be64(77), []byte{1}) },
		"a row that links to another": func(tx *Tx) error {
			return tx.b.Bucket(bucketLog).Put(be64(3), join(be64(1), []byte{0}, encode(event(3, a, Withdraw, "15"))))
		},
	}
}
