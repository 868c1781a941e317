package campaign

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sortedMoments is a trace whose lines of one moment have one order: what remains different happened at another time, or not at
// all.
func sortedMoments(trace []string) string {
	lines := slices.Clone(trace)
	slices.SortStableFunc(lines, func(a, b string) int {
		at, bt := a[:min(9, len(a))], b[:min(9, len(b))]
		if at != bt {
			return 0 // as they came: time does not go back
		}
		return strings.Compare(a, b)
	})
	return strings.Join(lines, "\n")
}

// outcomes is what was decided and paid, whenever that was.
func outcomes(trace []string) string {
	var out []string
	for _, l := range trace {
		if strings.Contains(l, ": decided ") || strings.Contains(l, ": paid ") {
			out = append(out, l[9:])
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// TestRepeat plays the schedule of one seed several times, when asked to, and says how far the plays agree.
func TestRepeat(t *testing.T) {
	if *repeat == 0 {
		t.Skip("wants -campaign.repeat")
	}
	s := newStage(t)
	text := Generate(*first)
	whole, moments, ends := map[string]int{}, map[string]int{}, map[string]int{}
	var before []string
	for range *repeat {
		_, err := s.play(text)
		require.NoError(t, err)
		whole[strings.Join(s.trace, "\n")]++
		moments[sortedMoments(s.trace)]++
		ends[outcomes(s.trace)]++
		if before != nil {
			t.Log(difference(before, s.trace))
		}
		before = slices.Clone(s.trace)
	}
	fmt.Printf("repeat: seed=%d plays=%d traces=%d but_for_order_within_a_moment=%d decisions_and_payments=%d\n", *first, *repeat, len(whole), len(moments), len(ends))
}

// difference is the first line in which two traces differ.
func difference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d of %d: %.150s\n     and: %.150s", i, len(a), a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines and %d lines", len(a), len(b))
}
