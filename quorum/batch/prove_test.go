package batch_test

import (
	"testing"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/stretchr/testify/require"
)

// applyProven judges a value as a node that catches up does.
func (w *world) applyProven(t tb, value []byte) error {
	p, err := batch.Prove(w.network, w.s.Roster, value)
	if err != nil {
		return err
	}
	_, err = w.s.ApplyProven(w.commit(t, value), p)
	return err
}

// Proving beside the state and judging on it leads where judging at once does.
func TestProvenBatchesAreAppliedAlike(t *testing.T) {
	w, other := founded(t, 4), founded(t, 4)
	for wid := range uint64(3) {
		b := w.build(t, w.views(t, 0), w.pay(t, w.content(10+wid, "native")), w.refuse(t, w.content(20+wid, "native")))
		c := w.commit(t, b.Encode())
		p, err := batch.Prove(w.network, w.s.Roster, c.Value())
		require.NoError(t, err)
		require.Equal(t, batch.Payout, p.Kind())
		fx, err := w.s.ApplyProven(c, p)
		require.NoError(t, err)
		want, err := other.s.Apply(c)
		require.NoError(t, err)
		require.Equal(t, want, fx)
		require.Equal(t, other.s, w.s)
		if wid == 0 {
			continue
		}
		break // two slots in flight
	}
}

// What was proven of one value, or by another committee, says nothing of this one.
func TestProofsAreOfOneValueAndCommittee(t *testing.T) {
	w := founded(t, 4)
	a := w.build(t, w.views(t, 0), w.refuse(t, w.content(1, "native")))
	b := w.build(t, w.views(t, 0), w.refuse(t, w.content(2, "native")))
	p, err := batch.Prove(w.network, w.s.Roster, a.Encode())
	require.NoError(t, err)
	_, err = w.s.ApplyProven(w.commit(t, b.Encode()), p)
	require.ErrorContains(t, err, "another value")
	_, err = w.s.ApplyProven(quorum.Committed{}, batch.Proven{})
	require.Error(t, err)
	later := w.s.Roster
	later.Epoch++
	p, err = batch.Prove(w.network, later, a.Encode())
	if err == nil {
		_, err = w.s.ApplyProven(w.commit(t, a.Encode()), p)
	}
	require.Error(t, err, "proven by another epoch's committee")
	require.NoError(t, w.applyProven(t, a.Encode()))
}
