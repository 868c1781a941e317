package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"conclave/internal/simnet"
)

// TestStories plays every file of testdata.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	key, err := simnet.LoadFixture()
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a story is alone in its bubble; together they share the key and nothing else
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			script, err := Parse(name, string(text))
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) {
				_, err := script.Run(t.Context(), simnet.Config{Key: key, Dir: t.TempDir(), Trace: func(line string) { t.Log(line) }})
				require.NoError(t, err)
			})
		})
	}
}
