package simchain

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/holiman/uint256"
)

const (
	// loopback is the only address that the chain listens on.
	loopback = "127.0.0.1"

	// portTries is how often a free port is looked for: between finding and using it another process may take it.
	portTries = 8
)

// faucetWei is what the faucet owns at the start: 10^9 coins.
func faucetWei() *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(27), nil)
}

// Config describes a chain at its start.
type Config struct {
	ChainID uint64
	Port    int                            // 0: a free one
	Alloc   map[common.Address]uint256.Int // wei, beside the faucet's
}

// Chain is a running chain.
type Chain struct {
	url     string
	chainID uint64
	faucet  *ecdsa.PrivateKey
	turns   turns // of the faucet's key

	mu      sync.Mutex // one change of the chain at a time
	backend *simulated.Backend
}

// Start runs a chain that has its genesis block and waits for Commit or Run.
func Start(cfg Config) (*Chain, error) {
	if cfg.ChainID == 0 {
		return nil, errors.New("start chain: chain id 0")
	}
	faucet, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("start chain: faucet key: %w", err)
	}
	alloc := types.GenesisAlloc{crypto.PubkeyToAddress(faucet.PublicKey): {Balance: faucetWei()}}
	for addr, wei := range cfg.Alloc {
		alloc[addr] = types.Account{Balance: wei.ToBig()}
	}

	var failed error
	for range portTries {
		port := cfg.Port
		if port == 0 {
			if port, err = freePort(); err != nil {
				return nil, fmt.Errorf("start chain: %w", err)
			}
		}
		backend, err := serve(cfg.ChainID, port, alloc)
		if err == nil {
			url := fmt.Sprintf("http://%s:%d", loopback, port)
			return &Chain{url: url, chainID: cfg.ChainID, faucet: faucet, backend: backend}, nil
		}
		if failed = err; cfg.Port != 0 {
			break
		}
	}
	return nil, fmt.Errorf("start chain: %w", failed)
}

// serve starts the backend, which panics where others return errors.
func serve(chainID uint64, port int, alloc types.GenesisAlloc) (backend *simulated.Backend, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("simulated backend at port %d: %v", port, r)
		}
	}()
	return simulated.NewBackend(alloc, func(n *node.Config, e *ethconfig.Config) {
		n.HTTPHost, n.HTTPPort = loopback, port
		n.HTTPModules = []string{"eth", "net", "web3"} // without eth by default

		// The rules are a global of the library: change a copy. Bogota without Amsterdam makes each transfer to a new
		// account cost 183,600 more gas.
		rules := *e.Genesis.Config
		rules.ChainID = new(big.Int).SetUint64(chainID)
		rules.BogotaTime = nil
		e.Genesis.Config = &rules
	}), nil
}

// freePort asks the system for a port that nobody uses, and gives it back at once.
func freePort() (int, error) {
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return 0, fmt.Errorf("look for a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// URL is where the chain answers.
func (c *Chain) URL() string { return c.url }

// ChainID is the chain's id.
func (c *Chain) ChainID() uint64 { return c.chainID }

// Faucet opens a wallet that owns the chain's coins. All of them count nonces together.
func (c *Chain) Faucet() (*Wallet, error) {
	w, err := NewWallet(c.url, c.chainID, c.faucet)
	if err == nil {
		w.turns = &c.turns
	}
	return w, err
}

// Close stops the chain and its server.
func (c *Chain) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backend == nil {
		return nil
	}
	err := c.backend.Close()
	c.backend = nil
	return err
}

// ErrClosed means that the chain is closed.
var ErrClosed = errors.New("simchain: closed")

// Commit mines one block and returns its hash.
func (c *Chain) Commit() (common.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commit()
}

// commit compares heights, because the backend logs a block that it could not seal and goes on.
func (c *Chain) commit() (common.Hash, error) {
	if c.backend == nil {
		return common.Hash{}, ErrClosed
	}
	before, err := c.head()
	if err != nil {
		return common.Hash{}, err
	}
	hash := c.backend.Commit()
	after, err := c.head()
	if err != nil {
		return common.Hash{}, err
	}
	if after != before+1 {
		return common.Hash{}, fmt.Errorf("simchain: block %d was not sealed", before+1)
	}
	return hash, nil
}

func (c *Chain) head() (uint64, error) {
	n, err := c.backend.Client().BlockNumber(context.Background())
	if err != nil {
		return 0, fmt.Errorf("simchain: newest block: %w", err)
	}
	return n, nil
}

// Run mines a block a second until ctx ends, each when the second begins that it carries: no block is of the future, and how long after its
// time one comes does not differ from run to run. It returns nil then, and an error when no block could be sealed for ten seconds.
func (c *Chain) Run(ctx context.Context) error {
	const patience = 10
	for failures := 0; ; {
		wait, err := c.untilNext()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		_, err = c.Commit()
		if failures++; err == nil {
			failures = 0
		}
		if errors.Is(err, ErrClosed) || failures == patience {
			return err
		}
	}
}

// untilNext is how long it is until the second of the next block begins.
func (c *Chain) untilNext() (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backend == nil {
		return 0, ErrClosed
	}
	newest, err := c.backend.Client().HeaderByNumber(context.Background(), nil)
	if err != nil {
		return 0, fmt.Errorf("simchain: newest block: %w", err)
	}
	now := time.Now()
	return time.Unix(max(int64(newest.Time), now.Unix())+1, 0).Sub(now), nil
}

// Reorg replaces the newest depth blocks by depth + 1 others. Their transactions return to the mempool and are mined
// again, or are forgotten as if nobody held them any more. The mempool must be empty.
func (c *Chain) Reorg(ctx context.Context, depth uint64, forget bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backend == nil {
		return ErrClosed
	}
	return c.reorg(ctx, depth, forget)
}

// errFork means that the chain could not be forked: transactions wait.
var errFork = errors.New("simchain: fork")

func (c *Chain) reorg(ctx context.Context, depth uint64, forget bool) error {
	head, err := c.head()
	if err != nil {
		return err
	}
	if depth == 0 || depth > head {
		return fmt.Errorf("simchain: reorg of %d blocks at height %d", depth, head)
	}
	parent, err := c.backend.Client().HeaderByNumber(ctx, new(big.Int).SetUint64(head-depth))
	if err != nil {
		return fmt.Errorf("simchain: block %d: %w", head-depth, err)
	}
	if err := c.backend.Fork(parent.Hash()); err != nil {
		return fmt.Errorf("%w: %w", errFork, err)
	}
	if forget {
		c.backend.Rollback()
	}
	for range depth + 1 {
		if _, err := c.commit(); err != nil {
			return err
		}
	}
	return nil
}
