package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"conclave": main})
}

// TestScripts runs testdata/script/*.txtar: every verb, wrong input included, as an operator types it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			root, err := filepath.Abs(filepath.Join("..", ".."))
			e.Setenv("ROOT", root)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"mode":      mode,
			"snapshot":  snapshot,
			"unchanged": unchanged,
			"wallet":    wallet,
			"setid":     setID,
			"jsonhas":   jsonHas,
			"configure": configure,
			"oldrelay":  oldRelay,
			"textof":    textOf,
		},
	})
}

// exits CODE PROGRAM ARGS…: the program ends with exactly that code; on an error, stderr is one or two lines.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if want == 0 {
		return
	}
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n")
	if len(lines) > 2 || !strings.HasPrefix(lines[0], "conclave: ") || (len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ")) {
		ts.Fatalf("an error is one line and a hint, not %q", lines)
	}
	if ts.ReadFile("stdout") != "" {
		ts.Fatalf("a failed verb printed a result: %q", ts.ReadFile("stdout"))
	}
}

// mode OCTAL FILE…: the files have exactly this mode.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}

// state is every name, mode and content below a folder.
func state(ts *testscript.TestScript, dir string) string {
	var b strings.Builder
	ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum := ""
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			h := sha256.Sum256(content)
			sum = hex.EncodeToString(h[:])
		}
		// What a verb wrote into its own output file of the script does not count.
		if name := d.Name(); name != "stdout" && name != "stderr" {
			fmt.Fprintln(&b, path, info.Mode(), sum)
		}
		return nil
	}))
	return b.String()
}

// snapshot DIR remembers a folder; unchanged DIR fails when anything in it differs since.
func snapshot(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("SNAPSHOT_"+args[0], state(ts, args[0]))
}

func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	if was, is := ts.Getenv("SNAPSHOT_"+args[0]), state(ts, args[0]); was != is {
		ts.Fatalf("%s changed:\n%s\nnow\n%s", args[0], was, is)
	}
}

// wallet VAR KEYFILE GENESIS: what a wallet with that key answers to the document, v as 27 or 28.
func wallet(ts *testscript.TestScript, neg bool, args []string) {
	key, err := readTestKey(ts.MkAbs(args[1]))
	ts.Check(err)
	g, err := quorum.ParseGenesis([]byte(ts.ReadFile(args[2])))
	ts.Check(err)
	digest, err := governance.Digest(g)
	ts.Check(err)
	sig, err := quorum.SignDigest(key, digest)
	ts.Check(err)
	sig[64] += 27
	ts.Setenv(args[0], sig.String())
}

// setid VAR GENESIS: the network id.
func setID(ts *testscript.TestScript, neg bool, args []string) {
	g, err := quorum.ParseGenesis([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Setenv(args[0], g.ID().Hex())
}

// jsonhas FILE KEY VALUE: stdout is one JSON document with that top-level value.
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	var doc map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	if got := fmt.Sprint(doc[args[1]]); got != args[2] {
		ts.Fatalf("%s is %s, want %s", args[1], got, args[2])
	}
}
