package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is a testing.TB whose Fatal ends the probe instead of the test.
type recorder struct {
	testing.TB
	message string
}

type stop struct{}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.message = strings.TrimSpace(format)
	for _, a := range args {
		if s, ok := a.(string); ok {
			r.message += " " + s
		}
	}
	panic(stop{})
}

// probe runs f and returns what it failed with, "" if it passed.
func probe(t *testing.T, f func(tb testing.TB)) string {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil {
				_, ours := p.(stop)
				require.True(t, ours, "%v", p)
			}
		}()
		f(r)
	}()
	return r.message
}

func TestTextNamesTheFirstDifference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	require.Contains(t, probe(t, func(tb testing.TB) { Text(tb, path, "x") }), "does not exist")

	require.NoError(t, os.WriteFile(path, []byte("one\ntwo\n"), 0o600))
	require.Empty(t, probe(t, func(tb testing.TB) { Text(tb, path, "one\ntwo\n") }))
	require.Contains(t, probe(t, func(tb testing.TB) { Text(tb, path, "one\n2\n") }), `line 2 is "two", now "2"`)
}

func TestHexAndFields(t *testing.T) {
	dir := t.TempDir()
	long := make([]byte, 33)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "h"), []byte(strings.Repeat("00", 32)+"\n00\n"), 0o600))
	require.Empty(t, probe(t, func(tb testing.TB) { Hex(tb, filepath.Join(dir, "h"), long) }))
	long[32] = 1
	require.Contains(t, probe(t, func(tb testing.TB) { Hex(tb, filepath.Join(dir, "h"), long) }), "line 2")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("a (1 bytes)\n07\nb (0 bytes)\n\n"), 0o600))
	require.Empty(t, probe(t, func(tb testing.TB) {
		Fields(tb, filepath.Join(dir, "f"), Field{"a", []byte{7}}, Field{"b", nil})
	}))
	require.Equal(t, "2 lines, now 3", Difference("a\n", "a\n\n"))
}
