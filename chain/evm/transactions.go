package evm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"conclave/chain"
)

// maxLogCalls bounds how often a range of logs is halved: servers that refuse large ranges usually take ten thousand
// blocks, and 1,024 of these are months of even the fastest chain.
const maxLogCalls = 1024

// Transaction implements chain.Endpoint.
func (e *Endpoint) Transaction(ctx context.Context, hash common.Hash) (chain.Transaction, error) {
	var raw json.RawMessage
	if err := e.read(ctx, &raw, "eth_getTransactionByHash", hash); err != nil {
		return chain.Transaction{}, err
	}
	tx, err := e.parse(raw)
	if err != nil {
		return chain.Transaction{}, fmt.Errorf("eth_getTransactionByHash: %w", err)
	}
	if tx.Hash != hash {
		return chain.Transaction{}, fmt.Errorf("eth_getTransactionByHash: %s for %s", tx.Hash, hash)
	}
	return tx, nil
}

// parse rebuilds a transaction from its fields; hash and sender are computed, not believed.
func (e *Endpoint) parse(raw json.RawMessage) (chain.Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalJSON(raw); err != nil {
		return chain.Transaction{}, fmt.Errorf("decode transaction: %w", err)
	}
	from, err := types.Sender(types.LatestSignerForChainID(new(big.Int).SetUint64(e.chainID)), tx)
	if err != nil {
		return chain.Transaction{}, fmt.Errorf("sender of %s: %w", tx.Hash(), err)
	}
	value, over := uint256.FromBig(tx.Value())
	if over {
		return chain.Transaction{}, fmt.Errorf("value of %s is above 2^256", tx.Hash())
	}

	out := chain.Transaction{
		Hash: tx.Hash(), From: from, Nonce: tx.Nonce(), Value: *value, Data: append([]byte{}, tx.Data()...), Create: tx.To() == nil,
	}
	if tx.To() != nil {
		out.To = *tx.To()
	}

	// Only our own shape decodes here; every other kind keeps a nil payload.
	if bytes, err := tx.MarshalBinary(); err == nil {
		if ours, err := chain.DecodeTx(bytes); err == nil {
			out.Payload, out.Raw = ours.Payload(), bytes
		}
	}
	return out, nil
}

// Sent implements chain.Endpoint. Transactions of other senders are not decoded: chains have kinds of their own.
func (e *Endpoint) Sent(ctx context.Context, from common.Address, in chain.Header) ([]chain.Transaction, error) {
	var block struct {
		Hash         common.Hash       `json:"hash"`
		Transactions []json.RawMessage `json:"transactions"`
	}
	if err := e.read(ctx, &block, "eth_getBlockByHash", in.Hash, true); err != nil {
		return nil, err
	}
	if block.Hash != in.Hash {
		return nil, fmt.Errorf("eth_getBlockByHash: %s for %s", block.Hash, in.Hash)
	}

	out := []chain.Transaction{}
	for _, raw := range block.Transactions {
		var light struct {
			From common.Address `json:"from"`
		}
		if err := json.Unmarshal(raw, &light); err != nil {
			return nil, fmt.Errorf("eth_getBlockByHash: decode: %w", err)
		}
		if light.From != from {
			continue
		}
		tx, err := e.parse(raw)
		if err != nil {
			return nil, fmt.Errorf("eth_getBlockByHash: %w", err)
		}
		if tx.From != from {
			return nil, fmt.Errorf("eth_getBlockByHash: %s is not of %s", tx.Hash, from)
		}
		out = append(out, tx)
	}
	return out, nil
}

type wireLog struct {
	Address     common.Address `json:"address"`
	Topics      []common.Hash  `json:"topics"`
	Data        hexutil.Bytes  `json:"data"`
	BlockNumber hexutil.Uint64 `json:"blockNumber"`
	Index       hexutil.Uint64 `json:"logIndex"`
	Removed     bool           `json:"removed"`
}

type wireReceipt struct {
	TxHash      common.Hash     `json:"transactionHash"`
	BlockHash   *common.Hash    `json:"blockHash"`
	BlockNumber *hexutil.Uint64 `json:"blockNumber"`
	Status      *hexutil.Uint64 `json:"status"`
	GasUsed     hexutil.Uint64  `json:"gasUsed"`
	GasPrice    *hexutil.U256   `json:"effectiveGasPrice"`
	DataFee     *hexutil.U256   `json:"l1Fee"` // of rollups that post to another chain
	Logs        []wireLog       `json:"logs"`
}

// Receipt implements chain.Endpoint.
func (e *Endpoint) Receipt(ctx context.Context, hash common.Hash) (chain.Receipt, error) {
	var w wireReceipt
	if err := e.read(ctx, &w, "eth_getTransactionReceipt", hash); err != nil {
		return chain.Receipt{}, err
	}
	switch {
	case w.TxHash != hash:
		return chain.Receipt{}, fmt.Errorf("eth_getTransactionReceipt: %s for %s", w.TxHash, hash)
	case w.BlockHash == nil || w.BlockNumber == nil:
		return chain.Receipt{}, fmt.Errorf("eth_getTransactionReceipt: %w: it is in no block", chain.ErrNotFound)
	case w.Status == nil || w.GasPrice == nil:
		return chain.Receipt{}, errors.New("eth_getTransactionReceipt: a receipt without status or price")
	case *w.Status > 1:
		return chain.Receipt{}, fmt.Errorf("eth_getTransactionReceipt: status %d", uint64(*w.Status))
	}

	r := chain.Receipt{
		TxHash: hash, BlockHash: *w.BlockHash, BlockNumber: uint64(*w.BlockNumber), Status: uint64(*w.Status),
		GasUsed: uint64(w.GasUsed), GasPrice: uint256.Int(*w.GasPrice), Logs: []chain.Log{},
	}
	if w.DataFee != nil {
		r.DataFee = uint256.Int(*w.DataFee)
	}
	for _, l := range w.Logs {
		r.Logs = append(r.Logs, chain.Log{
			// Two servers may spell "none" as null and as []; what they mean is equal.
			Address: l.Address, Topics: append([]common.Hash{}, l.Topics...), Data: append([]byte{}, l.Data...),
		})
	}
	return r, nil
}

// BenefitLogs implements chain.Endpoint. A range that the server refuses is halved.
func (e *Endpoint) BenefitLogs(ctx context.Context, contract, account common.Address, from, to uint64) ([]chain.Binding, error) {
	budget := maxLogCalls
	return e.bindings(ctx, contract, account, from, to, &budget)
}

func (e *Endpoint) bindings(ctx context.Context, contract, account common.Address, from, to uint64, budget *int) ([]chain.Binding, error) {
	if from > to {
		return nil, fmt.Errorf("eth_getLogs: from %d to %d", from, to)
	}
	if *budget--; *budget < 0 {
		return nil, fmt.Errorf("eth_getLogs: more than %d calls", maxLogCalls)
	}

	var logs []wireLog
	err := e.read(ctx, &logs, "eth_getLogs", map[string]any{
		"address": contract, "topics": []common.Hash{chain.BenefitTopic(), chain.AddressTopic(account)},
		"fromBlock": hexutil.EncodeUint64(from), "toBlock": hexutil.EncodeUint64(to),
	})
	var server *rpcError
	if errors.As(err, &server) && from < to {
		middle := from + (to-from)/2
		low, err := e.bindings(ctx, contract, account, from, middle, budget)
		if err != nil {
			return nil, err
		}
		high, err := e.bindings(ctx, contract, account, middle+1, to, budget)
		return append(low, high...), err
	}
	if err != nil {
		return nil, err
	}

	out := []chain.Binding{}
	for _, l := range logs {
		b, err := binding(l, contract, account, from, to)
		if err != nil {
			return nil, fmt.Errorf("eth_getLogs: %w", err)
		}
		out = append(out, b)
	}
	return out, nil
}

// binding reads a log that must match its filter.
func binding(l wireLog, contract, account common.Address, from, to uint64) (chain.Binding, error) {
	block := uint64(l.BlockNumber)
	if l.Address != contract || len(l.Topics) != 3 || l.Topics[0] != chain.BenefitTopic() ||
		l.Topics[1] != chain.AddressTopic(account) || block < from || block > to || l.Removed {
		return chain.Binding{}, errors.New("a log that was not asked for")
	}
	benefit, ok := chain.WordAddress(l.Topics[2])
	if !ok {
		return chain.Binding{}, errors.New("a benefit address that is none")
	}
	return chain.Binding{Block: block, Index: uint64(l.Index), Account: account, Benefit: benefit}, nil
}
