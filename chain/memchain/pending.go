package memchain

import "github.com/ethereum/go-ethereum/common"

// Pending is the transaction that the mempool holds for an address's nonce: whoever saw it once can send it for ever. ok is false when it
// holds none.
func (c *Chain) Pending(from common.Address, nonce uint64) (raw []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pool {
		if p.from == from && p.tx.Nonce == nonce {
			return p.tx.Raw(), true
		}
	}
	return nil, false
}
