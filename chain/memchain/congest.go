package memchain

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Congest holds the base fee at a level, from the next block on, as lasting demand of others does. Zero ends it: the fee follows
// EIP-1559 again.
func (c *Chain) Congest(fee uint256.Int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.congested = fee
}

func (c *Chain) baseFeeAfter(parent *block) uint256.Int {
	if !c.congested.IsZero() {
		return c.congested
	}
	return nextBaseFee(parent)
}

// SetAccepting ends SetReverting.
func (c *Chain) SetAccepting(addr common.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reverting, addr)
}
