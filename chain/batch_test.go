package chain_test

import (
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
)

func batchLane() chain.Lane {
	l := nativeLane()
	l.Way, l.Contract = chain.WayBatch, common.HexToAddress("0xc0de")
	return l
}

// payees are i coins and some to the i-th address.
func payees(n int) (out []chain.Payee) {
	for i := range n {
		out = append(out, chain.Payee{To: common.BigToAddress(big.NewInt(int64(0x1000 + i))), Amount: wei(uint64(256 * (i + 1)))})
	}
	return out
}

// Golden bytes: changing them is a protocol version.
func TestBatchBytesAreGolden(t *testing.T) {
	p := chain.Pay(batchLane(), payer(), 7, common.Hash{31: 0xba}, payees(2), 400_000, fees(3000, 1000, 9000))
	require.Equal(t, wei(768), p.Value)
	r, err := chain.Render(p, 0)
	require.NoError(t, err)
	word := func(tail string) string { return strings.Repeat("0", 64-len(tail)) + tail }
	require.Equal(t, "02f9014e82ee48078203e8820bb883061a8094000000000000000000000000000000000000c0de820300b90124"+
		"13ee4bc5"+word("ba")+word("60")+word("c0")+word("2")+word("1000")+word("1001")+word("2")+word("100")+word("200")+"c0",
		hex.EncodeToString(r.Payload))
}

// One payee is paid as on a lane of the way "single", the same bytes.
func TestOnePayeeIsPaidAlone(t *testing.T) {
	for _, lane := range []chain.Lane{batchLane(), nativeLane(), tokenLane()} {
		one := payees(1)
		require.Equal(t, chain.Transfer(lane, payer(), 7, one[0].To, one[0].Amount, 60_000, fees(3, 1, 9)),
			chain.Pay(lane, payer(), 7, common.Hash{1}, one, 60_000, fees(3, 1, 9)))
	}
}

// A token batch sends no coins, and takes the token that its lane names.
func TestTokenBatch(t *testing.T) {
	l := batchLane()
	l.Token = common.HexToAddress("0x70ce")
	p := chain.Pay(l, payer(), 1, common.Hash{2}, payees(3), 600_000, fees(3, 1, 9))
	require.Equal(t, l.Contract, p.To)
	require.True(t, p.Value.IsZero())
	require.Equal(t, chain.PayTokenData(common.Hash{2}, l.Token, payees(3)), p.Data)
}

// Each thing that makes a batch another one makes other bytes: a signature over one is none over the other.
func TestBatchesDifferInTheirBytes(t *testing.T) {
	render := func(l chain.Lane, nonce uint64, id common.Hash, all []chain.Payee) common.Hash {
		r, err := chain.Render(chain.Pay(l, payer(), nonce, id, all, 600_000, fees(3, 1, 9)), 0)
		require.NoError(t, err)
		return r.Digest
	}
	elsewhere, moved, swapped := batchLane(), batchLane(), payees(3)
	elsewhere.ChainID++
	moved.Contract[0] = 1
	swapped[0].Amount, swapped[1].Amount = swapped[1].Amount, swapped[0].Amount
	all := []common.Hash{
		render(batchLane(), 1, common.Hash{2}, payees(3)), render(batchLane(), 1, common.Hash{3}, payees(3)),
		render(batchLane(), 2, common.Hash{2}, payees(3)), render(elsewhere, 1, common.Hash{2}, payees(3)),
		render(moved, 1, common.Hash{2}, payees(3)), render(batchLane(), 1, common.Hash{2}, swapped),
		render(batchLane(), 1, common.Hash{2}, payees(2)),
	}
	slices.SortFunc(all, common.Hash.Cmp)
	require.Len(t, slices.Compact(all), 7)
}

func TestUnpaid(t *testing.T) {
	contract, id := common.HexToAddress("0xc0de"), common.Hash{1}
	says := func(from common.Address, id common.Hash, index uint64) chain.Log {
		word := uint256.NewInt(index).Bytes32()
		return chain.Log{Address: from, Topics: []common.Hash{chain.FailedTopic(), id}, Data: word[:]}
	}
	unpaid := func(logs ...chain.Log) []int { return chain.Outcome{Status: 1, Logs: logs}.Unpaid(contract, id, 5) }
	require.Empty(t, unpaid())
	require.Equal(t, []int{1, 3}, unpaid(says(contract, id, 3), says(contract, id, 1), says(contract, id, 3)))
	require.Empty(t, unpaid(says(common.Address{9}, id, 3)), "a recipient that speaks like the contract")
	require.Empty(t, unpaid(says(contract, common.Hash{2}, 3)), "another batch")
	require.Empty(t, unpaid(says(contract, id, 5)), "no such item")
	huge := says(contract, id, 0)
	huge.Data[0] = 1
	short, bare, other := says(contract, id, 0), says(contract, id, 0), says(contract, id, 0)
	short.Data, bare.Topics, other.Topics = short.Data[1:], bare.Topics[:1], []common.Hash{{9}, id}
	require.Empty(t, unpaid(huge, short, bare, other))
	require.Empty(t, chain.Outcome{Status: 0, Logs: []chain.Log{says(contract, id, 3)}}.Unpaid(contract, id, 5), "it reverted whole")
}

func TestLaneWays(t *testing.T) {
	require.NoError(t, batchLane().Validate())
	l := batchLane()
	l.Contract = common.Address{}
	require.ErrorContains(t, l.Validate(), "do not go together")
	l = nativeLane()
	l.Contract[0] = 1
	require.ErrorContains(t, l.Validate(), "do not go together")
}
