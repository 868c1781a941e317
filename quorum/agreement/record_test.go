package agreement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"conclave/quorum"
)

// recorder writes a schedule down while it runs, as the commands of a scenario. A nil recorder writes nothing.
type recorder struct {
	lines  []string
	tail   []string
	links  map[[2]int]int
	bounds map[int]int
}

func newRecorder() *recorder { return &recorder{links: map[[2]int]int{}, bounds: map[int]int{}} }

func (r *recorder) note(format string, args ...any) {
	if r != nil {
		r.lines = append(r.lines, fmt.Sprintf(format, args...))
	}
}

// end notes what comes after all that only takes effect later.
func (r *recorder) end(format string, args ...any) {
	if r != nil {
		r.tail = append(r.tail, fmt.Sprintf(format, args...))
	}
}

// attach listens to what the network, the machines and the liars do from now on.
func (r *recorder) attach(w *world) {
	if r == nil {
		return
	}
	w.fate, w.calm = r.fates(w.fate), r.fates(w.calm)
	w.onForge = func(f forgery) { r.note("at %s %s", w.now, f) }
	crash := w.crash
	if crash == nil {
		return
	}
	w.crash = func(place int) (time.Duration, bool) {
		rest, down := crash(place)
		if down {
			r.note("crash %d %d %s", place, r.bounds[place], rest)
		}
		r.bounds[place]++
		return rest, down
	}
}

func (r *recorder) fates(of func(*parcel) fate) func(*parcel) fate {
	return func(p *parcel) fate {
		f := usual
		if of != nil {
			f = of(p)
		}
		link := [2]int{p.from, p.to}
		k := r.links[link]
		r.links[link]++
		switch {
		case f.lost:
			r.note("lose %d %d %d", p.from, p.to, k)
		case f.after != usual.after:
			r.note("delay %d %d %d %s", p.from, p.to, k, f.after)
		}
		if f.again > 0 {
			r.note("twice %d %d %d %s", p.from, p.to, k, f.again)
		}
		return f
	}
}

func (r *recorder) part(round uint64, kind quorum.Kind, sides []int) {
	if r == nil || slices.Max(sides) == 0 {
		return
	}
	var groups []string
	for side := range slices.Max(sides) + 1 {
		var group []string
		for place, s := range sides {
			if s == side {
				group = append(group, fmt.Sprint(place))
			}
		}
		groups = append(groups, strings.Join(group, " "))
	}
	r.note("part %d %s %s", round, kind, strings.Join(groups, " | "))
}

func (r *recorder) text() []string { return append(slices.Clone(r.lines), r.tail...) }

// replay plays commands and returns what broke, a panic included.
func replay(lines []string, spoil func(*world)) string {
	broken, _ := replayed(lines, spoil)
	return broken
}

// replayed also says how many things happened.
func replayed(lines []string, spoil func(*world)) (broken string, steps int) {
	s := newScenario()
	s.quiet, s.spoil = true, spoil
	defer func() {
		if r := recover(); r != nil {
			broken = fmt.Sprintf("panic: %v", r)
		}
		if s.w != nil {
			steps = s.w.steps
		}
	}()
	if _, err := s.play(strings.Join(lines, "\n")); err != nil {
		return "error: " + err.Error(), 0
	}
	if len(s.w.broken) > 0 {
		return s.w.broken[0], 0
	}
	return "", 0
}

// mostSteps bounds how long a schedule is made smaller: a few seconds. One that is stuck steps until patience ends.
const mostSteps = 1_000_000

// shrink leaves out commands as long as the same rule breaks: in halves, quarters, down to single ones, until none can go
// any more; then it shortens the time.
func shrink(lines []string, spoil func(*world)) []string {
	rule, _, _ := strings.Cut(replay(lines, spoil), ":")
	if rule == "" {
		return lines
	}
	left := mostSteps
	fails := func(lines []string) bool {
		if left <= 0 {
			return false
		}
		broken, steps := replayed(lines, spoil)
		left -= steps
		got, _, _ := strings.Cut(broken, ":")
		return got == rule
	}
	for chunk := (len(lines) + 1) / 2; chunk > 0; {
		before := len(lines)
		for at := 1; at < len(lines); {
			fewer := slices.Delete(slices.Clone(lines), at, min(at+chunk, len(lines)))
			if fails(fewer) {
				lines = fewer
			} else {
				at += chunk
			}
		}
		if chunk > 1 {
			chunk /= 2
		} else if len(lines) == before {
			break
		}
	}
	return shorten(lines, fails)
}

// shorten halves the times of 'run' and makes delays usual.
func shorten(lines []string, fails func([]string) bool) []string {
	for i, line := range lines {
		words := strings.Fields(line)
		if words[0] != "run" {
			continue
		}
		for d := must(time.ParseDuration(words[1])) / 2; d > 10*time.Millisecond; d /= 2 {
			shorter := slices.Clone(lines)
			shorter[i] = "run " + d.Round(time.Millisecond).String()
			if !fails(shorter) {
				break
			}
			lines = shorter
		}
	}
	return lines
}

// scenarioOf makes a failing schedule a file that a person can read: what it takes, and what comes of it.
func scenarioOf(title string, lines []string, spoil func(*world)) string {
	s := newScenario()
	s.spoil = spoil
	text := "# " + title + "\n" + strings.Join(lines, "\n") + "\n"
	got, err := s.play(text)
	if err != nil {
		return text + "----\nerror: " + err.Error() + "\n"
	}
	return got
}
