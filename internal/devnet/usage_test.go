package devnet

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	const stat = "4711 (con) clave (x) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0 9 0 88 99 512 1"
	u, err := parseStat(stat)
	require.NoError(t, err)
	require.Equal(t, Usage{CPU: 1.5, RSSMB: 512 * int64(os.Getpagesize()) >> 20}, u)
	for _, bad := range []string{"", "1 (x) S 1", strings.Replace(stat, "120", "a", 1), strings.Replace(stat, "512", "x", 1)} {
		_, err := parseStat(bad)
		require.Error(t, err, bad)
	}
}
