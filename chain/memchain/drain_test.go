package memchain_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain/memchain"
)

func TestDrain(t *testing.T) {
	addr := common.Address{1}
	c, err := memchain.New(memchain.Config{ChainID: 7, Alloc: map[common.Address]uint256.Int{addr: *uint256.NewInt(10)}})
	require.NoError(t, err)
	require.ErrorIs(t, c.Drain(addr, *uint256.NewInt(11)), memchain.ErrPoor)
	require.NoError(t, c.Drain(addr, *uint256.NewInt(4)))
	c.Mine(2)
	require.Equal(t, *uint256.NewInt(6), c.Balance(addr))
}
