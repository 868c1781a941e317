package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/internal/devnet/simchain"
	"conclave/node/config"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/rogpeppe/go-internal/testscript"
)

// laneChainID is the id of the scripts' chain.
const laneChainID = 61_337

// TestLaneScripts runs testdata/lane/*.txtar: the verbs about lanes, against a simulated chain on loopback.
func TestLaneScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "lane"),
		Setup: func(e *testscript.Env) error {
			root, err := filepath.Abs(filepath.Join("..", ".."))
			e.Setenv("ROOT", root)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "jsonhas": jsonHas, "snapshot": snapshot, "unchanged": unchanged,
			"simchain": simChain, "blocks": blocks, "ends": ends, "jsonvar": jsonVar, "fill": fill, "endpoints": laneEndpoints,
		},
	})
}

// simChain starts a chain that mines many blocks a second, and sets RPC, CHAIN, PAYER, TOKEN and FEETOKEN; payer.key and rich.key
// have coins, poor.key has none. All keys are of this test only.
func simChain(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(startChain(ts))
}

func startChain(ts *testscript.TestScript) error {
	alloc := map[common.Address]uint256.Int{}
	addresses := map[string]common.Address{}
	for _, name := range []string{"payer", "rich", "poor"} {
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave lane scripts: " + name)))
		ts.Check(err)
		ts.Check(config.WriteKey(ts.MkAbs(name+".key"), key))
		addresses[name] = crypto.PubkeyToAddress(key.PublicKey)
		if name != "poor" {
			alloc[addresses[name]] = *uint256.NewInt(5_000_000_000_000_000_000)
		}
	}
	sim, err := simchain.Start(simchain.Config{ChainID: laneChainID, Alloc: alloc})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	var mining sync.WaitGroup
	ts.Defer(func() {
		cancel()
		mining.Wait()
		ts.Check(sim.Close())
	})
	mining.Go(func() { mine(ctx, sim) })
	ts.Setenv("RPC", sim.URL())
	ts.Setenv("CHAIN", strconv.Itoa(laneChainID))
	ts.Setenv("PAYER", addresses["payer"].Hex())
	return deployTokens(ctx, ts, sim)
}

func mine(ctx context.Context, sim *simchain.Chain) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, _ = sim.Commit() // the script's own looks notice a chain that stands still
		}
	}
}

func deployTokens(ctx context.Context, ts *testscript.TestScript, sim *simchain.Chain) error {
	key, err := config.ReadKey(ts.MkAbs("payer.key"))
	if err != nil {
		return err
	}
	wallet, err := simchain.NewWallet(sim.URL(), laneChainID, key)
	if err != nil {
		return err
	}
	defer wallet.Close()
	token, tx, err := wallet.DeployToken(ctx, *uint256.NewInt(1_000_000))
	if err := errors.Join(err, wallet.Wait(ctx, tx)); err != nil {
		return err
	}
	ts.Setenv("TOKEN", token.Hex())

	code, err := feeToken(wallet.Address())
	if err != nil {
		return err
	}
	e, err := evm.New(evm.Config{URL: sim.URL(), ChainID: laneChainID, Finality: chain.Finality{Depth: 1}})
	if err != nil {
		return err
	}
	defer e.Close()
	made, err := e.Create(ctx, key, code)
	if err != nil {
		return err
	}
	_, err = e.Mined(ctx, made.Tx)
	ts.Setenv("FEETOKEN", made.Address.Hex())
	return err
}

// feeToken is the code of a token that takes a fee, all of it held by one.
func feeToken(holder common.Address) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "chain", "payout", "testdata", "Hostile.json"))
	if err != nil {
		return nil, err
	}
	var all []struct{ Name, Bin string }
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	for _, h := range all {
		if h.Name == "FeeToken" {
			code, err := hex.DecodeString(h.Bin)
			supply := uint256.NewInt(1_000_000).Bytes32()
			return append(append(code, common.LeftPadBytes(holder[:], 32)...), supply[:]...), err
		}
	}
	return nil, errors.New("no FeeToken")
}

// blocks N: waits until the chain is N blocks longer.
func blocks(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	e, err := evm.New(evm.Config{URL: ts.Getenv("RPC"), ChainID: laneChainID, Finality: chain.Finality{Depth: 1}})
	ts.Check(err)
	defer e.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for first := uint64(0); ; <-tick.C {
		head, err := e.Head(ctx)
		ts.Check(err)
		if first == 0 {
			first = head.Number
		}
		if head.Number >= first+n {
			return
		}
	}
}

// ends CODE PROGRAM ARGS…: the program ends with that code, whatever it prints.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// jsonvar VAR FILE KEY: the variable is what a JSON document has under a key.
func jsonVar(ts *testscript.TestScript, neg bool, args []string) {
	var doc map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &doc))
	ts.Setenv(args[0], fmt.Sprint(doc[args[2]]))
}

// fill FILE…: replaces $VARIABLES in files.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o600))
	}
}

// endpoints HOME NETWORK=URL…: a configuration that names these endpoints.
func laneEndpoints(ts *testscript.TestScript, neg bool, args []string) {
	c := config.Default()
	for _, arg := range args[1:] {
		network, url, _ := strings.Cut(arg, "=")
		if n := len(c.Lanes); n > 0 && c.Lanes[n-1].Network == network {
			c.Lanes[n-1].Endpoints = append(c.Lanes[n-1].Endpoints, url)
			continue
		}
		c.Lanes = append(c.Lanes, config.Lane{Network: network, Endpoints: []string{url}})
	}
	ts.Check(config.Replace(filepath.Join(ts.MkAbs(args[0]), config.FileName), config.Write(c), 0o600))
}
