package agreement

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// lockless breaks R1: honest members forget their lock while they wait for a proposal.
func lockless(w *world) {
	w.around = func(n *node, _ Event, step func() Effects) Effects {
		s := n.state
		round, id := s.lockedRound, s.lockedID
		if s.step == StepPropose && !n.evil {
			s.lockedRound, s.lockedID = 0, common.Hash{}
		}
		fx := step()
		if s.lockedRound == 0 {
			s.lockedRound, s.lockedID = round, id
		}
		if fx.Commit.Save != nil {
			d := s.Durable()
			fx.Commit.Save = &d
		}
		return fx
	}
}

// spoilt plays a seed of TestSimulation under a broken rule.
func spoilt(seed uint64, spoil func(*world), r *recorder) string {
	_, broken := try(seed, func(seed uint64, _ *recorder) *world { return scheduleUnder(seed, 4, r, spoil) })
	return broken
}

// TestShrink breaks a rule, finds the schedule that shows it, and makes that a scenario: a small file, which fails for the same
// reason by itself, and passes with the rule in place.
func TestShrink(t *testing.T) {
	seed := uint64(1)
	for spoilt(seed, lockless, nil) == "" {
		seed++
		require.Less(t, seed, uint64(3000), "the broken rule is never seen")
	}
	r := newRecorder()
	broken := spoilt(seed, lockless, r)
	require.Contains(t, broken, "I3: ")
	full := r.text()

	small := shrink(full, lockless)
	text := scenarioOf("a rule is broken", small, lockless)
	t.Logf("seed %d: %d commands of %d\n%s", seed, len(small), len(full), text)
	require.Less(t, len(small), 40)
	require.Less(t, len(small)*3, len(full))
	require.Contains(t, text, "broken: I3: ")

	commands, _, _ := strings.Cut(text, "----\n")
	require.Contains(t, replay(strings.Split(commands, "\n"), lockless), "I3: ", "the file alone shows it")
	require.Empty(t, replay(small, nil), "nothing is wrong with the real rule")
}

// TestReplay is what shrinking stands on: a schedule that is written down runs as it ran, to the same decisions in the same
// rounds at the same time, with the same certificates.
func TestReplay(t *testing.T) {
	for seed := range uint64(40) {
		for _, play := range []func(uint64, *recorder) *world{
			func(seed uint64, r *recorder) *world { return schedule(seed, 0, r) }, twins,
		} {
			r := newRecorder()
			want := play(seed, r)
			s := newScenario()
			s.quiet = true
			_, err := s.play(strings.Join(r.text(), "\n"))
			require.NoError(t, err)
			for i, n := range want.nodes {
				if n.evil {
					continue // the schedule may end before its decision
				}
				got := s.w.nodes[i]
				require.Equal(t, n.decidedAt, got.decidedAt, "seed %d, n%d", seed, i)
				require.Equal(t, n.disk.decision.QC.Unchecked(), got.disk.decision.QC.Unchecked(), "seed %d, n%d", seed, i)
			}
		}
	}
}
