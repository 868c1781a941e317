package ledger

import (
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func request(id uint64, account common.Address, amount, fee, event uint64) Withdrawal {
	return Withdrawal{ID: id, CreatedAt: 3, Account: account, To: account, Spelling: account.Hex(), Network: "devnet",
		Amount: wei(amount), Fee: wei(fee), EventID: event, Timestamp: id, Signature: []byte{byte(id)}}
}

func list(t require.TestingT, l *Ledger, rows ...Withdrawal) (out []Alert) {
	update(t, l, func(tx *Tx) error {
		for _, w := range rows {
			alerts, err := tx.PutWithdrawal(w)
			if err != nil {
				return err
			}
			out = append(out, alerts...)
		}
		return nil
	})
	return out
}

func standing(t require.TestingT, l *Ledger, w Withdrawal) (s Standing) {
	require.NoError(t, l.View(func(tx *Tx) (err error) {
		s, err = tx.Standing(w)
		return err
	}))
	return s
}

func TestMessageIsTheSignedText(t *testing.T) {
	a := common.HexToAddress("0x74179B36B642C6459C313D1306DCEa6c626D949a")
	w := Withdrawal{Account: a, Spelling: "0x74179b36b642c6459c313d1306dcea6c626d949a", Network: "labnet", Amount: wei(6e18), Timestamp: 1795206500}
	text := "Crynux Relay\nAction: Withdraw 6000000000000000000 from 0x74179B36B642C6459C313D1306DCEa6c626D949a to 0x74179b36b642c6459c313d1306dcea6c626d949a on labnet\n" +
		"Address: 0x74179B36B642C6459C313D1306DCEa6c626D949a\nTimestamp: 1795206500"
	require.Equal(t, common.BytesToHash(accounts.TextHash([]byte(text))), w.Message())
}

func TestRequestsMayChangeTheirStatusOnly(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	w := request(1, a, 10, 5, 2)
	require.Empty(t, list(t, l, w, w))
	for name, change := range map[string]func(*Withdrawal){
		"to": func(w *Withdrawal) { w.To = testAccount(9) }, "amount": func(w *Withdrawal) { w.Amount = wei(11) }, "fee": func(w *Withdrawal) { w.Fee = wei(4) },
		"event": func(w *Withdrawal) { w.EventID++ }, "signature": func(w *Withdrawal) { w.Signature = []byte{9} }, "time": func(w *Withdrawal) { w.Timestamp++ },
		"spelling": func(w *Withdrawal) { w.Spelling = "0x" }, "network": func(w *Withdrawal) { w.Network = "x" },
	} {
		other := w
		change(&other)
		err := l.Update(func(tx *Tx) error { _, err := tx.PutWithdrawal(other); return err })
		var changed *ChangedError
		require.ErrorAs(t, err, &changed, name)
		require.ErrorIs(t, err, ErrHostile)
		require.Equal(t, uint64(1), changed.ID)
	}
	done := w
	done.Status = StatusSuccess
	require.Equal(t, []AlertCode{AlertRequestStatus}, codes(list(t, l, done)), "this network did not decide it")
	spend(t, l, Spent{Content: w.Content(common.Address{}), Hash: common.Hash{}, Kind: SpentItem, Height: 1})
	require.Equal(t, []AlertCode{AlertRequestStatus}, codes(list(t, l, w)), "an outcome was taken back")
	require.Empty(t, list(t, l, w, done))
	done.Status = StatusFailed
	require.Equal(t, []AlertCode{AlertRequestStatus}, codes(list(t, l, done)))
	checked(t, l)
}

func TestBinding(t *testing.T) {
	a, b := testAccount(1), testAccount(2)
	rows := []Event{event(1, a, TaskIncome, "100"), event(2, a, Withdraw, "15"), event(3, a, TaskPayment, "15"), event(4, a, Withdraw, "-15")}
	for want, w := range map[Binding]Withdrawal{
		Bound: request(1, a, 10, 5, 2), EventMissing: request(1, a, 10, 5, 9), EventKindWrong: request(1, a, 10, 5, 3),
		EventAccount: request(1, b, 10, 5, 2), EventAmount: request(1, a, 10, 4, 2),
	} {
		for _, listFirst := range []bool{true, false} {
			l := newBooks(t)
			if listFirst {
				list(t, l, w)
			}
			appendAll(t, l, plenty(), rows...)
			if !listFirst {
				list(t, l, w)
			}
			require.Equal(t, want, standing(t, l, w).Binding)
			checked(t, l)
		}
	}
	t.Run("an amount that overflows", func(t *testing.T) {
		l := newBooks(t)
		appendAll(t, l, plenty(), rows...)
		w := request(1, a, 10, 5, 4)
		w.Amount.SetAllOne()
		w.Fee = wei(16)
		require.Equal(t, EventAmount, standing(t, l, w).Binding)
	})
	t.Run("two requests name one event", func(t *testing.T) {
		l := newBooks(t)
		appendAll(t, l, plenty(), rows...)
		first, second := request(1, a, 10, 5, 2), request(2, a, 10, 5, 2)
		require.Equal(t, []AlertCode{AlertRequestEvent}, codes(list(t, l, first, second)))
		require.Equal(t, EventShared, standing(t, l, first).Binding)
		require.Equal(t, EventShared, standing(t, l, second).Binding)
		checked(t, l)
	})
	t.Run("a late debit that was not booked", func(t *testing.T) {
		l := newBooks(t)
		update(t, l, func(tx *Tx) error { return tx.raiseApproved(a, 50) })
		appendAll(t, l, plenty(), rows[1])
		w := request(1, a, 10, 5, 2)
		list(t, l, w)
		require.Equal(t, EventExcluded, standing(t, l, w).Binding)
		checked(t, l)
	})
}

// TestBalanceForARequest: debits up to its event and decided ones beyond it, wherever credits stand.
func TestBalanceForARequest(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "40"), event(2, a, Withdraw, "15"), event(3, a, TaskPayment, "7"), event(4, a, Withdraw, "20"), event(5, a, TaskPayment, "500"), event(6, a, TaskIncome, "1"))
	first, second := request(1, a, 10, 5, 2), request(2, a, 15, 5, 4)
	list(t, l, first, second)
	balance := func(w Withdrawal) string {
		s := standing(t, l, w)
		left, short := s.Balance()
		return fmt.Sprintf("%s left, %s short", left.Dec(), short.Dec())
	}
	require.Equal(t, "26 left, 0 short", balance(first))
	require.Equal(t, "0 left, 1 short", balance(second))
	require.Equal(t, uint64(1), standing(t, l, first).Seq)
	require.Equal(t, uint64(3), standing(t, l, second).Seq)

	spend(t, l, Spent{Content: second.Content(common.Address{}), Hash: common.Hash{}, Kind: SpentReject, Height: 1})
	require.Equal(t, "6 left, 0 short", balance(first), "what was decided beyond is reserved")
	spend(t, l, Spent{Content: first.Content(common.Address{}), Hash: common.Hash{}, Kind: SpentItem, Height: 1})
	require.Equal(t, "6 left, 0 short", balance(first), "its own debit counts once")
	require.Equal(t, "15", ptr(accountOf(t, l, a).Reserved).Dec())
	update(t, l, func(tx *Tx) error { return tx.BookPaid(1) })
	require.Equal(t, "0", ptr(accountOf(t, l, a).Reserved).Dec())
	checked(t, l)
}

func ptr[T any](v T) *T { return &v }

func TestMessageBelongsToTheFirstEvent(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"), event(2, a, Withdraw, "15"), event(3, a, Withdraw, "15"), event(4, a, Withdraw, "15"))
	// Ids and events need not stand in the same order.
	first, second, other := request(9, a, 10, 5, 2), request(3, a, 10, 5, 3), request(4, a, 10, 5, 4)
	first.Timestamp, second.Timestamp = 7, 7
	second.Signature = []byte("another signature of the same text")

	list(t, l, second)
	require.Equal(t, uint64(2), standing(t, l, second).Unbound, "an earlier event lacks its request, which may own the message")
	list(t, l, first, other)
	require.Zero(t, standing(t, l, second).Unbound)
	require.Equal(t, uint64(9), standing(t, l, second).MessageOwner)
	require.Zero(t, standing(t, l, first).MessageOwner)
	require.Zero(t, standing(t, l, other).MessageOwner)
	require.NoError(t, l.View(func(tx *Tx) error {
		wids, err := tx.RequestsOfMessage(first.Message())
		require.Equal(t, []uint64{9, 3}, wids)
		return err
	}))
	checked(t, l)
}

func TestSpentMustBeHeldAndDebited(t *testing.T) {
	a := testAccount(1)
	spent, next := request(1, a, 10, 5, 2), request(2, a, 10, 5, 3)
	rows := []Event{event(1, a, TaskIncome, "100"), event(2, a, Withdraw, "15"), event(3, a, Withdraw, "15")}
	l := newBooks(t)
	spend(t, l, Spent{Content: spent.Content(common.Address{}), Hash: common.Hash{}, Kind: SpentItem, Height: 1})
	list(t, l, next)
	appendAll(t, l, plenty(), rows[0], rows[2])
	require.Equal(t, uint64(1), standing(t, l, next).SpentMissing)
	list(t, l, spent)
	require.Equal(t, uint64(1), standing(t, l, next).SpentMissing, "held, not debited")
	appendAll(t, l, plenty(), rows[1])
	require.Zero(t, standing(t, l, next).SpentMissing)
	checked(t, l)

	lied := newBooks(t)
	other := spent
	other.To = testAccount(8)
	appendAll(t, lied, plenty(), rows...)
	list(t, lied, other, next)
	spend(t, lied, Spent{Content: spent.Content(common.Address{}), Hash: common.Hash{}, Kind: SpentItem, Height: 1})
	require.Equal(t, uint64(1), standing(t, lied, next).SpentMissing, "the Relay showed this node another content")
	checked(t, lied)
}

func TestWithdrawalFilters(t *testing.T) {
	l, a, b := newBooks(t), testAccount(1), testAccount(2)
	list(t, l, request(1, a, 1, 0, 11), request(2, b, 1, 0, 12), request(5, a, 1, 0, 13), request(7, a, 1, 0, 14))
	spend(t, l, Spent{Content: request(5, a, 1, 0, 13).Content(common.Address{}), Kind: SpentItem, Height: 1})
	for want, f := range map[string]WithdrawalFilter{
		"[1 2 5 7]": {}, "[1 5 7]": {Account: &a}, "[1 2 7]": {Open: true}, "[1 7]": {Account: &a, Open: true},
		"[5 7]": {Account: &a, After: 1}, "[2 5]": {After: 1, Limit: 2}, "[7]": {Open: true, After: 2}, "[]": {After: 7},
	} {
		require.NoError(t, l.View(func(tx *Tx) error {
			ids := []uint64{}
			rows, err := tx.Withdrawals(f)
			for _, w := range rows {
				ids = append(ids, w.ID)
			}
			require.Equal(t, want, fmt.Sprint(ids))
			return err
		}))
	}
}

func TestFreezesAddUp(t *testing.T) {
	l, a, b := newBooks(t), testAccount(1), testAccount(2)
	update(t, l, func(tx *Tx) error {
		for _, f := range []Freeze{{Code: FreezeOverdraft, Ref: 4}, {Code: FreezeOverdraft, Ref: 5}, {Code: FreezeHead, Text: "first"}} {
			added, err := tx.Freeze(a, f)
			require.NoError(t, err)
			require.True(t, added)
		}
		added, err := tx.Freeze(a, Freeze{Code: FreezeHead, Text: "second"})
		require.False(t, added)
		require.NoError(t, err)
		_, err = tx.Freeze(b, Freeze{Code: FreezeHead})
		require.Equal(t, uint64(2), tx.FrozenAccounts())
		return err
	})
	update(t, l, func(tx *Tx) error {
		removed, err := tx.Unfreeze(a, FreezeOverdraft, 4)
		require.True(t, removed)
		require.NoError(t, err)
		removed, err = tx.Unfreeze(a, FreezeOverdraft, 4)
		require.False(t, removed)
		return err
	})
	require.NoError(t, l.View(func(tx *Tx) error {
		got, err := tx.Freezes(a)
		require.Equal(t, []Freeze{{Code: FreezeHead, Text: "first", Evidence: []uint64{}}, {Code: FreezeOverdraft, Ref: 5, Evidence: []uint64{}}}, got)
		return err
	}))
}
