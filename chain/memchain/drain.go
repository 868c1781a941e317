package memchain

import (
	"errors"
	"maps"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// ErrPoor means that an address has less than is to be taken from it.
var ErrPoor = errors.New("memchain: the address has less")

// Drain takes coins from an address into nothing, from the newest block on, without a transaction of its own: what no
// nonce explains.
func (c *Chain) Drain(addr common.Address, wei uint256.Int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	tip := c.tip()
	a := tip.after[addr]
	if a.balance.Lt(&wei) {
		return ErrPoor
	}
	after := maps.Clone(tip.after)
	a.balance.Sub(&a.balance, &wei)
	after[addr] = a
	tip.after = after
	return nil
}
