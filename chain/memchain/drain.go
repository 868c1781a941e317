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
	return c.drain(addr, wei, func(a *account) *uint256.Int { return &a.balance })
}

// DrainTokens takes tokens likewise, as the token's owner could.
func (c *Chain) DrainTokens(addr common.Address, amount uint256.Int) error {
	return c.drain(addr, amount, func(a *account) *uint256.Int { return &a.tokens })
}

func (c *Chain) drain(addr common.Address, amount uint256.Int, of func(*account) *uint256.Int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	tip := c.tip()
	a := tip.after[addr]
	if of(&a).Lt(&amount) {
		return ErrPoor
	}
	after := maps.Clone(tip.after)
	of(&a).Sub(of(&a), &amount)
	after[addr] = a
	tip.after = after
	return nil
}
