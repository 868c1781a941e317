package main

import (
	"bytes"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"conclave/ledger"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

func TestProgressText(t *testing.T) {
	require.Equal(t, "records: 5000, 2500 a second", progressText("records", 5000, 0, 2500))
	require.Equal(t, "[============            ] events: 50 of 100, 10 a second, 5s left", progressText("events", 50, 100, 10))
	require.Equal(t, "[                        ] events: 0 of 100, 0 a second", progressText("events", 0, 100, 0))
	require.Equal(t, "[========================] events: 100 of 100, 10 a second, 0s left", progressText("events", 100, 100, 10))
}

func TestProgressIsALineEveryFewSeconds(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	p := workBar{w: &out, now: func() time.Time { return at }}
	for n := range uint64(12) {
		p.tell("events", n*10)
		at = at.Add(time.Second)
	}
	p.end()
	require.Equal(t, "events: 50, 10 a second\nevents: 100, 10 a second\n", out.String())

	out.Reset()
	p = workBar{w: &out, terminal: true, now: func() time.Time { return at }}
	p.tell("events", 0)
	at = at.Add(time.Second)
	p.tell("events", 10)
	p.end()
	require.Equal(t, "\revents: 10, 10 a second\x1b[K\r\x1b[K", out.String())

	silent := workBar{now: func() time.Time { return at }}
	silent.tell("events", 1)
	silent.end()
}

// TestLedgerScripts runs testdata/ledger/*.txtar.
func TestLedgerScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "ledger"),
		Setup: func(e *testscript.Env) error {
			root, err := filepath.Abs(filepath.Join("..", ".."))
			e.Setenv("ROOT", root)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "setid": setID, "jsonhas": jsonHas, "books": books, "flip": flip,
		},
	})
}

// books HOME EVENTS: the home's node ran and booked so many events. With the word held the database stays open for the
// script's time, as a running node holds it.
func books(ts *testscript.TestScript, neg bool, args []string) {
	g, err := quorum.ParseGenesis([]byte(ts.ReadFile(filepath.Join(args[0], "genesis.json"))))
	ts.Check(err)
	dir := ts.MkAbs(filepath.Join(args[0], "data"))
	ts.Check(os.MkdirAll(dir, 0o700))
	l, err := ledger.Open(dir, g.ID())
	ts.Check(err)
	if len(args) > 2 {
		ts.Defer(func() { ts.Check(l.Close()) })
		return
	}
	n, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	var page []ledger.Event
	for i := range n {
		page = append(page, ledger.Event{ID: i + 1, Account: common.BigToAddress(new(big.Int).SetUint64(1 + i%7)),
			Kind: []ledger.EventKind{ledger.TaskIncome, ledger.TaskIncome, ledger.TaskPayment}[i%3], Amount: "5"})
	}
	in := ledger.Intake{Now: 1}
	in.Policy.UncoveredMax.SetUint64(1 << 40)
	ts.Check(l.Update(func(tx *ledger.Tx) error {
		if _, err := tx.NextCounter(); err != nil { // as if it had said something
			return err
		}
		_, err := tx.Append(page, in)
		return err
	}))
	ts.Check(l.Close())
}

// flip FILE TEXT: flips a bit of the last byte of the first place where the file holds a text.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	raw, err := os.ReadFile(path)
	ts.Check(err)
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[1], `"`, `\"`) + `"`)
	ts.Check(err)
	at := bytes.Index(raw, []byte(text))
	if at < 0 {
		ts.Fatalf("%s does not hold %q", args[0], text)
	}
	for ; at >= 0; at = bytes.Index(raw, []byte(text)) { // in old pages too
		raw[at+len(text)-1] ^= 1
	}
	ts.Check(os.WriteFile(path, raw, 0o600))
}
