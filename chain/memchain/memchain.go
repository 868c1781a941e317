package memchain

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain"
)

const (
	// blockGas is the limit of a block, and twice its target.
	blockGas = 30_000_000

	// bindGas is what setBenefitAddress uses beyond the intrinsic gas.
	bindGas = 30_000

	// codeGas is what a contract that reverts uses: more than nothing, so that 21,000 towards code runs out of gas.
	codeGas = 100

	// maxPool bounds the mempool.
	maxPool = 4096

	// gwei is the tip that helpers offer.
	gwei = 1_000_000_000
)

// Config describes the chain at its start.
type Config struct {
	ChainID uint64
	Depth   uint64 // blocks on top of a final one
	Genesis uint64 // unix seconds of block 0; 0: now
	BaseFee uint256.Int
	Benefit common.Address // where the BenefitAddress contract is; zero: nowhere
	Payout  common.Address // where the contract that pays batches is; zero: nowhere
	Alloc   map[common.Address]uint256.Int

	Token      common.Address // where the one token is; zero: nowhere
	TokenAlloc map[common.Address]uint256.Int
}

// account is what the state holds for one address.
type account struct {
	nonce   uint64
	balance uint256.Int
	benefit common.Address
	batches *contract // of the payout contract alone
	tokens  uint256.Int
	allowed uint256.Int // what the payout contract may take of tokens; nobody else ever may
}

// state is never changed once its block is sealed.
type state map[common.Address]account

type included struct {
	pooled
	shown   chain.Transaction
	receipt chain.Receipt
}

type block struct {
	header  chain.Header
	txs     []included
	bonds   []chain.Binding
	after   state
	gasUsed uint64
}

type pooled struct {
	tx   chain.Tx
	from common.Address
	hash common.Hash
	seq  uint64 // of arrival: orders blocks
}

// Chain is the chain. All methods are safe for concurrent use.
type Chain struct {
	chainID, depth uint64
	benefit        common.Address
	payout         common.Address
	token          common.Address

	mu        sync.Mutex // guards all below
	blocks    []*block   // the canonical chain
	pool      []pooled
	reverting map[common.Address]bool
	burning   map[common.Address]bool
	listed    map[common.Address]bool // whom the token moves nothing to
	paused    bool                    // the token refuses every call
	congested uint256.Int             // the base fee of every block to come; zero: EIP-1559 says
	seq       uint64
	branch    uint64 // counts reorgs, so that blocks of two forks never have one hash
}

// New starts a chain with its block 0.
func New(cfg Config) (*Chain, error) {
	if cfg.ChainID == 0 {
		return nil, errors.New("memchain: chain id 0")
	}
	genesis := cfg.Genesis
	if genesis == 0 {
		genesis = uint64(time.Now().Unix())
	}
	c := &Chain{chainID: cfg.ChainID, depth: cfg.Depth, benefit: cfg.Benefit, payout: cfg.Payout,
		token: cfg.Token, reverting: make(map[common.Address]bool), burning: make(map[common.Address]bool), listed: make(map[common.Address]bool)}

	after := make(state, len(cfg.Alloc))
	for addr, wei := range cfg.Alloc {
		after[addr] = account{balance: wei}
	}
	for addr, units := range cfg.TokenAlloc { // of no token, where there is none
		if cfg.Token == (common.Address{}) {
			break
		}
		a := after[addr]
		a.tokens = units
		after[addr] = a
	}
	zero := &block{header: chain.Header{Time: genesis, BaseFee: cfg.BaseFee}, after: after}
	zero.header.Hash = c.hashOf(zero)
	c.blocks = []*block{zero}
	return c, nil
}

// Run mines a block a second until ctx ends.
func (c *Chain) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.mu.Lock()
			c.seal(max(c.tip().header.Time+1, uint64(now.Unix())), true)
			c.mu.Unlock()
		}
	}
}

// Mine seals n blocks, one second apart, and returns the last one.
func (c *Chain) Mine(n int) chain.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.seal(c.tip().header.Time+1, true)
	}
	return c.tip().header
}

// Reorg replaces the last depth blocks by depth + 1 empty ones. The transactions of the lost blocks return to the
// mempool, or are forgotten as if nobody held them any more.
func (c *Chain) Reorg(depth uint64, forget bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if depth == 0 || depth >= uint64(len(c.blocks)) {
		return fmt.Errorf("memchain: reorg of %d blocks on a chain of %d", depth, len(c.blocks))
	}

	keep := len(c.blocks) - int(depth)
	lost := c.blocks[keep:]
	c.blocks = slices.Clone(c.blocks[:keep])
	c.branch++
	for range depth + 1 {
		c.seal(c.tip().header.Time+1, false)
	}
	if forget {
		return nil
	}
	for _, b := range lost {
		for _, in := range b.txs {
			// What was valid in a lost block may not be any more; then it is gone, as on a real chain.
			_ = c.admit(in.pooled)
		}
	}
	return nil
}

// Forget empties the mempool, as a chain whose nodes all restarted: what nobody sends again is never mined.
func (c *Chain) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pool = nil
}

// SetReverting makes an address behave as a contract that refuses every call.
func (c *Chain) SetReverting(addr common.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reverting[addr] = true
}

// SetBaseFee sets the base fee of the newest block, from which the next ones follow. The block's hash stays.
func (c *Chain) SetBaseFee(fee uint256.Int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tip().header.BaseFee = fee
}

// Balance is an address's balance at the newest block, in wei.
func (c *Chain) Balance(addr common.Address) uint256.Int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tip().after[addr].balance
}

// Fund adds coins to an address out of nothing, from the newest block on.
func (c *Chain) Fund(addr common.Address, wei uint256.Int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tip := c.tip()
	after := maps.Clone(tip.after)
	a := after[addr]
	a.balance.Add(&a.balance, &wei)
	after[addr] = a
	tip.after = after
}

// Transfer signs and sends a plain transfer: the way users deposit.
func (c *Chain) Transfer(key *ecdsa.PrivateKey, to common.Address, wei uint256.Int) (common.Hash, error) {
	return c.send(key, to, wei, nil, chain.MinGas)
}

// Bind signs and sends setBenefitAddress(benefit).
func (c *Chain) Bind(key *ecdsa.PrivateKey, benefit common.Address) (common.Hash, error) {
	data := chain.SetBenefitData(benefit)
	base, _ := intrinsic(data)
	return c.send(key, c.benefit, uint256.Int{}, data, base+bindGas)
}

func (c *Chain) send(key *ecdsa.PrivateKey, to common.Address, wei uint256.Int, data []byte, gas uint64) (common.Hash, error) {
	from := crypto.PubkeyToAddress(key.PublicKey)
	c.mu.Lock()
	fees := chain.Fees{Tip: *uint256.NewInt(gwei)}
	fees.Offer.Lsh(&c.tip().header.BaseFee, 1)
	fees.Offer.Add(&fees.Offer, &fees.Tip)
	fees.FeeCap = fees.Offer
	nonce := c.nextNonce(from)
	c.mu.Unlock()

	rendered, err := chain.Render(chain.Payment{
		ChainID: c.chainID, Nonce: nonce, Payer: from, To: to, Value: wei, Data: data, Gas: gas, Fees: fees,
	}, 0)
	if err != nil {
		return common.Hash{}, fmt.Errorf("memchain: render: %w", err)
	}
	signature, err := crypto.Sign(rendered.Digest.Bytes(), key)
	if err != nil {
		return common.Hash{}, fmt.Errorf("memchain: sign: %w", err)
	}
	signed, err := rendered.Assemble(signature)
	if err != nil {
		return common.Hash{}, fmt.Errorf("memchain: %w", err)
	}
	return signed.Hash, c.SendRaw(signed.Raw)
}

// nextNonce counts what is pooled, too.
func (c *Chain) nextNonce(from common.Address) uint64 {
	nonce := c.tip().after[from].nonce
	for _, p := range c.pool {
		if p.from == from && p.tx.Nonce >= nonce {
			nonce = p.tx.Nonce + 1
		}
	}
	return nonce
}

// SendRaw takes a signed transaction into the mempool, or refuses it as a real node would.
func (c *Chain) SendRaw(raw []byte) error {
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return fmt.Errorf("memchain: %w", err)
	}
	from, err := tx.Sender()
	if err != nil {
		return fmt.Errorf("memchain: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.admit(pooled{tx: tx, from: from, hash: tx.Hash()})
}

// admit applies the mempool's rules; the caller holds mu.
func (c *Chain) admit(p pooled) error {
	sender := c.tip().after[p.from]
	worst := worstCost(p.tx)
	base, floor := intrinsic(p.tx.Data)
	switch {
	case p.tx.ChainID != c.chainID:
		return fmt.Errorf("memchain: invalid chain id %d", p.tx.ChainID)
	case slices.ContainsFunc(c.pool, func(q pooled) bool { return q.hash == p.hash }):
		return chain.ErrKnown
	case p.tx.Nonce < sender.nonce:
		return chain.ErrNonceUsed
	case p.tx.Gas < max(base, floor):
		return errors.New("memchain: intrinsic gas too low")
	case p.tx.Gas > chain.MaxGas:
		return errors.New("memchain: gas above EIP-7825")
	case p.tx.FeeCap.Lt(&p.tx.Tip):
		return errors.New("memchain: tip above fee cap")
	case p.tx.Tip.IsZero():
		return chain.ErrUnderpriced
	case sender.balance.Lt(&worst):
		return chain.ErrFunds
	}

	c.seq++
	p.seq = c.seq
	for i, q := range c.pool {
		if q.from != p.from || q.tx.Nonce != p.tx.Nonce {
			continue
		}
		if !tenPercentMore(p.tx.Tip, q.tx.Tip) || !tenPercentMore(p.tx.FeeCap, q.tx.FeeCap) {
			return fmt.Errorf("%w: to replace %s", chain.ErrUnderpriced, q.hash)
		}
		c.pool[i] = p
		return nil
	}
	if len(c.pool) >= maxPool {
		return errors.New("memchain: txpool is full")
	}
	c.pool = append(c.pool, p)
	return nil
}

func tenPercentMore(now, before uint256.Int) bool {
	var have, want uint256.Int
	have.Mul(&now, uint256.NewInt(100))
	want.Mul(&before, uint256.NewInt(110))
	return !have.Lt(&want)
}

func worstCost(tx chain.Tx) uint256.Int {
	var cost uint256.Int
	if _, over := cost.MulOverflow(&tx.FeeCap, uint256.NewInt(tx.Gas)); over {
		return *new(uint256.Int).SetAllOne()
	}
	if _, over := cost.AddOverflow(&cost, &tx.Value); over {
		return *new(uint256.Int).SetAllOne()
	}
	return cost
}

// intrinsic is the gas of a transaction before any code runs, and floor the least that it uses whatever runs
// (EIP-7623).
func intrinsic(data []byte) (base, floor uint64) {
	zeros := uint64(bytes.Count(data, []byte{0}))
	tokens := zeros + 4*(uint64(len(data))-zeros)
	return chain.MinGas + 4*tokens, chain.MinGas + 10*tokens
}

func (c *Chain) tip() *block { return c.blocks[len(c.blocks)-1] }

// hashOf binds everything that a block shows.
func (c *Chain) hashOf(b *block) common.Hash {
	var out []byte
	out = append(out, b.header.Parent[:]...)
	for _, v := range []uint64{c.chainID, b.header.Number, b.header.Time, c.branch} {
		out = binary.BigEndian.AppendUint64(out, v)
	}
	fee := b.header.BaseFee.Bytes32()
	out = append(out, fee[:]...)
	for _, in := range b.txs {
		out = append(out, in.hash[:]...)
	}
	return crypto.Keccak256Hash(out)
}
