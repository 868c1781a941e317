package scenario

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	s, err := Parse("x", "# why\nnodes 4   # four\n\n  user  alice\tearns 10\n")
	require.NoError(t, err)
	require.Len(t, s.Lines, 2)
	require.Equal(t, 4, s.Lines[1].Number)
	require.Equal(t, "user alice earns 10", s.Lines[1].Text)
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "# only a comment\n",
		"unknown command":   "nodes 4\nuser alice dreams of 10\n",
		"too few words":     "nodes 4\nuser alice earns\n",
		"too many words":    "nodes 4\nuser alice earns 10 20\n",
		"nobody named":      "nodes 4\nkill\n",
		"another committee": "nodes 5\n",
		"too long":          strings.Repeat("nodes 4\n", maxLines+1),
	} {
		_, err := Parse("x", text)
		require.Error(t, err, name)
	}
	_, err := Parse("x", "nodes 4\n\nuser alice dreams of 10\n")
	require.ErrorContains(t, err, "x:3:")
}

func TestEveryCommandIsReached(t *testing.T) {
	// A pattern that an earlier one swallows would never run.
	for i, c := range language() {
		words := strings.Fields(c.pattern)
		for j, w := range words {
			if strings.HasSuffix(w, "…") || strings.ToUpper(w) == w && strings.ToLower(w) != w {
				words[j] = "0"
			}
		}
		found, _, err := find(words)
		require.NoError(t, err, c.pattern)
		require.Equal(t, c.pattern, found.pattern, "command %d", i)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("nodes 4\nuser alice earns 10\nwait within 5s for paid w1 # so")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("x", text)
		if err != nil {
			return
		}
		for _, l := range s.Lines {
			again, err := Parse("x", l.Text)
			require.NoError(t, err)
			require.Equal(t, l.Text, again.Lines[0].Text)
		}
	})
}
