//go:build e2e

package devnet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math/big"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet"
	"conclave/internal/devnet/simchain"
	"conclave/node/config"
	"conclave/relay/relaysim"
)

// The custodians pay against a Relay and a chain that stand already, and were not made by the devnet. All keys are made here,
// for this test.
func TestRelayAndChainThatStand(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()

	funder, err := crypto.GenerateKey()
	require.NoError(t, err)
	apiKey, err := crypto.GenerateKey()
	require.NoError(t, err)
	user, err := crypto.GenerateKey()
	require.NoError(t, err)
	coin := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
	thousand := new(big.Int).Mul(coin, big.NewInt(1000))

	chain, err := simchain.Start(simchain.Config{ChainID: 4242, Alloc: map[common.Address]uint256.Int{
		crypto.PubkeyToAddress(funder.PublicKey): *uint256.MustFromBig(thousand),
	}})
	require.NoError(t, err)
	defer func() { require.NoError(t, chain.Close()) }()
	go func() { _ = chain.Run(ctx) }()

	fee := common.HexToAddress("0x00000000000000000000000000000000000fee00")
	sim, err := relaysim.New(relaysim.Config{
		APIKey: crypto.PubkeyToAddress(apiKey.PublicKey), FeeAddress: fee,
		Networks: []relaysim.Network{{Name: "standing", TokenType: "native", Fee: 1, Min: 4, MaxPerDay: 10,
			Tiers: []relaysim.Tier{{Min: 0, Ratio: 0.01}, {Min: 1000, Ratio: 0.005}}}},
	})
	require.NoError(t, err)
	relay := httptest.NewServer(sim)
	defer relay.Close()
	account := crypto.PubkeyToAddress(user.PublicKey)
	sim.CreditTask(account, thousand)
	_, err = relaysim.NewUser(user, relay.URL, nil, nil).Withdraw(ctx, "standing", new(big.Int).Mul(coin, big.NewInt(7)), account.Hex())
	require.NoError(t, err)

	apiFile, funderFile := filepath.Join(dir, "api.key"), filepath.Join(dir, "funder.key")
	require.NoError(t, config.WriteKey(apiFile, apiKey))
	require.NoError(t, config.WriteKey(funderFile, funder))

	var out, errs bytes.Buffer
	o := devnet.Options{
		Nodes: 4, Withdrawals: 1, Dir: filepath.Join(dir, "net"), ExitPaid: true, JSON: true,
		Relays: []string{relay.URL, relay.URL + "/view/1", relay.URL + "/view/2", relay.URL + "/view/3"}, RelayKeyFile: apiFile,
		RPCs: []string{chain.URL()}, FundKeyFile: funderFile, Network: "standing", Fee: fee, Out: &out, Err: &errs,
	}
	require.NoError(t, devnet.Run(ctx, o), errs.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var report devnet.Report
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &report))
	require.True(t, report.Conserved)
	require.Equal(t, 1, report.Paid)
	require.Equal(t, 1, report.Fulfilled)

	faucet, err := chain.Faucet()
	require.NoError(t, err)
	defer faucet.Close()
	balance, err := faucet.Balance(ctx, account)
	require.NoError(t, err)
	require.Equal(t, new(big.Int).Mul(coin, big.NewInt(7)), balance.ToBig())
}
