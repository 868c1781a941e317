package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// TestCheckBooksNamesEveryDifference tampers with one record of every bucket that follows from the log.
func TestCheckBooksNamesEveryDifference(t *testing.T) {
	a := testAccount(1)
	full := func(t *testing.T) *Ledger {
		l := newBooks(t)
		appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"), deposit(2, a, "50", 1), event(3, a, Withdraw, "15"), event(4, a, Withdraw, "15"),
			event(5, feeAccount, WithdrawalFeeIncome, "5"), event(6, a, WithdrawRefund, "15"), event(5000, a, Withdraw, "15"))
		prove(t, l, 2, Counted)
		list(t, l, request(1, a, 10, 5, 3), request(2, a, 10, 5, 4))
		spend(t, l, Spent{request(1, a, 10, 5, 3).Content(common.Address{}), common.Hash{}, SpentItem, 1})
		spend(t, l, Spent{request(2, a, 10, 5, 4).Content(common.Address{}), common.Hash{}, SpentReject, 1})
		update(t, l, func(tx *Tx) error { return tx.BookPaid(1) })
		return l
	}
	report := checked(t, full(t))
	require.Equal(t, BooksReport{Events: 7, Accounts: 2, Debits: 3, Withdrawals: 2, Root: report.Root}, report)
	require.NotZero(t, report.Root)

	remove := func(b *bucket) error { k, _ := b.Cursor().First(); return b.Delete(k) }
	for _, name := range [][]byte{bucketLog, bucketRanges, bucketAccounts, bucketDebits, bucketDeposits, bucketDepositTx, bucketFees, bucketFeesPaid,
		bucketRefunds, bucketRequests, bucketRequestEvent, bucketRequestMessage, bucketRequestAccount, bucketUnbound, bucketSpentAt} {
		t.Run("without a record of "+string(name), func(t *testing.T) {
			l := full(t)
			update(t, l, func(tx *Tx) error { return remove(tx.b.Bucket(name)) })
			_, err := l.CheckBooks(nil)
			require.Error(t, err)
		})
	}
	for name, put := range map[string]func(tx *Tx) error{
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
	} {
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
