package ledger

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// cancels decides a CANCEL of a nonce.
func (p *protoNet) cancels(nonce uint64, name string) quorum.Committed {
	p.t.Helper()
	key := p.slotKey(nonce)
	return p.decideNext(name, DecisionEffects{Cancelled: &key})
}

func (p *protoNet) ready(c quorum.Committed, k uint64) error {
	p.t.Helper()
	return p.l.Update(func(tx *Tx) error {
		_, err := tx.Ready(quorum.Ready{Epoch: 1, Height: c.Height(), Batch: c.ID(), KMax: k}, by[quorum.Ready](p, 0))
		return err
	})
}

func (p *protoNet) failing() (out []SlotKey) {
	p.view(func(tx *Tx) error {
		return tx.Failed(func(s Slot, _ Payout) error { out = append(out, s.Key); return nil })
	})
	return out
}

// From the decision of a CANCEL on nothing else is signed for the nonce: no step of the payout, and of two CANCELs the later alone.
func TestOnlyTheCancelIsSigned(t *testing.T) {
	p := newProtoNet(t, 4)
	c, later := p.pay(0, 1), p.pay(1, 2)
	p.sign(c, 0)
	p.sent(c, 0)
	require.NoError(t, p.ready(c, 1))
	first := p.cancels(0, "cancel")
	require.ErrorIs(t, p.ready(c, 1), ErrNoSlot)
	p.intentRefused(ErrNoSlot, p.intent(c, 1, 0))
	p.reopen()
	p.check()
	turn, ok := p.turn(all)
	require.True(t, ok)
	batch, height := turn.Slot.Last()
	require.Equal(t, []any{first.ID(), first.Height(), uint64(0)}, []any{batch, height, turn.K}, "before what comes behind its nonce")
	require.NoError(t, p.ready(first, 0))
	require.ErrorIs(t, p.ready(first, 1), ErrNotDue)
	_, err := p.l.RecordIntent(p.intent(first, 0, 0))
	require.NoError(t, err)

	// What was signed before may come late. It is kept, for it may be mined, and is not what is sent.
	p.sign(c, 1)
	p.sign(first, 0)
	var hashes int
	p.view(func(tx *Tx) error {
		slot, _, err := tx.Slot(p.slotKey(0))
		top, signed, ok, err2 := tx.TopOf(slot)
		require.True(t, ok)
		require.Equal(t, []any{first.ID(), uint64(0)}, []any{top, signed.K})
		return errors.Join(err, err2, tx.SignedFor(slot, func(Signed) error { hashes++; return nil }))
	})
	require.Equal(t, 3, hashes)
	p.intentRefused(ErrSigned, p.intent(first, 0, 1))
	turn, _ = p.turn(func(Slot, Signed) bool { return false })
	require.Equal(t, later.ID(), turn.Slot.Batch)

	second := p.cancels(0, "cancel again")
	require.ErrorIs(t, p.ready(first, 1), ErrNoSlot)
	require.NoError(t, p.ready(second, 0))
	p.check()
}

// A CANCEL may come before anything was signed: then the payout never is.
func TestACancelBeforeTheFirstSignature(t *testing.T) {
	p := newProtoNet(t, 4)
	c, later := p.pay(0, 1), p.pay(1, 2)
	cancel := p.cancels(0, "cancel")
	p.intentRefused(ErrNoSlot, p.intent(c, 0, 0))
	p.intentRefused(ErrNotEarliest, p.intent(later, 0, 0))
	_, err := p.l.RecordIntent(p.intent(cancel, 0, 0))
	require.NoError(t, err)
	p.sign(cancel, 0)
	_, err = p.l.RecordIntent(p.intent(later, 0, 0))
	require.NoError(t, err)
	p.check()
}

// The CANCEL is mined: nobody is paid, the items wait for their release, and go free once.
func TestACancelWins(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.sign(c, 0)
	cancel := p.cancels(0, "cancel")
	p.decides(true, 1)
	require.Empty(t, p.failing())
	p.settle(0, cancel, 1)
	require.Equal(t, StageCancelled, p.stage(0).Stage)
	require.Equal(t, []SlotKey{p.slotKey(0)}, p.failing())
	p.check()
	p.refused(ErrConflict, func(tx *Tx) error { return tx.Settle(p.certify(p.outcome(0, c, 1))) })
	p.view(func(tx *Tx) error {
		paid, err := tx.IsPaid(1)
		_, owed, err2 := tx.ReportOn(1)
		require.False(t, paid || owed)
		return errors.Join(err, err2)
	})
	p.decideNext("release", p.frees(0))
	p.decides(false, 1)
	p.check()
	require.ErrorIs(t, p.l.Update(func(tx *Tx) error {
		key := p.slotKey(0)
		return tx.Decide(p.commit(p.roster, tx.LastHeight()+1, "late"), DecisionEffects{Cancelled: &key})
	}), ErrNoSlot, "nothing is left to cancel")
	again := p.pay(1, 1)
	p.settle(1, again, 1)
	p.check()
}

// The payout is mined before the CANCEL, also where this node knew it before the decision: it paid, and nothing goes free.
func TestThePayoutWins(t *testing.T) {
	p := newProtoNet(t, 4)
	c, known := p.pay(0, 1), p.pay(1, 2)
	p.settle(1, known, 1)
	p.sign(c, 0)
	p.cancels(0, "cancel")
	p.cancels(1, "cancel of what is final here")
	require.Equal(t, StageSettled, p.stage(1).Stage)
	p.settle(0, c, 1)
	require.Equal(t, StageSettled, p.stage(0).Stage)
	require.Empty(t, p.failing())
	_, ok := p.turn(all)
	require.False(t, ok)
	p.check()
	for _, nonce := range []uint64{0, 1} {
		require.ErrorIs(t, p.l.Update(func(tx *Tx) error {
			return tx.Decide(p.commit(p.roster, tx.LastHeight()+1, "release"), p.frees(nonce))
		}), ErrConflict)
	}
	stranger := p.outcome(0, c, 1)
	stranger.Batch = common.Hash{7}
	p.refused(ErrNoSlot, func(tx *Tx) error { return tx.Settle(p.certify(stranger)) })
}

// A CANCEL pays no account: the halt of one that made a batch poisonous does not keep its nonce from being freed. One of the lane does.
func TestHaltsAndCancels(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.trip(quorum.Halt{Epoch: 1, Scope: quorum.ScopeAccount, Target: p.content(1).Account.Hex(), Code: "operator"})
	require.ErrorIs(t, p.ready(c, 0), ErrHalted)
	_, ok := p.turn(all)
	require.False(t, ok)
	cancel := p.cancels(0, "cancel")
	require.NoError(t, p.ready(cancel, 0))
	_, ok = p.turn(all)
	require.True(t, ok)
	p.trip(quorum.Halt{Epoch: 1, Scope: quorum.ScopeLane, Target: p.content(1).Network, Code: "operator"})
	p.intentRefused(ErrHalted, p.intent(cancel, 0, 0))
	_, ok = p.turn(all)
	require.False(t, ok)
	p.check()
}

// What is on disk about CANCELs is what was decided.
func TestCheckOfCancels(t *testing.T) {
	p := newProtoNet(t, 4)
	p.pay(0, 1)
	p.cancels(0, "cancel")
	p.check()
	for _, vandal := range []func(*Slot){
		func(s *Slot) { s.Cancels[0].Batch[0]++ },
		func(s *Slot) { s.Cancels[0].Height-- },
		func(s *Slot) { s.Cancels = append(s.Cancels, s.Cancels[0]) },
	} {
		p.broken("I7", func(tx *Tx) error {
			s, _, err := tx.Slot(p.slotKey(0))
			vandal(&s)
			return errors.Join(err, tx.put(bucketSlots, s.Key.bytes(), s))
		})
	}
}

// TestAnEarlierEpochKnowsNoLaterCancel: its slot was open when it ended, and what was decided for the nonce since is not its to certify.
func TestAnEarlierEpochKnowsNoLaterCancel(t *testing.T) {
	p := newProtoNet(t, 4)
	first := p.pay(0, 1)
	members := p.members(2)
	a, err := quorum.NewAction(1, 1, 1, quorum.NewMemberChange(p.roster.Members, "fresh shares"))
	require.NoError(t, err)
	members.Change = quorum.SignedAction{Action: a}.Encode()
	p.update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 3, "change"), DecisionEffects{Members: members})
	})
	second, err := quorum.NewRoster(2, p.roster.Members)
	require.NoError(t, err)
	key := p.slotKey(0)
	cancel := p.commit(second, 4, "a CANCEL of epoch 2")
	p.update(func(tx *Tx) error { return tx.Decide(cancel, DecisionEffects{Cancelled: &key}) })
	p.refused(ErrNotInForce, func(tx *Tx) error { return tx.Settle(p.certify(p.outcome(0, cancel, 1))) })
	cert := p.certify(p.outcome(0, first, 1))
	p.update(func(tx *Tx) error { return tx.Settle(cert) })
	require.Equal(t, StageSettled, p.stage(0).Stage)
}
