package ledger

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func (p *protoNet) sent(c quorum.Committed, k uint64) {
	p.t.Helper()
	p.update(func(tx *Tx) error { return tx.MarkSent(c.ID(), k) })
}

func (p *protoNet) turn(due func(Slot, Signed) bool) (out Turn, ok bool) {
	p.view(func(tx *Tx) (err error) { out, ok, err = tx.NextTurn(due); return })
	return out, ok
}

func all(Slot, Signed) bool { return true }

// A slot that is not signed goes before every fee step, and the fee step of the earliest before others.
func TestTurnsOfOneSequence(t *testing.T) {
	p := newProtoNet(t, 4)
	first, second := p.pay(0, 1), p.pay(1, 2)
	got, ok := p.turn(all)
	require.True(t, ok)
	require.Equal(t, []any{first.ID(), uint64(0)}, []any{got.Slot.Batch, got.K})
	p.sign(first, 0)
	got, _ = p.turn(all)
	require.Equal(t, []any{second.ID(), uint64(0)}, []any{got.Slot.Batch, got.K})
	p.sign(second, 0)
	_, ok = p.turn(func(Slot, Signed) bool { return false })
	require.False(t, ok, "nothing is due")
	got, _ = p.turn(all)
	require.Equal(t, []any{first.ID(), uint64(1)}, []any{got.Slot.Batch, got.K})
	got, _ = p.turn(func(s Slot, top Signed) bool { return s.Batch == second.ID() && top.K == 0 })
	require.Equal(t, []any{second.ID(), uint64(1)}, []any{got.Slot.Batch, got.K})
	p.update(func(tx *Tx) error { return tx.Track(p.slotKey(0), Payout{Stage: StageMined, Status: 1}) })
	got, _ = p.turn(all)
	require.Equal(t, second.ID(), got.Slot.Batch, "what is in a block needs no step")
}

// A key that is never idle still comes to a step that is due: behind as many heights as it has steps, times bumpBehind.
func TestNoTurnWaitsForEver(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stuck := Turn{Slot: Slot{Height: rapid.Uint64Range(1, 1<<40).Draw(rt, "height")}, K: rapid.Uint64Range(1, 64).Draw(rt, "step")}
		other := Turn{Slot: Slot{Height: stuck.Slot.Height + bumpBehind*stuck.K + rapid.Uint64Range(1, 1<<20).Draw(rt, "later")}}
		require.True(rt, stuck.before(other) && !other.before(stuck))
		near := Turn{Slot: Slot{Height: stuck.Slot.Height + rapid.Uint64Range(0, bumpBehind).Draw(rt, "near")}}
		require.True(rt, near.before(stuck) && !stuck.before(near), "what is not signed at all goes first")
	})
}

// The wait of a transaction begins when an endpoint took it, once; a reorganisation that takes it out of its block begins it anew.
func TestAWaitBeginsWithTheBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProtoNet(t, 4)
		c := p.pay(0, 1)
		p.sign(c, 0)
		top := func() (s Signed) {
			p.view(func(tx *Tx) (err error) { s, _, err = tx.TopSigned(c.ID()); return })
			return s
		}
		require.Zero(t, top().Sent)
		p.sent(c, 0)
		began := top().Sent
		require.NotZero(t, began)
		time.Sleep(time.Minute)
		p.sent(c, 0)
		require.Equal(t, began, top().Sent)
		for _, s := range []Stage{StageBroadcast, StageMined, StageBroadcast} {
			p.update(func(tx *Tx) error { return tx.Track(p.slotKey(0), Payout{Stage: s, TxHash: top().Hash}) })
		}
		require.Equal(t, began+60_000, top().Sent)
	})
}
