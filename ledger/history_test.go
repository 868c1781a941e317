package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func historyOf(t require.TestingT, l *Ledger) (h History) {
	require.NoError(t, l.View(func(tx *Tx) (err error) { h, _, err = tx.History(); return err }))
	return h
}

func logRoot(t require.TestingT, l *Ledger, upTo uint64) (root common.Hash) {
	require.NoError(t, l.View(func(tx *Tx) (err error) { root, err = tx.LogRoot(upTo); return err }))
	return root
}

// past is a history of each kind that counts at face value there, and a debt.
func past(a, b common.Address) []Event {
	old := deposit(3, a, "50", 1)
	return []Event{event(1, a, TaskIncome, "100"), event(2, a, WithdrawalFeeIncome, "7"), old, event(4, b, Withdraw, "30"), event(5, b, WithdrawRefund, "20")}
}

func cutOver(t require.TestingT, event uint64, rows ...Event) quorum.Cutover {
	var root common.Hash
	func() {
		l := booksAt(t, tempDir(t))
		defer l.Close()
		appendAll(t, l, plenty(), rows...)
		root = logRoot(t, l, event)
	}()
	return quorum.Cutover{Event: event, Root: root}
}

func tempDir(t require.TestingT) string {
	if t, ok := t.(interface{ TempDir() string }); ok {
		return t.TempDir()
	}
	panic("no folder")
}

func TestHistoryCountsAtFaceValue(t *testing.T) {
	l, a, b := newBooks(t), testAccount(1), testAccount(2)
	in := capped(0, 5)
	in.History = cutOver(t, 5, past(a, b)...)

	out := appendAll(t, l, in, past(a, b)[:3]...)
	require.Nil(t, out.Hold)
	require.NotEmpty(t, historyOf(t, l).Open(), "not there yet")
	out = appendAll(t, l, in, past(a, b)[3:]...)
	require.Nil(t, out.Hold, "debts of the history hold nothing up")
	require.Equal(t, History{Event: 5, Root: in.History.Root, Own: in.History.Root, Sealed: true, Base: wei(10)}, historyOf(t, l))
	require.Empty(t, historyOf(t, l).Open())
	require.Equal(t, "157 counted, 0 pending", credits(t, l, a))
	require.Equal(t, "20 counted, 0 pending", credits(t, l, b))
	checked(t, l)

	// After it the strict rules hold: fees and refunds need their match, and the transfer is used up.
	out = appendAll(t, l, in, event(6, a, WithdrawRefund, "9"), deposit(7, a, "50", 1))
	require.Equal(t, "157 counted, 0 pending", credits(t, l, a))
	prove(t, l, 7, Counted)
	require.Equal(t, "157 counted, 0 pending", credits(t, l, a))
	checked(t, l)
}

func TestARowOfASealedHistoryOnlyAlerts(t *testing.T) {
	l, a, b := newBooks(t), testAccount(1), testAccount(2)
	in := capped(1000, 5)
	rows := append(past(a, b)[:1:1], past(a, b)[2:]...)
	in.History = cutOver(t, 5, rows...)
	appendAll(t, l, in, rows...)
	before := stateOf(t, l)
	out := appendAll(t, l, in, past(a, b)[1])
	require.Equal(t, []AlertCode{AlertHistory}, codes(out.Alerts))
	require.Zero(t, out.Booked)
	require.Equal(t, before, stateOf(t, l))
}

func TestAnotherHistoryIsNotSealedUntilItIsRepaired(t *testing.T) {
	l, a, b := newBooks(t), testAccount(1), testAccount(2)
	in := capped(1000, 5)
	in.History = cutOver(t, 5, past(a, b)...)
	out := appendAll(t, l, in, append(past(a, b)[1:], event(9, b, TaskIncome, "1"))...)
	require.Equal(t, []AlertCode{AlertHistory}, codes(out.Alerts))
	require.Contains(t, historyOf(t, l).Open(), "another history")
	require.Empty(t, appendAll(t, l, in).Alerts, "said once")

	appendAll(t, l, in, past(a, b)[0])
	require.True(t, historyOf(t, l).Sealed)
	checked(t, l)
}

// TestOldDebtsThatArePaidMakeNoRoomForNewOnes: what the history left uncovered may stay so, and not one wei more.
func TestOldDebtsThatArePaidMakeNoRoomForNewOnes(t *testing.T) {
	l, a, b := newBooks(t), testAccount(1), testAccount(2)
	in := capped(0, 5)
	in.History = cutOver(t, 1, event(1, a, Withdraw, "100"))
	require.Nil(t, appendAll(t, l, in, event(1, a, Withdraw, "100")).Hold)
	require.NotNil(t, appendAll(t, l, in, event(2, b, Withdraw, "1")).Hold)

	l = newBooks(t)
	appendAll(t, l, in, event(1, a, Withdraw, "100"), event(2, a, TaskIncome, "60"))
	require.Equal(t, wei(40), historyOf(t, l).Base)
	require.NotNil(t, appendAll(t, l, in, event(3, b, Withdraw, "1")).Hold)
}

func TestListedVestingsNeedNoSignature(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	in := plenty()
	in.Now = 40 * dayMS
	v := VestingRef{ID: 1, Account: a, Spelling: a.Hex(), Total: "1000", Released: "0", Start: 0, DurationDays: 10, Type: "node", Signature: make([]byte, 65)}
	rows := []Event{
		{ID: 1, Account: a, Kind: VestingCreated, Amount: "0", Vesting: v},
		{ID: 2, Account: a, Kind: VestingRelease, Amount: "300", Vesting: VestingRef{ID: 1}},
	}
	in.History = cutOver(t, 2, rows...)
	appendAll(t, l, in, rows...)
	require.Equal(t, "0 counted, 0 pending", credits(t, l, a))

	l = newBooks(t)
	in.History.Vesting = []common.Hash{VestingDigest(v)}
	appendAll(t, l, in, rows...)
	require.Equal(t, "300 counted, 0 pending", credits(t, l, a))
	checked(t, l)

	other := v
	other.Total = "2000"
	require.NotEqual(t, VestingDigest(v), VestingDigest(other))
	require.NotEqual(t, VestingDigest(v), crypto.Keccak256Hash(encode(v)))
}

// TestAnyReplayReachesTheSameSealedBooks: whatever pages a Relay cuts the log into.
func TestAnyReplayReachesTheSameSealedBooks(t *testing.T) {
	a, b := testAccount(1), testAccount(2)
	rows := append(past(a, b), event(6, a, TaskPayment, "10"), event(8, b, TaskIncome, "5"), event(9, b, Withdraw, "3"))
	in := capped(1000, 5)
	in.History = cutOver(t, 5, past(a, b)...)
	whole := newBooks(t)
	appendAll(t, whole, in, rows...)
	want := stateOf(t, whole)
	rapid.Check(t, func(rt *rapid.T) {
		l := newBooks(t)
		for left := rows; len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(rt, "page")
			appendAll(rt, l, in, left[:n]...)
			left = left[n:]
		}
		require.Equal(rt, want, stateOf(rt, l))
		require.True(rt, historyOf(rt, l).Sealed)
		checked(rt, l)
	})
}
