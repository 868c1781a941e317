package evm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
)

// answers are what a server says to each method, whole bodies.
type answers map[string][]byte

// RoundTrip implements http.RoundTripper without a socket.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a[q.Method])), Request: r}, nil
}

// asks makes an endpoint of one server, whose chain id is known already.
func asks(t testing.TB, a answers) *Endpoint {
	e, err := New(Config{URL: "http://fuzz.invalid/secret-key", ChainID: fuzzChain, Finality: chain.Finality{Tag: true}})
	require.NoError(t, err)
	e.caller.http.Transport = a
	e.setChecked(true)
	return e
}

// What the fuzzed questions are about.
const fuzzChain = 7

var (
	fuzzHash     = common.HexToHash("0xaa")
	fuzzBlock    = chain.Header{Number: 1, Hash: common.HexToHash("0xb1")}
	fuzzContract = common.HexToAddress("0x05")
	fuzzAccount  = common.HexToAddress("0x06")
	fuzzKey, _   = crypto.ToECDSA(crypto.Keccak256([]byte("evm fuzz key, for tests only")))
	fuzzSender   = crypto.PubkeyToAddress(fuzzKey.PublicKey)
)

// questions is every question whose answer a stranger's server writes, one of them about a certain transaction. Each returns
// what was believed of it.
func questions(hash common.Hash) []func(*testing.T, *Endpoint) (any, error) {
	return []func(*testing.T, *Endpoint) (any, error){
		func(t *testing.T, e *Endpoint) (any, error) {
			r, err := e.Receipt(t.Context(), fuzzHash)
			if err == nil {
				require.Equal(t, fuzzHash, r.TxHash)
				require.LessOrEqual(t, r.Status, uint64(1))
				require.NotNil(t, r.Logs)
				for _, l := range r.Logs {
					require.True(t, l.Topics != nil && l.Data != nil, "none is spelled in one way")
				}
			}
			return r, err
		},
		func(t *testing.T, e *Endpoint) (any, error) {
			tx, err := e.Transaction(t.Context(), hash)
			if err == nil {
				require.Equal(t, hash, tx.Hash)
				require.Equal(t, fuzzSender, tx.From)
			}
			return tx, err
		},
		func(t *testing.T, e *Endpoint) (any, error) {
			txs, err := e.Sent(t.Context(), fuzzSender, fuzzBlock)
			for _, tx := range txs {
				require.Equal(t, fuzzSender, tx.From)
			}
			return txs, err
		},
		func(t *testing.T, e *Endpoint) (any, error) {
			bindings, err := e.BenefitLogs(t.Context(), fuzzContract, fuzzAccount, 1, 1)
			for _, b := range bindings {
				require.Equal(t, chain.Binding{Block: 1, Index: b.Index, Account: fuzzAccount, Benefit: b.Benefit}, b)
			}
			return bindings, err
		},
		func(t *testing.T, e *Endpoint) (any, error) {
			h, err := e.HeaderAt(t.Context(), 1)
			require.True(t, err != nil || h.Number == 1)
			return h, err
		},
		func(t *testing.T, e *Endpoint) (any, error) { return e.Final(t.Context()) },
		func(t *testing.T, e *Endpoint) (any, error) { return e.NonceAt(t.Context(), fuzzAccount, fuzzBlock) },
		func(t *testing.T, e *Endpoint) (any, error) {
			return e.BalanceAt(t.Context(), common.Address{}, fuzzAccount, fuzzBlock)
		},
		func(t *testing.T, e *Endpoint) (any, error) {
			return e.BalanceAt(t.Context(), fuzzContract, fuzzAccount, fuzzBlock)
		},
		func(t *testing.T, e *Endpoint) (any, error) {
			return e.BenefitAddress(t.Context(), fuzzContract, fuzzAccount, fuzzBlock)
		},
		func(t *testing.T, e *Endpoint) (any, error) {
			return nil, e.SendRaw(t.Context(), []byte{2})
		},
		func(t *testing.T, e *Endpoint) (any, error) { e.setChecked(false); return nil, e.Check(t.Context()) },
	}
}

// everywhere is one body as the answer to every method.
func everywhere(body []byte) answers {
	a := answers{}
	for _, m := range []string{"eth_chainId", "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getTransactionCount", "eth_getBalance", "eth_call",
		"eth_getLogs", "eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_sendRawTransaction"} {
		a[m] = body
	}
	return a
}

// FuzzReplies looks for a panic in what reads servers' answers, for an answer to another question that is believed, for one
// body that means two things, and for an error that shows the URL or fills a log.
func FuzzReplies(f *testing.F) {
	all := questions(seedTransactions(f)[0].Hash()) // made once: signing costs more than all of the rest
	for _, body := range seedReplies(f) {
		for which := range all {
			f.Add(uint8(which), body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		e, ask := asks(t, everywhere(body)), all[int(which)%len(all)]
		first, err := ask(t, e)
		again, err2 := ask(t, e)
		require.Equal(t, err == nil, err2 == nil)
		if err == nil {
			require.Equal(t, first, again)
			return
		}
		require.NotContains(t, err.Error(), "secret-key")
		require.Less(t, len(err.Error()), 1000+2*len(body))
	})
}

// FuzzDeposit puts foreign answers under the question on which credits rest. What is proven must be so by the very fields
// that were read: a success, in the final block that was asked for, of that amount by that account to the deposit address.
func FuzzDeposit(f *testing.F) {
	tx := seedTransactions(f)[0]
	hash := tx.Hash()
	for _, body := range seedReceipts(hash) {
		f.Add(result(f, tx), result(f, body), result(f, seedHeader(1)), true)
		f.Add(result(f, tx), result(f, body), result(f, seedHeader(1)), false)
	}
	for _, other := range seedTransactions(f)[1:] {
		f.Add(result(f, other), result(f, seedReceipts(other.Hash())[0]), result(f, seedHeader(1)), true)
	}
	f.Fuzz(func(t *testing.T, txBody, receiptBody, block []byte, native bool) {
		e := asks(t, answers{"eth_getTransactionByHash": txBody, "eth_getTransactionReceipt": receiptBody, "eth_getBlockByNumber": block})
		lane := chain.Lane{Network: "fuzz", ChainID: fuzzChain, Deposit: fuzzContract}
		if !native {
			lane.Token = common.HexToAddress("0x77")
		}
		amount := *uint256.NewInt(3)
		found, err := chain.VerifyDeposit(t.Context(), e, lane, hash, fuzzSender, amount)
		if err != nil {
			require.Equal(t, chain.Unknown, found.Proof)
			return
		}
		if found.Proof != chain.Proven {
			require.NotEmpty(t, found.Reason)
			return
		}
		r, err := e.Receipt(t.Context(), hash)
		require.NoError(t, err)
		h, err := e.HeaderAt(t.Context(), r.BlockNumber)
		require.NoError(t, err)
		require.Equal(t, uint64(1), r.Status)
		require.Equal(t, r.BlockHash, h.Hash)
		if native {
			tx, err := e.Transaction(t.Context(), hash)
			require.NoError(t, err)
			require.True(t, tx.From == fuzzSender && tx.To == lane.Deposit && tx.Value.Eq(&amount) && len(tx.Data) == 0 && !tx.Create)
			return
		}
		require.Contains(t, r.Logs, chain.Log{Address: lane.Token, Data: common.BigToHash(big.NewInt(3)).Bytes(),
			Topics: []common.Hash{chain.TransferTopic(), chain.AddressTopic(fuzzSender), chain.AddressTopic(lane.Deposit)}})
	})
}

// The seeds prove what they are made to prove, so that the fuzzer starts where credits are.
func TestFuzzSeedsProveDeposits(t *testing.T) {
	tx := seedTransactions(t)[0]
	for native, token := range map[bool]common.Address{true: {}, false: common.HexToAddress("0x77")} {
		e := asks(t, answers{"eth_getTransactionByHash": result(t, tx), "eth_getTransactionReceipt": result(t, seedReceipts(tx.Hash())[0]),
			"eth_getBlockByNumber": result(t, seedHeader(1))})
		lane := chain.Lane{Network: "fuzz", ChainID: fuzzChain, Deposit: fuzzContract, Token: token}
		found, err := chain.VerifyDeposit(t.Context(), e, lane, tx.Hash(), fuzzSender, *uint256.NewInt(3))
		require.NoError(t, err)
		require.Equal(t, chain.Proven, found.Proof, "native: %t: %s", native, found.Reason)
	}
	believed, all := 0, questions(tx.Hash())
	for _, body := range seedReplies(t) {
		e := asks(t, everywhere(body))
		for _, ask := range all {
			if _, err := ask(t, e); err == nil {
				believed++
			}
		}
	}
	require.GreaterOrEqual(t, believed, len(all)-1, "nearly every question has a seed that answers it")
}

// result is a whole reply.
func result(t testing.TB, value any) []byte {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "result": value})
	require.NoError(t, err)
	return b
}

func seedReplies(t testing.TB) (out [][]byte) {
	for _, tx := range seedTransactions(t) {
		out = append(out, result(t, tx))
	}
	for _, r := range seedReceipts(fuzzHash) {
		out = append(out, result(t, r))
	}
	binding := map[string]any{"address": fuzzContract, "data": "0x", "blockNumber": "0x1", "logIndex": "0x3",
		"topics": []common.Hash{chain.BenefitTopic(), chain.AddressTopic(fuzzAccount), chain.AddressTopic(fuzzSender)}}
	block := seedHeader(1)
	mine, err := json.Marshal(seedTransactions(t)[0])
	require.NoError(t, err)
	var named map[string]any
	require.NoError(t, json.Unmarshal(mine, &named))
	named["from"] = fuzzSender
	block["transactions"] = []any{named, map[string]any{"type": "0x7e", "from": fuzzAccount}}
	for _, v := range []any{nil, block, []any{binding}, "0x7", "0x", common.Hash{}, chain.AddressTopic(fuzzAccount), crypto.Keccak256Hash([]byte{2})} {
		out = append(out, result(t, v))
	}
	for _, says := range []string{"missing trie node", "header not found", "already known", "nonce too low", "\x00\u2028" + strings.Repeat("x", 300)} {
		b, err := json.Marshal(map[string]any{"id": 1, "error": map[string]any{"code": -32000, "message": says}})
		require.NoError(t, err)
		out = append(out, b)
	}
	return append(out, []byte(`{"id":1}`), []byte(`<html>`), []byte(`{"id":2,"result":"0x7"}`), nil)
}

func seedHeader(n uint64) map[string]any {
	return map[string]any{"number": fmt.Sprintf("%#x", n), "hash": fuzzBlock.Hash, "parentHash": common.Hash{1}, "timestamp": "0x3e8", "baseFeePerGas": "0x3b9aca00"}
}

// seedReceipts are of a transaction: a transfer of 3 to the deposit address, the same that failed, one of no block, and one
// with a fee for its data.
func seedReceipts(tx common.Hash) []map[string]any {
	receipt := func(more map[string]any) map[string]any {
		r := map[string]any{"transactionHash": tx, "blockHash": fuzzBlock.Hash, "blockNumber": "0x1", "status": "0x1", "gasUsed": "0x5208",
			"effectiveGasPrice": "0x3", "logs": []any{map[string]any{"address": common.HexToAddress("0x77"), "data": common.BigToHash(big.NewInt(3)),
				"topics": []common.Hash{chain.TransferTopic(), chain.AddressTopic(fuzzSender), chain.AddressTopic(fuzzContract)}}}}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	return []map[string]any{receipt(nil), receipt(map[string]any{"status": "0x0", "logs": nil}), receipt(map[string]any{"blockHash": nil}),
		receipt(map[string]any{"l1Fee": "0x7", "blockNumber": "0x2"})}
}

// seedTransactions are one of each kind; the first is a deposit of 3.
func seedTransactions(t testing.TB) []*types.Transaction {
	to, id := fuzzContract, uint256.NewInt(fuzzChain)
	auth, err := types.SignSetCode(fuzzKey, types.SetCodeAuthorization{ChainID: *id, Address: to})
	require.NoError(t, err)
	signer := types.LatestSignerForChainID(big.NewInt(fuzzChain))
	var out []*types.Transaction
	for _, inner := range []types.TxData{
		&types.DynamicFeeTx{ChainID: big.NewInt(fuzzChain), To: &to, Gas: 21_000, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Value: big.NewInt(3)},
		&types.LegacyTx{To: &to, Gas: 21_000, GasPrice: big.NewInt(1), Value: big.NewInt(3)},
		&types.AccessListTx{ChainID: big.NewInt(fuzzChain), Gas: 60_000, GasPrice: big.NewInt(1), Value: big.NewInt(0), Data: []byte{1},
			AccessList: types.AccessList{{Address: to, StorageKeys: []common.Hash{{1}}}}},
		&types.BlobTx{ChainID: id, To: to, Gas: 21_000, GasTipCap: id, GasFeeCap: id, Value: id, BlobFeeCap: id, BlobHashes: []common.Hash{{1}}},
		&types.SetCodeTx{ChainID: id, To: to, Gas: 21_000, GasTipCap: id, GasFeeCap: id, Value: id, AuthList: []types.SetCodeAuthorization{auth}},
	} {
		tx, err := types.SignNewTx(fuzzKey, signer, inner)
		require.NoError(t, err)
		out = append(out, tx)
	}
	return out
}
