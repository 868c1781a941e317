package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Proof is what the node's own endpoints say of a deposit that the Relay credited.
type Proof uint8

// The answers, from nothing to enough.
const (
	// Unknown: not seen in a block, or seen in a block that is not final and would not prove it. Ask again later.
	Unknown Proof = iota

	// Pending: seen as claimed, in a block that is not final yet.
	Pending

	// Proven: a final, successful transfer of that amount by that account.
	Proven

	// Contradicted: the final chain holds the transaction, and it is not what the Relay says. "Not found" never is this.
	Contradicted
)

// String names the proof as logs and the API spell it.
func (p Proof) String() string {
	switch p {
	case Unknown:
		return "unknown"
	case Pending:
		return "pending"
	case Proven:
		return "proven"
	case Contradicted:
		return "contradicted"
	}
	return fmt.Sprintf("Proof(%d)", uint8(p))
}

// DepositFinding is a proof and, in words, why it is no better one.
type DepositFinding struct {
	Proof  Proof
	Reason string // empty when proven
	Block  uint64 // where the transaction was seen; 0 when unknown
}

// VerifyDeposit judges the claim that txHash transferred amount to the lane's deposit address on behalf of account. An
// error is the endpoints' (down, pruned, a *Disagreement): it proves nothing, and the finding is then Unknown.
//
// On a lane of the native coin that is a plain transfer, without call data, sent by the account. On a token's lane it
// is the first Transfer log of that token to the deposit address, from the account: the Relay credits no second one.
func VerifyDeposit(ctx context.Context, e Endpoint, l Lane, txHash common.Hash, account common.Address, amount uint256.Int) (DepositFinding, error) {
	final, err := e.Final(ctx)
	if err != nil {
		return DepositFinding{}, fmt.Errorf("verify deposit %s: %w", txHash, err)
	}
	tx, receipt, err := mined(ctx, e, txHash)
	if errors.Is(err, ErrNotFound) {
		return DepositFinding{Reason: "the transaction is in no block that the endpoints show"}, nil
	}
	if err != nil {
		return DepositFinding{}, fmt.Errorf("verify deposit %s: %w", txHash, err)
	}

	wrong := depositFault(l, tx, receipt, account, amount)
	finding := DepositFinding{Reason: wrong, Block: receipt.BlockNumber}
	if receipt.BlockNumber > final.Number {
		// A block that is not final contradicts nothing: the same transaction may succeed in another one.
		if wrong == "" {
			finding.Proof, finding.Reason = Pending, fmt.Sprintf("block %d is not final, %d is", receipt.BlockNumber, final.Number)
		}
		return finding, nil
	}

	// The receipt must be of the chain whose final block we saw, not of a fork that the endpoint has just left.
	block, err := e.HeaderAt(ctx, receipt.BlockNumber)
	if err != nil {
		return DepositFinding{}, fmt.Errorf("verify deposit %s: %w", txHash, err)
	}
	switch {
	case block.Hash != receipt.BlockHash:
		finding.Reason = "its block is not on the final chain"
	case wrong != "":
		finding.Proof = Contradicted
	default:
		finding.Proof = Proven
	}
	return finding, nil
}

// mined is a transaction with its receipt, or ErrNotFound while it has none.
func mined(ctx context.Context, e Endpoint, hash common.Hash) (Transaction, Receipt, error) {
	tx, err := e.Transaction(ctx, hash)
	if err != nil {
		return Transaction{}, Receipt{}, err
	}
	receipt, err := e.Receipt(ctx, hash)
	if err != nil {
		return Transaction{}, Receipt{}, err
	}
	if tx.Hash != hash || receipt.TxHash != hash {
		return Transaction{}, Receipt{}, fmt.Errorf("endpoint %s answers for another transaction than %s", e.Name(), hash)
	}
	return tx, receipt, nil
}

// depositFault says what about the transaction is not as claimed; empty if all is.
func depositFault(l Lane, tx Transaction, r Receipt, account common.Address, amount uint256.Int) string {
	if r.Status != 1 {
		return "the transaction failed"
	}
	from, got, fault := nativeDeposit(l, tx)
	if !l.Native() {
		from, got, fault = tokenDeposit(l, r)
	}
	switch {
	case fault != "":
		return fault
	case from != account:
		return fmt.Sprintf("it was sent by %s, not by %s", from, account)
	case !got.Eq(&amount):
		return fmt.Sprintf("it transferred %s, not %s", got.Dec(), amount.Dec())
	}
	return ""
}

func nativeDeposit(l Lane, tx Transaction) (from common.Address, amount uint256.Int, fault string) {
	switch {
	case tx.Create || tx.To != l.Deposit:
		fault = "it does not go to the deposit address"
	case len(tx.Data) > 0:
		fault = "it carries call data"
	case tx.Value.IsZero():
		fault = "it transfers nothing"
	}
	return tx.From, tx.Value, fault
}

func tokenDeposit(l Lane, r Receipt) (from common.Address, amount uint256.Int, fault string) {
	for _, log := range r.Logs {
		if log.Address != l.Token || len(log.Topics) != 3 || log.Topics[0] != TransferTopic() || len(log.Data) != wordSize {
			continue
		}
		from, ok := WordAddress(log.Topics[1])
		to, ok2 := WordAddress(log.Topics[2])
		amount.SetBytes32(log.Data)
		if ok && ok2 && to == l.Deposit && from != (common.Address{}) && !amount.IsZero() {
			return from, amount, ""
		}
	}
	return common.Address{}, uint256.Int{}, "it holds no transfer of the token to the deposit address"
}
