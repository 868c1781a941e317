package evm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"conclave/chain"
	"conclave/chain/evm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKey is made for tests from a fixed seed and holds nothing anywhere.
var testKey, _ = crypto.ToECDSA(crypto.Keccak256([]byte("evm test key")))

// What package chain encodes by hand is what go-ethereum encodes: payload, digest, signed bytes, hash and sender.
func TestRenderingIsGoEthereums(t *testing.T) {
	from := crypto.PubkeyToAddress(testKey.PublicKey)
	rapid.Check(t, func(t *rapid.T) {
		tip := rapid.Uint64Range(1, 1<<50).Draw(t, "tip")
		offer := rapid.Uint64Range(tip, 1<<55).Draw(t, "offer")
		p := chain.Payment{
			ChainID: rapid.Uint64Range(1, 1<<62).Draw(t, "chain"), Nonce: rapid.Uint64().Draw(t, "nonce"), Payer: from,
			To:    common.BytesToAddress(append([]byte{1}, rapid.SliceOfN(rapid.Byte(), 19, 19).Draw(t, "to")...)),
			Value: *new(uint256.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "value")),
			Data:  rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "data"),
			Gas:   rapid.Uint64Range(chain.MinGas, chain.MaxGas).Draw(t, "gas"),
			Fees:  chain.Fees{Offer: *uint256.NewInt(offer), Tip: *uint256.NewInt(tip), FeeCap: *uint256.NewInt(offer * 100)},
		}
		k := rapid.UintRange(0, p.Bumps()).Draw(t, "k")
		r, err := chain.Render(p, k)
		require.NoError(t, err)
		signature, err := crypto.Sign(r.Digest[:], testKey)
		require.NoError(t, err)
		s, err := r.Assemble(signature)
		require.NoError(t, err)

		var theirs types.Transaction
		require.NoError(t, theirs.UnmarshalBinary(s.Raw))
		signer := types.LatestSignerForChainID(new(big.Int).SetUint64(p.ChainID))
		require.Equal(t, signer.Hash(&theirs), r.Digest)
		require.Equal(t, theirs.Hash(), s.Hash)
		sender, err := types.Sender(signer, &theirs)
		require.NoError(t, err)
		require.Equal(t, from, sender)

		raised := types.NewTx(&types.DynamicFeeTx{
			ChainID: new(big.Int).SetUint64(p.ChainID), Nonce: p.Nonce, To: &p.To, Value: p.Value.ToBig(), Data: p.Data, Gas: p.Gas,
			GasTipCap: theirs.GasTipCap(), GasFeeCap: theirs.GasFeeCap(),
		})
		withSignature, err := raised.WithSignature(signer, signature)
		require.NoError(t, err)
		raw, err := withSignature.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, raw, s.Raw)
		require.False(t, theirs.GasFeeCap().Cmp(p.FeeCap.ToBig()) > 0)
	})
}

// server answers each method with a fixed result, an error object, or a function.
type server map[string]any

type failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		ID     int               `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply := map[string]any{"jsonrpc": "2.0", "id": q.ID}
	answer := s[q.Method]
	if f, ok := answer.(func(params []json.RawMessage) any); ok {
		answer = f(q.Params)
	}
	switch a := answer.(type) {
	case http.HandlerFunc:
		a(w, r)
		return
	case failure:
		reply["error"] = a
	default:
		reply["result"] = a
	}
	_ = json.NewEncoder(w).Encode(reply) // the client may hang up, which is what some tests want
}

func dial(t *testing.T, s server) *evm.Endpoint {
	if _, ok := s["eth_chainId"]; !ok {
		s["eth_chainId"] = "0x7"
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	e, err := evm.New(evm.Config{URL: srv.URL + "/secret-key", ChainID: 7, Finality: chain.Finality{Depth: 2}, Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

func header(n uint64) map[string]any {
	return map[string]any{
		"number": fmt.Sprintf("%#x", n), "hash": common.BigToHash(new(big.Int).SetUint64(n + 1)), "parentHash": common.BigToHash(new(big.Int).SetUint64(n)),
		"timestamp": fmt.Sprintf("%#x", 1000+n), "baseFeePerGas": "0x3b9aca00", "extra": "ignored",
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := evm.Config{URL: "http://127.0.0.1:1/secret", ChainID: 1, Finality: chain.Finality{Tag: true}}
	e, err := evm.New(good)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1", e.Name())
	for _, change := range []func(*evm.Config){
		func(c *evm.Config) { c.URL = "" }, func(c *evm.Config) { c.URL = "ftp://secret" }, func(c *evm.Config) { c.URL = "http:///secret" },
		func(c *evm.Config) { c.URL = "http://secret:x:y" }, func(c *evm.Config) { c.ChainID = 0 },
		func(c *evm.Config) { c.Finality = chain.Finality{} }, func(c *evm.Config) { c.Finality.Depth = 1 },
	} {
		bad := good
		change(&bad)
		_, err := evm.New(bad)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestWrongChainIsNeverUsed(t *testing.T) {
	e := dial(t, server{"eth_chainId": "0x8", "eth_getBlockByNumber": header(1), "eth_sendRawTransaction": common.Hash{}})
	_, err := e.Head(context.Background())
	require.ErrorIs(t, err, evm.ErrWrongChain)
	require.ErrorIs(t, e.SendRaw(context.Background(), []byte{1}), evm.ErrWrongChain)
}

func TestChainIsCheckedAgainAfterAFailure(t *testing.T) {
	ids := []string{"0x7", "0x8"}
	blocks := []any{header(1), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })}
	e := dial(t, server{
		"eth_chainId": func([]json.RawMessage) (id any) { id, ids = ids[0], ids[1:]; return id },
		"eth_getBlockByNumber": func([]json.RawMessage) (b any) {
			b, blocks = blocks[0], blocks[1:]
			return b
		},
	})
	_, err := e.Head(context.Background())
	require.NoError(t, err)
	_, err = e.Head(context.Background())
	require.ErrorContains(t, err, "502")
	_, err = e.Head(context.Background())
	require.ErrorIs(t, err, evm.ErrWrongChain)
}

func TestFinalIsDepthBelowTheHead(t *testing.T) {
	e := dial(t, server{"eth_getBlockByNumber": func(p []json.RawMessage) any {
		switch string(p[0]) {
		case `"latest"`:
			return header(9)
		case `"0x7"`:
			return header(7)
		}
		return nil
	}})
	h, err := e.Final(context.Background())
	require.NoError(t, err)
	require.Equal(t, chain.Header{
		Number: 7, Hash: common.BigToHash(big.NewInt(8)), Parent: common.BigToHash(big.NewInt(7)), Time: 1007, BaseFee: *uint256.NewInt(1e9),
	}, h)
	_, err = e.HeaderAt(context.Background(), 8)
	require.ErrorIs(t, err, chain.ErrNotFound)
}

func TestRepliesAreNotBelieved(t *testing.T) {
	ctx := context.Background()
	at := chain.Header{Number: 1, Hash: common.BigToHash(big.NewInt(2))}
	asked := common.Hash{0xaa}
	other := map[string]any{"transactionHash": common.Hash{0xbb}, "blockHash": at.Hash, "blockNumber": "0x1", "status": "0x1", "effectiveGasPrice": "0x1"}
	pending := map[string]any{"transactionHash": asked, "effectiveGasPrice": "0x1"}
	odd := map[string]any{"transactionHash": asked, "blockHash": at.Hash, "blockNumber": "0x1", "status": "0x2", "effectiveGasPrice": "0x1"}
	foreign := types.NewTx(&types.LegacyTx{Nonce: 1, Gas: 21000, To: &common.Address{1}, Value: big.NewInt(1), GasPrice: big.NewInt(1)})
	foreign, err := types.SignTx(foreign, types.LatestSignerForChainID(big.NewInt(7)), testKey)
	require.NoError(t, err)
	stranger := map[string]any{}
	raw, err := foreign.MarshalJSON()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &stranger))
	stranger["from"] = common.Address{9}
	log := func(change func(map[string]any)) []any {
		l := map[string]any{
			"address": common.Address{5}, "data": "0x", "blockNumber": "0x1", "logIndex": "0x0",
			"topics": []common.Hash{chain.BenefitTopic(), chain.AddressTopic(common.Address{6}), chain.AddressTopic(common.Address{7})},
		}
		change(l)
		return []any{l}
	}

	head := func(e *evm.Endpoint) error { _, err := e.HeaderAt(ctx, 1); return err }
	receipt := func(e *evm.Endpoint) error { _, err := e.Receipt(ctx, asked); return err }
	transaction := func(e *evm.Endpoint) error { _, err := e.Transaction(ctx, asked); return err }
	sent := func(e *evm.Endpoint) error { _, err := e.Sent(ctx, common.Address{9}, at); return err }
	send := func(e *evm.Endpoint) error { return e.SendRaw(ctx, []byte{1, 2, 3}) }
	benefit := func(e *evm.Endpoint) error {
		_, err := e.BenefitAddress(ctx, common.Address{5}, common.Address{6}, at)
		return err
	}
	logs := func(e *evm.Endpoint) error {
		_, err := e.BenefitLogs(ctx, common.Address{5}, common.Address{6}, 0, 1)
		return err
	}

	for name, c := range map[string]struct {
		method string
		answer any
		do     func(*evm.Endpoint) error
		want   string
	}{
		"another block":             {"eth_getBlockByNumber", header(2), head, "block 2 for block 1"},
		"a block without hash":      {"eth_getBlockByNumber", map[string]any{"number": "0x1"}, head, "without"},
		"a number for a block":      {"eth_getBlockByNumber", 17, head, "decode"},
		"another receipt":           {"eth_getTransactionReceipt", other, receipt, "for 0xaa"},
		"a receipt of no block":     {"eth_getTransactionReceipt", pending, receipt, "not found"},
		"a third status":            {"eth_getTransactionReceipt", odd, receipt, "status 2"},
		"another transaction":       {"eth_getTransactionByHash", foreign, transaction, "for 0xaa"},
		"no transaction":            {"eth_getTransactionByHash", map[string]any{"type": "0x2"}, transaction, "decode"},
		"another sender":            {"eth_getBlockByHash", map[string]any{"hash": at.Hash, "transactions": []any{stranger}}, sent, "is not of"},
		"another block's senders":   {"eth_getBlockByHash", map[string]any{"hash": common.Hash{9}}, sent, "for 0x00"},
		"another hash for a send":   {"eth_sendRawTransaction", common.Hash{1}, send, "answered with"},
		"no code":                   {"eth_call", "0x", benefit, "no contract"},
		"a word that is no address": {"eth_call", common.MaxHash, benefit, "no contract"},
		"a removed log":             {"eth_getLogs", log(func(l map[string]any) { l["removed"] = true }), logs, "not asked for"},
		"a log of another contract": {"eth_getLogs", log(func(l map[string]any) { l["address"] = common.Address{1} }), logs, "not asked for"},
		"a log out of range":        {"eth_getLogs", log(func(l map[string]any) { l["blockNumber"] = "0x2" }), logs, "not asked for"},
		"a log of another account":  {"eth_getLogs", log(func(l map[string]any) { l["topics"] = []common.Hash{chain.BenefitTopic(), {}, {}} }), logs, "not asked for"},
		"pruned state":              {"eth_call", failure{-32000, "missing trie node deadbeef"}, benefit, "pruned"},
		"an unknown block":          {"eth_call", failure{-32000, "header not found"}, benefit, "not found"},
		"known":                     {"eth_sendRawTransaction", failure{-32000, "already known"}, send, chain.ErrKnown.Error()},
		"nonce":                     {"eth_sendRawTransaction", failure{-32000, "Nonce too low: next 3"}, send, chain.ErrNonceUsed.Error()},
		"replacement":               {"eth_sendRawTransaction", failure{-32000, "replacement transaction underpriced"}, send, chain.ErrUnderpriced.Error()},
		"funds":                     {"eth_sendRawTransaction", failure{-32000, "insufficient funds for gas * price + value"}, send, chain.ErrFunds.Error()},
		"a text with control codes": {"eth_sendRawTransaction", failure{1, "a\x1b[31mb\n" + strings.Repeat("x", 999)}, send, `"a [31mb x`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do(dial(t, server{c.method: c.answer}))
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 600)
			require.NotContains(t, err.Error(), "secret-key")
		})
	}
}

func TestConnectionsThatMisbehave(t *testing.T) {
	raw := func(f http.HandlerFunc) server { return server{"eth_chainId": f} }
	for name, c := range map[string]struct {
		f    http.HandlerFunc
		want string
	}{
		"not JSON":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "not JSON-RPC"},
		"a void":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":1}`) }, "neither result nor error"},
		"other id":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":2,"result":"0x7"}`) }, "answers request 2"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, evm.MaxReply+1)) }, "larger than"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "HTTP status 307"},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dial(t, raw(c.f)).Head(context.Background())
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret-key")
		})
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	e := dial(t, server{"eth_chainId": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })})
	defer close(release)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	_, err := e.Head(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRangesOfLogsAreHalved(t *testing.T) {
	const limit = 100
	calls := 0
	at := uint64(777)
	e := dial(t, server{"eth_getLogs": func(p []json.RawMessage) any {
		calls++
		var q struct{ FromBlock, ToBlock string }
		_ = json.Unmarshal(p[0], &q)
		from, to := uint256.MustFromHex(q.FromBlock).Uint64(), uint256.MustFromHex(q.ToBlock).Uint64()
		if to-from >= limit {
			return failure{-32005, "query exceeds max block range"}
		}
		if at < from || at > to {
			return []any{}
		}
		return []any{map[string]any{
			"address": common.Address{5}, "data": "0x", "blockNumber": fmt.Sprintf("%#x", at), "logIndex": "0x3",
			"topics": []common.Hash{chain.BenefitTopic(), chain.AddressTopic(common.Address{6}), chain.AddressTopic(common.Address{7})},
		}}
	}})
	got, err := e.BenefitLogs(context.Background(), common.Address{5}, common.Address{6}, 0, 1000)
	require.NoError(t, err)
	require.Equal(t, []chain.Binding{{Block: 777, Index: 3, Account: common.Address{6}, Benefit: common.Address{7}}}, got)
	require.Less(t, calls, 64)

	calls = 0
	_, err = e.BenefitLogs(context.Background(), common.Address{5}, common.Address{6}, 0, 1<<40)
	require.ErrorContains(t, err, "more than")
	require.LessOrEqual(t, calls, 1024)
}

// A transaction that differs from ours in its access list alone is not ours.
func TestOtherShapesHaveNoPayload(t *testing.T) {
	to := common.Address{1}
	signer := types.LatestSignerForChainID(big.NewInt(7))
	plain := types.DynamicFeeTx{ChainID: big.NewInt(7), To: &to, Gas: 21_000, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Value: big.NewInt(3)}
	listed, create := plain, plain
	listed.AccessList = types.AccessList{{Address: to, StorageKeys: []common.Hash{{1}}}}
	create.To = nil
	for name, c := range map[string]struct {
		inner types.TxData
		ours  bool
	}{
		"ours":           {&plain, true},
		"an access list": {&listed, false},
		"a creation":     {&create, false},
		"a legacy one":   {&types.LegacyTx{To: &to, Gas: 21_000, GasPrice: big.NewInt(1), Value: big.NewInt(3)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := types.SignNewTx(testKey, signer, c.inner)
			require.NoError(t, err)
			raw, err := tx.MarshalBinary()
			require.NoError(t, err)
			_, err = chain.DecodeTx(raw)
			require.Equal(t, c.ours, err == nil)

			got, err := dial(t, server{"eth_getTransactionByHash": tx}).Transaction(context.Background(), tx.Hash())
			require.NoError(t, err)
			require.Equal(t, c.ours, got.Payload != nil)
			require.Equal(t, crypto.PubkeyToAddress(testKey.PublicKey), got.From)
			require.Equal(t, tx.To() == nil, got.Create)
			require.Equal(t, *uint256.NewInt(3), got.Value)
		})
	}
}
