package simchain

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// reorgTries is how often a reorganisation under traffic is tried: a transaction that comes between its first block and the fork
// keeps it from happening.
const reorgTries = 20

// ErrTraffic means that transactions kept coming.
var ErrTraffic = errors.New("simchain: the mempool was never empty")

// ReorgNow is [Chain.Reorg] of a chain that is in use: what is waiting is mined first. It returns how many transactions left the
// chain; with forget they are nowhere any more.
func (c *Chain) ReorgNow(ctx context.Context, depth uint64, forget bool) (gone int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range reorgTries {
		if _, err := c.commit(); err != nil {
			return 0, err
		}
		if gone, err = c.carried(ctx, depth); err != nil {
			return 0, err
		}
		if err = c.reorg(ctx, depth, forget); err == nil || !errors.Is(err, errFork) {
			return gone, err
		}
	}
	return 0, errors.Join(ErrTraffic, err)
}

// Carried counts the transactions in the newest blocks.
func (c *Chain) Carried(ctx context.Context, depth uint64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backend == nil {
		return 0, ErrClosed
	}
	return c.carried(ctx, depth)
}

func (c *Chain) carried(ctx context.Context, depth uint64) (n int, err error) {
	head, err := c.head()
	if err != nil {
		return 0, err
	}
	for i := range min(depth, head) {
		b, err := c.backend.Client().BlockByNumber(ctx, new(big.Int).SetUint64(head-i))
		if err != nil {
			return 0, fmt.Errorf("simchain: block %d: %w", head-i, err)
		}
		n += len(b.Transactions())
	}
	return n, nil
}

// Rival fills blocks with work that nobody needs, so that the base fee stays or rises.
type Rival struct {
	w *Wallet
}

// maxRivalGas is what one transaction may use at the most by the chain's rules.
const maxRivalGas = 16_000_000

// rivalWei is what a rival owns; it burns some tenths of a coin in a block.
func rivalWei() *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil) }

// Rival opens a wallet with money of its own.
func (c *Chain) Rival(ctx context.Context, faucet *Wallet) (*Rival, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	w, err := NewWallet(c.url, c.chainID, key)
	if err != nil {
		return nil, err
	}
	to := w.Address()
	if _, err := faucet.send(ctx, &to, rivalWei(), nil, callGas); err != nil {
		return nil, fmt.Errorf("fund a rival: %w", err)
	}
	return &Rival{w}, nil
}

// Close ends the rival's connections.
func (r *Rival) Close() { r.w.Close() }

// Burn sends transactions that use so much gas in the next block, at up to sixty times the lowest tip, the most that the endpoint takes for so much gas.
func (r *Rival) Burn(ctx context.Context, gas uint64) error {
	for gas > 0 {
		part := min(gas, maxRivalGas)
		// JUMPDEST, PUSH0, JUMP: it runs until its gas is used up.
		what := types.DynamicFeeTx{Data: []byte{0x5b, 0x5f, 0x56}, Gas: part, GasTipCap: big.NewInt(2 * tipWei), GasFeeCap: big.NewInt(60 * tipWei)}
		if _, err := r.w.submit(ctx, what); err != nil {
			return fmt.Errorf("burn gas: %w", err)
		}
		gas -= part
	}
	return nil
}

// Fee is the newest block's base fee, in wei, and its gas limit.
func (c *Chain) Fee(ctx context.Context) (base *big.Int, limit uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backend == nil {
		return nil, 0, ErrClosed
	}
	h, err := c.backend.Client().HeaderByNumber(ctx, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("simchain: newest block: %w", err)
	}
	return h.BaseFee, h.GasLimit, nil
}
