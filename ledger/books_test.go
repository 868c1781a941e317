package ledger

import (
	"fmt"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func makeDir(t require.TestingT, dir string) { require.NoError(t, os.Mkdir(dir, 0o700)) }

func event(id uint64, account common.Address, kind EventKind, amount string) Event {
	return Event{ID: id, CreatedAt: 1795206465, Account: account, Kind: kind, Amount: amount}
}

func codes(alerts []Alert) (out []AlertCode) {
	for _, a := range alerts {
		out = append(out, a.Code)
	}
	return out
}

func TestEveryKindHasItsEffect(t *testing.T) {
	a := testAccount(1)
	for kind, want := range map[EventKind]string{
		TaskIncome: "9 0", DaoTaskShare: "9 0", TaskRefund: "9 0", UserDelegation: "9 0", TaskPayment: "0 9", Withdraw: "0 9",
		Deposit: "0 0", WithdrawalFeeIncome: "0 0", WithdrawRefund: "0 0", VestingCreated: "0 0", VestingRelease: "0 0",
	} {
		t.Run(kind.String(), func(t *testing.T) {
			l := newBooks(t)
			appendAll(t, l, plenty(), event(3, a, kind, "9"))
			got := accountOf(t, l, a)
			require.Equal(t, want, got.Counted.Dec()+" "+got.Debits.Dec())
			require.True(t, got.Pending.IsZero())
			checked(t, l)
		})
	}
}

func TestMalformedAmountsCountNothing(t *testing.T) {
	huge := "1" + fmt.Sprintf("%058d", 0) // 10^58 has 193 bits
	for _, amount := range []string{"-5000", "+1", "", "007", "0x1", "1e3", " 1", "1.0", huge} {
		for kind := range MaxEventKind + 1 {
			l := newBooks(t)
			a := testAccount(1)
			out := appendAll(t, l, plenty(), event(1, a, TaskIncome, "10"), event(2, a, kind, amount))
			got := accountOf(t, l, a)
			require.Equal(t, "10 0 0", got.Counted.Dec()+" "+got.Pending.Dec()+" "+got.Debits.Dec(), "%s %q", kind, amount)
			if kind.Debit() {
				require.Equal(t, []AlertCode{AlertMalformedDebit}, codes(out.Alerts))
				require.Equal(t, FreezeMalformedDebit, got.Freezes[0].Code)
				require.Equal(t, []uint64{2}, got.Freezes[0].Evidence)
				require.Equal(t, uint64(1), got.Seq, "the chain hashes what the Relay said")
			} else {
				require.Equal(t, []AlertCode{AlertMalformedCredit}, codes(out.Alerts))
				require.Empty(t, got.Freezes)
			}
			checked(t, l)
		}
	}
}

// TestChainIsAFunctionOfTheRows pins the chain's bytes: heads are signed and compared between nodes.
func TestChainIsAFunctionOfTheRows(t *testing.T) {
	l := newBooks(t)
	a := testAccount(1)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"), event(4, a, TaskPayment, "7"), event(9, a, Withdraw, "-3"))
	head := crypto.Keccak256([]byte("account"), a[:])
	for _, d := range []quorum.Debit{{ID: 4, Kind: 4, Amount: "7"}, {ID: 9, Kind: 6, Amount: "-3"}} {
		body, err := rlp.EncodeToBytes(d)
		require.NoError(t, err)
		head = crypto.Keccak256(head, body)
	}
	require.Equal(t, common.BytesToHash(head), accountOf(t, l, a).Head)
}

func TestHeadAtFindsEveryLink(t *testing.T) {
	l := newBooks(t)
	a, other := testAccount(1), testAccount(2)
	head := quorum.AccountHead(a)
	heads := []common.Hash{head}
	var page []Event
	for i := range uint64(40) {
		e := event(3+i*i*7, a, TaskPayment, fmt.Sprint(i))
		page = append(page, e, event(e.ID+1, other, TaskPayment, "1"))
		head = quorum.NextHead(head, quorum.Debit{ID: e.ID, Kind: 4, Amount: e.Amount})
		heads = append(heads, head)
	}
	appendAll(t, l, plenty(), page...)
	require.NoError(t, l.View(func(tx *Tx) error {
		for seq, want := range heads {
			got, err := tx.HeadAt(a, uint64(seq))
			require.NoError(t, err)
			require.Equal(t, want, got, "seq %d", seq)
		}
		_, err := tx.HeadAt(a, 41)
		require.ErrorIs(t, err, ErrNotFound)
		return nil
	}))
}

func TestHostilePages(t *testing.T) {
	a := testAccount(1)
	for name, page := range map[string][]Event{
		"id twice":     {event(2, a, TaskIncome, "1"), event(2, a, TaskIncome, "1")},
		"id back":      {event(3, a, TaskIncome, "1"), event(2, a, TaskIncome, "1")},
		"id zero":      {event(0, a, TaskIncome, "1")},
		"unknown kind": {event(2, a, MaxEventKind+1, "1")},
		"amount":       {event(1, a, TaskIncome, "2")},
		"account":      {event(1, testAccount(2), TaskIncome, "1")},
		"time":         {{ID: 1, CreatedAt: 7, Account: a, Kind: TaskIncome, Amount: "1"}},
	} {
		l := newBooks(t)
		appendAll(t, l, plenty(), event(1, a, TaskIncome, "1"))
		before := stateOf(t, l)
		err := l.Update(func(tx *Tx) error {
			_, err := tx.Append(page, plenty())
			return err
		})
		require.ErrorIs(t, err, ErrHostile, name)
		require.Equal(t, before, stateOf(t, l))
		var changed *ChangedError
		if page[0].ID == 1 {
			require.ErrorAs(t, err, &changed)
			require.NotEqual(t, changed.Was, changed.Now)
		}
	}
}

func TestTheSameRowAgainIsNothing(t *testing.T) {
	l := newBooks(t)
	e := event(1, testAccount(1), TaskIncome, "1")
	require.Equal(t, 1, appendAll(t, l, plenty(), e).Booked)
	before := stateOf(t, l)
	require.Zero(t, appendAll(t, l, plenty(), e).Booked)
	require.Equal(t, before, stateOf(t, l))
}

func TestLateRows(t *testing.T) {
	a := testAccount(1)
	rows := []Event{event(1, a, TaskIncome, "100"), event(2, a, TaskPayment, "7"), event(3, a, Withdraw, "9"), event(4, a, TaskPayment, "1"), event(5000, a, TaskIncome, "2")}
	plain := newBooks(t)
	appendAll(t, plain, plenty(), rows...)

	t.Run("a late credit and a late debit end where they belong", func(t *testing.T) {
		l := newBooks(t)
		appendAll(t, l, plenty(), rows[2:]...)
		appendAll(t, l, plenty(), rows[1])
		appendAll(t, l, plenty(), rows[0])
		require.Equal(t, stateOf(t, plain), stateOf(t, l))
		checked(t, l)
	})
	t.Run("a late debit behind an approval freezes and is not booked", func(t *testing.T) {
		l := newBooks(t)
		appendAll(t, l, plenty(), rows[0], rows[2])
		update(t, l, func(tx *Tx) error { return tx.raiseApproved(a, 3) })
		before := accountOf(t, l, a)
		out := appendAll(t, l, plenty(), rows[1])
		require.Equal(t, []AlertCode{AlertLateDebit}, codes(out.Alerts))
		after := accountOf(t, l, a)
		require.Equal(t, before.Head, after.Head)
		require.Equal(t, FreezeLateDebit, after.Freezes[0].Code)
		require.Len(t, after.Recent, 3, "the row itself stands in the log")
		appendAll(t, l, plenty(), rows[3])
		require.Equal(t, uint64(2), accountOf(t, l, a).Seq, "debits beyond go on")
		checked(t, l)
	})
	t.Run("the approved debit itself is not behind itself", func(t *testing.T) {
		l := newBooks(t)
		update(t, l, func(tx *Tx) error { return tx.raiseApproved(a, 3) })
		require.Empty(t, appendAll(t, l, plenty(), rows[2]).Alerts)
	})
}

func TestAnyPageCutGivesTheSameState(t *testing.T) {
	base := t.TempDir()
	n := 0
	open := func(t *rapid.T) *Ledger {
		n++
		dir := fmt.Sprintf("%s/%d", base, n)
		makeDir(t, dir)
		return booksAt(t, dir)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := &booksMachine{}
		var log []Event
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			log = append(log, s.event(t))
		}
		in := plenty()
		in.Policy.UncoveredMax = wei(rapid.SampledFrom([]uint64{30, 1 << 40}).Draw(t, "max"))
		whole, cut := open(t), open(t)
		appendAll(t, whole, in, log...)
		for rest := log; len(rest) > 0; {
			k := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			appendAll(t, cut, in, rest[:k]...)
			rest = rest[k:]
		}
		require.Equal(t, stateOf(t, whole), stateOf(t, cut))
		checked(t, cut)
		require.NoError(t, whole.Close())
		require.NoError(t, cut.Close())
	})
}

func TestRangesAndRoot(t *testing.T) {
	l := newBooks(t)
	a := testAccount(1)
	rows := []Event{event(1, a, TaskIncome, "1"), event(4095, a, TaskIncome, "2"), event(4096, a, TaskIncome, "3"), event(1<<40, a, TaskIncome, "4")}
	appendAll(t, l, plenty(), rows...)
	rangeHash := func(events ...Event) common.Hash {
		var all []byte
		for _, e := range events {
			all = append(all, encode(e)...)
		}
		return crypto.Keccak256Hash(all)
	}
	require.NoError(t, l.View(func(tx *Tx) error {
		first, err := tx.Range(0)
		require.NoError(t, err)
		require.Equal(t, RangeSum{0, 2, rangeHash(rows[0], rows[1])}, first)
		second, err := tx.Range(1)
		require.NoError(t, err)
		last, err := tx.Range(1 << 28)
		require.NoError(t, err)
		require.Equal(t, RangeSum{1 << 28, 1, rangeHash(rows[3])}, last)

		root, err := tx.LogRoot(1 << 40)
		require.NoError(t, err)
		f, s, o := first.leaf(), second.leaf(), last.leaf()
		inner := crypto.Keccak256([]byte{1}, f[:], s[:])
		require.Equal(t, crypto.Keccak256Hash([]byte{1}, inner, o[:]), root)
		partial, err := tx.LogRoot(4094)
		require.NoError(t, err)
		require.Equal(t, RangeSum{0, 1, rangeHash(rows[0])}.leaf(), partial)
		return nil
	}))
	before := checked(t, l).Root
	appendAll(t, l, plenty(), event(2, a, TaskIncome, "9"))
	require.NotEqual(t, before, checked(t, l).Root, "a late row renews its range")
}

func TestFollowStateIsSavedWithTheEvents(t *testing.T) {
	l := newBooks(t)
	require.NoError(t, l.View(func(tx *Tx) error { require.Nil(t, tx.FollowState()); return nil }))
	update(t, l, func(tx *Tx) error { return tx.SaveFollowState([]byte("cursor")) })
	require.NoError(t, l.View(func(tx *Tx) error { require.Equal(t, "cursor", string(tx.FollowState())); return nil }))
}

func TestRecentEventsAndTotals(t *testing.T) {
	l := newBooks(t)
	a := testAccount(1)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "50"), event(2, testAccount(2), TaskIncome, "5"), event(3, a, TaskPayment, "20"), event(4, a, TaskIncome, "1"))
	require.NoError(t, l.View(func(tx *Tx) error {
		got, ok, err := tx.Account(a, 2)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, []uint64{4, 3}, []uint64{got.Recent[0].ID, got.Recent[1].ID})
		require.Equal(t, "31", got.Balance.Dec())
		_, ok, err = tx.Account(testAccount(9), 2)
		require.NoError(t, err)
		require.False(t, ok)
		totals, err := tx.Totals()
		require.NoError(t, err)
		require.Equal(t, "2 accounts, 36 owed, up to 4", fmt.Sprintf("%d accounts, %s owed, up to %d", totals.Accounts, totals.Liabilities.Dec(), totals.SettledID))
		return nil
	}))
}

func TestEventRoundTrip(t *testing.T) {
	for _, e := range []Event{
		event(1, testAccount(1), TaskIncome, "5"),
		{ID: 2, Account: testAccount(1), Kind: Deposit, Amount: "5", Deposit: DepositRef{"devnet", common.HexToHash("0x01")}},
		{ID: 3, Account: testAccount(1), Kind: VestingCreated, Amount: "0", Vesting: VestingRef{ID: 4, Account: testAccount(1), Spelling: "0xAb", Total: "7", Released: "0", Start: 3, DurationDays: 2, Type: "node", Signature: []byte{1, 2}}},
	} {
		var back Event
		require.NoError(t, decode(encode(e), &back))
		require.Equal(t, e, back)
	}
	require.Less(t, len(encode(event(1<<30, testAccount(1), TaskIncome, "1000000000000000000"))), 64, "most rows carry no payload")
}
