package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheHouse reads every Go file of the module.
func TestTheHouse(t *testing.T) {
	files := readModule(t, filepath.Join("..", ".."))
	require.Greater(t, len(files), 50, "the walk found the module")
	if found := violations(files); len(found) > 0 {
		slices.Sort(found)
		t.Errorf("%d violations:\n%s", len(found), strings.Join(found, "\n"))
	}
}

func readModule(t *testing.T, root string) []source {
	t.Helper()
	var files []source
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); d.IsDir() && name != root && err == nil {
			return filepath.SkipDir // a module of its own: tools
		}
		if d.IsDir() || !strings.HasSuffix(base, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), content)
		files = append(files, f)
		return err
	}))
	return files
}

func parse(name string, content []byte) (source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	f := source{
		path: name, lines: strings.Count(string(content), "\n"), generated: ast.IsGenerated(file),
		pkg: file.Name.Name, comment: file.Doc.Text(), text: string(content),
	}
	for _, i := range file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return source{}, err
		}
		f.imports = append(f.imports, p)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && sel.Sel.Name == "Sleep" {
			f.sleeps = append(f.sleeps, set.Position(sel.Pos()).Line)
		}
		return true
	})
	return f, nil
}

// The rules are tried on files that break them: a rule that cannot fail is no rule.
func TestImportTable(t *testing.T) {
	for _, c := range []struct{ file, imported, want string }{
		{"risk/rules.go", "conclave/ledger", ""},
		{"risk/rules.go", "conclave/quorum", ""},
		{"quorum/batch/x.go", "conclave/quorum/agreement", ""},
		{"node/wire.go", "conclave/tss/vault", ""},
		{"tss/vault/x.go", "conclave/tss", ""},
		{"p2p/memnet/x.go", "conclave/p2p", ""},
		{"cmd/devnet/main.go", "conclave/internal/devnet", ""},
		{"internal/scenario/x.go", "conclave/internal/simnet", ""},
		{"ledger/x_test.go", "conclave/internal/golden", ""},
		{"ledger/x.go", "fmt", ""},
		{"tss/x_test.go", "conclave/internal/devnet/devkeys", ""},

		{"tss/x.go", "conclave/internal/devnet/devkeys", "arrows point inward"},
		{"tss/x_test.go", "conclave/internal/devnet", "arrows point inward"},
		{"quorum/x.go", "conclave/ledger", "quorum/x.go (level 1) imports ledger (level 2): arrows point inward"},
		{"quorum/x.go", "conclave/quorum/agreement", "arrows point inward"},
		{"relay/x.go", "conclave/chain", "rooms on one level (3) are strangers"},
		{"p2p/x.go", "conclave/quorum/agreement", "rooms on one level (2) are strangers"},
		{"quorum/governance/x_test.go", "conclave/quorum/batch", "are strangers"},
		{"internal/golden/x.go", "conclave/quorum", "arrows point inward"},
		{"internal/devnet/x.go", "conclave/cmd/conclave/internal/cli", "are strangers"},
		{"util/x.go", "fmt", "util/x.go is in no room"},
		{"node/x.go", "conclave/helpers", "is in no room"},
		{"node/x.go", "conclave/internal/deps", "only holds modules"},
	} {
		check(t, imports(source{path: c.file, imports: []string{c.imported}}), c.want, c.file+" → "+c.imported)
	}
}

func TestLibraryTable(t *testing.T) {
	const eth = "github.com/ethereum/go-ethereum"
	for _, c := range []struct{ file, imported, want string }{
		{"ledger/db.go", "go.etcd.io/bbolt", ""},
		{"tss/party.go", "github.com/bnb-chain/tss-lib/v3/tss", ""},
		{"tss/party_test.go", "github.com/bnb-chain/tss-lib/v3/tss", ""},
		{"risk/x.go", eth + "/common", ""},
		{"risk/x.go", eth + "/common/hexutil", ""},
		{"risk/x.go", eth + "/crypto", ""},
		{"chain/evm/x.go", eth + "/ethclient", ""},
		{"internal/devnet/simchain/x.go", eth + "/ethclient/simulated", ""},
		{"chain/payout/x_test.go", eth + "/ethclient/simulated", ""},
		{"chain/payout/binding/x.go", eth + "/accounts/abi", ""},
		{"node/api/x.go", eth + "/rpc", ""},
		{"quorum/governance/x.go", eth + "/signer/core/apitypes", ""},
		{"cmd/conclave/x.go", "github.com/spf13/cobra", ""},

		{"ledger/x_test.go", eth + "/accounts", ""},
		{"ledger/x.go", eth + "/accounts", "lives only in chain/evm"},
		{"ledger/x_test.go", eth + "/accounts/abi", "lives only in chain/evm"},
		{"node/x.go", "go.etcd.io/bbolt", "lives only in ledger: there is one commit point"},
		{"tss/sign.go", "github.com/bnb-chain/tss-lib/v3/tss", "which only tss/party.go and tss/guard.go and tss/party_reshare.go and tss/guard_reshare.go may"},
		{"node/x.go", "github.com/bnb-chain/tss-lib/v3/common", "lives only in tss"},
		{"node/x.go", "github.com/libp2p/go-libp2p/core/peer", "lives only in p2p"},
		{"cmd/conclave/x.go", "github.com/multiformats/go-multiaddr", "lives only in p2p"},
		{"chain/x.go", eth + "/core/types", "lives only in chain/evm, internal/devnet, chain/payout"},
		{"chain/payout/x.go", eth + "/ethclient", "lives only in chain/evm, internal/devnet: clients"},
		{"node/x.go", eth + "/rpc", "lives only in node/api, cmd"},
		{"quorum/x.go", eth + "/signer/core/apitypes", "lives only in quorum/governance"},
		{"node/config/x.go", "github.com/spf13/cobra", "lives only in cmd"},
		{"node/x.go", "golang.org/x/term", "lives only in cmd"},
		{"relay/x.go", "github.com/prometheus/client_golang/prometheus", "lives only in node/metrics"},
	} {
		check(t, imports(source{path: c.file, imports: []string{c.imported}}), c.want, c.file+" → "+c.imported)
	}
	require.Empty(t, imports(source{path: "internal/deps/deps.go", imports: []string{"go.etcd.io/bbolt"}}))
}

func check(t *testing.T, found []string, want, what string) {
	t.Helper()
	if want == "" {
		require.Empty(t, found, what)
		return
	}
	require.Len(t, found, 1, what)
	require.Contains(t, found[0], want, what)
}

func TestHabits(t *testing.T) {
	check(t, habits(source{path: "a/a.go", lines: maxLines}), "", "the longest file")
	check(t, habits(source{path: "a/a.go", lines: maxLines + 1}), "more than one idea", "a longer one")
	check(t, habits(source{path: "a/a.go", lines: maxLines + 1, generated: true}), "", "a generated one")
	check(t, habits(source{path: "a/a.go", text: "params." + "SetNoProof" + "Mod()"}), "gives the key away", "no proof")
	check(t, habits(source{path: "a/a_test.go", text: "SetNoProof" + "Fac"}), "gives the key away", "no proof in a test")
	check(t, habits(source{path: "a/a_test.go", sleeps: []int{7}}), "a/a_test.go:7 sleeps", "a sleeping test")
	check(t, habits(source{path: "a/a_test.go", sleeps: []int{7}, imports: []string{"testing/synctest"}}), "", "virtual time")
	check(t, habits(source{path: "a/a.go", sleeps: []int{7}}), "", "no test")
}

func TestParseSeesSleepsAndComments(t *testing.T) {
	f, err := parse("a/a_test.go", []byte("// Package a is.\npackage a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\nvar g = time.Sleep\n"))
	require.NoError(t, err)
	require.Equal(t, []int{6, 7}, f.sleeps)
	require.Equal(t, "Package a is.\n", f.comment)
	require.Equal(t, []string{"time"}, f.imports)
	require.Equal(t, 7, f.lines)
}

func TestPackageComments(t *testing.T) {
	doc := func(p, comment string) source { return source{path: p, pkg: "a", comment: comment} }
	check(t, undocumented([]source{doc("a/doc.go", "Package a is.")}), "", "documented")
	check(t, undocumented([]source{doc("a/a.go", "Package a is.")}), "", "one file")
	check(t, undocumented([]source{doc("a/a.go", "Package a is."), doc("a/b.go", "")}), "a has no doc.go", "two files")
	check(t, undocumented([]source{doc("a/doc.go", "This is a.")}), `opens with "Package a "`, "another opening")
	check(t, undocumented([]source{doc("a/doc.go", "")}), "no package comment", "an empty doc.go")
	check(t, undocumented([]source{doc("a/a_test.go", "")}), "", "tests alone")
	check(t, undocumented([]source{{path: "cmd/x/main.go", pkg: "main", comment: "Command x is."}}), "", "a command")
	check(t, undocumented([]source{{path: "cmd/x/main.go", pkg: "main", comment: "Package main is."}}), `"Command "`, "a command in disguise")
}

func TestTheProductHoldsNothingSimulated(t *testing.T) {
	graph := func(last string) []source {
		return []source{
			{path: "cmd/conclave/run.go", imports: []string{"conclave/node"}},
			{path: "cmd/devnet/main.go", imports: []string{"conclave/internal/devnet"}},
			{path: "node/wire.go", imports: []string{"conclave/relay", "conclave/node"}},
			{path: "node/wire_test.go", imports: []string{"conclave/relay/relaysim"}},
			{path: "relay/client.go", imports: []string{last}},
		}
	}
	check(t, insideProduct(graph("fmt")), "", "clean")
	for last, what := range map[string]string{
		"conclave/relay/relaysim":                             "a simulated Relay",
		"conclave/internal/devnet/devkeys":                    "development key material",
		"conclave/tss/tsstest":                                "key shares of tests",
		"github.com/ethereum/go-ethereum/ethclient/simulated": "a simulated chain",
	} {
		check(t, insideProduct(graph(last)), what+": cmd/conclave → node → relay imports ", last)
	}
}
