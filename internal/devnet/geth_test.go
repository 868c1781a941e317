//go:build e2e

package devnet_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet"
	"conclave/internal/devnet/simchain"
	"conclave/node/config"
	"conclave/relay/relaysim"
)

// gethVariable names the geth that TestGeth runs. `.ci/run geth` builds one.
const gethVariable = "CONCLAVE_GETH"

// gethChain is the chain id of geth's development mode.
const gethChain = 1337

// gethFinality is deeper than what geth forgets when it is killed: its newest three blocks or so are not on the disk yet.
const gethFinality = 12

// Each user asks for several withdrawals.
const gethPerUser = 4

var gethPayments = flag.Int("devnet.geth", 100, "withdrawals that TestGeth pays, a multiple of four")

// geth is a real node in development mode: one block a second, loopback alone, no peers. Its state is written block by block, so
// that it has its chain after it was killed.
type geth struct {
	t    *testing.T
	dir  string
	port int
	cmd  *exec.Cmd
}

func newGeth(t *testing.T, funder *ecdsa.PrivateKey) *geth {
	if os.Getenv(gethVariable) == "" {
		t.Skipf("no geth: %s names none; `bash .ci/run geth` builds one", gethVariable)
	}
	g := &geth{t: t, dir: t.TempDir()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.port = listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())

	// Development mode gives all coins to the first account of its key store.
	key, password := filepath.Join(g.dir, "funder"), filepath.Join(g.dir, "password")
	require.NoError(t, os.WriteFile(key, []byte(hex.EncodeToString(crypto.FromECDSA(funder))), 0o600))
	require.NoError(t, os.WriteFile(password, nil, 0o600))
	out, err := exec.CommandContext(t.Context(), os.Getenv(gethVariable), "--datadir", g.data(), "--lightkdf", "account", "import", "--password", password, key).CombinedOutput()
	require.NoError(t, err, string(out))
	g.start()
	t.Cleanup(g.kill)
	return g
}

func (g *geth) data() string { return filepath.Join(g.dir, "data") }

func (g *geth) url() string { return fmt.Sprintf("http://127.0.0.1:%d", g.port) }

func (g *geth) start() {
	log, err := os.OpenFile(filepath.Join(g.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(g.t, err)
	defer func() { _ = log.Close() }() // the process has its own
	g.cmd = exec.Command(os.Getenv(gethVariable), "--dev", "--dev.period", "1", "--datadir", g.data(), "--password", filepath.Join(g.dir, "password"),
		"--http", "--http.addr", "127.0.0.1", "--http.port", fmt.Sprint(g.port), "--http.api", "eth,net,web3", "--gcmode", "archive", "--state.scheme", "hash",
		"--ipcdisable", "--nodiscover", "--maxpeers", "0", "--nat", "none", "--cache", "64")
	g.cmd.Stdout, g.cmd.Stderr = log, log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(g.t, g.cmd.Start())
}

// kill ends it as a power cut of its process would.
func (g *geth) kill() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
}

// answers waits until it serves its chain.
func (g *geth) answers(ctx context.Context) *ethclient.Client {
	client, err := ethclient.DialContext(ctx, g.url())
	require.NoError(g.t, err)
	for {
		id, err := client.ChainID(ctx)
		if err == nil {
			require.EqualValues(g.t, gethChain, id.Uint64())
			return client
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(g.dir, "log"))
			g.t.Fatalf("geth does not answer: %v\n%s", err, log[max(0, len(log)-4096):])
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// restartInTheMiddle kills geth when something is paid, asks for the second half while it is down, and starts it again.
func (g *geth) restartInTheMiddle(ctx context.Context, dir string, ask func()) error {
	for paid := 0; paid == 0; {
		select {
		case <-ctx.Done():
			return errors.New("the network ended before geth was killed")
		case <-time.After(100 * time.Millisecond):
		}
		var state struct {
			Paid int `json:"paid"`
		}
		if raw, err := os.ReadFile(filepath.Join(dir, "devnet.json")); err == nil && json.Unmarshal(raw, &state) == nil {
			paid = state.Paid
		}
	}
	g.kill()
	ask()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Second):
	}
	g.start()
	return nil
}

// A hundred withdrawals are paid through a real node that is killed in the middle and started again on its folder: each once, and
// the chain's own balances say so. All keys are made here, for this test.
func TestGeth(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		keys[i], err = crypto.GenerateKey()
		require.NoError(t, err)
	}
	funder, apiKey := keys[0], keys[1]
	g := newGeth(t, funder)
	client := g.answers(ctx)
	defer client.Close()

	fee := common.HexToAddress("0x00000000000000000000000000000000000fee00")
	sim, err := relaysim.New(relaysim.Config{
		APIKey: crypto.PubkeyToAddress(apiKey.PublicKey), FeeAddress: fee,
		Networks: []relaysim.Network{{Name: "geth", TokenType: "native", Fee: 1, Min: 4, MaxPerDay: *gethPayments,
			Tiers: []relaysim.Tier{{Min: 0, Ratio: 0.01}, {Min: 1000, Ratio: 0.005}}}},
	})
	require.NoError(t, err)
	relay := httptest.NewServer(sim)
	defer relay.Close()
	asked := newAsked(t, sim, relay.URL)
	asked.half(ctx)
	contract := asked.prepare(ctx, g.url(), funder)

	dir := t.TempDir()
	apiFile, funderFile := filepath.Join(dir, "api.key"), filepath.Join(dir, "funder.key")
	require.NoError(t, config.WriteKey(apiFile, apiKey))
	require.NoError(t, config.WriteKey(funderFile, funder))
	var out bytes.Buffer
	o := devnet.Options{
		Nodes: 4, Withdrawals: *gethPayments, Dir: filepath.Join(dir, "net"), ExitPaid: true, JSON: true, Relays: []string{relay.URL}, RelayKeyFile: apiFile,
		RPCs: []string{g.url()}, FundKeyFile: funderFile, Network: "geth", Fee: fee, Payout: contract, Finality: gethFinality, Out: &out, Err: t.Output(),
	}
	restarted := make(chan error, 1)
	running, ended := context.WithCancel(ctx)
	go func() { restarted <- g.restartInTheMiddle(running, o.Dir, func() { asked.half(running) }) }()
	err = devnet.Run(ctx, o)
	ended()
	require.NoError(t, <-restarted)
	require.NoError(t, err)

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var report devnet.Report
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &report))
	require.True(t, report.Conserved)
	require.Equal(t, []int{*gethPayments, *gethPayments}, []int{report.Paid, report.Fulfilled})
	for account, want := range asked.sums {
		got, err := client.BalanceAt(ctx, account, nil)
		require.NoError(t, err)
		require.Equal(t, want, got, account)
	}
	t.Log(lines[len(lines)-1])
}

// asked is what users ask for, and what each account must have in the end.
type asked struct {
	t     *testing.T
	users []*relaysim.User
	of    []common.Address
	sums  map[common.Address]*big.Int
}

func newAsked(t *testing.T, sim *relaysim.Sim, url string) *asked {
	a := &asked{t: t, sums: map[common.Address]*big.Int{}}
	for range *gethPayments / gethPerUser {
		key, err := crypto.GenerateKey()
		require.NoError(t, err)
		account := crypto.PubkeyToAddress(key.PublicKey)
		sim.CreditTask(account, new(big.Int).Mul(oneCoin(), big.NewInt(1000)))
		a.users, a.of = append(a.users, relaysim.NewUser(key, url, nil, nil)), append(a.of, account)
		a.sums[account] = new(big.Int)
	}
	return a
}

func oneCoin() *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil) }

// half lets every user ask for half of its withdrawals.
func (a *asked) half(ctx context.Context) {
	for i, user := range a.users {
		for j := range gethPerUser / 2 {
			amount := new(big.Int).Add(new(big.Int).Mul(oneCoin(), big.NewInt(int64(5+j))), big.NewInt(int64(i)))
			if _, err := user.Withdraw(ctx, "geth", amount, a.of[i].Hex()); err != nil {
				a.t.Errorf("withdraw: %v", err)
				return
			}
			a.sums[a.of[i]].Add(a.sums[a.of[i]], amount)
		}
	}
}

// prepare puts the batch contract on the chain, and a wei into every account: geth's development mode has the rules of forks to
// come, under which the first coin of an account costs more gas than the policy leaves for an item.
func (a *asked) prepare(ctx context.Context, url string, key *ecdsa.PrivateKey) common.Address {
	wallet, err := simchain.NewWallet(url, gethChain, key)
	require.NoError(a.t, err)
	defer wallet.Close()
	contract, last, err := wallet.DeployPayout(ctx)
	require.NoError(a.t, err)
	for _, account := range a.of {
		last, err = wallet.Transfer(ctx, account, *uint256.NewInt(1))
		require.NoError(a.t, err)
		a.sums[account].Add(a.sums[account], big.NewInt(1))
	}
	require.NoError(a.t, wallet.Wait(ctx, last))
	return contract
}
