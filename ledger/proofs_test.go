package ledger

import (
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func credits(t require.TestingT, l *Ledger, a common.Address) string {
	got := accountOf(t, l, a)
	return got.Counted.Dec() + " counted, " + got.Pending.Dec() + " pending"
}

func deposit(id uint64, account common.Address, amount string, tx int64) Event {
	e := event(id, account, Deposit, amount)
	e.Deposit = DepositRef{"devnet", common.BigToHash(common.Big1)}
	e.Deposit.TxHash[0] = byte(tx)
	return e
}

func prove(t require.TestingT, l *Ledger, id uint64, p Proof) (alerts []Alert) {
	update(t, l, func(tx *Tx) (err error) {
		alerts, err = tx.SetProof(id, p, 9)
		return err
	})
	return alerts
}

func openDeposits(t require.TestingT, l *Ledger) (ids []uint64) {
	require.NoError(t, l.View(func(tx *Tx) error {
		open, err := tx.OpenDeposits(0, 10)
		for _, e := range open {
			ids = append(ids, e.ID)
		}
		return err
	}))
	return ids
}

func TestDepositLife(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	appendAll(t, l, plenty(), deposit(1, a, "50", 1), deposit(2, a, "7", 2), deposit(3, a, "bad", 3))
	require.Equal(t, []uint64{1, 2}, openDeposits(t, l))
	require.Equal(t, "0 counted, 0 pending", credits(t, l, a))
	prove(t, l, 1, Pending)
	require.Equal(t, "0 counted, 50 pending", credits(t, l, a))
	prove(t, l, 1, Unproven) // its block is gone
	require.Equal(t, "0 counted, 0 pending", credits(t, l, a))
	prove(t, l, 1, Pending)
	prove(t, l, 1, Counted)
	prove(t, l, 1, Counted)
	require.Equal(t, "50 counted, 0 pending", credits(t, l, a))
	require.Equal(t, []uint64{2}, openDeposits(t, l))

	require.Empty(t, prove(t, l, 1, Unproven), "an endpoint that forgot")
	require.Equal(t, "50 counted, 0 pending", credits(t, l, a), "counted credits only grow")
	require.Equal(t, []AlertCode{AlertDeposit}, codes(prove(t, l, 1, Contradicted)))
	require.Equal(t, FreezeDeposit, accountOf(t, l, a).Freezes[0].Code)
	require.ErrorIs(t, l.Update(func(tx *Tx) error { _, err := tx.SetProof(3, Counted, 1); return err }), ErrNotFound)
	checked(t, l)
}

func TestContradictedDepositFreezes(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	appendAll(t, l, plenty(), deposit(1, a, "50", 1))
	prove(t, l, 1, Pending)
	require.Equal(t, []AlertCode{AlertDeposit}, codes(prove(t, l, 1, Contradicted)))
	require.Equal(t, "0 counted, 0 pending", credits(t, l, a))
	require.Equal(t, []uint64{1}, accountOf(t, l, a).Freezes[0].Evidence)
	require.Empty(t, openDeposits(t, l))
	checked(t, l)
}

func TestOneTransferCountsOnce(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	again := deposit(2, a, "50", 1)
	elsewhere := deposit(3, a, "50", 1)
	elsewhere.Deposit.Network = "othernet"
	appendAll(t, l, plenty(), deposit(1, a, "50", 1), again, elsewhere)
	prove(t, l, 2, Counted)
	require.Equal(t, []AlertCode{AlertDepositRepeated}, codes(prove(t, l, 1, Counted)))
	prove(t, l, 3, Counted)
	require.Equal(t, "100 counted, 0 pending", credits(t, l, a), "a hash on another network is another transfer")
	require.Empty(t, openDeposits(t, l))
	checked(t, l)
}

// spentOf is a fate of a withdrawal of a made-up request.
func spentOf(wid uint64, account common.Address, amount, fee, event uint64, kind SpentKind) Spent {
	w := Withdrawal{ID: wid, Account: account, To: account, Network: "devnet", Amount: wei(amount), Fee: wei(fee), EventID: event, Timestamp: wid}
	c := w.Content(common.Address{})
	return Spent{Content: c, Hash: c.Hash(testNetwork), Kind: kind, Height: 1}
}

func spend(t require.TestingT, l *Ledger, s Spent) {
	update(t, l, func(tx *Tx) error { return tx.putSpent(s) })
}

func TestFeeCountsOncePaid(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	appendAll(t, l, plenty(), event(1, feeAccount, WithdrawalFeeIncome, "5"), event(2, feeAccount, WithdrawalFeeIncome, "5"))
	require.Equal(t, "0 counted, 0 pending", credits(t, l, feeAccount))
	spend(t, l, spentOf(1, a, 10, 5, 100, SpentItem))
	require.Equal(t, "0 counted, 5 pending", credits(t, l, feeAccount))
	update(t, l, func(tx *Tx) error { return tx.BookPaid(1) })
	update(t, l, func(tx *Tx) error { return tx.BookPaid(1) })
	require.Equal(t, "5 counted, 0 pending", credits(t, l, feeAccount), "one payment, one fee")
	spend(t, l, spentOf(2, a, 10, 6, 101, SpentItem))
	update(t, l, func(tx *Tx) error { return tx.BookPaid(2) })
	require.Equal(t, "5 counted, 0 pending", credits(t, l, feeAccount), "another amount")
	spend(t, l, spentOf(3, a, 10, 5, 102, SpentReject))
	require.ErrorIs(t, l.Update(func(tx *Tx) error { return tx.BookPaid(3) }), ErrNotFound)
	require.ErrorIs(t, l.Update(func(tx *Tx) error { return tx.BookPaid(9) }), ErrNotFound)
	checked(t, l)
}

func TestFeeOfAnotherAddressCountsNothing(t *testing.T) {
	l, a := newBooks(t), testAccount(1)
	spend(t, l, spentOf(1, a, 10, 5, 100, SpentItem))
	update(t, l, func(tx *Tx) error { return tx.BookPaid(1) })
	out := appendAll(t, l, plenty(), event(1, a, WithdrawalFeeIncome, "5"), event(2, feeAccount, WithdrawalFeeIncome, "1000000000000000000000000000000"))
	require.Equal(t, []AlertCode{AlertFeeAddress}, codes(out.Alerts))
	require.Equal(t, "0 counted, 0 pending", credits(t, l, a))
	require.Equal(t, "0 counted, 0 pending", credits(t, l, feeAccount), "an amount that no withdrawal paid")
	checked(t, l)
}

func TestRefundNeedsADecidedAndDebitedReject(t *testing.T) {
	a, b := testAccount(1), testAccount(2)
	debit, refund := event(10, a, Withdraw, "15"), event(20, a, WithdrawRefund, "15")
	reject := spentOf(1, a, 10, 5, 10, SpentReject)
	orders := map[string][]func(*testing.T, *Ledger) []Alert{}
	row := func(e Event) func(*testing.T, *Ledger) []Alert {
		return func(t *testing.T, l *Ledger) []Alert { return appendAll(t, l, plenty(), e).Alerts }
	}
	decide := func(t *testing.T, l *Ledger) []Alert { spend(t, l, reject); return nil }
	orders["as it should be"] = []func(*testing.T, *Ledger) []Alert{row(debit), decide, row(refund)}
	orders["refund before the decision"] = []func(*testing.T, *Ledger) []Alert{row(debit), row(refund), decide}
	orders["decision before the debit"] = []func(*testing.T, *Ledger) []Alert{decide, row(debit), row(refund)}
	orders["debit last"] = []func(*testing.T, *Ledger) []Alert{row(refund), decide, row(debit)}
	for name, steps := range orders {
		t.Run(name, func(t *testing.T) {
			l := newBooks(t)
			for i, step := range steps {
				alerts := step(t, l)
				require.Equal(t, i == len(steps)-1, credits(t, l, a) == "15 counted, 0 pending", "step %d", i)
				if name == "as it should be" {
					require.Empty(t, alerts)
				}
			}
			require.Equal(t, "15 counted, 0 pending", credits(t, l, a))
			out := appendAll(t, l, plenty(), event(30, a, WithdrawRefund, "15"), event(31, b, WithdrawRefund, "15"))
			require.Equal(t, []AlertCode{AlertRefund, AlertRefund}, codes(out.Alerts), "once, and of the same account")
			require.Equal(t, "15 counted, 0 pending", credits(t, l, a))
			checked(t, l)
		})
	}
	t.Run("a paid one refunds nothing", func(t *testing.T) {
		l := newBooks(t)
		appendAll(t, l, plenty(), debit)
		spend(t, l, spentOf(1, a, 10, 5, 10, SpentItem))
		require.Equal(t, []AlertCode{AlertRefund}, codes(appendAll(t, l, plenty(), refund).Alerts))
		require.Equal(t, "0 counted, 0 pending", credits(t, l, a))
	})
	t.Run("a debit of another amount refunds nothing", func(t *testing.T) {
		l := newBooks(t)
		spend(t, l, reject)
		appendAll(t, l, plenty(), event(10, a, Withdraw, "14"), refund)
		require.Equal(t, "0 counted, 0 pending", credits(t, l, a))
		checked(t, l)
	})
}

// The recorded vesting of the Relay: its admin key is keccak256("relaylab-" ‖ name), a throw-away of the recording.
func recordedVesting(t *testing.T) (e Event, admin common.Address) {
	sig, err := hex.DecodeString("f696216cf073af0917461b9fd57633e6a689ac253fb59000afa54c1a1ad75e972b51c713dfafda198018775086af22447fdd36469c379530d4239c8d0600ec561c")
	require.NoError(t, err)
	account := common.HexToAddress("0x36e18A34F9433D994F534c25c8891F53B8f81f97")
	e = event(60, account, VestingCreated, "0")
	e.Vesting = VestingRef{ID: 1, Account: account, Spelling: account.Hex(), Total: "300000000000000000000", Released: "0",
		Start: 1794342647, DurationDays: 30, Type: "node", Signature: sig}
	digest := accounts.TextHash([]byte("Crynux Relay Vesting\nAddress: 0x36e18A34F9433D994F534c25c8891F53B8f81f97\n" +
		"TotalAmount: 300000000000000000000\nStartTime: 1794342647\nDurationDays: 30\nType: node"))
	sig = append([]byte(nil), sig...)
	sig[64] -= 27
	pub, err := crypto.SigToPub(digest, sig)
	require.NoError(t, err)
	return e, crypto.PubkeyToAddress(*pub)
}

func TestRecordedVestingReleasesByTheOwnClock(t *testing.T) {
	created, admin := recordedVesting(t)
	a := created.Account
	release := event(61, a, VestingRelease, "100000000000000000000")
	release.Vesting = VestingRef{ID: 1}
	in := plenty()
	in.VestingAdmins = []common.Address{admin}

	in.Now = 1795207730_000 // when the Relay released ten days' worth
	l := newBooks(t)
	require.Empty(t, appendAll(t, l, in, created, release).Alerts)
	require.Equal(t, "100000000000000000000 counted, 0 pending", credits(t, l, a))
	checked(t, l)

	// A clock that is two minutes before the tenth midnight: nothing of the tenth day counts; then it is a minute away.
	midnight := uint64(20777 * 86400_000)
	slow := newBooks(t)
	in.Now = midnight - 120_000
	require.Equal(t, []AlertCode{AlertVesting}, codes(appendAll(t, slow, in, created, release).Alerts))
	require.Equal(t, "90000000000000000000 counted, 0 pending", credits(t, slow, a))
	update(t, slow, func(tx *Tx) error { return tx.Tick(midnight - 59_000) })
	require.Equal(t, "90000000000000000000 counted, 10000000000000000000 pending", credits(t, slow, a))
	update(t, slow, func(tx *Tx) error { return tx.Tick(midnight) })
	require.Equal(t, "100000000000000000000 counted, 0 pending", credits(t, slow, a))
	update(t, slow, func(tx *Tx) error { return tx.Tick(0) })
	require.Equal(t, "100000000000000000000 counted, 0 pending", credits(t, slow, a), "a clock that goes back takes nothing")
	checked(t, slow)
}

func testVesting(t require.TestingT, key *ecdsa.PrivateKey, id, vesting uint64, account common.Address, total string) Event {
	e := event(id, account, VestingCreated, "0")
	e.Vesting = VestingRef{ID: vesting, Account: account, Spelling: account.Hex(), Total: total, Released: "0", Start: 86400, DurationDays: 10, Type: "node"}
	sig, err := crypto.Sign(accounts.TextHash([]byte(VestingText(e.Vesting))), key)
	require.NoError(t, err)
	e.Vesting.Signature = sig
	return e
}

func TestVestingIsRefused(t *testing.T) {
	key, stranger := crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test vesting admin"))), crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test stranger")))
	a, b := testAccount(1), testAccount(2)
	in := plenty()
	in.VestingAdmins = []common.Address{crypto.PubkeyToAddress(key.PublicKey)}
	in.Now = 100 * dayMS
	release := func(id, vesting uint64, account common.Address) Event {
		e := event(id, account, VestingRelease, "40")
		e.Vesting.ID = vesting
		return e
	}
	good := testVesting(t, key, 1, 7, a, "100")
	change := func(fn func(*Event)) Event {
		e := good
		fn(&e)
		return e
	}
	for name, bad := range map[string]Event{
		"signed by a stranger": testVesting(t, stranger, 1, 7, a, "100"),
		"total changed":        change(func(e *Event) { e.Vesting.Total = "1000" }),
		"start changed":        change(func(e *Event) { e.Vesting.Start++ }),
		"other account":        change(func(e *Event) { e.Account = b }),
		"negative total":       testVesting(t, key, 1, 7, a, "-100"),
		"no signature":         change(func(e *Event) { e.Vesting.Signature = nil }),
	} {
		l := newBooks(t)
		out := appendAll(t, l, in, bad, release(2, 7, a))
		require.Equal(t, []AlertCode{AlertVesting, AlertVesting}, codes(out.Alerts), name)
		require.Equal(t, "0 counted, 0 pending", credits(t, l, a), name)
		checked(t, l)
	}

	t.Run("one signature under two ids vests once", func(t *testing.T) {
		l := newBooks(t)
		again := good
		again.ID, again.Vesting.ID = 2, 8
		out := appendAll(t, l, in, good, again, release(3, 7, a), release(4, 8, a), release(5, 7, b))
		require.Equal(t, []AlertCode{AlertVesting, AlertVesting, AlertVesting}, codes(out.Alerts))
		require.Equal(t, "40 counted, 0 pending", credits(t, l, a))
		checked(t, l)
	})
	t.Run("no more than the total", func(t *testing.T) {
		l := newBooks(t)
		out := appendAll(t, l, in, good, release(3, 7, a), release(4, 7, a), release(5, 7, a))
		require.Equal(t, []AlertCode{AlertVesting}, codes(out.Alerts))
		require.Equal(t, "100 counted, 0 pending", credits(t, l, a))
		checked(t, l)
	})
	t.Run("a release before its schedule, and before its time", func(t *testing.T) {
		l := newBooks(t)
		early := in
		early.Now = 0
		appendAll(t, l, early, release(3, 7, a))
		appendAll(t, l, early, good)
		require.Equal(t, "0 counted, 0 pending", credits(t, l, a))
		update(t, l, func(tx *Tx) error { return tx.Tick(100 * dayMS) })
		require.Equal(t, "40 counted, 0 pending", credits(t, l, a))
		checked(t, l)
	})
	t.Run("a release before its schedule", func(t *testing.T) {
		l := newBooks(t)
		appendAll(t, l, in, release(3, 7, a))
		appendAll(t, l, in, good)
		require.Equal(t, "40 counted, 0 pending", credits(t, l, a))
		checked(t, l)
	})
}

// Of several admins each counts for the rows of its term, so that a key which was replaced vests nothing more.
func TestAVestingAdminCountsForItsTerm(t *testing.T) {
	old, young := crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test old vesting admin"))), crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test young vesting admin")))
	in := plenty()
	in.Now = 100 * dayMS
	in.VestingAdmins = []common.Address{addressOf(young), addressOf(old)}
	in.VestingTerms = []quorum.VestingTerm{{Admin: addressOf(old), Until: 10}, {Admin: addressOf(young), From: 10}}
	for _, c := range []struct {
		key   *ecdsa.PrivateKey
		row   uint64
		count string
	}{{old, 1, "40"}, {old, 10, "40"}, {old, 11, "0"}, {young, 9, "0"}, {young, 10, "40"}, {young, 5000, "40"}} {
		l, a := newBooks(t), testAccount(1)
		release := event(c.row+1, a, VestingRelease, "40")
		release.Vesting.ID = 7
		appendAll(t, l, in, testVesting(t, c.key, c.row, 7, a, "100"), release)
		require.Equal(t, c.count+" counted, 0 pending", credits(t, l, a), "row %d", c.row)
		checked(t, l)
	}
}

func TestScheduleReleasesByWholeDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{Total: wei(rapid.Uint64().Draw(t, "total")), Start: rapid.Uint64Range(0, 1<<33).Draw(t, "start"), Days: rapid.Uint64Range(0, 4000).Draw(t, "days")}
		at, later := rapid.Uint64Range(0, 1<<44).Draw(t, "at"), rapid.Uint64Range(0, 1<<40).Draw(t, "later")
		first, second := s.Released(at), s.Released(at+later)
		require.False(t, first.Gt(&second), "never less later")
		require.False(t, second.Gt(&s.Total))
		if at/1000 < s.Start {
			require.True(t, first.IsZero())
		}
		if s.Days > 0 {
			end := s.Released((s.Start + s.Days*daySec) * 1000)
			require.Equal(t, s.Total, end)
		}
	})
	require.Equal(t, "unproven pending counted contradicted", fmt.Sprint(Unproven, " ", Pending, " ", Counted, " ", Contradicted))
}
