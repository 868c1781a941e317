package devnet

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/node"
)

func TestKillsNeedTheOwnWorld(t *testing.T) {
	good := Options{Nodes: 4, Network: "devnet", Kills: 5}
	require.NoError(t, good.Validate())
	far := good
	far.Relays, far.RelayKeyFile = []string{"http://127.0.0.1:1"}, "key"
	require.ErrorContains(t, far.Validate(), "--kills")
	many := good
	many.Kills = maxKills + 1
	require.ErrorContains(t, many.Validate(), "--kills")
}

// TestSameSeedSameVictims: who is killed and how many at once is drawn from the seed alone, never more than asked for.
func TestSameSeedSameVictims(t *testing.T) {
	draws := func(seed uint64) (out [][]int) {
		n := &Network{o: Options{Kills: 60}}
		for range 4 {
			n.custodians = append(n.custodians, &custodian{})
		}
		k := &killer{n: n, rand: rand.New(rand.NewPCG(seed, 0))}
		for k.kills < n.o.Kills {
			d := k.draw()
			out, k.kills = append(out, d), k.kills+len(d)
		}
		require.Equal(t, n.o.Kills, k.kills)
		return out
	}
	require.Equal(t, draws(7), draws(7))
	require.NotEqual(t, draws(7), draws(8))
	pairs := 0
	for _, d := range draws(7) {
		if len(d) == 2 {
			require.NotEqual(t, d[0], d[1])
			pairs++
		}
	}
	require.NotZero(t, pairs)
}

// TestAKillHaltsNobody: what a custodian may not say after a kill is a violation, what it may say is none.
func TestAKillHaltsNobody(t *testing.T) {
	require.NoError(t, sound(0, node.Status{Reasons: []node.Reason{{Code: "no-quorum"}, {Code: "alerts-open"}}}))
	for _, code := range []string{"halted", "quarantined"} {
		require.ErrorIs(t, sound(0, node.Status{Reasons: []node.Reason{{Code: code}}}), ErrViolation)
	}
}

func TestLastWords(t *testing.T) {
	n := &Network{dir: t.TempDir()}
	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(n.dir, "custodian-0.log"), []byte(text), 0o600))
	}
	write(`{"level":"info","event":"decided","height":2}` + "\n" + `{"level":"error","event":"alert","code":"late"}` + "\n")
	require.Equal(t, "alert late", n.lastWords(0))
	write("panic: our own bug\n")
	require.Equal(t, "panic: our own bug", n.lastWords(0))
}

// TestStagesOfTheCeremony: each has a name of its own, so that a run shows where in the ceremony its kills fell.
func TestStagesOfTheCeremony(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []node.KeygenStatus{
		{Missing: []common.Address{{1}}, Round: 2, Rounds: 4}, {Rounds: 4}, {Round: 1, Rounds: 4}, {Round: 3, Rounds: 4}, {Round: 4, Rounds: 4}, {Round: 4, Rounds: 4, Done: true},
	} {
		name := keygenStage(s)
		require.True(t, strings.HasPrefix(name, makingKey), name)
		require.False(t, seen[name], name)
		seen[name] = true
	}
}
