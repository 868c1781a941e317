package ledger

import (
	"errors"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

func (p *protoNet) decideNext(name string, fx DecisionEffects) (c quorum.Committed) {
	p.t.Helper()
	p.update(func(tx *Tx) error {
		c = p.commit(p.roster, tx.LastHeight()+1, name)
		return tx.Decide(c, fx)
	})
	return c
}

func (p *protoNet) frees(nonce uint64) DecisionEffects {
	return DecisionEffects{Released: []SlotKey{p.slotKey(nonce)}}
}

func (p *protoNet) decides(want bool, wid uint64) {
	p.t.Helper()
	p.view(func(tx *Tx) error {
		_, decided, err := tx.DecidedWID(wid)
		require.Equal(p.t, want, decided)
		return err
	})
}

// A reverted payout is released once, and paid by another slot: the Relay hears of that one alone.
func TestAReleasedItemIsPaidByAnotherSlot(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.sign(c, 0)
	p.refused(ErrConflict, func(tx *Tx) error { return tx.freeSlots([]SlotKey{p.slotKey(7)}, 3) })
	p.settle(0, c, 0)
	p.decides(true, 1)
	p.refused(ErrDecided, func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	p.update((*Tx).BookOutflow)
	p.check()
	p.decideNext("release", p.frees(0))
	p.decides(false, 1)
	p.check()
	p.view(func(tx *Tx) error {
		o, err := tx.Outflow()
		require.True(t, o.Sum.IsZero(), "what nobody was paid is no outflow")
		s, ok, err2 := tx.SpentWID(1)
		require.True(t, ok && s.Free, "its debit stays reserved")
		require.False(t, tx.AwaitsRelease(p.slotKey(0)))
		_, owed, err3 := tx.ReportOn(1)
		require.False(t, owed)
		return errors.Join(err, err2, err3)
	})
	require.Error(t, p.l.Update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, tx.LastHeight()+1, "twice"), p.frees(0))
	}), "once per slot")
	p.intentRefused(ErrNoSlot, p.intent(c, 1, 0))

	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	again := p.pay(1, 1)
	p.decides(true, 1)
	p.check()
	p.update((*Tx).BookOutflow)
	p.settle(1, again, 1)
	p.check()
	p.view(func(tx *Tx) error {
		paid, ok, err := tx.PaidBy(1)
		require.True(t, ok)
		require.Equal(t, p.slotKey(1), paid.Slot)
		r, owed, err2 := tx.ReportOn(1)
		require.True(t, owed)
		require.Equal(t, ReportFulfil, r.Outcome)
		o, err3 := tx.Outflow()
		c := p.content(1)
		require.Equal(t, *new(uint256.Int).Add(&c.Amount, &c.Fee), o.Sum, "once, not twice")
		return errors.Join(err, err2, err3)
	})
	require.Error(t, p.l.Update(func(tx *Tx) error { return tx.freeSlots([]SlotKey{p.slotKey(1)}, 9) }), "it paid")
}

// What a certificate calls paid is never freed, whatever a decision says.
func TestNothingPaidIsReleased(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.settle(0, c, 1)
	err := p.l.Update(func(tx *Tx) error { return tx.Decide(p.commit(p.roster, tx.LastHeight()+1, "release"), p.frees(0)) })
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "an outcome certificate says that it paid", "before any item is touched")
	p.decides(true, 1)
	p.check()
}

// A released item that is then refused is refunded, and never paid: one report, and the books await no fee of it.
func TestAReleasedItemMayBeRejected(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.settle(0, c, 0)
	p.decideNext("release", p.frees(0))
	p.decideNext("reject", DecisionEffects{Rejects: []quorum.Content{p.content(1)}})
	p.check()
	p.view(func(tx *Tx) error {
		r, owed, err := tx.ReportOn(1)
		require.True(t, owed)
		require.Equal(t, ReportReject, r.Outcome)
		return err
	})
	require.Error(t, p.l.Update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, tx.LastHeight()+1, "pay"), DecisionEffects{Items: []quorum.Content{p.content(1)}, Slot: p.slot(1)})
	}), "a reject stands for ever")
}

// Another content is another withdrawal: none may use the name of one that was released.
func TestAReleasedItemKeepsItsContent(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.settle(0, c, 0)
	p.decideNext("release", p.frees(0))
	other := p.content(1)
	other.To[0]++
	require.Error(t, p.l.Update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, tx.LastHeight()+1, "pay"), DecisionEffects{Items: []quorum.Content{other}, Slot: p.slot(1)})
	}))
}
