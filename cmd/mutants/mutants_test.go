package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every mutant applies to the source as it is, and names tests that exist: otherwise the campaign would prove nothing.
func TestMutantsApply(t *testing.T) {
	root := filepath.Join("..", "..")
	all, err := load("rules")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 30)
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			_, err := m.mutate(root)
			require.NoError(t, err)
			for _, k := range m.tests {
				// Subtests come after a slash; what stands before it names functions.
				match, err := regexp.Compile(strings.SplitN(k.run, "/", 2)[0])
				require.NoError(t, err)
				require.True(t, anyTest(t, filepath.Join(root, k.pkg), match), "no test of %s matches %s", k.pkg, k.run)
			}
		})
	}
}

func anyTest(t *testing.T, dir string, match *regexp.Regexp) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") && match.MatchString(fn.Name.Name) {
				return true
			}
		}
	}
	return false
}

func TestParseMutants(t *testing.T) {
	good := "# a note\nmutant one\nrule what\nfile x/y.go\ntest ./x TestA|TestB\ntest ./z TestC\n-\ta := 1\n+\ta := 2\n\nmutant two\nrule other\nfile z.go\ntest . TestD\n-\tgone()\nfile w.go\n-\tb()\n+\tc()\n"
	some, err := parseMutants(good)
	require.NoError(t, err)
	require.Equal(t, []mutant{
		{"one", "what", []edit{{"x/y.go", "\ta := 1\n", "\ta := 2\n"}}, []killer{{"./x", "TestA|TestB"}, {"./z", "TestC"}}},
		{"two", "other", []edit{{"z.go", "\tgone()\n", ""}, {"w.go", "\tb()\n", "\tc()\n"}}, []killer{{".", "TestD"}}},
	}, some)
	for name, bad := range map[string]string{
		"nothing begun":  "rule what\n",
		"no name":        strings.Replace(good, "mutant one", "mutant", 1),
		"an odd name":    strings.Replace(good, "mutant one", "mutant one two", 1),
		"no rule":        strings.Replace(good, "rule what\n", "", 1),
		"no file":        strings.Replace(good, "file x/y.go\n", "", 1),
		"no test":        strings.Replace(good, "test . TestD\n", "", 1),
		"half a test":    strings.Replace(good, "test . TestD", "test .", 1),
		"no change":      strings.Replace(good, "+\ta := 2", "+\ta := 1", 1),
		"an odd word":    strings.Replace(good, "rule what", "ruler what", 1),
		"nothing to cut": strings.Replace(good, "-\tgone()\n", "", 1),
	} {
		_, err := parseMutants(bad)
		require.Error(t, err, name)
	}
}

// Every mutant has its day.
func TestRotation(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	all, err := choose(".", 0, time.Now())
	require.NoError(t, err)
	for _, n := range []int{1, 4, 7} {
		seen := map[string]bool{}
		for day := range len(all) {
			some, err := choose(".", n, time.Unix(int64(day)*86400, 0))
			require.NoError(t, err)
			require.Len(t, some, n)
			for _, m := range some {
				seen[m.name] = true
			}
		}
		require.Len(t, seen, len(all), fmt.Sprint(n))
	}
	_, err = choose("(", 0, time.Now())
	require.Error(t, err)
}
