package risk

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
)

// house is a real ledger with one owner in it, and the facts of a quiet day.
type house struct {
	t *testing.T
	l *ledger.Ledger
	f Facts
}

func newHouse(t *testing.T) *house {
	l, err := ledger.Open(t.TempDir(), common.HexToHash("0x01"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return &house{t, l, Facts{Policy: examplePolicy(t), LaneKnown: true, Destination: Destination{Known, owner}, FeeAddress: feeAddress,
		DaoAddress: daoAddress, InForce: true}}
}

func (h *house) update(fn func(*ledger.Tx) error) { require.NoError(h.t, h.l.Update(fn)) }

func (h *house) book(events ...ledger.Event) {
	h.update(func(tx *ledger.Tx) error {
		_, err := tx.Append(events, ledger.Intake{Now: 1, Policy: h.f.Policy, FeeAddress: feeAddress})
		return err
	})
}

func (h *house) list(id, event, timestamp uint64) ledger.Withdrawal {
	w := ledger.Withdrawal{ID: id, Account: owner, To: owner, Spelling: owner.Hex(), Network: "devnet", Amount: coins(10),
		Fee: dec(h.t, "1100000000000000002"), EventID: event, Timestamp: timestamp}
	sig, err := crypto.Sign(w.Message().Bytes(), ownerKey)
	require.NoError(h.t, err)
	w.Signature = sig
	h.update(func(tx *ledger.Tx) error { _, err := tx.PutWithdrawal(w); return err })
	return w
}

// judge applies freezes as a node does.
func (h *house) judge(w ledger.Withdrawal) (v Verdict) {
	h.update(func(tx *ledger.Tx) (err error) {
		if v, err = Judge(tx, w, h.f); err != nil {
			return err
		}
		if v.Thaw != nil {
			_, err = tx.Unfreeze(w.Account, v.Thaw.Code, v.Thaw.Ref)
		}
		if v.Freeze != nil {
			_, err = tx.Freeze(w.Account, *v.Freeze)
		}
		return err
	})
	return v
}

func row(id uint64, kind ledger.EventKind, amount string) ledger.Event {
	return ledger.Event{ID: id, Account: owner, Kind: kind, Amount: amount}
}

const taken = "11100000000000000002" // 10 coins and their fee

func TestWithdrawBeforeTheDepositIsFinal(t *testing.T) {
	h := newHouse(t)
	w := h.list(1, 2, 7)
	require.Equal(t, WaitEvent, h.judge(w).Code, "the list runs ahead of the log")

	d := row(1, ledger.Deposit, "50000000000000000000")
	d.Deposit = ledger.DepositRef{Network: "devnet", TxHash: common.HexToHash("0x0d")}
	h.book(d, row(2, ledger.Withdraw, taken))
	require.Equal(t, WaitOverdraft, h.judge(w).Code, "nobody saw the deposit yet")
	prove := func(p ledger.Proof) {
		h.update(func(tx *ledger.Tx) error { _, err := tx.SetProof(1, p, 1); return err })
	}
	prove(ledger.Pending)
	v := h.judge(w)
	require.Equal(t, WaitPending, v.Code)
	require.NotNil(t, v.Thaw)
	prove(ledger.Counted)
	v = h.judge(w)
	require.Equal(t, Approve, v.Kind)
	require.Nil(t, v.Thaw)
	require.Equal(t, uint64(1), v.Seq)
}

func TestSameMessageTwice(t *testing.T) {
	h := newHouse(t)
	h.book(row(1, ledger.TaskIncome, "100000000000000000000"), row(2, ledger.Withdraw, taken), row(3, ledger.Withdraw, taken))
	second := h.list(2, 3, 7)
	require.Equal(t, WaitRequests, h.judge(second).Code)
	first := h.list(1, 2, 7)
	require.Equal(t, Approve, h.judge(first).Kind)
	require.Equal(t, Refuse, h.judge(second).Kind)
}

func TestOverdraftFreezesTheAccountUntilItIsCovered(t *testing.T) {
	h := newHouse(t)
	h.book(row(1, ledger.TaskIncome, "15000000000000000000"), row(2, ledger.Withdraw, taken), row(3, ledger.Withdraw, taken))
	first, second := h.list(1, 2, 7), h.list(2, 3, 8)
	require.Equal(t, WaitOverdraft, h.judge(second).Code)
	require.Equal(t, WaitFrozen, h.judge(first).Code, "the whole account")
	h.book(row(4, ledger.TaskIncome, "10000000000000000000"))
	require.Equal(t, Approve, h.judge(second).Kind)
	require.Equal(t, Approve, h.judge(first).Kind)
}

func TestNegativeFeeCostsOnlyItsUser(t *testing.T) {
	h := newHouse(t)
	stranger := crypto.PubkeyToAddress(strangerKey.PublicKey)
	negative := row(1, ledger.TaskPayment, "-5000000000000000000000")
	negative.Account = stranger
	h.book(negative, row(2, ledger.TaskIncome, "100000000000000000000"), row(3, ledger.Withdraw, taken))
	require.Equal(t, Approve, h.judge(h.list(1, 3, 7)).Kind)
	h.update(func(tx *ledger.Tx) error {
		a, _, err := tx.Account(stranger, 1)
		require.Equal(t, ledger.FreezeMalformedDebit, a.Freezes[0].Code)
		require.Equal(t, uint256.Int{}, a.Balance)
		return err
	})
}
