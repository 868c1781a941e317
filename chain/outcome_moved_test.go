package chain_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
)

// What moved is what the token itself says left the account: neither other tokens' words nor transfers of others count.
func TestMoved(t *testing.T) {
	token, other := common.Address{0x70}, common.Address{0x71}
	payer, user := common.Address{1}, common.Address{2}
	says := func(token, from, to common.Address, amount uint64) chain.Log {
		word := uint256.NewInt(amount).Bytes32()
		return chain.Log{Address: token, Topics: []common.Hash{chain.TransferTopic(), chain.AddressTopic(from), chain.AddressTopic(to)}, Data: word[:]}
	}
	moved := func(logs ...chain.Log) uint64 {
		sum := chain.Outcome{Status: 1, Logs: logs}.Moved(token, payer)
		return sum.Uint64()
	}
	good := says(token, payer, user, 5)
	short, unnamed := good, good
	short.Data, unnamed.Topics = good.Data[1:], []common.Hash{{9}, good.Topics[1], good.Topics[2]}
	require.Zero(t, moved(), "a token that only answers that it paid")
	require.EqualValues(t, 5, moved(good))
	require.EqualValues(t, 7, moved(good, says(token, payer, common.Address{3}, 2)), "a fee on top leaves the account too")
	require.EqualValues(t, 5, moved(good, says(other, payer, user, 9), says(token, user, payer, 9), says(token, payer, payer, 9), short, unnamed))
	most := says(token, payer, user, 0)
	for i := range most.Data {
		most.Data[i] = 0xff
	}
	require.Equal(t, *new(uint256.Int).SetAllOne(), chain.Outcome{Logs: []chain.Log{most, good}}.Moved(token, payer))
}
