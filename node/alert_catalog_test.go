package node

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/internal/golden"
)

func TestAlertDocumentationIsOfThisCode(t *testing.T) {
	golden.Text(t, filepath.Join("..", "docs", "alerts.md"), AlertsMarkdown())
}

// TestEveryAlertStandsInTheCatalogue reads the source: a code that a room raises has a row, and a row has a room that
// raises it.
func TestEveryAlertStandsInTheCatalogue(t *testing.T) {
	raised := raisedCodes(t, "../ledger", "../relay", "../risk", "../tss", "../p2p", "../chain", ".")
	require.Greater(t, len(raised), 30, "the walk found the codes")

	rows := map[string]bool{}
	var wrong []string
	for _, k := range AlertKinds() {
		if rows[k.Code] {
			wrong = append(wrong, fmt.Sprintf("the catalogue has two rows for %q", k.Code))
		}
		rows[k.Code] = true
		if raised[k.Code] == "" {
			wrong = append(wrong, fmt.Sprintf("the catalogue has a row for %q, which nothing raises: drop the row", k.Code))
		}
		if k.Meaning == "" || k.Do == "" || strings.ContainsAny(k.Meaning+k.Ends+k.Do, "|\n") {
			wrong = append(wrong, fmt.Sprintf("the row of %q needs a meaning and what to do, in one line of a table", k.Code))
		}
		if k.Least > k.Severity {
			wrong = append(wrong, fmt.Sprintf("the row of %q says that its least severity is above its severity", k.Code))
		}
	}
	for code, at := range raised {
		if !rows[code] {
			wrong = append(wrong, fmt.Sprintf("%s raises %q, which has no row in node/alert_catalog.go: say there what it means and what to do", at, code))
		}
	}
	slices.Sort(wrong)
	require.Empty(t, wrong)
}

// raisedCodes returns the alert codes of packages with the file that names each: used constants of a type AlertCode, used
// constants called code…, and literals in the field Code of an Alert. A code in any other shape fails the test, since
// nobody could find it.
func raisedCodes(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	type constant struct{ code, at string }
	named, used, out := map[string]constant{}, map[string]int{}, map[string]string{}
	for _, name := range sources(t, dirs) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		at := strings.TrimPrefix(filepath.ToSlash(name), "../")
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return !strings.HasPrefix(filepath.Base(name), "alert_") // a row is no use of its code
			case *ast.Ident:
				used[n.Name]++
			case *ast.ValueSpec:
				if code, ok := literal(n.Values); ok && namesCode(n) {
					named[n.Names[0].Name+" "+filepath.Dir(name)] = constant{code, at}
				}
			case *ast.CompositeLit:
				for _, e := range codeFields(n) {
					if code, ok := literal([]ast.Expr{e}); ok {
						out[code] = at
						continue
					}
					require.True(t, passedOn(e), "%s raises an alert whose code is neither a constant nor passed on", at)
				}
			}
			return true
		})
	}
	for key, c := range named {
		if name, _, _ := strings.Cut(key, " "); used[name] > 1 { // once is where it is named
			out[c.code] = c.at
		}
	}
	return out
}

// sources lists the packages' files, tests left out.
func sources(t *testing.T, dirs []string) (out []string) {
	t.Helper()
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, dir)
		out = append(out, files...)
	}
	return slices.DeleteFunc(out, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// namesCode reports whether a constant names an alert.
func namesCode(spec *ast.ValueSpec) bool {
	switch typ := spec.Type.(type) {
	case *ast.Ident:
		return typ.Name == "AlertCode"
	case *ast.SelectorExpr:
		return typ.Sel.Name == "AlertCode"
	case nil:
		name := spec.Names[0].Name
		return strings.HasPrefix(name, "code") && len(name) > len("code")
	}
	return false
}

// codeFields returns what an Alert literal gives as its code.
func codeFields(lit *ast.CompositeLit) (out []ast.Expr) {
	name := ""
	switch typ := lit.Type.(type) {
	case *ast.Ident:
		name = typ.Name
	case *ast.SelectorExpr:
		name = typ.Sel.Name
	}
	if name != "Alert" {
		return nil
	}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Code" {
				out = append(out, kv.Value)
			}
		}
	}
	return out
}

// passedOn accepts names, fields and conversions of them: what they hold was named elsewhere.
func passedOn(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident, *ast.SelectorExpr:
		return true
	case *ast.CallExpr:
		conversion, ok := e.Fun.(*ast.Ident)
		return ok && conversion.Name == "string" && len(e.Args) == 1 && passedOn(e.Args[0])
	}
	return false
}

// literal is the value of a single string literal.
func literal(in []ast.Expr) (string, bool) {
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

func TestTheCatalogueIsReadable(t *testing.T) {
	page := AlertsMarkdown()
	for _, k := range AlertKinds() {
		require.Contains(t, page, "\n| "+k.Code+" | "+k.Severity.String())
	}
}
