package node

import (
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
)

// seesLane makes every member's VIEW show the payer's first lane, no nonce of it final.
func (l *lab) seesLane() {
	lane := l.state.LaneKeys()[0]
	seen := quorum.LaneView{Lane: lane, Block: 100, BaseFee: *uint256.NewInt(7)}
	seen.Gas.Lsh(uint256.NewInt(1), 100)
	seen.Balance = seen.Gas
	now := uint64(time.Now().UnixMilli()) + 1
	for i := range l.keys {
		l.pool.addView(by(l, i, quorum.View{Epoch: 1, Time: now, Height: l.state.Height, Lanes: []quorum.LaneView{seen}}))
	}
}

// slotNow is a slot as it stands.
func (l *lab) slotNow(slot ledger.Slot) (out ledger.Slot, p ledger.Payout) {
	require.NoError(l.t, l.led.View(func(tx *ledger.Tx) (err error) {
		if out, _, err = tx.Slot(slot.Key); err == nil {
			p, _, err = tx.Payout(slot.Key)
		}
		return err
	}))
	return out, p
}

// cancels decides a CANCEL of a slot by q operators.
func (l *lab) cancels(slot ledger.Slot) ledger.Slot {
	l.t.Helper()
	l.seesLane()
	slot, _ = l.slotNow(slot)
	last, _ := slot.Last()
	a, err := quorum.NewAction(1, l.state.Policy.Version, l.state.Serial+1, quorum.CancelSlot{
		Lane: quorum.LaneKey{ChainID: slot.Key.ChainID, Token: slot.Token, Payer: slot.Key.Payer}, Nonce: slot.Key.Nonce, Batch: last, Reason: "r"})
	require.NoError(l.t, err)
	for _, i := range []int{0, 1, 2} {
		e, err := quorum.SignAction(testKey("operator", i), l.network, a, signedAt())
		require.NoError(l.t, err)
		_, err = l.core.propose(quorum.SignedAction{Action: a, Signatures: []quorum.Endorsed{e}})
		require.NoError(l.t, err)
	}
	b, ok := l.buildAction()
	require.True(l.t, ok)
	require.Equal(l.t, batch.Cancel, b.Kind)
	require.False(l.t, l.refrains(b))
	require.NoError(l.t, l.hearDecision(l.decision(b)))
	require.NoError(l.t, l.fatal)
	slot, _ = l.slotNow(slot)
	require.True(l.t, slot.Cancelled())
	return slot
}

// A node leaves the session that signs another step of the payment, as soon as the CANCEL is on its disk.
func TestASessionIsLeftForACancel(t *testing.T) {
	l, slot := paying(t)
	if l.signer == nil {
		l.signer = &signer{attempts: tss.NewAttempts(tss.AttemptsConfig{Network: l.network, Epoch: 1, Self: l.self, Members: l.state.Roster.IDs()})}
	}
	left := false
	l.signer.cancel, l.signer.live = func() { left = true }, slot.Batch
	l.signer.reconsider(l.core)
	require.False(t, left)
	slot = l.cancels(slot)
	require.True(t, left)
	last, _ := slot.Last()
	require.True(t, l.stopped(slot.Batch))
	require.False(t, l.stopped(last))
}

// paymentsOf are the transactions that a slot may hold, as a watcher derives them.
func (l *lab) paymentsOf(slot ledger.Slot) []chain.Payment {
	l.t.Helper()
	w := &watcher{n: &Node{led: l.led, network: l.network, genesis: l.genesis}}
	out, err := w.payments(slot)
	require.NoError(l.t, err)
	return out
}

// The transaction of a CANCEL moves nothing, and replaces each step that the payout can have.
func TestTheTransactionOfACancel(t *testing.T) {
	l, slot := paying(t)
	slot = l.cancels(slot)
	all := l.paymentsOf(slot)
	require.Len(t, all, 2)
	payout, cancel := all[0], all[1]
	require.Equal(t, []any{payout.Nonce, payout.ChainID, payout.Payer}, []any{cancel.Nonce, cancel.ChainID, cancel.Payer})
	require.Equal(t, cancel.Payer, cancel.To)
	require.True(t, cancel.Value.IsZero() && len(cancel.Data) == 0)
	require.GreaterOrEqual(t, cancel.Bumps(), uint(3))
	top, err := chain.Render(payout, payout.Bumps())
	require.NoError(t, err)
	own, err := chain.Render(cancel, 0)
	require.NoError(t, err)
	_, ours := chain.Match(own.Payload, payout)
	require.False(t, ours)
	was, now := payout.MaxFee(payout.Bumps()), cancel.MaxFee(0)
	require.False(t, new(uint256.Int).Mul(&now, uint256.NewInt(100)).Lt(was.Mul(&was, uint256.NewInt(110))))
	require.NotEqual(t, top.Digest, own.Digest)
}

// Whichever is final at the nonce, the certificate names it: a CANCEL frees its items, and they are to be decided again.
func TestACancelThatWonReleases(t *testing.T) {
	l, slot := paying(t)
	slot = l.cancels(slot)
	won := sighting(1)
	won.Of = 1
	l.finalSeen(slot, won)
	for i := 1; i < len(l.keys); i++ {
		o := l.outcomeOf(slot, won)
		o.Counter = 1000
		l.hearOutcome(by(l, i, o))
	}
	_, p := l.slotNow(slot)
	require.Equal(t, ledger.StageCancelled, p.Stage)
	require.False(t, l.halted())
	l.seesLane()
	b, ok := l.buildRelease()
	require.True(t, ok)
	require.NoError(t, l.hearDecision(l.decision(b)))
	require.False(t, l.state.Decided(1))
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		paid, err := tx.IsPaid(1)
		_, told, err2 := tx.ReportOn(1)
		require.False(t, paid || told)
		return errors.Join(err, err2)
	}))
}

// A payout that won the race is paid like any other, and the CANCEL's word frees nothing.
func TestAPayoutThatWonIsPaid(t *testing.T) {
	l, slot := paying(t)
	slot = l.cancels(slot)
	l.finalSeen(slot, sighting(1))
	l.othersSay(slot, 1)
	_, p := l.slotNow(slot)
	require.Equal(t, ledger.StageSettled, p.Stage)
	n := &Node{led: l.led, network: l.network, genesis: l.genesis, core: l.core}
	b, err := n.Batch(3)
	require.NoError(t, err)
	require.Equal(t, stageOvertaken, b.Stage)
	require.Nil(t, b.Tx)
	b, err = n.Batch(2)
	require.NoError(t, err)
	require.Equal(t, "settled", b.Stage)
	require.NotNil(t, b.Tx)
	l.seesLane()
	_, ok := l.buildRelease()
	require.False(t, ok)
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		paid, err := tx.IsPaid(1)
		require.True(t, paid)
		return err
	}))
}

// f members that call the CANCEL final do not make it so, and q that do against own eyes blow the fuse.
func TestLiesAboutWhoWon(t *testing.T) {
	l, slot := paying(t)
	slot = l.cancels(slot)
	won := sighting(1)
	won.Of = 1
	l.finalSeen(slot, sighting(1))
	lie := l.outcomeOf(slot, won)
	for i := 1; i < len(l.keys); i++ {
		require.False(t, l.halted())
		_, p := l.slotNow(slot)
		require.Equal(t, ledger.StageFinal, p.Stage)
		lie.Counter = 1000
		l.hearOutcome(by(l, i, lie))
	}
	require.True(t, l.halted())
	require.Contains(t, l.fuseText(), "own endpoints show")
}

// What is stuck says how an operator frees it, and from the decision on, what became of it.
func TestThePeopleHearOfCancels(t *testing.T) {
	l, slot := paying(t)
	payments := l.paymentsOf(slot)
	a := alertAtCap(slot, payments[0], ledger.Signed{K: uint64(payments[0].Bumps())})
	require.Contains(t, a.Text, "conclave cancel --lane devnet --nonce 0 --payer "+slot.Key.Payer.Hex())
	l.alerts.ensure(a)
	slot = l.cancels(slot)
	for _, al := range l.alerts.list() {
		require.True(t, al.Code != codeAtCap || al.Over, "what it said is over")
	}
	require.Contains(t, alertAtCap(slot, payments[0], ledger.Signed{}).Text, "of CANCEL 1")
	require.Contains(t, l.feeText(2), "the operators cancelled it at height 3")
	n := &Node{led: l.led, network: l.network, genesis: l.genesis, core: l.core}
	b, err := n.Batch(3)
	require.NoError(t, err)
	require.Equal(t, []any{"CANCEL", uint64(0), []uint64{3}}, []any{b.Kind, *b.Nonce, b.Cancels})
}

// A transaction that pays nobody proves nothing foreign by the payout's decision alone: a CANCEL may have been decided behind it.
func TestACancelIsNoForeignPayment(t *testing.T) {
	l, slot := paying(t)
	slot = l.cancels(slot)
	r, err := chain.Render(l.paymentsOf(slot)[1], 0)
	require.NoError(t, err)
	sig, err := quorum.SignDigest(testKey("payer", 0), r.Digest)
	require.NoError(t, err)
	signed, err := r.Assemble(sig[:])
	require.NoError(t, err)
	require.True(t, mayBeCancel(signed.Raw))
	d, err := l.decisionAt(2)
	require.NoError(t, err)
	v := verifier{network: l.network, lanes: l.state.Lanes, rosters: []quorum.Roster{{}, l.state.Roster}}
	verdict, err := v.payment(ledger.Evidence{Kind: ledger.EvidencePayment, First: signed.Raw, Second: marshal(d.Unchecked())})
	require.ErrorIs(t, err, ErrEvidence)
	require.Equal(t, EvidenceFalse, verdict)
	l.keepForeign(signed.Raw, signed.Hash, 2)
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		return tx.Evidences(func(e ledger.Evidence) error { require.Empty(t, e.Second); return nil })
	}))
	require.False(t, mayBeCancel([]byte{1}))
	require.NotEqual(t, common.Hash{}, signed.Hash)
}
