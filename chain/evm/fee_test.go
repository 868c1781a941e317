package evm_test

import (
	"context"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
)

// A rollup charges for posting a transaction beside its gas; elsewhere the field is absent or null.
func TestReceiptHoldsTheDataFee(t *testing.T) {
	asked := common.Hash{0xaa}
	receipt := func(more map[string]any) map[string]any {
		r := map[string]any{"transactionHash": asked, "blockHash": common.Hash{0xb1}, "blockNumber": "0x1", "status": "0x1",
			"gasUsed": "0x5208", "effectiveGasPrice": "0x3"}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	for want, more := range map[uint64]map[string]any{0: {"l1Fee": nil}, 7: {"l1Fee": "0x7"}} {
		r, err := dial(t, server{"eth_getTransactionReceipt": receipt(more)}).Receipt(context.Background(), asked)
		require.NoError(t, err)
		require.Equal(t, *uint256.NewInt(want), r.DataFee)
		fee, ok := chain.Outcome{GasUsed: r.GasUsed, GasPrice: r.GasPrice, DataFee: r.DataFee}.Fee()
		require.True(t, ok)
		require.Equal(t, *uint256.NewInt(21_000*3 + want), fee)
	}
	var most uint256.Int
	most.SetAllOne()
	_, ok := chain.Outcome{GasUsed: 2, GasPrice: most}.Fee()
	require.False(t, ok)
	_, ok = chain.Outcome{GasUsed: 1, GasPrice: most, DataFee: *uint256.NewInt(1)}.Fee()
	require.False(t, ok)
}
