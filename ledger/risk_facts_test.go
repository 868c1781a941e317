package ledger

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func riskOf(t require.TestingT, l *Ledger, w Withdrawal) (f RiskFacts) {
	require.NoError(t, l.View(func(tx *Tx) (err error) { f, err = tx.RiskFacts(w); return err }))
	return f
}

func TestFirstSettledIsKeptOverRestarts(t *testing.T) {
	dir := t.TempDir()
	l := booksAt(t, dir)
	w := Withdrawal{ID: 1, EventID: 5}
	require.Zero(t, riskOf(t, l, w).Settled)
	update(t, l, func(tx *Tx) error { return tx.NoteSettled(5, 1000) })
	update(t, l, func(tx *Tx) error { return tx.NoteSettled(5, 2000) })
	require.NoError(t, l.Close())
	l = booksAt(t, dir)
	require.Equal(t, uint64(1000), riskOf(t, l, w).Settled)
	require.NoError(t, l.Close())
}

func TestDestinationPaidBefore(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	first, second := spentOf(7, a, 10, 1, 100, SpentItem), spentOf(3, a, 10, 1, 101, SpentItem)
	rejected := spentOf(2, testAccount(2), 10, 1, 99, SpentReject)
	second.Height = 2
	for _, s := range []Spent{rejected, first, second} {
		spend(t, l, s)
	}
	before := func(id uint64, account, to common.Address, network string) uint64 {
		return riskOf(t, l, Withdrawal{ID: id, Account: account, To: to, Network: network}).PaidBefore
	}
	network := first.Content.Network
	require.Zero(t, before(9, testAccount(2), testAccount(2), network), "a reject pays nobody")
	require.Equal(t, uint64(7), before(9, a, a, network))
	require.Zero(t, before(7, a, a, network), "it is the first itself")
	require.Zero(t, before(9, testAccount(2), a, network), "what one account was paid says nothing for another")
	require.Zero(t, before(9, a, a, network+"2"), "nor is an address the same one on another chain")
	checkRisk(t, l)

	// Notes of an earlier program, by destination alone, or none: they are made anew.
	for _, old := range [][]byte{nil, a[:]} {
		update(t, l, func(tx *Tx) error {
			err := tx.b.Bucket(bucketRiskPaid).Delete(payeeOf(first))
			if old != nil {
				err = errors.Join(err, tx.b.Bucket(bucketRiskPaid).Put(old, be64(7)))
			}
			return err
		})
		checkRisk(t, l)
		keepRisk(t, l, quorum.Limits{}, 0)
		require.Equal(t, uint64(7), before(9, a, a, network))
		update(t, l, func(tx *Tx) error {
			require.False(t, tx.paidByAddress())
			kept, err := tx.RiskKept(quorum.Limits{}, 0)
			require.True(t, kept)
			return err
		})
	}
	update(t, l, func(tx *Tx) error { return tx.b.Bucket(bucketRiskPaid).Put(payeeOf(first), be64(3)) })
	require.Error(t, l.View(func(tx *Tx) error { return tx.CheckRisk() }))
}

func checkRisk(t require.TestingT, l *Ledger) {
	require.NoError(t, l.View(func(tx *Tx) error { return tx.CheckRisk() }))
}

func keepRisk(t require.TestingT, l *Ledger, limits quorum.Limits, history uint64) (alerts []Alert) {
	for range 1000 {
		done := false
		update(t, l, func(tx *Tx) error {
			d, a, err := tx.KeepRisk(limits, history, 5)
			done, alerts = d, append(alerts, a...)
			return err
		})
		if done {
			return alerts
		}
	}
	require.Fail(t, "it never ends")
	return nil
}

func TestObjections(t *testing.T) {
	l := newBooks(t)
	require.ErrorIs(t, l.Update(func(tx *Tx) error { return tx.WithdrawObjection(1) }), ErrNotFound)
	object := func(wid uint64, reason string, since uint64) error {
		return l.Update(func(tx *Tx) error { _, err := tx.Object(Objection{wid, reason, since}); return err })
	}
	require.NoError(t, object(2, "call the owner", 10))
	require.NoError(t, object(1, "odd", 11))
	require.NoError(t, object(2, "called, no answer", 12))
	require.Error(t, object(3, "", 1))
	require.Error(t, object(3, strings.Repeat("x", maxObjectionReason+1), 1))
	require.NoError(t, l.View(func(tx *Tx) error {
		all, err := tx.Objections()
		require.Equal(t, []Objection{{1, "odd", 11}, {2, "called, no answer", 10}}, all)
		return err
	}))
	require.Equal(t, "odd", riskOf(t, l, Withdrawal{ID: 1}).Objection.Reason)
	update(t, l, func(tx *Tx) error { return tx.WithdrawObjection(1) })
	require.Nil(t, riskOf(t, l, Withdrawal{ID: 1}).Objection)

	spend(t, l, spentOf(4, testAccount(1), 10, 1, 100, SpentItem))
	require.ErrorIs(t, object(4, "too late", 1), ErrDecided)
	spend(t, l, spentOf(2, testAccount(1), 10, 2, 100, SpentReject))
	require.Nil(t, riskOf(t, l, Withdrawal{ID: 2}).Objection, "a decision ends it")
	trail := []string{}
	require.NoError(t, l.View(func(tx *Tx) error {
		return tx.AuditTrail(0, func(line AuditLine) error { trail = append(trail, line.What); return nil })
	}))
	require.Equal(t, []string{"objection", "objection", "objection", "objection-ended", "objection-spent"}, trail)
}

func ceiling(window time.Duration, most uint64) quorum.Limits {
	return quorum.Limits{AccrualWindow: window, AccrualCeiling: wei(most)}
}

func at(e Event, created uint64) Event { e.CreatedAt = created; return e }

func TestAccrualCeilingFreezesOneAccount(t *testing.T) {
	l, a, b := newBooks(t), testAccount(1), testAccount(2)
	keepRisk(t, l, ceiling(24*time.Hour, 100), 1)
	out := appendAll(t, l, plenty(), at(event(1, a, TaskIncome, "1000"), 50), at(event(2, a, TaskIncome, "60"), 100),
		at(event(3, b, TaskIncome, "100"), 100), at(event(4, a, WithdrawRefund, "60"), 100), at(event(5, a, TaskPayment, "60"), 100),
		at(event(6, a, TaskIncome, "60"), 100+2*86400))
	require.NotContains(t, codes(out.Alerts), AlertAccrual, "history, refunds, debits and other days do not count")
	out = appendAll(t, l, plenty(), at(event(7, a, DaoTaskShare, "41"), 100+2*86400-3600))
	require.Contains(t, codes(out.Alerts), AlertAccrual)
	require.Equal(t, FreezeAccrual, accountOf(t, l, a).Freezes[0].Code)
	require.Equal(t, []uint64{7}, accountOf(t, l, a).Freezes[0].Evidence)
	require.Empty(t, accountOf(t, l, b).Freezes)
	require.Equal(t, wei(101), riskOf(t, l, Withdrawal{Account: a}).Accrued)
	require.Empty(t, codes(appendAll(t, l, plenty(), at(event(8, a, TaskIncome, "1"), 100+2*86400)).Alerts), "it stands already")
	checkRisk(t, l)

	// A new ceiling is counted from the log; what was frozen stays so.
	alerts := keepRisk(t, l, ceiling(24*time.Hour, 99), 1)
	require.Equal(t, []AlertCode{AlertAccrual}, codes(alerts))
	require.Equal(t, FreezeAccrual, accountOf(t, l, b).Freezes[0].Code)
	keepRisk(t, l, quorum.Limits{}, 1)
	require.Zero(t, riskOf(t, l, Withdrawal{Account: a}).Accrued)
	update(t, l, func(tx *Tx) error {
		k, _ := tx.b.Bucket(bucketRiskAccrual).Cursor().First()
		require.Nil(t, k, "the sums of before are gone")
		return nil
	})
}

// TestAccrualIsAFunctionOfTheLog books one log in random pages and orders, with the rule switched on at a random moment, and
// compares with a sum over every pair of rows: nothing that the naive window finds is missed, and what is frozen is over
// the ceiling in a window one slot longer.
func TestAccrualIsAFunctionOfTheLog(t *testing.T) {
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := base + "/" + big.NewInt(int64(runs)).String()
		makeDir(t, dir)
		l := booksAt(t, dir)
		defer func() { require.NoError(t, l.Close()) }()
		window := rapid.SampledFrom([]uint64{1, 10, 48, 240}).Draw(t, "window")
		limits := ceiling(time.Duration(window)*time.Second, rapid.Uint64Range(1, 30).Draw(t, "ceiling"))
		history := rapid.Uint64Range(0, 5).Draw(t, "history")
		var rows []Event
		for i := range rapid.IntRange(1, 40).Draw(t, "rows") {
			kind := rapid.SampledFrom([]EventKind{TaskIncome, TaskRefund, TaskPayment, WithdrawRefund, Deposit}).Draw(t, "kind")
			amount := rapid.SampledFrom([]string{"1", "2", "5", "-7", "10", "0"}).Draw(t, "amount")
			created := 1000 + rapid.Uint64Range(0, 600).Draw(t, "created")
			rows = append(rows, at(event(uint64(i)+1, testAccount(rapid.IntRange(0, 2).Draw(t, "account")), kind, amount), created))
		}
		on := rapid.IntRange(0, len(rows)).Draw(t, "on")
		late := rapid.SliceOfN(rapid.Bool(), len(rows), len(rows)).Draw(t, "late")
		var order []Event
		for _, second := range []bool{false, true} {
			for i, e := range rows {
				if late[i] == second {
					order = append(order, e)
				}
			}
		}
		for i := 0; i < len(order); {
			if i >= on {
				keepRisk(t, l, limits, history)
			}
			n := min(len(order)-i, rapid.IntRange(1, 9).Draw(t, "page"))
			page := slices.Clone(order[i : i+n])
			slices.SortFunc(page, func(a, b Event) int { return int(a.ID) - int(b.ID) })
			appendAll(t, l, plenty(), page...)
			i += n
		}
		keepRisk(t, l, limits, history)
		checkRisk(t, l)
		slot := max(1, (window+accrualParts-1)/accrualParts)
		for n := range 3 {
			a := testAccount(n)
			frozen := slices.ContainsFunc(accountFreezes(t, l, a), func(f Freeze) bool { return f.Code == FreezeAccrual })
			most := func(window uint64) uint64 {
				most := uint64(0)
				for _, from := range rows {
					sum := uint64(0)
					for _, e := range rows {
						in := e.Account == a && e.ID > history && e.CreatedAt >= from.CreatedAt && e.CreatedAt < from.CreatedAt+window
						if v, ok := e.wei(); ok && in && e.Kind.accrues() {
							sum += v.Uint64()
						}
					}
					most = max(most, sum)
				}
				return most
			}
			ceil := limits.AccrualCeiling.Uint64()
			require.True(t, frozen || most(window) <= ceil, "missed: %d within %d s, the ceiling is %d", most(window), window, ceil)
			require.True(t, !frozen || most(window+2*slot) > ceil, "frozen for nothing: %d", most(window+2*slot))
		}
	})
}

func accountFreezes(t require.TestingT, l *Ledger, a common.Address) (out []Freeze) {
	require.NoError(t, l.View(func(tx *Tx) (err error) { out, err = tx.Freezes(a); return err }))
	return out
}

func TestALostAccrualSumIsNamed(t *testing.T) {
	l := newBooks(t)
	keepRisk(t, l, ceiling(24*time.Hour, 100), 0)
	appendAll(t, l, plenty(), event(1, testAccount(1), TaskIncome, "60"))
	checkRisk(t, l)
	update(t, l, func(tx *Tx) error {
		k, _ := tx.b.Bucket(bucketRiskAccrual).Cursor().First()
		return tx.b.Bucket(bucketRiskAccrual).Delete(k)
	})
	var broken *Violation
	require.ErrorAs(t, l.View(func(tx *Tx) error { return tx.CheckRisk() }), &broken)
}
