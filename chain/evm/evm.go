package evm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain"
)

// DefaultTimeout is how long one call may take.
const DefaultTimeout = 10 * time.Second

// ErrWrongChain means that the server is on another chain than the lane. Nothing it says is used.
var ErrWrongChain = errors.New("evm: the server is on another chain")

// Config says which server to ask and what to expect of it.
type Config struct {
	URL      string // http or https; may hold a provider's key
	ChainID  uint64
	Finality chain.Finality
	Timeout  time.Duration // for each call; 0: DefaultTimeout
}

// Endpoint is a chain.Endpoint over HTTP. It is safe for concurrent use.
type Endpoint struct {
	name     string
	chainID  uint64
	finality chain.Finality
	caller   *caller

	mu      sync.Mutex // guards checked
	checked bool       // the server showed the right chain id since the last failure of the connection
}

var _ chain.Endpoint = (*Endpoint)(nil)

// New prepares an endpoint. It does not connect: a server that is down when the node starts may come up later. Check
// tells whether it is there.
func New(cfg Config) (*Endpoint, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("evm: the endpoint's URL is not http://… or https://…") // it may hold a key: not shown
	}
	if cfg.ChainID == 0 {
		return nil, errors.New("evm: chain id 0")
	}
	if cfg.Finality.Tag == (cfg.Finality.Depth > 0) {
		return nil, errors.New("evm: finality is either the tag or a depth of at least 1")
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Endpoint{name: u.Host, chainID: cfg.ChainID, finality: cfg.Finality, caller: newCaller(cfg.URL, timeout)}, nil
}

// Close ends idle connections.
func (e *Endpoint) Close() { e.caller.close() }

// Name is the server's host and port.
func (e *Endpoint) Name() string { return e.name }

// Check asks the server for its chain id, unless that is known since the last failure, and returns ErrWrongChain when it
// is another one. Every other method does so first.
func (e *Endpoint) Check(ctx context.Context) error {
	e.mu.Lock()
	checked := e.checked
	e.mu.Unlock()
	if checked {
		return nil
	}

	raw, err := e.caller.call(ctx, "eth_chainId")
	if err != nil {
		return err
	}
	var id hexutil.Uint64
	if err := json.Unmarshal(raw, &id); err != nil {
		return fmt.Errorf("eth_chainId: %w", err)
	}
	if uint64(id) != e.chainID {
		return fmt.Errorf("%w: %d, not %d", ErrWrongChain, uint64(id), e.chainID)
	}
	e.setChecked(true)
	return nil
}

func (e *Endpoint) setChecked(to bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checked = to
}

// call makes one request to a server that showed the right chain id.
func (e *Endpoint) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	if err := e.Check(ctx); err != nil {
		return nil, err
	}
	raw, err := e.caller.call(ctx, method, params...)
	var server *rpcError
	if err != nil && !errors.As(err, &server) {
		e.setChecked(false)
	}
	return raw, err
}

// read is call for state and blocks: null is ErrNotFound, and the result is decoded.
func (e *Endpoint) read(ctx context.Context, out any, method string, params ...any) error {
	raw, err := e.call(ctx, method, params...)
	if err != nil {
		return classify(err)
	}
	if isNull(raw) {
		return fmt.Errorf("%s: %w", method, chain.ErrNotFound)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s: decode: %w", method, err)
	}
	return nil
}

// wireHeader is the part of a block that is read. Chains add fields of their own, and so compute other hashes than
// go-ethereum would: the hash is the server's word, which other servers have to confirm.
type wireHeader struct {
	Number     *hexutil.Uint64 `json:"number"`
	Hash       *common.Hash    `json:"hash"`
	ParentHash common.Hash     `json:"parentHash"`
	Timestamp  *hexutil.Uint64 `json:"timestamp"`
	BaseFee    *hexutil.U256   `json:"baseFeePerGas"`
}

func (w wireHeader) header() (chain.Header, error) {
	if w.Number == nil || w.Hash == nil || w.Timestamp == nil || w.BaseFee == nil {
		return chain.Header{}, errors.New("a block without number, hash, timestamp or baseFeePerGas")
	}
	return chain.Header{
		Number: uint64(*w.Number), Hash: *w.Hash, Parent: w.ParentHash, Time: uint64(*w.Timestamp), BaseFee: uint256.Int(*w.BaseFee),
	}, nil
}

func (e *Endpoint) block(ctx context.Context, which string) (chain.Header, error) {
	var w wireHeader
	if err := e.read(ctx, &w, "eth_getBlockByNumber", which, false); err != nil {
		return chain.Header{}, err
	}
	return w.header()
}

// Head implements chain.Endpoint.
func (e *Endpoint) Head(ctx context.Context) (chain.Header, error) { return e.block(ctx, "latest") }

// Final implements chain.Endpoint.
func (e *Endpoint) Final(ctx context.Context) (chain.Header, error) {
	if e.finality.Tag {
		return e.block(ctx, "finalized")
	}
	head, err := e.Head(ctx)
	if err != nil {
		return chain.Header{}, err
	}
	return e.HeaderAt(ctx, head.Number-min(head.Number, e.finality.Depth))
}

// HeaderAt implements chain.Endpoint.
func (e *Endpoint) HeaderAt(ctx context.Context, number uint64) (chain.Header, error) {
	h, err := e.block(ctx, hexutil.EncodeUint64(number))
	if err == nil && h.Number != number {
		return chain.Header{}, fmt.Errorf("eth_getBlockByNumber: block %d for block %d", h.Number, number)
	}
	return h, err
}

// NonceAt implements chain.Endpoint.
func (e *Endpoint) NonceAt(ctx context.Context, addr common.Address, at chain.Header) (uint64, error) {
	var n hexutil.Uint64
	err := e.read(ctx, &n, "eth_getTransactionCount", addr, byHash(at.Hash))
	return uint64(n), err
}

// BalanceAt implements chain.Endpoint.
func (e *Endpoint) BalanceAt(ctx context.Context, token, holder common.Address, at chain.Header) (uint256.Int, error) {
	if token == (common.Address{}) {
		var v hexutil.U256
		err := e.read(ctx, &v, "eth_getBalance", holder, byHash(at.Hash))
		return uint256.Int(v), err
	}
	word, err := e.word(ctx, token, chain.BalanceOfData(holder), at)
	var v uint256.Int
	v.SetBytes32(word[:])
	return v, err
}

// CodeAt implements chain.Endpoint.
func (e *Endpoint) CodeAt(ctx context.Context, addr common.Address, at chain.Header) ([]byte, error) {
	var out hexutil.Bytes
	err := e.read(ctx, &out, "eth_getCode", addr, byHash(at.Hash))
	return out, err
}

// Allowance implements chain.Endpoint.
func (e *Endpoint) Allowance(ctx context.Context, token, owner, spender common.Address, at chain.Header) (uint256.Int, error) {
	word, err := e.word(ctx, token, chain.AllowanceData(owner, spender), at)
	var v uint256.Int
	v.SetBytes32(word[:])
	return v, err
}

// BenefitAddress implements chain.Endpoint.
func (e *Endpoint) BenefitAddress(ctx context.Context, contract, account common.Address, at chain.Header) (common.Address, error) {
	word, err := e.word(ctx, contract, chain.GetBenefitData(account), at)
	if err != nil {
		return common.Address{}, err
	}
	benefit, ok := chain.WordAddress(word)
	if !ok {
		return common.Address{}, fmt.Errorf("%w that binds addresses: %s answers %s", chain.ErrNoContract, contract, word)
	}
	return benefit, nil
}

// word calls a contract that answers one ABI word. An address without code answers nothing, which must not be read as
// "nothing is bound".
func (e *Endpoint) word(ctx context.Context, contract common.Address, data []byte, at chain.Header) (common.Hash, error) {
	var out hexutil.Bytes
	call := map[string]any{"to": contract, "data": hexutil.Bytes(data)}
	if err := e.read(ctx, &out, "eth_call", call, byHash(at.Hash)); err != nil {
		return common.Hash{}, err
	}
	if len(out) != common.HashLength {
		return common.Hash{}, fmt.Errorf("%w: %s answers %d bytes", chain.ErrNoContract, contract, len(out))
	}
	return common.BytesToHash(out), nil
}

// SendRaw implements chain.Endpoint.
func (e *Endpoint) SendRaw(ctx context.Context, raw []byte) error {
	result, err := e.call(ctx, "eth_sendRawTransaction", hexutil.Bytes(raw))
	if err != nil {
		return classifySend(err)
	}
	var hash common.Hash
	if err := json.Unmarshal(result, &hash); err != nil {
		return fmt.Errorf("eth_sendRawTransaction: decode: %w", err)
	}
	if want := crypto.Keccak256Hash(raw); hash != want {
		return fmt.Errorf("eth_sendRawTransaction: answered with %s for %s", hash, want)
	}
	return nil
}
