package evm_test

import (
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/chain"
)

// contractABI is what the compiler says of the contract.
func contractABI(t require.TestingT) abi.ABI {
	raw, err := os.ReadFile("../payout/BatchPayout.abi.json")
	require.NoError(t, err)
	out, err := abi.JSON(strings.NewReader(string(raw)))
	require.NoError(t, err)
	return out
}

// The call data is what the contract's own ABI makes of the same arguments.
func TestCallDataIsTheContractsABI(t *testing.T) {
	contract := contractABI(t)
	rapid.Check(t, func(rt *rapid.T) {
		id := common.BytesToHash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "id"))
		token := common.BytesToAddress(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(rt, "token"))
		var all []chain.Payee
		var to []common.Address
		var amounts []*big.Int
		for range rapid.IntRange(0, 150).Draw(rt, "items") {
			v := new(uint256.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(rt, "amount"))
			all = append(all, chain.Payee{To: common.BytesToAddress(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(rt, "to")), Amount: *v})
			to, amounts = append(to, all[len(all)-1].To), append(amounts, v.ToBig())
		}
		want, err := contract.Pack("pay", id, to, amounts)
		require.NoError(rt, err)
		require.Equal(rt, want, chain.PayData(id, all))
		require.LessOrEqual(rt, len(want), chain.MaxData)
		want, err = contract.Pack("payToken", id, token, to, amounts)
		require.NoError(rt, err)
		require.Equal(rt, want, chain.PayTokenData(id, token, all))
		want, err = contract.Pack("claim", token, id20(id))
		require.NoError(rt, err)
		require.Equal(rt, want, chain.ClaimData(token, id20(id)))
	})
	require.Equal(t, contract.Events["Failed"].ID, chain.FailedTopic())
}

func id20(id common.Hash) common.Address { return common.BytesToAddress(id[:20]) }
