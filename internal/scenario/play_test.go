package scenario

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"conclave/internal/simnet"
)

// TestStoriesThatFail: a story that asks for what does not happen names its line.
func TestStoriesThatFail(t *testing.T) {
	key, err := simnet.LoadFixture()
	require.NoError(t, err)
	for text, want := range map[string]string{
		"user alice earns 10\n":     "x:1: user alice earns 10: the custodians are not called yet",
		"nodes 4\nexpect paid w1\n": "no request is called",
		"nodes 4\nuser alice earns 10\nexpect frozen alice code overdraft": "x:3:",
		"nodes 4\nkill 7":               "there is no custodian 7",
		"nodes 4\nwait 2h":              "no time between",
		"policy fees 3\nnodes 4":        "cannot be set",
		"nodes 4\nuser alice earns ten": "no number of coins",
		"nodes 4\nlose hope":            "nothing is called",
		"nodes 4\nuser alice earns 3\nuser alice withdraws 10 as w1": "Insufficient relay account balance",
	} {
		synctest.Test(t, func(t *testing.T) {
			script, err := Parse("x", text)
			require.NoError(t, err, text)
			_, err = script.Run(t.Context(), simnet.Config{Key: key, Dir: t.TempDir()})
			require.ErrorContains(t, err, want, text)
		})
	}
}
