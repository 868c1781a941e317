package campaign

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// again is the whole trace of a schedule, by play: every line for people, and every message when it was sent. Every second play
// has one processor.
func (s *stage) again(text string, n int) (all [][]string) {
	s.whole = true
	for i := range n {
		procs := runtime.GOMAXPROCS(0)
		if i%2 == 1 {
			runtime.GOMAXPROCS(1)
		}
		_, err := s.play(text)
		runtime.GOMAXPROCS(procs)
		require.NoError(s.t, err, text)
		all = append(all, s.trace)
	}
	return all
}

// TestASeedRunsOneWay: its plays say the same at the same moments, to the byte and the nanosecond, on one processor and on several.
// The schedules hold storms, locks, a change of members, a disk that fails and one that is put back, a death, and a Relay whose answers
// drip.
func TestASeedRunsOneWay(t *testing.T) {
	s := newStage(t)
	for _, seed := range []uint64{668, 2124} {
		all := s.again(GenerateChanges(seed), 2)
		require.Greater(t, len(all[0]), 200, "a trace of messages")
		require.Empty(t, difference(all[0], all[1]), "seed %d", seed)
	}
}

// TestTurnsMakeAnotherRun: one schedule in which whoever is woken at one moment acts in another order. Traces can differ.
func TestTurnsMakeAnotherRun(t *testing.T) {
	s, text := newStage(t), Generate(2)
	one, other := s.again(text, 1)[0], s.again(strings.Replace(text, "turns 2", "turns 3", 1), 1)[0]
	require.NotEmpty(t, difference(one, other))
	require.Contains(t, difference([]string{"a", "b"}, []string{"a", "c"}), "line 1 of 2 and 2")
	require.Contains(t, difference([]string{"a"}, []string{"a", "c"}), "line 1 of 1 and 2")
	require.Empty(t, difference([]string{"a"}, []string{"a"}))
}

// TestRepeat plays schedules several times, when asked to, and says how many of them ran one way.
func TestRepeat(t *testing.T) {
	if *repeat == 0 {
		t.Skip("wants -campaign.repeat")
	}
	s, same := newStage(t), uint64(0)
	for i := range uint64(*schedules) {
		all, traces := s.again(written()(*first+i), *repeat), map[string]bool{}
		for _, trace := range all {
			traces[strings.Join(trace, "\n")] = true
			if d := difference(all[0], trace); d != "" {
				t.Errorf("seed %d: %s", *first+i, d)
			}
		}
		if len(traces) == 1 {
			same++
		}
		fmt.Printf("repeat: seed=%d plays=%d traces=%d lines=%d\n", *first+i, *repeat, len(traces), len(all[0]))
	}
	fmt.Printf("repeat: seeds=%d plays=%d one_way=%d\n", *schedules, *repeat, same)
}

// difference is the first line in which two traces differ, with those before it; empty: they are one.
func difference(a, b []string) string {
	if slices.Equal(a, b) {
		return ""
	}
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-4)
	rest := func(lines []string) string { return strings.Join(lines[from:min(len(lines), i+4)], "\n") }
	return fmt.Sprintf("line %d of %d and %d:\n%s\n\nand:\n%s", i, len(a), len(b), rest(a), rest(b))
}
