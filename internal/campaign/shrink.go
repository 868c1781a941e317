package campaign

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Cause names what a schedule failed of, so that a smaller one that fails of something else is not taken for it: the
// invariant, or the line without its numbers.
func Cause(err error) string {
	if err == nil {
		return ""
	}
	if m := invariant.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	text := err.Error()
	if m := failedLine.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	return strings.TrimSpace(numbers.ReplaceAllString(text, "N"))
}

var (
	invariant  = regexp.MustCompile(`(?:^|[\s:])(I\d+|outbox): `)
	failedLine = regexp.MustCompile(`^[^:]*:\d+: ([^:]*):`)
	numbers    = regexp.MustCompile(`\d+`)
)

// Shrink makes a failing schedule small: it leaves out lines, many at a time and then single ones, as long as what is left
// fails of the same cause, and then shortens waits. tries bounds how often fails may be asked.
func Shrink(text string, fails func(text string) error, tries int) string {
	s := shrinker{fails: fails, tries: tries, lines: body(text)}
	s.cause = Cause(fails(text))
	if s.cause == "" {
		return text
	}
	for size := max(1, len(s.lines)/2); ; {
		smaller := s.leaveOut(size)
		switch {
		case s.tries <= 0:
			return s.text()
		case size > 1:
			size /= 2
		case !smaller:
			s.hurry()
			return s.text()
		}
	}
}

// body is a schedule's lines without what is for people.
func body(text string) (lines []string) {
	for _, l := range strings.Split(text, "\n") {
		l, _, _ = strings.Cut(l, "#")
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

type shrinker struct {
	fails func(string) error
	tries int
	lines []string
	cause string
}

func (s *shrinker) text() string { return strings.Join(s.lines, "\n") + "\n" }

// mended is a line that stays: without it nobody is owed anything in the end.
const mended = "everything is healed"

// take keeps other lines when they fail of the same cause.
func (s *shrinker) take(lines []string) bool {
	if s.tries <= 0 || len(lines) == 0 || slices.Contains(lines, mended) != slices.Contains(s.lines, mended) {
		return false
	}
	s.tries--
	if Cause(s.fails(strings.Join(lines, "\n")+"\n")) != s.cause {
		return false
	}
	s.lines = lines
	return true
}

// leaveOut tries to do without each run of size lines.
func (s *shrinker) leaveOut(size int) (smaller bool) {
	for at := 0; at+size <= len(s.lines); {
		without := append(append([]string{}, s.lines[:at]...), s.lines[at+size:]...)
		if s.take(without) {
			smaller = true
			continue
		}
		at += size
	}
	return smaller
}

// hurry halves waits while it can.
func (s *shrinker) hurry() {
	for i := range s.lines {
		for {
			rest, ok := strings.CutPrefix(s.lines[i], "wait ")
			d, err := time.ParseDuration(rest)
			if !ok || err != nil || d < 2*time.Millisecond {
				break
			}
			shorter := append([]string{}, s.lines...)
			shorter[i] = "wait " + (d / 2).Round(time.Millisecond).String()
			if !s.take(shorter) {
				break
			}
		}
	}
}
