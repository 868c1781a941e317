package vault

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// These benchmarks are what `go run ./cmd/bench unseal` runs: the lock, the password, and every record read once, of a vault with
// one share and one set of preparameters.

func BenchmarkOpenDefault(b *testing.B) { benchOpen(b, DefaultParams()) }
func BenchmarkOpenLeast(b *testing.B)   { benchOpen(b, LeastParams()) }

func benchOpen(b *testing.B, params Params) {
	dir := filepath.Join(b.TempDir(), "vault")
	v, err := Create(dir, node(), []byte(testPassword), params)
	require.NoError(b, err)
	require.NoError(b, v.PutPreParams(testSet(b, 1)))
	require.NoError(b, v.SaveShare(testShare(b, 0)))
	v.Close()
	b.ResetTimer()
	for range b.N {
		v, err := Open(dir, node(), []byte(testPassword))
		require.NoError(b, err)
		v.Close()
	}
}
