package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/chain/payout"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// A contract stands only when its transaction succeeded and what is there is the contract's code, to the last byte.
func TestCodeStands(t *testing.T) {
	right := payout.RuntimeCode()
	other := append([]byte{}, right...)
	other[len(other)-1]++
	for name, c := range map[string]struct {
		status int
		code   []byte
		want   string
	}{
		"stands":     {1, right, ""},
		"failed":     {0, right, "failed in block 5"},
		"other code": {1, other, "the code at 0x"},
		"no code":    {1, nil, "the code at 0x"},
	} {
		t.Run(name, func(t *testing.T) {
			tx := common.Hash{7}
			answers := map[string]any{
				"eth_chainId": "0x7", "eth_getCode": fmt.Sprintf("%#x", c.code),
				"eth_getTransactionReceipt": map[string]any{
					"transactionHash": tx, "blockHash": common.Hash{9}, "blockNumber": "0x5", "status": fmt.Sprintf("%#x", c.status),
					"gasUsed": "0x1", "effectiveGasPrice": "0x1", "logs": []any{},
				},
			}
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var q struct{ Method string }
				_ = json.NewDecoder(r.Body).Decode(&q)
				_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": answers[q.Method]})
			}))
			defer srv.Close()
			e, err := evm.New(evm.Config{URL: srv.URL, ChainID: 7, Finality: chain.Finality{Depth: 1}})
			require.NoError(t, err)
			defer e.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			receipt, err := codeStands(ctx, e, evm.Created{Address: common.Address{1}, Tx: tx})
			if c.want == "" {
				require.NoError(t, err)
				require.EqualValues(t, 5, receipt.BlockNumber)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

// An allowance is good when it covers what the payer holds, and not wrong while custodians have yet to decide it.
func TestLaneCheckOfAnAllowance(t *testing.T) {
	for answer, want := range map[uint64]string{0: stateUnknown, 99: stateWrong, 100: stateGood, 101: stateGood} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var q struct{ Method string }
			_ = json.NewDecoder(r.Body).Decode(&q)
			answers := map[string]any{"eth_chainId": "0x7", "eth_call": fmt.Sprintf("0x%064x", answer)}
			_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": answers[q.Method]})
		}))
		e, err := evm.New(evm.Config{URL: srv.URL, ChainID: 7, Finality: chain.Finality{Depth: 1}})
		require.NoError(t, err)
		c := &laneChecker{ctx: t.Context(), e: e, lane: quorum.Lane{Token: common.Address{1}, Contract: common.Address{2}}}
		c.allowance(*uint256.NewInt(100))
		require.Equal(t, want, c.out[0].State, answer)
		e.Close()
		srv.Close()
	}
}
