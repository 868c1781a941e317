package agreement

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

var (
	schedules = flag.Int("agreement.schedules", 3000, "simulated schedules in TestSimulation")
	firstSeed = flag.Uint64("agreement.seed", 1, "seed of the first schedule")
)

// TestSimulation runs the committee through random schedules: drops, delays, reorders, partitions, crashes between any two
// effects, and f members who lie. I1, I2, I3, I12 and I18 are checked in every step, I17 after the network heals.
func TestSimulation(t *testing.T) {
	if testing.Short() {
		*schedules = 300
	}
	const parts = 4
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for i := part; i < *schedules; i += parts {
				seed := *firstSeed + uint64(i)
				require.Empty(t, runSchedule(seed), "seed %d", seed)
			}
		})
	}
}

// runSchedule plays one seed and says what went wrong, if anything.
func runSchedule(seed uint64) string {
	rng := rand.New(rand.NewPCG(seed, 2))
	n := 4
	if rng.IntN(4) == 0 {
		n = 7
	}
	f := quorum.Faults(n)
	w := newWorld(n, seed)

	evil := rng.Perm(n)[:f]
	style := []string{"silent", "echo", "random", "none"}[rng.IntN(4)]
	if style != "none" {
		newAdversary(w, style, evil, rng)
	}
	w.fate = chaos(w, rng)
	w.crash = []float64{0, 0, 0.002, 0.02}[rng.IntN(4)]
	w.rest = func() time.Duration { return time.Duration(rng.IntN(4000)) * time.Millisecond }

	for _, nd := range w.nodes {
		if !nd.evil && rng.IntN(3) > 0 {
			nd.begin()
		}
	}
	w.run(time.Duration(1+rng.IntN(20))*time.Second, w.allDecided)

	// From here on the network is whole and nobody crashes any more; the liars go on.
	w.fate = func(int, int) (time.Duration, bool) { return time.Duration(1+rng.IntN(100)) * time.Millisecond, false }
	w.crash = 0
	w.run(5*time.Second, w.allDecided)
	from := w.highest()
	for _, nd := range w.nodes {
		if nd.state != nil && nd.disk.decision == nil {
			nd.begin()
		}
	}
	done := w.run(5*time.Minute, w.allDecided)
	switch {
	case len(w.broken) > 0:
		return fmt.Sprint(w.broken)
	case !done:
		return fmt.Sprintf("n=%d %s %v: undecided five minutes after the network healed: %s", n, style, evil, w.describe())
	}
	// I17: the round that was running, f rounds of liars, and one of an honest member.
	for _, nd := range w.nodes {
		if d := nd.disk.decision; d != nil && d.QC.Round() > from+uint64(f)+1 {
			return fmt.Sprintf("I17: n=%d %s %v: decided in round %d, healed in round %d", n, style, evil, d.QC.Round(), from)
		}
	}
	return ""
}

func (w *world) allDecided() bool {
	for _, n := range w.nodes {
		if !n.evil && n.disk.decision == nil {
			return false
		}
	}
	return true
}

// highest is the highest round of an honest member.
func (w *world) highest() uint64 {
	var r uint64
	for _, n := range w.nodes {
		if n.state != nil {
			r = max(r, n.state.round)
		}
		if d := n.disk.decision; d != nil {
			r = max(r, d.QC.Round())
		}
	}
	return r
}

// chaos is a network with a character: how much it loses, how long it takes, and who cannot hear whom for a while.
func chaos(w *world, rng *rand.Rand) func(from, to int) (time.Duration, bool) {
	loss := []float64{0, 0.05, 0.3, 0.6}[rng.IntN(4)]
	slow := []int{20, 300, 3000}[rng.IntN(3)]
	split := rng.IntN(3) == 0
	side := make([]int, len(w.nodes))
	var until time.Time
	return func(from, to int) (time.Duration, bool) {
		if split && w.now.After(until) {
			until = w.now.Add(time.Duration(rng.IntN(5000)) * time.Millisecond)
			for i := range side {
				side[i] = rng.IntN(2)
			}
		}
		lost := rng.Float64() < loss || (split && side[from] != side[to])
		return time.Duration(1+rng.IntN(slow)) * time.Millisecond, lost
	}
}
