package devnet

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"
)

// testTx signs a payment with a key that is made for this test.
func testTx(t *testing.T, key *ecdsa.PrivateKey, nonce uint64, to common.Address, value int64) *types.Transaction {
	t.Helper()
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(chainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(chainID), Nonce: nonce, To: &to, Value: big.NewInt(value), Gas: 21_000, GasFeeCap: big.NewInt(1), GasTipCap: big.NewInt(1)})
	require.NoError(t, err)
	return tx
}

// TestAChainNeverTakesOnePayment: whatever pays by the first payment's nonce is dropped, and nothing else.
func TestAChainNeverTakesOnePayment(t *testing.T) {
	var taken []common.Hash
	chain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		var q rpcCall
		var bytes hexutil.Bytes
		var tx types.Transaction
		if json.Unmarshal(raw, &q) == nil && json.Unmarshal(q.Params[0], &bytes) == nil && tx.UnmarshalBinary(bytes) == nil {
			taken = append(taken, tx.Hash())
		}
		out, _ := json.Marshal(rpcCall{Version: "2.0", ID: q.ID, Result: json.RawMessage(`"0x00"`)})
		_, _ = w.Write(out)
	}))
	defer chain.Close()
	c, err := openCensor(chain.URL)
	require.NoError(t, err)
	defer func() { _ = c.close() }()
	client, err := ethclient.Dial(c.url)
	require.NoError(t, err)
	defer client.Close()
	payer, err := crypto.GenerateKey()
	require.NoError(t, err)
	another, err := crypto.GenerateKey()
	require.NoError(t, err)
	self, to := crypto.PubkeyToAddress(payer.PublicKey), common.Address{19: 1}

	allow := testTx(t, payer, 6, to, 0)
	first, dearer := testTx(t, payer, 7, to, 5), testTx(t, payer, 7, to, 6)
	cancel, next, foreign := testTx(t, payer, 7, self, 0), testTx(t, payer, 8, to, 5), testTx(t, another, 7, to, 5)
	_, stuck := c.stuck()
	require.False(t, stuck)
	for _, tx := range []*types.Transaction{allow, first, dearer, cancel, next, foreign} {
		require.NoError(t, client.SendTransaction(context.Background(), tx))
	}
	require.Equal(t, []common.Hash{allow.Hash(), cancel.Hash(), next.Hash(), foreign.Hash()}, taken)
	require.ElementsMatch(t, []common.Hash{first.Hash(), dearer.Hash()}, c.all())
	nonce, stuck := c.stuck()
	require.True(t, stuck)
	require.EqualValues(t, 7, nonce)

	n := &Network{world: &world{censor: c}}
	is, err := n.isCancel(sent{from: self, tx: cancel})
	require.True(t, is)
	require.NoError(t, err)
	is, err = n.isCancel(sent{from: self, tx: first})
	require.False(t, is)
	require.NoError(t, err)
	_, err = n.isCancel(sent{from: self, tx: testTx(t, payer, 8, self, 0)})
	require.ErrorContains(t, err, "not stuck")
	require.ErrorContains(t, n.cancelled(context.Background(), client, 0), "want one")
}
