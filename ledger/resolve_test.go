package ledger

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func rewritten(account common.Address, upTo uint64, debits ...quorum.Debit) quorum.Resolve {
	return quorum.Resolve{Reason: "r", Accounts: []quorum.Rewrite{{Account: account, UpTo: upTo, Debits: debits}}}
}

// settle books a RESOLVE as the decision of a height would.
func settle(t require.TestingT, l *Ledger, height uint64, r quorum.Resolve) (raised []Alert) {
	update(t, l, func(tx *Tx) error {
		return tx.resolve(r, ActionEffects{Intake: plenty(), Raise: func(a Alert) { raised = append(raised, a) }}, height)
	})
	return raised
}

func debitRow(id uint64, kind EventKind, amount string) quorum.Debit {
	return quorum.Debit{ID: id, Kind: uint8(kind), Amount: amount}
}

func TestResolveReplacesAnAccountsDebits(t *testing.T) {
	a := testAccount(1)
	l := newBooks(t)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"), event(2, a, TaskPayment, "7"), event(4, a, TaskPayment, "-5"), event(9, a, TaskPayment, "3"))
	update(t, l, func(tx *Tx) error { return tx.raiseApproved(a, 9) })
	appendAll(t, l, plenty(), event(3, a, TaskPayment, "20"))
	require.Len(t, accountOf(t, l, a).Freezes, 2, "a malformed debit and a late one")
	require.NoError(t, l.View(func(tx *Tx) error {
		draft, err := tx.DebitsUpTo(a, 8)
		require.Equal(t, []quorum.Debit{debitRow(2, TaskPayment, "7"), debitRow(3, TaskPayment, "20"), debitRow(4, TaskPayment, "0")}, draft, "the late one too")
		return err
	}))

	settle(t, l, 5, rewritten(a, 8, debitRow(2, TaskPayment, "7"), debitRow(3, TaskPayment, "20"), debitRow(4, TaskPayment, "5")))
	now := accountOf(t, l, a)
	require.Empty(t, now.Freezes)
	require.Equal(t, uint64(4), now.Seq)
	require.Equal(t, wei(35), now.Debits)
	head := quorum.AccountHead(a)
	for _, d := range []quorum.Debit{debitRow(2, 4, "7"), debitRow(3, 4, "20"), debitRow(4, 4, "5"), debitRow(9, 4, "3")} {
		head = quorum.NextHead(head, d)
	}
	require.Equal(t, head, now.Head)
	checked(t, l)

	// What is outside the list only alerts; what is on it is nothing new; what is beyond it goes on as ever.
	out := appendAll(t, l, plenty(), event(5, a, Withdraw, "50"))
	require.Equal(t, []AlertCode{AlertResolved}, codes(out.Alerts))
	out = appendAll(t, l, plenty(), event(10, a, TaskPayment, "1"))
	require.Empty(t, out.Alerts)
	require.Equal(t, wei(36), accountOf(t, l, a).Debits)
	require.Empty(t, accountOf(t, l, a).Freezes)
	checked(t, l)

	// A later word with an earlier end leaves what the first one says beyond it.
	settle(t, l, 6, rewritten(a, 3, debitRow(2, TaskPayment, "6")))
	require.Equal(t, wei(6+5+3+1), accountOf(t, l, a).Debits)
	checked(t, l)
}

func TestResolveHoldsDebitsThatWereNeverShown(t *testing.T) {
	a := testAccount(1)
	l := newBooks(t)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"))
	settle(t, l, 5, rewritten(a, 4, debitRow(2, Withdraw, "15")))
	require.Equal(t, wei(15), accountOf(t, l, a).Debits)
	checked(t, l)
	w := request(1, a, 10, 5, 2)
	list(t, l, w)
	require.Equal(t, EventMissing, standing(t, l, w).Binding, "a verdict still needs the row")
	require.Empty(t, appendAll(t, l, plenty(), event(2, a, Withdraw, "15")).Alerts, "the row of a listed debit")
	require.Equal(t, Bound, standing(t, l, w).Binding)
	require.Equal(t, wei(15), accountOf(t, l, a).Debits, "once")
	checked(t, l)
	settle(t, l, 6, rewritten(a, 4))
	require.Equal(t, EventExcluded, standing(t, l, w).Binding)
	checked(t, l)
}

// A refund counts once, whichever of reject, debit, refund and RESOLVE comes last.
func TestResolveMatchesRejects(t *testing.T) {
	a := testAccount(1)
	steps := map[string]func(*Ledger){
		"reject": func(l *Ledger) { spend(t, l, spentOf(1, a, 10, 5, 2, SpentReject)) },
		"refund": func(l *Ledger) { appendAll(t, l, plenty(), event(7, a, WithdrawRefund, "15")) },
		"row":    func(l *Ledger) { appendAll(t, l, plenty(), event(2, a, Withdraw, "15")) },
		"word":   func(l *Ledger) { settle(t, l, 5, rewritten(a, 4, debitRow(2, Withdraw, "15"))) },
	}
	for _, order := range permutations([]string{"reject", "refund", "row", "word"}) {
		l := newBooks(t)
		for _, s := range order {
			steps[s](l)
			checked(t, l)
		}
		require.Equal(t, "15 counted, 0 pending", credits(t, l, a), "%v", order)
	}
}

func permutations(in []string) (out [][]string) {
	if len(in) < 2 {
		return [][]string{in}
	}
	for i, x := range in {
		for _, rest := range permutations(slices.Delete(slices.Clone(in), i, i+1)) {
			out = append(out, append([]string{x}, rest...))
		}
	}
	return out
}

func TestResolveWaivesUncoveredDebits(t *testing.T) {
	a := testAccount(1)
	l := newBooks(t)
	in := plenty()
	in.Policy.UncoveredMax = wei(10)
	out := appendAll(t, l, in, event(1, a, TaskPayment, "10"), event(2, a, TaskPayment, "5"))
	require.NotNil(t, out.Hold)
	settle(t, l, 5, quorum.Resolve{Uncovered: wei(4), Reason: "r"})
	require.NotNil(t, appendAll(t, l, in).Hold)
	settle(t, l, 6, quorum.Resolve{Uncovered: wei(1), Reason: "r"})
	out = appendAll(t, l, in)
	require.Nil(t, out.Hold)
	require.Equal(t, 1, out.Booked)
	require.NotNil(t, appendAll(t, l, in, event(3, a, TaskPayment, "1")).Hold, "no more than was waived")
	checked(t, l)
}

func TestResolveBringsRowsThatNobodyShows(t *testing.T) {
	a := testAccount(1)
	l := newBooks(t)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"), event(5, a, TaskPayment, "1"))
	mine, lost := event(1, a, TaskIncome, "100"), event(3, a, TaskIncome, "9")
	other := mine
	other.Amount = "101"
	require.Empty(t, settle(t, l, 5, quorum.Resolve{Reason: "r", Log: []quorum.LogRow{RowOf(mine), RowOf(lost)}}))
	require.Equal(t, wei(109), accountOf(t, l, a).Counted)
	require.Empty(t, settle(t, l, 6, quorum.Resolve{Reason: "r", Log: []quorum.LogRow{RowOf(lost)}}), "the same again")
	require.Equal(t, wei(109), accountOf(t, l, a).Counted)
	raised := settle(t, l, 7, quorum.Resolve{Reason: "r", Log: []quorum.LogRow{RowOf(other)}})
	require.Equal(t, []AlertCode{AlertResolvedRow}, codes(raised), "what was taken is never rewritten")
	require.Equal(t, wei(109), accountOf(t, l, a).Counted)
	require.Empty(t, appendAll(t, l, plenty(), lost).Alerts, "the Relay shows it after all: the same to the byte")
	checked(t, l)
	deposit := Event{ID: 9, Account: a, Kind: Deposit, Amount: "5", Deposit: DepositRef{"devnet", common.HexToHash("0x7")}}
	vesting := Event{ID: 10, Account: a, Kind: VestingCreated, Amount: "0", Vesting: VestingRef{ID: 3, Account: a, Total: "7", Released: "0", Signature: []byte{1, 2}}}
	for _, e := range []Event{mine, deposit, vesting} {
		require.Equal(t, e, rowOf(RowOf(e)))
	}
}

// Two nodes that were shown an account's debits differently, in another order, with approvals and freezes of their own,
// have equal books once the operators spoke and the log is the same: whatever came before the word, and whatever after.
func TestResolveMakesBooksEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := testAccount(1)
		dir := rapidDir(t)
		one, two := booksAt(t, dir+"/1"), booksAt(t, dir+"/2")
		defer func() { require.NoError(t, one.Close()); require.NoError(t, two.Close()) }()
		var rows []Event
		for id := uint64(1); id <= 12; id++ {
			kind := rapid.SampledFrom([]EventKind{TaskIncome, TaskPayment, Withdraw}).Draw(t, "kind")
			amount := rapid.SampledFrom([]string{"1", "2", "30", "-4"}).Draw(t, "amount")
			if kind == TaskIncome {
				amount = "50"
			}
			rows = append(rows, event(id, a, kind, amount))
		}
		upTo := rapid.Uint64Range(1, 12).Draw(t, "up to")
		var debits []quorum.Debit
		for _, e := range rows {
			if e.ID <= upTo && rapid.Bool().Draw(t, "listed") {
				debits = append(debits, debitRow(e.ID, rapid.SampledFrom([]EventKind{TaskPayment, Withdraw}).Draw(t, "as"), rapid.SampledFrom([]string{"1", "2", "30"}).Draw(t, "of")))
			}
		}
		word := rewritten(a, upTo, debits...)
		var limit uint64 // behind what stands beyond the list and was approved, late rows stay excluded
		for _, l := range []*Ledger{one, two} {
			before := rapid.SliceOfNDistinct(rapid.IntRange(0, len(rows)-1), 0, len(rows), rapid.ID).Draw(t, "before")
			shown := map[int]bool{}
			for _, i := range before {
				appendAll(t, l, plenty(), rows[i])
				shown[i] = true
				if at := rapid.Uint64Range(0, upTo).Draw(t, "approved"); at > limit {
					update(t, l, func(tx *Tx) error { return tx.raiseApproved(a, at) })
				}
			}
			settle(t, l, 5, word)
			require.Empty(t, accountOf(t, l, a).Freezes)
			for i, e := range rows {
				if !shown[i] {
					appendAll(t, l, plenty(), e)
				}
			}
			checked(t, l)
			var again []string
			for _, f := range accountOf(t, l, a).Freezes {
				again = append(again, fmt.Sprint(f.Code, f.Evidence))
			}
			require.LessOrEqual(t, len(again), 1, "only a malformed debit beyond the list freezes: %v", again)
		}
		require.Equal(t, accountOf(t, one, a).Head, accountOf(t, two, a).Head)
		require.Equal(t, accountOf(t, one, a).Debits, accountOf(t, two, a).Debits)
	})
}

// A2 holds since the account's last RESOLVE, and not across it.
func TestA2BeginsAnewWithAResolve(t *testing.T) {
	p := newProtoNet(t, 4)
	account := common.HexToAddress("0xac")
	row := func(wid, event uint64) Withdrawal { return request(wid, account, 10, 5, event) }
	p.update(func(tx *Tx) error {
		_, err := tx.Append([]Event{event(1, account, TaskIncome, "100"), event(2, account, TaskPayment, "1"), event(5, account, Withdraw, "15")}, plenty())
		if err != nil {
			return err
		}
		_, err = tx.PutWithdrawal(row(1, 5))
		return err
	})
	approve := func(tx *Tx, wid uint64, policy quorum.PolicyRef) error {
		w, _, err := tx.Withdrawal(wid)
		if err != nil {
			return err
		}
		s, err := tx.Standing(w)
		if err != nil {
			return err
		}
		c := w.Content(common.Address{})
		_, err = tx.Approve(quorum.Approve{Epoch: 1, Policy: policy, WID: wid, Content: c.Hash(p.network), Account: account, Seq: s.Seq, Head: s.Head, Time: 1},
			tx.CaseOf(c), by[quorum.Approve](p, 0))
		return err
	}
	p.update(func(tx *Tx) error { return approve(tx, 1, protoPolicy) })

	file := policyText(t, 2)
	second, err := quorum.ParsePolicy(file)
	require.NoError(t, err)
	r := rewritten(account, 4, debitRow(2, TaskPayment, "2"))
	p.decide(DecisionEffects{Action: &ActionEffects{Serial: 1, Kind: quorum.ActionResolve, Resolve: &r, File: file, Policy: second.Ref()}})
	p.update(func(tx *Tx) error { return approve(tx, 1, second.Ref()) }) // seq 2 again, another head
	p.broken("I4", func(tx *Tx) error {
		return tx.b.Bucket(bucketResolvedAt).Delete(join(account[:], be64(2)))
	})
}

// rapidDir is a folder for two databases that is gone when the property's try is over.
func rapidDir(t *rapid.T) string {
	dir := makeTemp(t)
	makeDir(t, dir+"/1")
	makeDir(t, dir+"/2")
	return dir
}
