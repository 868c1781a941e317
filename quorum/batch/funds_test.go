package batch_test

import (
	"testing"

	"conclave/quorum/batch"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// gas is what a payout may cost at the base fee of these tests: limit × 60 gwei.
func gas(limit uint64) uint256.Int { return *uint256.NewInt(limit * 60 * gwei) }

func sum(all ...uint256.Int) (out uint256.Int) {
	for _, v := range all {
		out.Add(&out, &v)
	}
	return out
}

// A queue takes its amounts and the worst gas; what is decided and not final is not there any more; lanes of one chain
// share the coin.
func TestFundsFor(t *testing.T) {
	w := founded(t, 4)
	w.decide(t, w.pay(t, w.content(1, "native")))
	native, tokens := w.pay(t, w.content(2, "native")), w.pay(t, w.content(3, "tokens"))
	elsewhere, refused := w.pay(t, w.content(4, "elsewhere")), w.refuse(t, w.content(5, "native"))
	queue := []batch.Candidate{native, tokens, elsewhere, refused}

	open, left := sum(coins(2), gas(60_000)), coins(100)
	left.Sub(&left, &open)
	need := sum(coins(2), gas(60_000), gas(120_000))
	f := w.s.FundsFor(queue, w.laneView("native"))
	require.Equal(t, batch.Funds{Queue: 1, Coin: left, CoinNeed: need}, f)
	require.False(t, f.Low())

	f = w.s.FundsFor(queue, w.laneView("tokens"))
	require.Equal(t, batch.Funds{Queue: 1, Token: coins(1000), TokenNeed: coins(2), Coin: left, CoinNeed: need}, f)
	require.False(t, f.Low())

	view := w.laneView("native")
	view.Balance = sum(open, need)
	view.Gas = view.Balance
	require.False(t, w.s.FundsFor(queue, view).Low(), "to the wei")
	view.Gas.SubUint64(&view.Gas, 1)
	require.True(t, w.s.FundsFor(queue, view).Low())
	require.False(t, w.s.FundsFor(nil, view).Low(), "an empty purse with an empty queue is no trouble")

	view = w.laneView("tokens")
	view.Balance = coins(1)
	require.True(t, w.s.FundsFor(queue, view).Low())

	view = w.laneView("elsewhere")
	view.BaseFee = *uint256.NewInt(1000 * gwei)
	f = w.s.FundsFor(queue, view)
	require.Equal(t, sum(coins(2), *uint256.NewInt(60_000 * 500 * gwei)), f.CoinNeed, "above the ceiling, what the ceiling allows")
}
