package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

func holdOf(t require.TestingT, l *Ledger) (h Hold, ok bool) {
	require.NoError(t, l.View(func(tx *Tx) (err error) {
		h, ok, err = tx.HoldSince()
		return err
	}))
	return h, ok
}

func capped(limit, now uint64) Intake {
	in := plenty()
	in.Policy = quorum.Policy{UncoveredMax: wei(limit)}
	in.Now = now
	return in
}

// TestNegativeFeeOneHopFurther: U pays a negative fee, which the Relay credits to him, and spends it on a task that his own
// node V serves. V's income is honest in form; it must not be booked.
func TestNegativeFeeOneHopFurther(t *testing.T) {
	l := newBooks(t)
	u, v, honest := testAccount(1), testAccount(2), testAccount(3)
	out := appendAll(t, l, capped(1000, 5),
		event(1, honest, TaskIncome, "300"),
		event(2, u, TaskPayment, "-5000"),
		event(3, u, TaskPayment, "900"),
		event(4, v, TaskIncome, "900"),
		event(5, u, TaskPayment, "4000"),
		event(6, v, TaskIncome, "4000"),
		event(7, honest, TaskIncome, "1"))
	require.Equal(t, 4, out.Booked)
	require.Equal(t, 3, out.Held)
	require.Equal(t, []AlertCode{AlertMalformedDebit, AlertUncovered}, codes(out.Alerts))
	require.Equal(t, Hold{Since: 5, Event: 5, Uncovered: wei(900), Max: wei(1000)}, *out.Hold)
	require.Equal(t, "900 counted, 0 pending", credits(t, l, v), "what was booked before stays")
	checked(t, l)

	again := appendAll(t, l, capped(1000, 99))
	require.Empty(t, again.Alerts, "one alert for one hold")
	h, ok := holdOf(t, l)
	require.True(t, ok)
	require.Equal(t, uint64(5), h.Since, "further tries keep the time")

	raised := appendAll(t, l, capped(10_000, 100))
	require.Equal(t, 3, raised.Booked)
	_, ok = holdOf(t, l)
	require.False(t, ok)
	checked(t, l)
}

func TestHoldEndsWhenADepositIsProven(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	out := appendAll(t, l, capped(10, 5), deposit(1, a, "50", 1), event(2, a, Withdraw, "50"), event(3, a, TaskIncome, "1"))
	require.Equal(t, uint64(2), out.Hold.Event)
	totals := func() (got Totals) {
		require.NoError(t, l.View(func(tx *Tx) (err error) { got, err = tx.Totals(); return err }))
		return got
	}
	require.Equal(t, []uint64{3, 1}, []uint64{totals().LastID, totals().SettledID})
	prove(t, l, 1, Pending)
	require.Nil(t, appendAll(t, l, capped(10, 6)).Hold, "pending credits cover")
	require.Equal(t, uint64(1), accountOf(t, l, a).Seq)

	prove(t, l, 1, Unproven)
	out = appendAll(t, l, capped(10, 7), event(4, a, TaskIncome, "1"))
	require.Equal(t, Hold{Since: 7, Event: 4, Uncovered: wei(49), Max: wei(10)}, *out.Hold, "the block went: nothing further is booked")
	prove(t, l, 1, Counted)
	require.Nil(t, appendAll(t, l, capped(10, 8)).Hold)
	require.Equal(t, "52 counted, 0 pending", credits(t, l, a))
	checked(t, l)
}

func TestHeldRowsSurviveAndStayTheSame(t *testing.T) {
	dir := t.TempDir()
	l, a := booksAt(t, dir), testAccount(1)
	held := event(2, a, TaskPayment, "50")
	appendAll(t, l, capped(10, 5), held)
	require.NoError(t, l.Close())
	l = booksAt(t, dir)
	defer func() { require.NoError(t, l.Close()) }()
	require.Equal(t, 1, appendAll(t, l, capped(10, 6), held).Held, "the same row again is nothing new")
	changed := held
	changed.Amount = "5"
	require.ErrorIs(t, l.Update(func(tx *Tx) error { _, err := tx.Append([]Event{changed}, capped(10, 6)); return err }), ErrHostile)
	require.Zero(t, accountOf(t, l, a).Seq, "a held row makes no account")
	out := appendAll(t, l, capped(10, 7), event(1, a, TaskIncome, "45"))
	require.Equal(t, 2, out.Booked, "a late credit stands before what is held")
	checked(t, l)
}

func TestHoldIsBounded(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	page := make([]Event, MaxHeld+1)
	for i := range page {
		page[i] = event(uint64(i)+1, a, TaskPayment, "1")
	}
	err := l.Update(func(tx *Tx) error { _, err := tx.Append(page, capped(0, 5)); return err })
	require.ErrorIs(t, err, ErrHoldFull)
	require.Equal(t, MaxHeld, appendAll(t, l, capped(0, 5), page[:MaxHeld]...).Held)
}

// TestARejectedDebitThatComesLastCoversItself: the decision and the Relay's refund were here before the withdrawal's own
// row. Together they leave nothing uncovered, so a node that saw the row last must not stand still over it.
func TestARejectedDebitThatComesLastCoversItself(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	c := quorum.Content{WID: 1, Account: a, Amount: wei(50), EventID: 7}
	update(t, l, func(tx *Tx) error {
		return tx.putSpent(Spent{Content: c, Hash: c.Hash(testNetwork), Kind: SpentReject, Height: 1})
	})
	require.Nil(t, appendAll(t, l, capped(10, 5), event(8, a, WithdrawRefund, "50")).Hold)

	require.NotNil(t, appendAll(t, l, capped(10, 6), event(9, a, Withdraw, "50")).Hold, "another row of that amount has no refund")
	require.Equal(t, uint64(9), appendAll(t, l, capped(10, 7), event(7, a, Withdraw, "50")).Hold.Event)
	require.Equal(t, "50 counted, 0 pending", credits(t, l, a))
	checked(t, l)
}
