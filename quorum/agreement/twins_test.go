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

var twinSchedules = flag.Int("agreement.twins", 700, "schedules in TestTwins; all enumerated ones are among the first 1,075,656 seeds")

// TestTwins runs up to f members as two or three machines with one key: each runs the real core, sees another part of the
// committee and proposes values of its own. Of the even seeds each is one of an enumeration, for n = 4:
//
//   - which member has a twin (of four: as proposers take turns, that also says who leads which round), and for each of the
//     first two rounds, the 16 ways to put the five machines on at most two sides while proposals and prevotes are sent,
//     times the 16 while precommits are: 262,144;
//   - the same with three rounds, one of the 41 ways to put them on at most three sides for each: 275,684.
//
// Sides hold until that many rounds would be over; then the network heals. Odd seeds are random: n = 4, 7 or 10, one to f members in two or three copies, more rounds, delays, losses and crashes.
func TestTwins(t *testing.T) {
	total := campaign(t, "twins", *firstSeed, sized(*twinSchedules), twins)
	if telling(total) {
		require.Empty(t, total.missing(inTwins), "never happened")
	}
}

// inTwins are the counters that even a slice of the twins' schedules reaches: a lock is left about once in ten thousand.
func inTwins(c counter) bool {
	return (c < clockForward || c >= twinPrevotes) && c != locksChanged && c != locksLeft
}

// The sides on which five machines can stand.
var (
	twoSides   = partitions(5, 2)
	threeSides = partitions(5, 3)
)

// twinSpaces are the sizes of the two enumerations.
func twinSpaces() (two, three uint64) {
	a, b := uint64(len(twoSides)), uint64(len(threeSides))
	return 4 * a * a * a * a, 4 * b * b * b
}

func TestTwinSpaces(t *testing.T) {
	require.Len(t, twoSides, 16)
	require.Len(t, threeSides, 41)
	two, three := twinSpaces()
	require.Equal(t, [2]uint64{262144, 275684}, [2]uint64{two, three})

	// Each is met once in as many even seeds: the stride has no divisor in common with their number.
	a, b := two+three, uint64(twinStride)
	for b != 0 {
		a, b = b, a%b
	}
	require.Equal(t, uint64(1), a)
}

// partitions are all ways to put so many machines on at most so many sides: the number of each one's side.
func partitions(machines, most int) [][]int {
	out := [][]int{{0}}
	for range machines - 1 {
		var longer [][]int
		for _, p := range out {
			used := 0
			for _, side := range p {
				used = max(used, side+1)
			}
			for side := range min(used+1, most) {
				longer = append(longer, append(p[:len(p):len(p)], side))
			}
		}
		out = longer
	}
	return out
}

// twinStride spreads the enumeration, so that a slice of it is no corner of it.
const twinStride = 340573 * 7

// twins plays one seed of TestTwins.
func twins(seed uint64, r *recorder) *world {
	if seed%2 == 1 {
		return randomTwins(seed, r)
	}
	two, three := twinSpaces()
	return enumeratedTwins(seed/2%(two+three)*twinStride%(two+three), r)
}

// addTwin gives a member another machine.
func (w *world) addTwin(who int) *node {
	w.nodes[who].evil = true
	n := w.addNode(who)
	n.evil = true
	return n
}

// enumeratedTwins is the schedule with this number.
func enumeratedTwins(number uint64, r *recorder) *world {
	digit := func(base int) int {
		d := number % uint64(base)
		number /= uint64(base)
		return int(d)
	}
	w := newWorld(4)
	w.strategy = "twins-enumerated"
	r.note("members 4")
	r.attach(w)
	two, _ := twinSpaces()
	rounds, wide := 2, number >= two
	if wide {
		number -= two
		rounds = 3
	}
	who := digit(4)
	r.note("twin %d", who)
	w.addTwin(who)
	for round := range uint64(rounds) {
		if wide {
			w.part(round, threeSides[digit(len(threeSides))], r, quorum.KindProposal, quorum.KindPrevote, quorum.KindPrecommit)
			continue
		}
		w.part(round, twoSides[digit(len(twoSides))], r, quorum.KindProposal, quorum.KindPrevote)
		w.part(round, twoSides[digit(len(twoSides))], r, quorum.KindPrecommit)
	}
	for _, n := range w.nodes {
		r.end("begin %d", n.i)
		n.begin()
	}
	// As long as that many rounds take when all of them fail.
	finish(w, []time.Duration{10 * time.Second, 18 * time.Second}[rounds-2], r)
	return w
}

// part puts the machines on sides for a round.
func (w *world) part(round uint64, sides []int, r *recorder, kinds ...quorum.Kind) {
	for _, kind := range kinds {
		w.parts[partKey{round, kind}] = sides
		r.part(round, kind, sides)
	}
}

func randomTwins(seed uint64, r *recorder) *world {
	rng := rand.New(rand.NewPCG(seed, 3))
	n := []int{4, 4, 4, 4, 4, 4, 7, 7, 7, 10}[rng.IntN(10)]
	w := newWorld(n)
	w.strategy = fmt.Sprintf("twins-n%d", n)
	r.note("members %d", n)
	// The first round belongs to a twin more often than not.
	first := int(testHeight % uint64(n))
	members := rng.Perm(n)[:1+rng.IntN(quorum.Faults(n))]
	if rng.IntN(3) > 0 {
		members[0] = first
		members = members[:1+rng.IntN(len(members))]
	}
	for _, who := range distinct(members) {
		for range 1 + rng.IntN(5)/4 {
			r.note("twin %d", who)
			w.addTwin(who)
		}
	}
	w.fate, w.calm = chaos(w, rng), calm(rng)
	if rng.IntN(3) > 0 {
		w.fate = calm(rng) // the sides below are enough
	}
	w.crash = crashes(rng)
	r.attach(w)
	sides := func() []int {
		out := make([]int, len(w.nodes))
		for i := range out {
			out[i] = rng.IntN(3) % (2 + rng.IntN(2))
		}
		return out
	}
	for round := range uint64(1 + rng.IntN(5)) {
		for _, kind := range []quorum.Kind{quorum.KindProposal, quorum.KindPrevote, quorum.KindPrecommit} {
			if rng.IntN(3) > 0 {
				w.part(round, normal(sides()), r, kind)
			}
		}
	}
	for _, nd := range w.nodes {
		if rng.IntN(5) > 0 {
			r.end("begin %d", nd.i)
			nd.begin()
		}
	}
	finish(w, time.Duration(4+rng.IntN(20))*time.Second, r)
	return w
}

func distinct(in []int) []int {
	var out []int
	seen := map[int]bool{}
	for _, v := range in {
		if !seen[v] {
			out = append(out, v)
		}
		seen[v] = true
	}
	return out
}

// normal numbers sides in the order in which they appear.
func normal(sides []int) []int {
	number := map[int]int{}
	for i, side := range sides {
		if _, ok := number[side]; !ok {
			number[side] = len(number)
		}
		sides[i] = number[side]
	}
	return sides
}
