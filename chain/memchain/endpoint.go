package memchain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/payout"
)

// hangTime is how long a hanging endpoint takes: as long as the adapter to real servers waits.
const hangTime = 10 * time.Second

// ErrDown is what every call of an endpoint gives that is switched off.
var ErrDown = errors.New("memchain: endpoint is down")

// Endpoint is one node's view of the chain: it may be down, lag behind, or have lost old state.
type Endpoint struct {
	chain *Chain
	name  string

	mu   sync.Mutex // guards the switches
	down bool
	hang bool
	lag  uint64
	kept uint64 // blocks whose state it holds; 0: all
	last uint64 // the newest block that it ever shows; 0: none is
}

var _ chain.Endpoint = (*Endpoint)(nil)

// Endpoint opens a view under the given name.
func (c *Chain) Endpoint(name string) *Endpoint { return &Endpoint{chain: c, name: name} }

// SetDown switches the endpoint off or on.
func (e *Endpoint) SetDown(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

// SetHanging makes every call take ten seconds and fail: a server that takes connections and never answers.
func (e *Endpoint) SetHanging(hang bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hang = hang
}

// SetLag makes the endpoint see the chain without its newest blocks.
func (e *Endpoint) SetLag(blocks uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lag = blocks
}

// SetKept makes the endpoint hold the state of the newest blocks only; 0: of all.
func (e *Endpoint) SetKept(blocks uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = blocks
}

// SetStopped makes the endpoint show nothing newer than it shows now, as a server that lost its peers; false lets it catch up.
func (e *Endpoint) SetStopped(stopped bool) {
	e.chain.mu.Lock()
	now := uint64(len(e.chain.blocks) - 1)
	e.chain.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last = 0; stopped {
		e.last = now
	}
}

// view is the part of the chain that the endpoint sees, never empty. Blocks are sealed and not changed any more, apart
// from the test helpers Fund and SetBaseFee, so they may be read after the lock is gone only through copies.
func (e *Endpoint) view(ctx context.Context, read func(blocks []*block) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	down, hang, lag, last := e.down, e.hang, e.lag, e.last
	e.mu.Unlock()
	if hang {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(hangTime):
		}
		down = true
	}
	if down {
		return fmt.Errorf("%s: %w", e.name, ErrDown)
	}

	e.chain.mu.Lock()
	defer e.chain.mu.Unlock()
	blocks := e.chain.blocks
	if last > 0 {
		blocks = blocks[:min(uint64(len(blocks)), last+1)]
	}
	return read(blocks[:len(blocks)-int(min(lag, uint64(len(blocks)-1)))])
}

// Name implements chain.Endpoint.
func (e *Endpoint) Name() string { return e.name }

// Head implements chain.Endpoint.
func (e *Endpoint) Head(ctx context.Context) (h chain.Header, err error) {
	err = e.view(ctx, func(blocks []*block) error {
		h = blocks[len(blocks)-1].header
		return nil
	})
	return h, err
}

// Final implements chain.Endpoint.
func (e *Endpoint) Final(ctx context.Context) (h chain.Header, err error) {
	err = e.view(ctx, func(blocks []*block) error {
		head := uint64(len(blocks) - 1)
		h = blocks[head-min(head, e.chain.depth)].header
		return nil
	})
	return h, err
}

// HeaderAt implements chain.Endpoint.
func (e *Endpoint) HeaderAt(ctx context.Context, number uint64) (h chain.Header, err error) {
	err = e.view(ctx, func(blocks []*block) error {
		if number >= uint64(len(blocks)) {
			return chain.ErrNotFound
		}
		h = blocks[number].header
		return nil
	})
	return h, err
}

// stateAt reads one account at a block that must be on the chain and not pruned.
func (e *Endpoint) stateAt(ctx context.Context, addr common.Address, at chain.Header) (a account, err error) {
	e.mu.Lock()
	kept := e.kept
	e.mu.Unlock()
	err = e.view(ctx, func(blocks []*block) error {
		b, err := find(blocks, at)
		if err != nil {
			return err
		}
		if kept > 0 && at.Number+kept < uint64(len(blocks)) {
			return chain.ErrPruned
		}
		a = b.after[addr]
		return nil
	})
	return a, err
}

func find(blocks []*block, at chain.Header) (*block, error) {
	if at.Number >= uint64(len(blocks)) || blocks[at.Number].header.Hash != at.Hash {
		return nil, chain.ErrNotFound
	}
	return blocks[at.Number], nil
}

// NonceAt implements chain.Endpoint.
func (e *Endpoint) NonceAt(ctx context.Context, addr common.Address, at chain.Header) (uint64, error) {
	a, err := e.stateAt(ctx, addr, at)
	return a.nonce, err
}

// BalanceAt implements chain.Endpoint. There is one token at most.
func (e *Endpoint) BalanceAt(ctx context.Context, token, holder common.Address, at chain.Header) (uint256.Int, error) {
	if token != (common.Address{}) && token != e.chain.token {
		return uint256.Int{}, chain.ErrNoContract
	}
	a, err := e.stateAt(ctx, holder, at)
	if token != (common.Address{}) {
		return a.tokens, err
	}
	return a.balance, err
}

// Allowance implements chain.Endpoint. The token knows one spender, the payout contract.
func (e *Endpoint) Allowance(ctx context.Context, token, owner, spender common.Address, at chain.Header) (uint256.Int, error) {
	if token != e.chain.token || token == (common.Address{}) {
		return uint256.Int{}, chain.ErrNoContract
	}
	a, err := e.stateAt(ctx, owner, at)
	if spender != e.chain.payout {
		return uint256.Int{}, err
	}
	return a.allowed, err
}

// CodeAt implements chain.Endpoint. The payout contract has the code of the real one; other code is no more than a mark.
func (e *Endpoint) CodeAt(ctx context.Context, addr common.Address, at chain.Header) (code []byte, err error) {
	_, err = e.stateAt(ctx, addr, at)
	switch {
	case err != nil || addr == (common.Address{}):
	case addr == e.chain.payout:
		code = payout.RuntimeCode()
	case addr == e.chain.token || addr == e.chain.benefit:
		code = []byte{0xfe}
	}
	return code, err
}

// BenefitAddress implements chain.Endpoint.
func (e *Endpoint) BenefitAddress(ctx context.Context, contract, who common.Address, at chain.Header) (common.Address, error) {
	if contract != e.chain.benefit || contract == (common.Address{}) {
		return common.Address{}, chain.ErrNoContract
	}
	a, err := e.stateAt(ctx, who, at)
	return a.benefit, err
}

// BenefitLogs implements chain.Endpoint.
func (e *Endpoint) BenefitLogs(ctx context.Context, contract, who common.Address, from, to uint64) (out []chain.Binding, err error) {
	err = e.view(ctx, func(blocks []*block) error {
		if to >= uint64(len(blocks)) || from > to {
			return chain.ErrNotFound
		}
		for _, b := range blocks[from : to+1] {
			for _, bond := range b.bonds {
				if contract == e.chain.benefit && bond.Account == who {
					out = append(out, bond)
				}
			}
		}
		return nil
	})
	return out, err
}

// Transaction implements chain.Endpoint.
func (e *Endpoint) Transaction(ctx context.Context, hash common.Hash) (tx chain.Transaction, err error) {
	err = e.view(ctx, func(blocks []*block) error {
		if in, ok := lookup(blocks, hash); ok {
			tx = in.shown
			return nil
		}
		for _, p := range e.chain.pool {
			if p.hash == hash {
				tx = show(p)
				return nil
			}
		}
		return chain.ErrNotFound
	})
	return tx, err
}

// Receipt implements chain.Endpoint.
func (e *Endpoint) Receipt(ctx context.Context, hash common.Hash) (r chain.Receipt, err error) {
	err = e.view(ctx, func(blocks []*block) error {
		in, ok := lookup(blocks, hash)
		if !ok {
			return chain.ErrNotFound
		}
		r = in.receipt
		return nil
	})
	return r, err
}

// lookup walks back from the newest block: what tests ask for is recent.
func lookup(blocks []*block, hash common.Hash) (included, bool) {
	for i := len(blocks) - 1; i >= 0; i-- {
		for _, in := range blocks[i].txs {
			if in.hash == hash {
				return in, true
			}
		}
	}
	return included{}, false
}

// Sent implements chain.Endpoint.
func (e *Endpoint) Sent(ctx context.Context, from common.Address, in chain.Header) (out []chain.Transaction, err error) {
	err = e.view(ctx, func(blocks []*block) error {
		b, err := find(blocks, in)
		if err != nil {
			return err
		}
		for _, tx := range b.txs {
			if tx.from == from {
				out = append(out, tx.shown)
			}
		}
		return nil
	})
	return out, err
}

// SendRaw implements chain.Endpoint.
func (e *Endpoint) SendRaw(ctx context.Context, raw []byte) error {
	if err := e.view(ctx, func([]*block) error { return nil }); err != nil {
		return err
	}
	return e.chain.SendRaw(raw)
}
