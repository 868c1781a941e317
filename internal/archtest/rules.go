package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// module is the module's path.
const module = "conclave"

// maxLines is how long a file may be that a person wrote.
const maxLines = 600

// room is one room of the house. A package belongs to the room with the longest path that leads to it.
type room struct {
	path  string
	level int
}

// rooms is the import table: a room imports lower levels only, and rooms on one level never import each other.
func rooms() []room {
	return []room{
		{"internal/archtest", 0}, {"internal/golden", 0}, {"internal/crash", 0},
		{"quorum", 1},
		{"ledger", 2}, {"p2p", 2}, {"quorum/agreement", 2},
		{"relay", 3}, {"chain", 3}, {"risk", 3}, {"tss", 3}, {"quorum/batch", 3}, {"quorum/governance", 3},
		{"node", 4},
		{"internal/devnet", 5}, {"internal/simnet", 5}, {"internal/scenario", 5}, {"internal/campaign", 5}, {"internal/e2e", 5}, {"cmd", 5},
		{"configs", 5}, {"docs", 5},
	}
}

// workshop is where the whole house is taken apart and put together: these may import each other, but nobody imports cmd.
func workshop() []string {
	return []string{"internal/devnet", "internal/simnet", "internal/scenario", "internal/campaign", "internal/e2e", "cmd"}
}

// scaffold holds modules in go.mod until a room imports them. It may import any library, and nobody imports it.
const scaffold = "internal/deps"

// testData is what tests of every room may import all the same: it imports no room itself.
func testData() map[string]string {
	return map[string]string{"internal/devnet/devkeys": "preparameters take a minute to find, so tests use those made ahead"}
}

// testLibraries is what tests of every room may compare with.
func testLibraries() map[string]string {
	return map[string]string{"github.com/ethereum/go-ethereum/accounts": "a second implementation of the text hash that wallets sign"}
}

// library is a library and the only places that may import it. The longest path that leads to an import decides.
type library struct {
	path  string
	rooms []string // packages, and what is below them; none: everywhere
	why   string
}

func libraries() []library {
	const eth = "github.com/ethereum/go-ethereum"
	chains := []string{"chain/evm", "internal/devnet"}
	contract := append(chains[:2:2], "chain/payout") // speaks an ABI, and is tried on a simulated chain; it asks no endpoint
	return []library{
		{"go.etcd.io/bbolt", []string{"ledger"}, "there is one commit point"},
		{"github.com/bnb-chain/tss-lib", []string{"tss"}, "another signing protocol must be able to replace it"},
		{"github.com/libp2p", []string{"p2p"}, "the wire carries bytes, never meaning"},
		{"github.com/multiformats", []string{"p2p"}, "addresses of the wire are text elsewhere"},
		{eth, contract, "clients and transactions stay behind the payout door"},
		{eth + "/ethclient", chains, "clients stay behind the payout door"},
		{eth + "/ethclient/simulated", contract, "clients stay behind the payout door"},
		{eth + "/common", nil, ""},
		{eth + "/crypto", nil, ""},
		{eth + "/rlp", nil, ""},
		{eth + "/rpc", append([]string{"node/api", "cmd"}, chains...), "JSON-RPC is served in one place"},
		{eth + "/signer/core/apitypes", []string{"quorum/governance"}, "typed data is what operators sign, nothing else"},
		{"github.com/spf13", []string{"cmd"}, "rooms know no command line"},
		{"golang.org/x/term", []string{"cmd"}, "rooms know no terminal"},
		{"github.com/prometheus", []string{"node/metrics"}, "rooms take a small struct of their own"},
	}
}

// product is the custodian's binary; forbidden is what must not be in it, by path.
const product = "cmd/conclave"

func forbidden() map[string]string {
	return map[string]string{
		"internal/devnet":   "development key material",
		"internal/simnet":   "a simulated network",
		"internal/scenario": "scenarios",
		"relay/relaysim":    "a simulated Relay",
		"chain/memchain":    "a simulated chain",
		"p2p/memnet":        "a simulated wire",
		"tss/tsstest":       "key shares of tests",
		"github.com/ethereum/go-ethereum/ethclient/simulated": "a simulated chain",
	}
}

// libraryFiles are the only files of a room that may import a library, tests of theirs aside.
func libraryFiles() map[string][]string {
	return map[string][]string{"github.com/bnb-chain/tss-lib": {"tss/party.go", "tss/guard.go", "tss/party_reshare.go", "tss/guard_reshare.go"}}
}

// source is what the rules look at in one file.
type source struct {
	path      string // from the module's root, with slashes
	imports   []string
	lines     int
	generated bool
	pkg       string // the package's name
	comment   string // the package comment, "" for none
	sleeps    []int  // lines with time.Sleep
	text      string
}

func (s source) dir() string  { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// under reports whether p is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// roomOf finds the room of a package's path.
func roomOf(dir string) (room, bool) {
	var best room
	for _, r := range rooms() {
		if under(dir, r.path) && len(r.path) > len(best.path) {
			best = r
		}
	}
	return best, best.path != ""
}

// violations is every rule over every file, a sentence each.
func violations(files []source) []string {
	var out []string
	for _, f := range files {
		out = append(out, imports(f)...)
		out = append(out, habits(f)...)
	}
	out = append(out, undocumented(files)...)
	return append(out, insideProduct(files)...)
}

func imports(f source) []string {
	if under(f.dir(), scaffold) {
		return nil
	}
	var out []string
	own, known := roomOf(f.dir())
	if !known {
		return []string{fmt.Sprintf("%s is in no room: put it into one, or add its room to the table in internal/archtest.", f.path)}
	}
	for _, i := range f.imports {
		if rest, ours := strings.CutPrefix(i, module+"/"); ours {
			if s := ownImport(f, own, rest); s != "" {
				out = append(out, s)
			}
		} else if s := libraryImport(f, i); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func ownImport(f source, own room, imported string) string {
	other, known := roomOf(imported)
	switch {
	case under(imported, scaffold):
		return fmt.Sprintf("%s imports %s, which only holds modules in go.mod.", f.path, imported)
	case !known:
		return fmt.Sprintf("%s imports %s, which is in no room.", f.path, imported)
	case own.path == other.path || other.level < own.level:
		return ""
	case f.isTest() && testData()[imported] != "":
		return ""
	case other.level == own.level && other.path != "cmd" && slices.Contains(workshop(), own.path):
		return ""
	case other.level == own.level:
		return fmt.Sprintf("%s imports %s: rooms on one level (%d) are strangers; state the interface you need and let node's wiring supply it.",
			f.path, imported, own.level)
	}
	return fmt.Sprintf("%s (level %d) imports %s (level %d): arrows point inward; a room imports lower levels only.",
		f.path, own.level, imported, other.level)
}

func libraryImport(f source, imported string) string {
	var lib library
	for _, l := range libraries() {
		if under(imported, l.path) && len(l.path) > len(lib.path) {
			lib = l
		}
	}
	if lib.path == "" || lib.rooms == nil || (f.isTest() && testLibraries()[imported] != "") {
		return ""
	}
	if !slices.ContainsFunc(lib.rooms, func(r string) bool { return under(f.dir(), r) }) {
		return fmt.Sprintf("%s imports %s, which lives only in %s: %s.", f.path, imported, strings.Join(lib.rooms, ", "), lib.why)
	}
	if only := libraryFiles()[lib.path]; only != nil && !f.isTest() && !slices.Contains(only, f.path) {
		return fmt.Sprintf("%s imports %s, which only %s may.", f.path, imported, strings.Join(only, " and "))
	}
	return ""
}

// habits are the rules about a file alone.
func habits(f source) []string {
	var out []string
	if f.lines > maxLines && !f.generated {
		out = append(out, fmt.Sprintf("%s has %d lines: above %d a file holds more than one idea.", f.path, f.lines, maxLines))
	}
	// Virtual time sleeps for free; a test that waits on the real clock is slow on a good day and red on a bad one.
	if f.isTest() && !slices.Contains(f.imports, "testing/synctest") {
		for _, line := range f.sleeps {
			out = append(out, fmt.Sprintf("%s:%d sleeps: wait for what you wait for, or run in a testing/synctest bubble.", f.path, line))
		}
	}
	// In two halves, so that this file does not accuse itself.
	for _, word := range []string{"SetNoProof" + "Mod", "SetNoProof" + "Fac"} {
		if strings.Contains(f.text, word) {
			out = append(out, fmt.Sprintf("%s says %s: without its proofs the signing protocol gives the key away.", f.path, word))
		}
	}
	return out
}

// undocumented wants a package comment in doc.go; a package of one file may keep it there.
func undocumented(files []source) []string {
	byDir := map[string][]source{}
	var dirs []string
	for _, f := range files {
		if f.isTest() || under(f.dir(), scaffold) {
			continue
		}
		if _, seen := byDir[f.dir()]; !seen {
			dirs = append(dirs, f.dir())
		}
		byDir[f.dir()] = append(byDir[f.dir()], f)
	}
	var out []string
	for _, dir := range dirs {
		pkg := byDir[dir]
		at := slices.IndexFunc(pkg, func(f source) bool { return path.Base(f.path) == "doc.go" })
		if at < 0 && len(pkg) == 1 {
			at = 0
		}
		if at < 0 {
			out = append(out, fmt.Sprintf("%s has no doc.go: say what it does, what it promises, what you owe it and what will hurt you.", dir))
			continue
		}
		if want := opening(pkg[at]); !strings.HasPrefix(pkg[at].comment, want) {
			out = append(out, fmt.Sprintf("%s has no package comment that opens with %q.", pkg[at].path, want))
		}
	}
	return out
}

func opening(f source) string {
	if f.pkg == "main" {
		return "Command "
	}
	return "Package " + f.pkg + " "
}

// insideProduct walks what the custodian's binary is built from, tests left out.
func insideProduct(files []source) []string {
	graph := map[string][]string{}
	for _, f := range files {
		if !f.isTest() {
			graph[f.dir()] = append(graph[f.dir()], f.imports...)
		}
	}
	var out []string
	from := map[string]string{product: ""}
	queue := []string{product}
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		for _, i := range graph[dir] {
			name := strings.TrimPrefix(i, module+"/")
			if _, seen := from[name]; seen {
				continue
			}
			from[name] = dir
			queue = append(queue, name)
			for bad, what := range forbidden() {
				if under(name, bad) {
					out = append(out, fmt.Sprintf("the custodian's binary holds %s: %s imports %s.", what, chainTo(from, name), name))
				}
			}
		}
	}
	return out
}

// chainTo is how the product reaches a package.
func chainTo(from map[string]string, name string) string {
	var steps []string
	for at := from[name]; at != ""; at = from[at] {
		steps = append(steps, at)
	}
	slices.Reverse(steps)
	return strings.Join(steps, " → ")
}
