package payout_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"conclave/chain/payout"
	"conclave/chain/payout/binding"
	"conclave/quorum"
)

// The simulated backend leaves two kinds of goroutines behind: leveldb's buffer pool ends up to a minute after its
// database, and the sender cache of core lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
	)
}

// Keys are made for tests from fixed seeds and hold nothing anywhere.
var (
	payer = testKey("payer")
	other = testKey("another payer")
)

func testKey(seed string) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("batch payout " + seed)))
	if err != nil {
		panic(err)
	}
	return key
}

func addressOf(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

// holder is the address of the i-th ordinary recipient: twenty bytes without a zero.
func holder(i int) common.Address {
	a := common.BytesToAddress(crypto.Keccak256(fmt.Appendf(nil, "holder %d", i)))
	for j := range a {
		a[j] |= 1
	}
	return a
}

func id(n int) common.Hash { return crypto.Keccak256Hash(fmt.Appendf(nil, "batch %d", n)) }

// helper is one contract of testdata/Hostile.sol.
type helper struct {
	Name     string
	ABI      json.RawMessage
	Bin      string
	Metadata string
}

func readHelpers(t testing.TB) []helper {
	raw, err := os.ReadFile(filepath.Join("testdata", "Hostile.json"))
	require.NoError(t, err)
	var out []helper
	require.NoError(t, json.Unmarshal(raw, &out))
	require.Greater(t, len(out), 5)
	return out
}

// world is a chain with the contract on it. A block is mined for each transaction.
type world struct {
	t        testing.TB
	sim      *simulated.Backend
	client   simulated.Client
	contract common.Address
	b        *binding.BatchPayout
	helpers  map[string]helper
}

// newWorld starts a chain where the payers have a million coins each, and the accounts in alloc what they say.
func newWorld(t testing.TB, alloc types.GenesisAlloc) *world { return newWorldAt(t, alloc, 0) }

// newWorldAt also answers over HTTP at a port of the loopback.
func newWorldAt(t testing.TB, alloc types.GenesisAlloc, port int) *world {
	all := types.GenesisAlloc{}
	for addr, account := range alloc {
		all[addr] = account
	}
	for _, key := range []*ecdsa.PrivateKey{payer, other} {
		all[addressOf(key)] = types.Account{Balance: new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)}
	}
	sim := simulated.NewBackend(all, func(n *node.Config, e *ethconfig.Config) {
		if port != 0 {
			n.HTTPHost, n.HTTPPort, n.HTTPModules = "127.0.0.1", port, []string{"eth"}
		}
		// The rules are a global of the library: change a copy. Without Amsterdam, Bogota makes a transfer to a new
		// account cost 183,600 more gas.
		rules := *e.Genesis.Config
		rules.BogotaTime = nil
		e.Genesis.Config = &rules
	})
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	w := &world{t: t, sim: sim, client: sim.Client(), b: binding.NewBatchPayout(), helpers: map[string]helper{}}
	for _, h := range readHelpers(t) {
		w.helpers[h.Name] = h
	}
	if *mutated != "" {
		w.contract = w.create(common.FromHex(string(bytes.TrimSpace(read(w.t, *mutated)))))
		return w
	}
	w.contract = w.create(payout.CreationCode())
	standing, err := w.client.CodeAt(context.Background(), w.contract, nil)
	require.NoError(t, err)
	require.Equal(t, payout.RuntimeCode(), standing, "what stands there is the committed runtime code")
	return w
}

// send mines one transaction. It fails only when the chain refuses it; the receipt says what became of it.
func (w *world) send(key *ecdsa.PrivateKey, to *common.Address, value *big.Int, gas uint64, data []byte) *types.Receipt {
	w.t.Helper()
	ctx := context.Background()
	nonce, err := w.client.PendingNonceAt(ctx, addressOf(key))
	require.NoError(w.t, err)
	head, err := w.client.HeaderByNumber(ctx, nil)
	require.NoError(w.t, err)
	chainID, err := w.client.ChainID(ctx)
	require.NoError(w.t, err)
	tip := big.NewInt(1_000_000_000)
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(chainID), &types.DynamicFeeTx{
		ChainID: chainID, Nonce: nonce, To: to, Value: value, Gas: gas, Data: data,
		GasTipCap: tip, GasFeeCap: new(big.Int).Add(tip, new(big.Int).Lsh(head.BaseFee, 1)),
	})
	require.NoError(w.t, err)
	require.NoError(w.t, w.client.SendTransaction(ctx, tx))
	w.sim.Commit()
	receipt, err := w.client.TransactionReceipt(ctx, tx.Hash())
	require.NoError(w.t, err)
	return receipt
}

func (w *world) create(code []byte) common.Address {
	w.t.Helper()
	r := w.send(payer, nil, nil, 5_000_000, code)
	require.EqualValues(w.t, 1, r.Status, "deploy")
	return r.ContractAddress
}

// hostile deploys a helper.
func (w *world) hostile(name string, args ...any) common.Address {
	w.t.Helper()
	h, ok := w.helpers[name]
	require.True(w.t, ok, name)
	packed, err := w.abi(name).Pack("", args...)
	require.NoError(w.t, err)
	return w.create(append(common.FromHex(h.Bin), packed...))
}

func (w *world) abi(name string) abi.ABI {
	w.t.Helper()
	out, err := abi.JSON(bytes.NewReader(w.helpers[name].ABI))
	require.NoError(w.t, err)
	return out
}

// tell calls a helper's method with the payer's key and wants it to succeed.
func (w *world) tell(name string, at common.Address, method string, args ...any) {
	w.t.Helper()
	data, err := w.abi(name).Pack(method, args...)
	require.NoError(w.t, err)
	require.EqualValues(w.t, 1, w.send(payer, &at, nil, 1_000_000, data).Status, method)
}

// ask reads one number, address or flag of a helper.
func (w *world) ask(name string, at common.Address, method string, args ...any) *big.Int {
	w.t.Helper()
	data, err := w.abi(name).Pack(method, args...)
	require.NoError(w.t, err)
	return new(big.Int).SetBytes(w.call(at, data))
}

func (w *world) call(at common.Address, data []byte) []byte {
	w.t.Helper()
	out, err := w.client.CallContract(context.Background(), ethereum.CallMsg{To: &at, Data: data}, nil)
	require.NoError(w.t, err)
	return out
}

func (w *world) balance(a common.Address) *big.Int {
	w.t.Helper()
	out, err := w.client.BalanceAt(context.Background(), a, nil)
	require.NoError(w.t, err)
	return out
}

// owed and done are what the contract says.
func (w *world) owed(token, to common.Address) *big.Int {
	w.t.Helper()
	out, err := w.b.UnpackOwed(w.call(w.contract, w.b.PackOwed(token, to)))
	require.NoError(w.t, err)
	return out
}

func (w *world) done(by common.Address, batch common.Hash) bool {
	w.t.Helper()
	out, err := w.b.UnpackDone(w.call(w.contract, w.b.PackDone(by, batch)))
	require.NoError(w.t, err)
	return out
}

// batch is one call of pay or payToken.
type batch struct {
	id      common.Hash
	token   common.Address // zero: coins
	to      []common.Address
	amounts []*big.Int
	value   *big.Int // what is sent along; nil: what the amounts sum up to, for coins
	gas     uint64   // 0: what is always enough
	key     *ecdsa.PrivateKey
}

func (b batch) sum() *big.Int {
	sum := new(big.Int)
	for _, a := range b.amounts {
		sum.Add(sum, a)
	}
	return sum
}

func (w *world) pay(b batch) *types.Receipt {
	w.t.Helper()
	if b.key == nil {
		b.key = payer
	}
	native := b.token == (common.Address{})
	data := w.b.PackPayToken(b.id, b.token, b.to, b.amounts)
	if native {
		data = w.b.PackPay(b.id, b.to, b.amounts)
	}
	if b.value == nil && native {
		b.value = b.sum()
	}
	if b.gas == 0 {
		b.gas = quorum.MaxTransactionGas
	}
	return w.send(b.key, &w.contract, b.value, b.gas, data)
}

// failures are the indices of the items that a receipt says were credited.
func (w *world) failures(r *types.Receipt) []uint64 {
	w.t.Helper()
	out := []uint64{}
	for _, l := range r.Logs {
		if l.Address != w.contract || l.Topics[0] != w.failedTopic() {
			continue
		}
		e, err := w.b.UnpackFailedEvent(l)
		require.NoError(w.t, err)
		out = append(out, e.Index.Uint64())
	}
	return out
}

func (w *world) failedTopic() common.Hash {
	a, err := binding.BatchPayoutMetaData.ParseABI()
	require.NoError(w.t, err)
	return a.Events["Failed"].ID
}

// paid is the receipt's one Paid event.
func (w *world) paid(r *types.Receipt) *binding.BatchPayoutPaid {
	w.t.Helper()
	var out *binding.BatchPayoutPaid
	for _, l := range r.Logs {
		if l.Address != w.contract {
			continue
		}
		if e, err := w.b.UnpackPaidEvent(l); err == nil {
			require.Nil(w.t, out, "one batch, one event")
			out = e
		}
	}
	require.NotNil(w.t, out)
	return out
}
