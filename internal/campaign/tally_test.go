package campaign

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"conclave/internal/simnet"
)

// tally adds up what schedules exercised, so that a count of them is not empty.
type tally struct {
	violations, decisions, paid, said, equal, locked, turned, bounds int
	decided                                                          map[string]int // decisions of rare kinds
	lines                                                            map[string]int
	settled                                                          []float64 // seconds from the last question until everything was paid
}

// exercised are the kinds of lines that are counted, by the words that they begin with.
func exercised() []string {
	return []string{"storm", "partition", "lose", "kill", "restart", "crash", "power cut", "disk", "put the", "clock", "relay lies", "relay is silent", "relay fails",
		"chain loses", "chain is down", "chain is too dear", "twin", "puppet", "operator", "operators would have", "user"}
}

var clock = regexp.MustCompile(`^\s*([0-9.]+)s  (> wait within 5m until all|end: )`)

// rare are kinds of decisions that few schedules come to, by what they are called in the line.
func rare() map[string]string {
	return map[string]string{"MEMBERS": "member_changes", "CANCEL": "cancels"}
}

// decision is one of them, by its height.
var decision = regexp.MustCompile(`decided .*height=\d+ .*kind=(MEMBERS|CANCEL)`)

func (y *tally) add(text string, trace []string, r simnet.Report, err error) {
	if y.lines == nil {
		y.lines, y.decided = map[string]int{}, map[string]int{}
	}
	if err != nil {
		y.violations++
	}
	y.decisions, y.paid, y.said, y.equal, y.locked, y.turned = y.decisions+r.Decisions, y.paid+r.Paid, y.said+r.Said, y.equal+r.Equal, y.locked+r.Locked, y.turned+r.Turned
	y.bounds += r.Bounds
	for _, l := range strings.Split(text, "\n") {
		for _, kind := range exercised() {
			if strings.HasPrefix(l+" ", kind+" ") {
				y.lines[kind]++
			}
		}
	}
	known := map[string]bool{}
	var at []float64
	for _, l := range trace {
		if m := decision.FindStringSubmatch(l); m != nil && !known[m[0]] {
			known[m[0]] = true
			y.decided[m[1]]++
		}
		if m := clock.FindStringSubmatch(l); m != nil {
			s, _ := strconv.ParseFloat(m[1], 64) // digits, by the expression
			at = append(at, s)
		}
	}
	if len(at) == 2 {
		y.settled = append(y.settled, at[1]-at[0])
	}
}

// print writes one line that .ci/campaign adds up.
func (y *tally) print(seed, n uint64, took time.Duration) {
	slices.Sort(y.settled)
	at := func(share float64) float64 {
		if len(y.settled) == 0 {
			return 0
		}
		return y.settled[int(share*float64(len(y.settled)-1))]
	}
	fmt.Printf("nodes: seeds=%d..%d schedules=%d violations=%d decisions=%d payments=%d statements=%d equal_books=%d locked_prevotes=%d turned=%d bounds=%d", seed, seed+n-1, n, y.violations, y.decisions, y.paid, y.said, y.equal, y.locked, y.turned, y.bounds)
	for _, kind := range slices.Sorted(maps.Keys(rare())) {
		fmt.Printf(" %s=%d", rare()[kind], y.decided[kind])
	}
	for _, kind := range exercised() {
		fmt.Printf(" %s=%d", strings.ReplaceAll(kind, " ", "_"), y.lines[kind])
	}
	fmt.Printf(" settled_p50=%.0fs settled_p99=%.0fs settled_max=%.0f seconds=%.0f rate=%.1f/s\n", at(0.5), at(0.99), at(1), took.Seconds(), float64(n)/took.Seconds())
}
