package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
	"conclave/quorum/batch"
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
	alerts, err := os.ReadFile("alerts.md") // which operations.md opens with
	require.NoError(t, err)
	page = append(page, alerts...)
	codes, missing := 0, []string{}
	for _, dir := range []string{"../ledger", "../relay", "../risk", "../node"} {
		for _, code := range codesOf(t, dir) {
			codes++
			if !regexp.MustCompile(`(?m)^\|[^|]*\b` + regexp.QuoteMeta(code) + `\b`).Match(page) {
				missing = append(missing, dir+" "+code)
			}
		}
	}
	require.Empty(t, missing, "no row of operations.md or alerts.md names these codes")
	require.Greater(t, codes, 40, "the walk found the codes")
}

// codesOf returns the codes that a package's constants and fuses name: constants of the types AlertCode and Code, those
// called code… or fuse… that something uses, and the first argument of every trip.
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
	return spec.Type == nil && len(name) > len("code") && (strings.HasPrefix(name, "code") || strings.HasPrefix(name, "fuse"))
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

// TestProtocolHasEveryField: a field that is signed and not on the page cannot be implemented from it.
func TestProtocolHasEveryField(t *testing.T) {
	raw, err := os.ReadFile("protocol.md")
	require.NoError(t, err)
	page := string(raw)
	for row, body := range map[string]any{
		"member": quorum.Member{}, "approve": quorum.Approve{}, "refuse": quorum.Refuse{}, "view": quorum.View{}, "outcome": quorum.Outcome{},
		"proposal": quorum.Proposal{}, "prevote, precommit": quorum.Vote{}, "ready": quorum.Ready{}, "abort": quorum.Abort{},
		"halt": quorum.Halt{}, "clear": quorum.Clear{}, "ceremony": quorum.Ceremony{}, "transcript": quorum.Transcript{},
		"content": quorum.Content{}, "session": quorum.Session{}, "checkpoint": quorum.Checkpoint{},
	} {
		cell := regexp.MustCompile(`(?m)^\| ` + row + ` \| ([^|]*) \|`).FindStringSubmatch(page)
		require.NotNil(t, cell, "no row for %s", row)
		require.Equal(t, fieldsOf(body), namesOf(cell[1]), row)
	}
	value := regexp.MustCompile(`(?s)as RLP in this order:\n\n(.*?)\n\n`).FindStringSubmatch(page)
	require.NotNil(t, value)
	require.Equal(t, fieldsOf(batch.Batch{}), namesOf(strings.Join(strings.Fields(value[1]), " ")), "batch")
}

// fieldsOf is the names of a structure's fields, as RLP orders them.
func fieldsOf(v any) (out []string) {
	typ := reflect.TypeOf(v)
	for i := range typ.NumField() {
		out = append(out, strings.ToLower(typ.Field(i).Name))
	}
	return out
}

// namesOf reads the names of a list like "epoch u, lanes [[Lane, block u]], Set": what stands between commas outside
// brackets, without its type.
func namesOf(list string) (out []string) {
	depth, field := 0, ""
	for _, r := range list + "," {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			name := regexp.MustCompile(` (u|u256|H|A|S|P|T|B|Set)$`).ReplaceAllString(strings.TrimSpace(field), "")
			out, field = append(out, strings.ToLower(strings.ReplaceAll(name, " ", ""))), ""
		case depth == 0:
			field += string(r)
		}
	}
	return out
}
