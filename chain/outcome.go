package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// ErrUnexplained means that the payer's nonce was used by something that is no transaction in its block: the endpoints
// or the chain break a rule that this network relies on. It is a reason to halt.
var ErrUnexplained = errors.New("chain: the nonce is used and no transaction shows it")

// Outcome is what became final at a payer's nonce.
type Outcome struct {
	TxHash    common.Hash
	BlockHash common.Hash
	Block     uint64
	Status    uint64 // 1 success, 0 reverted
	GasUsed   uint64
	GasPrice  uint256.Int // wei for one unit of gas, as charged
	DataFee   uint256.Int // wei that a rollup charged beside gas
	Logs      []Log       // what contracts said in it
	Payload   []byte      // for Match; nil when it is no transaction of our shape, and then nobody of us rendered it
	Raw       []byte      // likewise the signed bytes
}

// Fee is what the transaction took from its sender beside its value, in wei. ok is false on overflow, which no chain can
// mean.
func (o Outcome) Fee() (fee uint256.Int, ok bool) {
	_, over := fee.MulOverflow(&o.GasPrice, uint256.NewInt(o.GasUsed))
	_, over2 := fee.AddOverflow(&fee, &o.DataFee)
	return fee, !over && !over2
}

// Moved is how much of a token the transaction moved from an account to others, by the token's own Transfer events. A token
// may answer that a transfer succeeded and move less, or nothing: the status alone does not say.
func (o Outcome) Moved(token, from common.Address) (sum uint256.Int) {
	for _, log := range o.Logs {
		if log.Address != token || len(log.Topics) != 3 || log.Topics[0] != TransferTopic() || len(log.Data) != wordSize {
			continue
		}
		var amount uint256.Int
		amount.SetBytes32(log.Data)
		source, ok := WordAddress(log.Topics[1])
		to, ok2 := WordAddress(log.Topics[2])
		if !ok || !ok2 || source != from || to == from {
			continue
		}
		if _, over := sum.AddOverflow(&sum, &amount); over {
			sum.SetAllOne()
		}
	}
	return sum
}

// OutcomeFor finds the transaction at the payer's nonce, once it is final; before that it returns ErrNotFinal. The
// hashes that the caller knows are tried first; when none of them is it, a search finds the block that used the nonce,
// because anyone may have broadcast another signature over the same payload.
func OutcomeFor(ctx context.Context, e Endpoint, payer common.Address, nonce uint64, known []common.Hash) (Outcome, error) {
	final, err := e.Final(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("outcome of nonce %d: %w", nonce, err)
	}
	out, err := outcomeAt(ctx, e, final, payer, nonce, known)
	if err != nil {
		return Outcome{}, fmt.Errorf("outcome of nonce %d: %w", nonce, err)
	}
	return out, nil
}

func outcomeAt(ctx context.Context, e Endpoint, final Header, payer common.Address, nonce uint64, known []common.Hash) (Outcome, error) {
	count, err := e.NonceAt(ctx, payer, final)
	if err != nil {
		return Outcome{}, err
	}
	if count <= nonce {
		return Outcome{}, fmt.Errorf("%w: %d transactions at block %d", ErrNotFinal, count, final.Number)
	}

	for _, hash := range known {
		out, err := finalResult(ctx, e, final, payer, nonce, hash)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotFinal) {
			continue
		}
		return out, err
	}

	hash, err := senderOf(ctx, e, final, payer, nonce)
	if err != nil {
		return Outcome{}, err
	}
	return finalResult(ctx, e, final, payer, nonce, hash)
}

// senderOf searches for the block in which the payer's count passed the nonce, and there for the transaction.
func senderOf(ctx context.Context, e Endpoint, final Header, payer common.Address, nonce uint64) (common.Hash, error) {
	block, err := firstBlock(ctx, e, final, func(ctx context.Context, h Header) (bool, error) {
		count, err := e.NonceAt(ctx, payer, h)
		return count > nonce, err
	})
	if err != nil {
		return common.Hash{}, err
	}
	sent, err := e.Sent(ctx, payer, block)
	if err != nil {
		return common.Hash{}, err
	}
	for _, tx := range sent {
		if tx.From == payer && tx.Nonce == nonce {
			return tx.Hash, nil
		}
	}
	return common.Hash{}, fmt.Errorf("%w: block %d", ErrUnexplained, block.Number)
}

// finalResult reads one transaction as an outcome, or says ErrNotFound or ErrNotFinal.
func finalResult(ctx context.Context, e Endpoint, final Header, payer common.Address, nonce uint64, hash common.Hash) (Outcome, error) {
	tx, r, err := mined(ctx, e, hash)
	if err != nil {
		return Outcome{}, err
	}
	if r.BlockNumber > final.Number {
		return Outcome{}, fmt.Errorf("%w: block %d", ErrNotFinal, r.BlockNumber)
	}
	block, err := e.HeaderAt(ctx, r.BlockNumber)
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case block.Hash != r.BlockHash:
		return Outcome{}, fmt.Errorf("%w: %s was in a block that is not on the final chain", ErrNotFinal, hash)
	case tx.From != payer || tx.Nonce != nonce:
		return Outcome{}, fmt.Errorf("transaction %s is of %s at nonce %d", hash, tx.From, tx.Nonce)
	case r.Status > 1:
		return Outcome{}, fmt.Errorf("transaction %s has status %d", hash, r.Status)
	}
	return outcomeOf(tx, r), nil
}

func outcomeOf(tx Transaction, r Receipt) Outcome {
	return Outcome{
		TxHash: tx.Hash, BlockHash: r.BlockHash, Block: r.BlockNumber, Status: r.Status,
		GasUsed: r.GasUsed, GasPrice: r.GasPrice, DataFee: r.DataFee, Logs: r.Logs, Payload: tx.Payload, Raw: tx.Raw,
	}
}

// Survey is what a VIEW says of a lane: its final block, and there the payer's nonce and funds.
type Survey struct {
	Final Header // its BaseFee enters the fee formula
	Nonce uint64
	Token uint256.Int // balance of what the lane pays in, smallest unit
	Gas   uint256.Int // balance of the coin that pays fees, wei; equal to Token on a native lane

	Allowance uint256.Int // of the token, for the lane's contract; zero where it needs none
}

// SurveyLane reads a lane's final state. It returns the endpoints' error when any part is missing: a lane without data
// is left out of the VIEW.
func SurveyLane(ctx context.Context, e Endpoint, l Lane, payer common.Address) (Survey, error) {
	final, err := e.Final(ctx)
	if err != nil {
		return Survey{}, fmt.Errorf("survey lane %q: %w", l.Network, err)
	}
	nonce, err := e.NonceAt(ctx, payer, final)
	if err != nil {
		return Survey{}, fmt.Errorf("survey lane %q: %w", l.Network, err)
	}
	gas, err := e.BalanceAt(ctx, common.Address{}, payer, final)
	if err != nil {
		return Survey{}, fmt.Errorf("survey lane %q: %w", l.Network, err)
	}
	token := gas
	if !l.Native() {
		if token, err = e.BalanceAt(ctx, l.Token, payer, final); err != nil {
			return Survey{}, fmt.Errorf("survey lane %q: %w", l.Network, err)
		}
	}
	var allowance uint256.Int
	if l.NeedsAllowance() {
		if allowance, err = e.Allowance(ctx, l.Token, payer, l.Contract, final); err != nil {
			return Survey{}, fmt.Errorf("survey lane %q: %w", l.Network, err)
		}
	}
	return Survey{Final: final, Nonce: nonce, Token: token, Gas: gas, Allowance: allowance}, nil
}
