package node

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// The transaction of a SWEEP goes from the old payer on the chain that the batch names, in the asset that it names: a chain's coin
// wherever its lanes pay tokens, and never another lane's token.
func TestSweepPayment(t *testing.T) {
	old, to, token := common.Address{0x0d}, common.Address{0x11}, common.HexToAddress("0x70ce")
	lanes := []quorum.Lane{
		{Network: "coins", ChainID: 1, Way: quorum.WayBatch, Contract: common.Address{0xc0}},
		{Network: "tokens", ChainID: 2, Way: quorum.WaySingle, Token: token},
	}
	amount := *uint256.NewInt(500)
	fees := chain.Fees{Offer: *uint256.NewInt(5), Tip: *uint256.NewInt(2), FeeCap: *uint256.NewInt(9)}
	plain := chain.Payment{Nonce: 6, Payer: old, To: to, Value: amount, Gas: 21_000, Fees: fees}
	on := func(chainID uint64) chain.Payment { p := plain; p.ChainID = chainID; return p }
	call := chain.Payment{ChainID: 2, Nonce: 6, Payer: old, To: token, Data: chain.TransferData(to, amount), Gas: 21_000, Fees: fees}
	for name, c := range map[string]struct {
		chainID uint64
		asset   common.Address
		action  []byte
		want    chain.Payment
		err     string
	}{
		"a coin":                          {chainID: 1, want: on(1)},
		"a token":                         {chainID: 2, asset: token, want: call},
		"a coin beside a token's lane":    {chainID: 2, want: on(2)},
		"another chain's token":           {chainID: 1, asset: token, err: "no lane of chain 1"},
		"a token that no lane pays":       {chainID: 2, asset: common.Address{0x99}, err: "no lane of chain 2"},
		"a chain that no lane is on":      {chainID: 3, err: "no lane of chain 3"},
		"an action that is none":          {chainID: 1, action: []byte{0xc0}, err: "rlp"},
		"an action that moves nothing":    {chainID: 1, action: quorum.SweepAction{To: to}.Encode(), err: "a sweep of nothing"},
		"an action that moves to nowhere": {chainID: 1, action: quorum.SweepAction{Value: amount}.Encode(), err: "to nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			b := batch.Batch{
				Kind: batch.Sweep, Lane: quorum.LaneKey{ChainID: c.chainID, Token: c.asset, Payer: old}, Nonce: 6,
				Offer: fees.Offer, Tip: fees.Tip, FeeCap: fees.FeeCap, GasLimit: 21_000, Action: c.action,
			}
			if b.Action == nil {
				b.Action = quorum.SweepAction{To: to, Value: amount}.Encode()
			}
			got, err := sweepPayment(b, lanes)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// retiring is a lab whose payer is new, and the lane of the old one. Its time stands.
func retiring(t *testing.T) (*lab, quorum.LaneKey) {
	l := newLab(t)
	now := time.Now()
	l.now = func() time.Time { return now }
	old := testKey("old payer", 0)
	payer := common.Address{0x0d}
	l.state.Old = &batch.Retiring{Payer: payer, Key: compressed(old), Epoch: 1}
	l.followOld()
	require.Equal(t, payer, *l.retiring.Load())
	return l, l.state.Lanes[0].Key(payer)
}

// What a watcher saw of the old payer stands in this node's VIEW while it is fresh and the payer is still emptied; what it read of
// another payer, a look that began before the change say, never does.
func TestViewsOfTheOldPayer(t *testing.T) {
	l, lane := retiring(t)
	require.Empty(t, l.oldViews(l.now()), "nothing is seen yet")

	l.oldSeen("devnet", quorum.LaneView{Lane: l.state.LaneKeys()[0], Block: 9})
	require.Empty(t, l.oldViews(l.now()), "the payer in force")

	seen := quorum.LaneView{Lane: lane, Block: 10, Nonce: 4}
	l.oldSeen("devnet", seen)
	require.Equal(t, []quorum.LaneView{seen}, l.oldViews(l.now()))
	l.moves(2*viewEvery - time.Nanosecond)
	require.Len(t, l.oldViews(l.now()), 1)
	l.moves(time.Nanosecond)
	require.Empty(t, l.oldViews(l.now()), "too old to build on")

	l.oldSeen("devnet", seen)
	require.Len(t, l.oldViews(l.now()), 1)
	l.state.Old = nil
	l.followOld()
	require.Nil(t, l.retiring.Load(), "the watchers stop looking")
	require.Empty(t, l.oldViews(l.now()))
	l.oldSeen("devnet", seen)
	require.Empty(t, l.oldViews(l.now()), "a look that ended late")
}

// A SWEEP is asked for once everybody shows the old payer. A node that has blown its fuse asks for none, and after a try that could not
// be, the next one waits.
func TestBuildSweep(t *testing.T) {
	l, lane := retiring(t)
	_, ok := l.buildSweep()
	require.False(t, ok, "nobody shows the old payer")

	seen := quorum.LaneView{Lane: lane, Block: 100, BaseFee: *uint256.NewInt(7)}
	seen.Gas.Lsh(uint256.NewInt(1), 100)
	seen.Balance = seen.Gas
	for i := range l.keys {
		l.pool.addView(by(l, i, quorum.View{Epoch: 1, Time: uint64(l.now().UnixMilli()), Height: l.state.Height, Lanes: []quorum.LaneView{seen}}))
	}
	_, ok = l.buildSweep()
	require.False(t, ok, "it was tried just now")
	l.moves(buildEvery)
	b, ok := l.buildSweep()
	require.True(t, ok)
	require.Equal(t, batch.Sweep, b.Kind)
	require.Equal(t, lane, b.Lane)
	moves, err := quorum.DecodeSweepAction(b.Action)
	require.NoError(t, err)
	require.Equal(t, l.state.Payer, moves.To)

	l.trip("test", "the world is not as it was")
	l.moves(buildEvery)
	_, ok = l.buildSweep()
	require.False(t, ok, "halted")
}
