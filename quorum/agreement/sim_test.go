package agreement

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

var (
	schedules = flag.Int("agreement.schedules", 2500, "simulated schedules in TestSimulation")
	firstSeed = flag.Uint64("agreement.seed", 1, "seed of the first schedule")
	foundDir  = flag.String("agreement.found", "", "where a failing schedule is written, as a scenario")
	report    = flag.Bool("agreement.report", false, "print a line about each campaign")
)

// TestSimulation runs the committee through random schedules: drops, delays, duplicates, reorders, partitions, clocks that
// jump, crashes between any two effects, and f members who lie by one of the strategies. I1, I2, I3, I12 and I18 are
// checked in every step, I17 after the network heals.
func TestSimulation(t *testing.T) {
	total := campaign(t, "agreement", *firstSeed, sized(*schedules), func(seed uint64, r *recorder) *world { return schedule(seed, 0, r) })
	if telling(total) {
		require.Empty(t, total.missing(func(c counter) bool { return c < twinPrevotes }), "never happened")
		for _, s := range strategies {
			require.NotZero(t, total.strategies[s.name], s.name)
		}
	}
}

// telling reports whether a campaign is one whose counters must all have counted: a long one, or the one of every test run.
func telling(r *result) bool {
	return r.violations == 0 && (r.schedules >= 10_000 || (*firstSeed == 1 && r.schedules >= 700))
}

func sized(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// result is what a campaign counted.
type result struct {
	coverage
	liveness
	schedules, violations int
	strategies            map[string]int
}

func (r *result) note(w *world) {
	r.schedules++
	r.strategies[w.strategy]++
	if len(w.broken) > 0 {
		r.violations++
		return
	}
	r.coverage.add(&w.cover)
	r.liveness.note(w)
}

// campaign plays count seeds, on all processors, and reports the first that fails: made smaller, as a scenario.
func campaign(t *testing.T, what string, first uint64, count int, play func(seed uint64, r *recorder) *world) *result {
	began := time.Now()
	workers := min(runtime.GOMAXPROCS(0), 4)
	parts := make([]result, workers)
	var (
		wg    sync.WaitGroup
		found atomic.Bool // one is enough: making it smaller takes longer than finding it
	)
	for part := range workers {
		wg.Go(func() {
			mine := &parts[part]
			mine.strategies = map[string]int{}
			for i := part; i < count && !found.Load(); i += workers {
				seed := first + uint64(i)
				w, broken := try(seed, play)
				if broken != "" && !found.CompareAndSwap(false, true) {
					return
				}
				if broken != "" {
					mine.violations++
					t.Errorf("%s seed %d: %s", what, seed, present(what, seed, broken, play))
					return
				}
				mine.note(w)
			}
		})
	}
	wg.Wait()
	total := &result{strategies: map[string]int{}}
	for i := range parts {
		total.schedules += parts[i].schedules
		total.violations += parts[i].violations
		total.coverage.add(&parts[i].coverage)
		total.liveness.add(&parts[i].liveness)
		for name, n := range parts[i].strategies {
			total.strategies[name] += n
		}
	}
	if *report {
		took := time.Since(began)
		fmt.Printf("%s: seeds=%d..%d count=%d violations=%d seconds=%.1f rate=%.0f/s %s %s strategies=%s\n", what, first, first+uint64(count)-1,
			total.schedules, total.violations, took.Seconds(), float64(total.schedules)/took.Seconds(), &total.liveness, &total.coverage,
			strings.ReplaceAll(strings.Trim(fmt.Sprint(total.strategies), "map[]"), " ", ","))
	}
	return total
}

// try plays one seed. A panic is a violation like any other.
func try(seed uint64, play func(uint64, *recorder) *world) (w *world, broken string) {
	defer func() {
		if r := recover(); r != nil {
			broken = fmt.Sprintf("panic: %v", r)
		}
	}()
	w = play(seed, nil)
	if len(w.broken) > 0 {
		broken = w.broken[0]
	}
	return w, broken
}

// present plays a failing seed again, writes it down and makes it smaller.
func present(what string, seed uint64, broken string, play func(uint64, *recorder) *world) string {
	r := newRecorder()
	_, _ = try(seed, func(seed uint64, _ *recorder) *world { return play(seed, r) })
	lines := r.text()
	if replay(lines, nil) == "" {
		return broken + "\n(written down, it does not fail: use the seed)"
	}
	text := scenarioOf(fmt.Sprintf("Found by %s seed %d: %s", what, seed, broken), shrink(lines, nil), nil)
	if *foundDir != "" {
		file := filepath.Join(*foundDir, fmt.Sprintf("found-%s-%d.txt", what, seed))
		if err := os.WriteFile(file, []byte(text), 0o644); err == nil {
			text += "written to " + file + "\n"
		}
	}
	return broken + "\n\n" + text
}

// schedule plays one seed of TestSimulation; size 0 lets the seed choose the committee.
func schedule(seed uint64, size int, r *recorder) *world { return scheduleUnder(seed, size, r, nil) }

func scheduleUnder(seed uint64, size int, r *recorder, spoil func(*world)) *world {
	rng := rand.New(rand.NewPCG(seed, 2))
	n := []int{4, 4, 4, 4, 4, 4, 4, 7, 7, 10}[rng.IntN(10)]
	if size != 0 {
		n = size
	}
	w := newWorld(n)
	if spoil != nil {
		spoil(w)
	}
	r.note("members %d", n)
	evil := rng.Perm(n)[:quorum.Faults(n)]
	how := strategies[rng.IntN(len(strategies))]
	w.strategy = how.name
	if how.turns {
		for i := range evil {
			evil[i] = int((testHeight + 2*uint64(i)) % uint64(n))
		}
	}
	w.fate, w.calm = chaos(w, rng), calm(rng)
	w.crash = crashes(rng)
	r.attach(w)
	if how.name != "none" {
		for _, i := range evil {
			r.note("evil %d", i)
		}
		newAdversary(w, how, evil, rng)
	}
	upset(w, rng, r)

	for _, nd := range w.nodes {
		if !nd.liar && rng.IntN(3) > 0 {
			r.end("begin %d", nd.i)
			nd.begin()
		}
	}
	finish(w, time.Duration(1+rng.IntN(20))*time.Second, r)
	return w
}

// finish lets time pass, then everything works.
func finish(w *world, d time.Duration, r *recorder) {
	r.end("run %s", d)
	w.run(d, w.allDecided)
	if len(w.broken) > 0 {
		return
	}
	r.end("healed")
	r.end("decide %s", patience)
	w.heal()
	w.settle(patience)
}

// patience is how long we wait after healing before a height counts as stuck: f+2 rounds after any that these schedules reach
// take less.
const patience = 3 * time.Minute

// chaos is a network with a character: how much it loses, how long it takes, what comes twice, and who cannot hear whom
// for a while.
func chaos(w *world, rng *rand.Rand) func(*parcel) fate {
	loss := []float64{0, 0.05, 0.3, 0.6}[rng.IntN(4)]
	slow := []int{20, 300, 3000}[rng.IntN(3)]
	twice := []float64{0, 0.1}[rng.IntN(2)]
	split := rng.IntN(3) == 0
	side := make([]int, len(w.nodes))
	var until time.Duration
	return func(p *parcel) fate {
		if split && w.now > until {
			until = w.now + time.Duration(rng.IntN(5000))*time.Millisecond
			for i := range side {
				side[i] = rng.IntN(2)
			}
			w.cover[partsHealed]++
		}
		f := fate{after: within(rng, slow)}
		f.lost = rng.Float64() < loss || (split && side[p.from] != side[p.to]) || w.now < w.mutedUntil[p.from] || w.now < w.deafUntil[p.to]
		if twice > 0 && rng.Float64() < twice {
			f.again = within(rng, slow)
		}
		return f
	}
}

// calm is a network that works.
func calm(rng *rand.Rand) func(*parcel) fate {
	return func(*parcel) fate { return fate{after: within(rng, 100)} }
}

// within is a time below so many milliseconds, in microseconds: two things seldom happen at once.
func within(rng *rand.Rand, ms int) time.Duration {
	return time.Duration(1+rng.IntN(1000*ms)) * time.Microsecond
}

func crashes(rng *rand.Rand) func(int) (time.Duration, bool) {
	often := []float64{0, 0, 0.002, 0.02}[rng.IntN(4)]
	if often == 0 {
		return nil
	}
	return func(int) (time.Duration, bool) {
		if rng.Float64() >= often {
			return 0, false
		}
		return time.Duration(rng.IntN(4000)) * time.Millisecond, true
	}
}

// upset gives members clocks of their own, which may jump, and halts some.
func upset(w *world, rng *rand.Rand, r *recorder) {
	halts, jumps := rng.IntN(8) == 0, rng.IntN(3) == 0
	for _, n := range w.nodes {
		if n.liar {
			continue
		}
		if halts && rng.IntN(2) == 0 {
			r.note("halt %d", n.i)
			n.halted = true
		}
		if !jumps {
			continue
		}
		for range 1 + rng.IntN(3) {
			at, by := time.Duration(rng.IntN(8000))*time.Millisecond, time.Duration(rng.IntN(9000)-3000)*time.Millisecond
			r.note("at %s clock %d %s", at, n.i, by)
			w.in(at, &parcel{do: func() { n.jump(by) }})
		}
	}
}
