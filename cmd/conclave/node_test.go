package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"conclave/internal/devnet/devkeys"
	"conclave/node/config"

	"github.com/rogpeppe/go-internal/testscript"
)

// startPatience is how long a node may take to answer on a machine that does other things too.
const startPatience = time.Minute

// TestNodeScripts runs testdata/node/*.txtar: the verbs that run a node and ask it, with real nodes on loopback.
func TestNodeScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "node"),
		Setup: func(e *testscript.Env) error {
			root, err := filepath.Abs(filepath.Join("..", ".."))
			if err != nil {
				return err
			}
			e.Setenv("ROOT", root)
			// Preparameters of a development network, so that no test looks for primes.
			return os.WriteFile(filepath.Join(e.WorkDir, "preparams"), devkeys.Set(0), 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"jsonhas":   jsonHas,
			"mode":      mode,
			"snapshot":  snapshot,
			"unchanged": unchanged,
			"configure": configure,
			"started":   started,
			"orphan":    orphan,
			"textof":    textOf,

			"fingerprintof": fingerprintOf,
			"holder":        holder,
			"saveshare":     saveShare,
			"spoil":         spoil,
		},
	})
}

// configure HOME PORTVAR [RELAY]: a configuration for this machine alone, its API on a free port that the variable then
// names.
func configure(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	addr := l.Addr().String()
	ts.Check(l.Close())
	ts.Setenv(args[1], addr)
	c := config.Default()
	c.Relay.URL = "http://127.0.0.1:1"
	if len(args) > 2 {
		c.Relay.URL = args[2]
	}
	c.P2P.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	c.API.Listen = addr
	c.Lanes = []config.Lane{{Network: "devnet", Endpoints: []string{"http://127.0.0.1:1"}}}
	ts.Check(config.Replace(filepath.Join(ts.MkAbs(args[0]), config.FileName), config.Write(c), 0o600))
}

// started HOME: waits until the node of a home answers on its socket.
func started(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("unix", filepath.Join(ts.MkAbs(args[0]), "conclave.sock"))
		if err == nil {
			ts.Check(c.Close())
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("no node answers: %v", err)
		case <-tick.C:
		}
	}
}

// fingerprintOf VAR FILE: the variable is the fingerprint that a text shows.
func fingerprintOf(ts *testscript.TestScript, neg bool, args []string) {
	found := regexp.MustCompile(`(?m)^code +([0-9a-f ]+), the fingerprint`).FindStringSubmatch(ts.ReadFile(args[1]))
	if found == nil {
		ts.Fatalf("%s shows no fingerprint", args[1])
	}
	ts.Setenv(args[0], strings.ReplaceAll(found[1], " ", "-"))
}

// orphan HOME ARGS…: runs a node with --exit-with-parent, and ends its parent's end of the pipe once it answers; the node must
// then end cleanly.
func orphan(ts *testscript.TestScript, neg bool, args []string) {
	read, write, err := os.Pipe()
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*startPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(ts), append([]string{"run", "--exit-with-parent", "--home", ts.MkAbs(args[0])}, args[1:]...)...)
	cmd.Dir, cmd.ExtraFiles = ts.MkAbs("."), []*os.File{read}
	var errs strings.Builder
	cmd.Stderr = &errs
	ts.Check(cmd.Start())
	ts.Check(read.Close())
	started(ts, false, args[:1])
	ts.Check(write.Close())
	if err := cmd.Wait(); err != nil {
		ts.Fatalf("the orphan ended with %v: %s", err, errs.String())
	}
}

// program is where the script's PATH has conclave.
func program(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, "conclave")
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	ts.Fatalf("%v", errors.New("conclave is not on the PATH"))
	return ""
}

func TestCoins(t *testing.T) {
	for wei, want := range map[string]string{
		"0": "0", "1": "0.000000000000000001", "1000000000000000000": "1", "1500000000000000000": "1.5", "123000000000000000000": "123",
	} {
		if got := coins(wei); got != want {
			t.Errorf("coins(%s) is %s, want %s", wei, got, want)
		}
	}
}

func TestReasonIsTheInnermost(t *testing.T) {
	err := fmt.Errorf("a: %w", fmt.Errorf("b: %w", errors.New("connection refused")))
	if got := reason(err); got != "connection refused" {
		t.Error(got)
	}
	if got := reason(fmt.Errorf("a: %w", context.DeadlineExceeded)); got != "no answer in time" {
		t.Error(got)
	}
}
