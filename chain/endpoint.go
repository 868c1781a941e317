package chain

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// What an endpoint may answer instead of a value. Each of them makes the caller wait; none is evidence of anything.
var (
	// ErrNotFound means that the endpoint does not know the block, transaction or receipt. It may only lag.
	ErrNotFound = errors.New("chain: not found")

	// ErrPruned means that the endpoint no longer holds the state of that block.
	ErrPruned = errors.New("chain: state of that block is pruned")

	// ErrNotFinal means that the final chain has not come as far as the question.
	ErrNotFinal = errors.New("chain: not final yet")

	// ErrNoContract means that there was no code at the contract's address, so that its silence says nothing.
	ErrNoContract = errors.New("chain: no contract at that address")
)

// How an endpoint may refuse a broadcast.
var (
	// ErrKnown means that the endpoint holds these very bytes already: success.
	ErrKnown = errors.New("chain: transaction already known")

	// ErrNonceUsed means that the nonce is mined: success if by one of our transactions, which Observe finds out.
	ErrNonceUsed = errors.New("chain: nonce too low")

	// ErrUnderpriced means that the fees are too low, absolutely or to replace what the endpoint holds.
	ErrUnderpriced = errors.New("chain: transaction underpriced")

	// ErrFunds means that the payer cannot afford the transaction at its cap.
	ErrFunds = errors.New("chain: insufficient funds")
)

// Header is what this network uses of a block's header.
type Header struct {
	Number  uint64
	Hash    common.Hash
	Parent  common.Hash
	Time    uint64      // unix seconds
	BaseFee uint256.Int // wei for one unit of gas
}

// Transaction is a transaction of any kind as an endpoint shows it, its hash and sender checked against its bytes.
type Transaction struct {
	Hash    common.Hash
	From    common.Address
	To      common.Address // zero with Create
	Create  bool           // makes a contract
	Nonce   uint64
	Value   uint256.Int
	Data    []byte
	Payload []byte // what was signed, when it is of our own shape (see Tx); nil for every other kind
	Raw     []byte // likewise the signed bytes, which hash to Hash
}

// Receipt is the result of a mined transaction. Nothing but the endpoint's word proves it, which is why more than one
// endpoint is asked.
type Receipt struct {
	TxHash      common.Hash
	BlockHash   common.Hash
	BlockNumber uint64
	Status      uint64      // 1 success, 0 reverted
	GasUsed     uint64      // units of gas
	GasPrice    uint256.Int // wei for one unit of gas, as charged
	DataFee     uint256.Int // wei that a rollup charges beside gas for posting the transaction; zero elsewhere
	Logs        []Log
}

// Log is one event of a contract.
type Log struct {
	Address common.Address
	Topics  []common.Hash
	Data    []byte
}

// Binding is one BenefitAddressSet event.
type Binding struct {
	Block   uint64
	Index   uint64 // of the log within its block
	Account common.Address
	Benefit common.Address
}

// Endpoint reads one chain through one RPC server, or several that agree (Agreeing). All reads of state name the block
// by its header, hash included, so that two reads cannot mix two forks. Calls end with ctx or by the implementation's
// own timeout, are safe for concurrent use, and never retry: the caller asks again later.
type Endpoint interface {
	// Name is what alerts and logs call the endpoint; it holds no credentials.
	Name() string

	// Head is the newest block.
	Head(ctx context.Context) (Header, error)

	// Final is the newest final block by the lane's rule.
	Final(ctx context.Context) (Header, error)

	// HeaderAt is the block with that number on the endpoint's present chain, or ErrNotFound.
	HeaderAt(ctx context.Context, number uint64) (Header, error)

	// NonceAt is the number of transactions that addr has sent up to and including the block.
	NonceAt(ctx context.Context, addr common.Address, at Header) (uint64, error)

	// BalanceAt is the holder's balance of token, zero address for the coin, in the smallest unit.
	BalanceAt(ctx context.Context, token, holder common.Address, at Header) (uint256.Int, error)

	// CodeAt is the code of an address after the block; none is no error.
	CodeAt(ctx context.Context, addr common.Address, at Header) ([]byte, error)

	// Allowance is what spender may take of owner's tokens after the block, in the smallest unit.
	Allowance(ctx context.Context, token, owner, spender common.Address, at Header) (uint256.Int, error)

	// BenefitAddress is what the contract says of account: zero when nothing is bound, ErrNoContract without a
	// contract, ErrPruned when the state is gone.
	BenefitAddress(ctx context.Context, contract, account common.Address, at Header) (common.Address, error)

	// BenefitLogs are the contract's bindings of account in blocks from … to, both included, in chain order.
	BenefitLogs(ctx context.Context, contract, account common.Address, from, to uint64) ([]Binding, error)

	// Transaction is a transaction that the endpoint knows, mined or not, or ErrNotFound.
	Transaction(ctx context.Context, hash common.Hash) (Transaction, error)

	// Receipt is the result of a transaction on the endpoint's present chain, or ErrNotFound.
	Receipt(ctx context.Context, hash common.Hash) (Receipt, error)

	// Sent are the transactions of one sender in one block, in block order.
	Sent(ctx context.Context, from common.Address, in Header) ([]Transaction, error)

	// SendRaw broadcasts a signed transaction. Refusals match ErrKnown, ErrNonceUsed, ErrUnderpriced or ErrFunds where
	// they are one of these.
	SendRaw(ctx context.Context, raw []byte) error
}
