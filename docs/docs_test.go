package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"../README.md", "../CHANGELOG.md"}
	for _, pattern := range []string{"*.md", "decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	checked := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
			require.NoError(t, err, "%s links to %s", page, m[1])
			checked++
		}
	}
	require.Greater(t, checked, 30, "the walk found the links")
}

func TestEveryDecisionIsListed(t *testing.T) {
	index, err := os.ReadFile("decisions/README.md")
	require.NoError(t, err)
	found, err := filepath.Glob("decisions/0*.md")
	require.NoError(t, err)
	for _, page := range found {
		require.Contains(t, string(index), "("+filepath.Base(page)+")")
	}
}

// TestOperationsKnowsEveryCode: what calls a person at night must stand in the table that the person opens.
func TestOperationsKnowsEveryCode(t *testing.T) {
	page, err := os.ReadFile("operations.md")
	require.NoError(t, err)
	codes, missing := 0, []string{}
	for _, dir := range []string{"../ledger", "../relay", "../risk", "../node"} {
		for _, code := range codesOf(t, dir) {
			codes++
			if !regexp.MustCompile(`(?m)^\|[^|]*\b` + regexp.QuoteMeta(code) + `\b`).Match(page) {
				missing = append(missing, dir+" "+code)
			}
		}
	}
	require.Empty(t, missing, "no row of operations.md names these codes")
	require.Greater(t, codes, 40, "the walk found the codes")
}

// codesOf returns the codes that a package's constants and fuses name: constants of the types AlertCode and Code, those
// called code… that something uses, and the first argument of every trip.
func codesOf(t *testing.T, dir string) (codes []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	named, used := map[string]string{}, map[string]int{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				used[n.Name]++
			case *ast.ValueSpec:
				if value, ok := text(n.Values); isCode(n) && ok {
					named[n.Names[0].Name] = value
				}
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "trip" && len(n.Args) > 0 {
					if value, ok := text(n.Args[:1]); ok {
						codes = append(codes, value)
					}
				}
			}
			return true
		})
	}
	for name, code := range named {
		if used[name] > 1 { // once is where it is named
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func isCode(spec *ast.ValueSpec) bool {
	switch typ := spec.Type.(type) {
	case *ast.Ident:
		return typ.Name == "AlertCode" || typ.Name == "Code"
	case *ast.SelectorExpr:
		return typ.Sel.Name == "AlertCode"
	}
	name := spec.Names[0].Name
	return spec.Type == nil && strings.HasPrefix(name, "code") && len(name) > len("code")
}

// text is the value of a single string literal.
func text(in []ast.Expr) (string, bool) {
	if len(in) != 1 {
		return "", false
	}
	lit, ok := in[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
