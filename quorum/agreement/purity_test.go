package agreement

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// render writes effects down to the byte.
func render(fx Effects) string {
	var b strings.Builder
	if c := fx.Commit; c.Save != nil {
		fmt.Fprintf(&b, "save %x\n", c.Save.Encode())
	}
	if p := fx.Commit.Proposal; p != nil {
		fmt.Fprintf(&b, "propose %+v\n", *p)
	}
	qc := func(q quorum.QC) string { return fmt.Sprintf("%+v by %v", q.Unchecked(), q.Signers()) }
	fmt.Fprintf(&b, "votes %+v\n", fx.Commit.Votes)
	if d := fx.Commit.Decide; d != nil {
		fmt.Fprintf(&b, "decide %x %s\n", d.ID, qc(d.QC))
	}
	for _, s := range fx.Send {
		fmt.Fprintf(&b, "send %x %x %s beside %s", s.To, s.Proposal.Bytes(), qc(s.Pol), qc(s.Beside))
		for _, v := range s.Votes {
			fmt.Fprintf(&b, " %x", v.Bytes())
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "fetch %x\n", fx.Fetch)
	if fx.Build != nil {
		fmt.Fprintf(&b, "build %d\n", fx.Build.Round)
	}
	fmt.Fprintf(&b, "evidence %x foreign %x contradiction %s wake %d\n", fx.Evidence, fx.Foreign, qc(fx.Contradiction), fx.Wake.UnixNano())
	return b.String()
}

// TestStepIsPure lets two further states step beside each one, from the same start and with the same events: whatever a map's
// order is (it differs in each), or the order in which the disk is read, the effects are the same to the byte.
func TestStepIsPure(t *testing.T) {
	for seed := range uint64(60) {
		w := scheduleUnder(seed, 0, nil, func(w *world) {
			w.shadows = 2
			for _, n := range w.nodes {
				n.open(func() (*State, error) { return New(w.ring.config(n.who)) })
			}
		})
		require.Empty(t, w.broken, "seed %d", seed)
	}
}

// TestShadowsNotice is that the test above can fail: states that see another clock are not the same.
func TestShadowsNotice(t *testing.T) {
	w := newWorld(4)
	w.shadows = 1
	w.nodes[0].open(func() (*State, error) { return New(w.ring.config(0)) })
	w.nodes[0].shadows[0].cfg.Timeouts.Resend++
	w.nodes[0].begin()
	require.NotEmpty(t, w.broken)
}

// mayRange are the functions that iterate over a map, and why its order does not show.
var mayRange = map[string]string{
	"forget":    "only deletes",
	"wants":     "yes or no",
	"ruleLearn": "a maximum; of each round there is one",
}

// TestNoHiddenInputs reads the source of the package: no clock, disk, socket, goroutine, channel, lock or chance, and no
// iteration over a map that is not accounted for.
func TestNoHiddenInputs(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	set := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") {
			parsed = append(parsed, must(parser.ParseFile(set, name, nil, 0)))
		}
	}
	require.Greater(t, len(parsed), 5)
	known := mapNames(parsed)
	require.Contains(t, known, "rounds")
	require.Contains(t, known, "held")

	allowed := map[string]bool{
		"bytes": true, "errors": true, "fmt": true, "slices": true, "time": true, "conclave/quorum": true,
		"github.com/ethereum/go-ethereum/common": true, "github.com/ethereum/go-ethereum/rlp": true,
	}
	for _, file := range parsed {
		for _, imported := range file.Imports {
			path := must(strconv.Unquote(imported.Path.Value))
			require.True(t, allowed[path], "%s imports %s", set.Position(file.Pos()).Filename, path)
		}
		for _, decl := range file.Decls {
			for _, found := range impurities(decl, known) {
				t.Errorf("%s: %s", set.Position(found.at), found.what)
			}
		}
	}
}

// mapNames are the names of all fields, variables and parameters whose type is written as a map.
func mapNames(files []*ast.File) map[string]bool {
	names := map[string]bool{}
	isMap := func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.CompositeLit:
			_, ok := e.Type.(*ast.MapType)
			return ok
		case *ast.CallExpr:
			if len(e.Args) == 0 {
				return false
			}
			_, ok := e.Args[0].(*ast.MapType)
			return ok
		}
		_, ok := e.(*ast.MapType)
		return ok
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				for _, name := range n.Names {
					names[name.Name] = names[name.Name] || isMap(n.Type)
				}
			case *ast.ValueSpec:
				for _, name := range n.Names {
					names[name.Name] = names[name.Name] || (n.Type != nil && isMap(n.Type))
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if name, ok := left.(*ast.Ident); ok && i < len(n.Rhs) {
						names[name.Name] = names[name.Name] || isMap(n.Rhs[i])
					}
				}
			}
			return true
		})
	}
	maps.DeleteFunc(names, func(_ string, is bool) bool { return !is })
	return names
}

type impurity struct {
	at   token.Pos
	what string
}

// impurities are the things in a declaration whose outcome its arguments do not determine.
func impurities(decl ast.Decl, known map[string]bool) []impurity {
	var out []impurity
	name := ""
	if f, ok := decl.(*ast.FuncDecl); ok {
		name = f.Name.Name
	}
	add := func(n ast.Node, what string) { out = append(out, impurity{n.Pos(), what}) }
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n, "a goroutine")
		case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			add(n, "a channel")
		case *ast.RangeStmt:
			if known[lastName(n.X)] && mayRange[name] == "" {
				add(n, "iterates over a map in "+name)
			}
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
				add(n, "reads the clock: time."+n.Sel.Name)
			}
		}
		return true
	})
	return out
}

var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// TestImpuritiesAreSeen is that the scan can fail.
func TestImpuritiesAreSeen(t *testing.T) {
	const source = `package p
import "time"
type s struct{ held map[int]bool }
func (x s) f(c chan int) {
	for range x.held {}
	go x.f(c)
	_ = time.Now()
	all := map[int]int{}
	for range all {}
}`
	file := must(parser.ParseFile(token.NewFileSet(), "p.go", source, 0))
	var what []string
	for _, decl := range file.Decls {
		for _, found := range impurities(decl, mapNames([]*ast.File{file})) {
			what = append(what, found.what)
		}
	}
	require.Equal(t, []string{
		"a channel", "iterates over a map in f", "a goroutine", "reads the clock: time.Now", "iterates over a map in f",
	}, what)
}
