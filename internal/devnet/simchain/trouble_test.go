package simchain_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/internal/devnet/simchain"
)

// TestReorganisedUnderTraffic: a transaction that waits keeps no reorganisation from happening, and what leaves the chain is counted.
func TestReorganisedUnderTraffic(t *testing.T) {
	w := newWorld(t)
	p := w.payment(0, 5, 21_000)
	s := w.sign(p, 0)
	require.NoError(t, w.node.SendRaw(w.ctx, s.Raw))
	w.commit(1)
	waiting, err := w.user.Transfer(w.ctx, deposits, wei(777))
	require.NoError(t, err)
	before := w.head()

	gone, err := w.sim.ReorgNow(w.ctx, 2, true)
	require.NoError(t, err)
	require.Equal(t, 2, gone, "the one that was mined, and the one that waited")
	require.Equal(t, before.Number+2, w.head().Number)
	_, err = w.node.Receipt(w.ctx, s.Hash)
	require.ErrorIs(t, err, chain.ErrNotFound)
	_, err = w.node.Receipt(w.ctx, waiting)
	require.ErrorIs(t, err, chain.ErrNotFound)
	require.NoError(t, w.node.SendRaw(w.ctx, s.Raw), "it is nowhere any more")
	w.commit(1)
	gone, err = w.sim.ReorgNow(w.ctx, 1, false)
	require.NoError(t, err)
	require.Zero(t, gone)
	require.NoError(t, w.sim.Close())
	_, err = w.sim.ReorgNow(w.ctx, 1, false)
	require.ErrorIs(t, err, simchain.ErrClosed)
}

// TestARivalMovesTheBaseFee: half full blocks keep it, full ones raise it, empty ones let it fall.
func TestARivalMovesTheBaseFee(t *testing.T) {
	w := newWorld(t)
	faucet, err := w.sim.Faucet()
	require.NoError(t, err)
	defer faucet.Close()
	rival, err := w.sim.Rival(w.ctx, faucet)
	require.NoError(t, err)
	defer rival.Close()
	w.commit(1)
	bases := func(share uint64, blocks int) (out []*big.Int) {
		for range blocks {
			_, limit, err := w.sim.Fee(w.ctx)
			require.NoError(t, err)
			require.NoError(t, rival.Burn(w.ctx, limit*share/100))
			w.commit(1)
			base, _, err := w.sim.Fee(w.ctx)
			require.NoError(t, err)
			out = append(out, base)
		}
		return out
	}
	half := bases(50, 3) // each follows the block before it
	require.Equal(t, half[1], half[2])
	full := bases(99, 4)
	require.Positive(t, full[3].Cmp(half[2]))
	empty := bases(0, 4)
	require.Negative(t, empty[3].Cmp(empty[0]))
}
