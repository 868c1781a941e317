package simnet

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/ledger"
)

// committing are the methods by which package node commits: the ledger's own, and its wrappers.
var committing = map[string]bool{"Update": true, "RecordIntent": true, "update": true, "attempt": true, "mark": true}

// commitsOf lists the functions of a folder's package that commit to a ledger, as their stack frames are called.
func commitsOf(t *testing.T, dir string, methods map[string]bool) (out []string) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if s, ok := call.Fun.(*ast.SelectorExpr); ok && methods[s.Sel.Name] {
						out = append(out, frameOf(fn))
					}
				}
				return true
			})
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// frameOf is a function's name in a stack, without its package.
func frameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	switch r := fn.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		return fmt.Sprintf("(*%s).%s", r.X.(*ast.Ident).Name, fn.Name.Name)
	case *ast.Ident:
		return r.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// elsewhere are the commits of package node that do not happen in the life of [TestACrashBetweenEveryTwoDurableSteps], and
// why.
var elsewhere = map[string]string{
	"(*core).keepEvidence":         "needs a member who lies to all, which is none of the four",
	"(*core).hearSigningStatement": "keeps another member's ABORT, which the ideal signer never has reason for",
	"(*signer).abort":              "likewise its own",
	"(*judge).freezeHead":          "needs a Relay that shows another history of what was approved",
	"(*intake).due":                "a schedule releases at midnight UTC",
	"(*core).exclude":              "needs a proof against a member of a session",
	"(*ceremony).maybeCanary":      "a world is born founded, and its committee stays",
	"(*core).readmit":              "needs a quarantine and the operators' word",
	"(*core).keepDeletion":         "nobody has an old share: the committee stays",
	"(*core).settlePast":           "likewise no earlier epoch paid anything",
	"(*core).settleQuestion":       "commits for a node that was rolled back, which a crash is not",
	"(*core).stateAgain":           "needs a payment that reverted, and a change of the committee before its release",
	"(*watcher).broken":            "needs a chain that goes back beyond its finality, and halts: its story has the restart",
	"(*watcher).claims":            "the lanes here pay one by one; dies-at-every-step-of-a-batch is its story",
	"(*marks).oweEmpty":            "needs a member with rows in a range where this one has none at all",
}

// signing are the commits with which this custodian says something: they raise the high-water mark.
var signing = []string{"(*core).commit", "(*core).finalSeen", "(*core).tripScope", "(*core).clear", "(*judge).record", "(*marks).sign", "(*signer).ready"}

// onTheWay are the commits on a payment's way, of which every single place is died at.
var onTheWay = []string{
	"(*intake).book", "(*intake).PutWithdrawals", "(*judge).record", "(*core).keepVerdicts", "(*core).commit", "(*core).record", "(*signer).ready",
	"(*core).warrant", "(*core).storeSigned", "(*watcher).broadcast", "(*core).finalSeen", "(*core).hearOutcome", "(*core).maybeSettle", "(*reporter).Done",
}

// missed lists the places of some commits at which the custodian has not died.
func (l *lives) missed(commits []string) (out []string) {
	died := map[Point]bool{}
	for _, p := range l.c.CrashedAt() {
		died[p] = true
	}
	for _, site := range commits {
		steps := []ledger.Step{ledger.StepCommit, ledger.StepMark, ledger.StepDone}
		if slices.Contains(signing, site) {
			steps = append(steps, ledger.StepReplace)
		}
		for _, at := range steps {
			if p := (Point{site, at}); !died[p] {
				out = append(out, p.String())
			}
		}
	}
	return out
}

// known checks that the tables speak of functions that there are: whoever renames one renames it here.
func known(t *testing.T) {
	all := commitsOf(t, filepath.Join("..", "..", "node"), committing)
	require.Subset(t, all, onTheWay)
	require.Subset(t, all, signing)
	require.Subset(t, all, slices.Collect(maps.Keys(elsewhere)))
}

// covered compares where the custodian died with where the code commits. A commit that is new to package node is missed
// here until a life goes through it.
func (l *lives) covered() {
	all := commitsOf(l.t, filepath.Join("..", "..", "node"), committing)
	died := map[string]bool{}
	for _, p := range l.c.CrashedAt() {
		died[p.Commit] = true
	}
	var never []string
	for _, site := range all {
		if !wrappers[site] && elsewhere[site] == "" && !died[site] {
			never = append(never, site)
		}
	}
	require.Empty(l.t, never, "these commit, and the custodian never died in them: let the life go through them, or say why not")
	for site := range elsewhere {
		require.False(l.t, died[site], "%s happens here", site)
	}
	require.Empty(l.t, l.missed(onTheWay))
	l.t.Logf("died at %d places of %d commits", len(l.c.CrashedAt()), len(died))
}
