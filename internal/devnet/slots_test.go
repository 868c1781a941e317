package devnet

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/node"
)

func TestSlotsGroupWithdrawals(t *testing.T) {
	h := func(v uint64) *uint64 { return &v }
	tx := &common.Hash{0xab}
	p := progress{all: []node.WithdrawalView{
		{ID: 1, Network: "devnet", Height: h(3), Nonce: h(1), Stage: "mined", Tx: tx},
		{ID: 2, Network: "devnet-token", Height: h(2), Nonce: h(0), Stage: "settled"},
		{ID: 3, Network: "devnet", Height: h(3), Nonce: h(1), Stage: "mined", Tx: tx},
		{ID: 4, Network: "devnet", Height: h(4)}, // rejected
		{ID: 5, Network: "devnet"},
	}}
	rows := p.slots()
	require.Equal(t, []slotRow{
		{2, 0, "devnet-token", "settled", "", 1}, {3, 1, "devnet", "mined", "0xab00000000000000…", 2},
	}, rows)
	require.Equal(t, 2, largest(rows))
	var b strings.Builder
	writeSlots(&b, rows)
	require.Contains(t, b.String(), "3\tdevnet\t1\t2\tmined\t0xab00000000000000…\n")
	b.Reset()
	writeSlots(&b, nil)
	require.Empty(t, b.String())
}

func TestLanesOfANetwork(t *testing.T) {
	n := &Network{o: Options{Network: "devnet"}, chainID: 7, world: &world{payout: common.Address{0xc0}, token: common.Address{0x70}, deposit: common.Address{1}}}
	file := n.laneFile()
	require.Equal(t, 2, strings.Count(file, "[[lane]]"))
	require.Equal(t, 1, strings.Count(file, "way = \"batch\""), "the coin's; tokens are paid one by one")
	require.Contains(t, file, "network = \"devnet-token\"")
	n.o.Tokens = true
	require.Equal(t, 2, strings.Count(n.laneFile(), "way = \"batch\""))
	n.o.Tokens = false
	n.o.RPCs, n.world.payout = []string{"http://127.0.0.1:1"}, common.Address{}
	file = n.laneFile()
	require.Equal(t, 1, strings.Count(file, "[[lane]]"), "on a foreign chain nobody deployed anything")
	require.NotContains(t, file, "way")
}
