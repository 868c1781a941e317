package agreement

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

var rewrite = flag.Bool("rewrite", false, "write what the scenarios and golden files say now")

// TestScenarios plays testdata/*.txt: each block is commands, a line of dashes, and what came of them. Commands:
//
//	members N                          a committee; nI proposes in round I
//	evil I                             member I does only what the file says
//	twin I                             a further machine runs with the key of member I: its place is the next number
//	begin I…                           these have work
//	builds I NAME                      I would propose the value NAME
//	idle I / halt I                    I has nothing to propose / is halted: no new values
//	cut I… / heal                      these neither hear nor are heard / all links work
//	mute I KIND                        what I says of this kind is lost: proposal, prevote, precommit
//	part R KIND I… | I… [| …]          what is said of this kind and round stays on its side
//	kill I / start I                   a crash that keeps the disk / a restart
//	clock I D                          the clock of I jumps
//	forge, show, tell, give, ask       what an evil member does: see forgery
//	run D                              time passes
//	state                              where everyone stands
//	healed                             all links work, all are up, not halted, and have work
//	decide D                           time passes until all have decided; it must not take longer, nor f+2 rounds
//
// What a recorded schedule consists of; K counts from 0, on each link and at each machine:
//
//	lose|delay|twice I J K [D]         the message K from I to J is lost, takes D, comes again after D
//	crash I K D                        I crashes at its boundary K between two effects, and is back after D
//	at T COMMAND…                      the command when that much time has passed
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 6)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			s := newScenario()
			got, err := s.play(string(raw))
			require.NoError(t, err)
			require.Empty(t, s.w.broken)
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(raw), got)
		})
	}
}

type scenario struct {
	w      *world
	out    strings.Builder
	quiet  bool
	spoil  func(w *world) // breaks a rule
	cut    map[int]bool
	mute   map[string]bool
	fates  map[[3]int]fate
	falls  map[[2]int]time.Duration
	links  map[[2]int]int
	bounds map[int]int
	err    error // of a command that came later
}

func newScenario() *scenario {
	return &scenario{
		cut: map[int]bool{}, mute: map[string]bool{}, fates: map[[3]int]fate{}, falls: map[[2]int]time.Duration{},
		links: map[[2]int]int{}, bounds: map[int]int{},
	}
}

// play returns the file with the outcome that it has now. What breaks is at its end and in the world; then nothing else
// is done.
func (s *scenario) play(file string) (string, error) {
	var result strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(file), "\n\n") {
		commands, _, _ := strings.Cut(block+"\n", "----\n")
		s.out.Reset()
		for line := range strings.Lines(commands) {
			if err := s.line(line); err != nil {
				return "", fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
			}
		}
		result.WriteString(commands)
		if s.out.Len() > 0 {
			result.WriteString("----\n" + s.out.String())
		}
		result.WriteString("\n")
	}
	return strings.TrimSpace(result.String()) + "\n", s.err
}

func (s *scenario) line(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] == "#" || (s.w != nil && len(s.w.broken) > 0) {
		return nil
	}
	if err := s.do(words); err != nil {
		return err
	}
	if s.w != nil && !s.quiet {
		for _, b := range s.w.broken {
			fmt.Fprintf(&s.out, "broken: %s\n", b)
		}
	}
	return nil
}

var errCommand = errors.New("no such command")

// do runs one command. What the files say wrong panics, at the latest in the world: they are our own.
func (s *scenario) do(words []string) error {
	args := words[1:]
	number := func(i int) int { return must(strconv.Atoi(args[i])) }
	span := func(i int) time.Duration { return must(time.ParseDuration(args[i])) }
	if words[0] == "members" {
		s.open(number(0))
		return nil
	}
	if s.onMachines(words[0], args, number, span) || s.onLinks(words[0], args, number, span) {
		return nil
	}
	switch words[0] {
	case "run":
		s.w.run(span(0), func() bool { return false })
	case "healed":
		clear(s.cut)
		clear(s.mute)
		s.w.heal()
	case "decide":
		s.w.settle(span(0))
	case "forge", "show", "tell", "give", "ask":
		f, err := parseForgery(words)
		if err != nil {
			return err
		}
		s.w.forge(f)
	case "at":
		s.w.in(span(0)-s.w.now, &parcel{do: func() {
			s.w.trace("%s", strings.Join(args[1:], " "))
			s.err = errors.Join(s.err, s.do(args[1:]))
		}})
	case "state":
		for _, part := range strings.Split(strings.TrimSuffix(s.w.describe(), "; "), "; ") {
			fmt.Fprintln(&s.out, part)
		}
	default:
		return errCommand
	}
	return nil
}

func (s *scenario) open(n int) {
	s.w = newWorld(n)
	if s.spoil != nil {
		s.spoil(s.w)
	}
	if !s.quiet {
		s.w.onTrace = func(line string) { fmt.Fprintln(&s.out, line) }
	}
	s.w.fate = func(p *parcel) fate {
		link := [2]int{p.from, p.to}
		k := s.links[link]
		s.links[link]++
		f, ok := s.fates[[3]int{p.from, p.to, k}]
		if !ok {
			f = usual
		}
		f.lost = f.lost || s.cut[p.from] || s.cut[p.to]
		return f
	}
	s.w.calm = s.w.fate
	s.w.lose = func(_ *parcel, from int, kind quorum.Kind) bool {
		return len(s.mute) > 0 && s.mute[fmt.Sprint(from, kind)]
	}
	s.w.crash = func(place int) (time.Duration, bool) {
		k := s.bounds[place]
		s.bounds[place]++
		rest, ok := s.falls[[2]int{place, k}]
		return rest, ok
	}
}

// onMachines are the commands about machines.
func (s *scenario) onMachines(command string, args []string, number func(int) int, span func(int) time.Duration) bool {
	switch command {
	case "evil":
		n := s.w.nodes[number(0)]
		n.evil, n.liar, n.state = true, true, nil
	case "twin":
		s.w.addTwin(number(0))
	case "begin":
		for i := range args {
			s.w.nodes[number(i)].begin()
		}
	case "builds":
		s.w.nodes[number(0)].builds = args[1]
	case "idle":
		s.w.nodes[number(0)].idle = true
	case "halt":
		s.w.nodes[number(0)].halted = true
	case "kill":
		s.w.nodes[number(0)].down()
	case "start":
		s.w.nodes[number(0)].restart()
	case "clock":
		s.w.nodes[number(0)].jump(span(1))
	case "crash":
		s.falls[[2]int{number(0), number(1)}] = span(2)
	default:
		return false
	}
	return true
}

// onLinks are the commands about the network.
func (s *scenario) onLinks(command string, args []string, number func(int) int, span func(int) time.Duration) bool {
	change := func(how func(f *fate)) {
		key := [3]int{number(0), number(1), number(2)}
		f, ok := s.fates[key]
		if !ok {
			f = usual
		}
		how(&f)
		s.fates[key] = f
	}
	switch command {
	case "lose":
		change(func(f *fate) { f.lost = true })
	case "delay":
		change(func(f *fate) { f.after = span(3) })
	case "twice":
		change(func(f *fate) { f.again = span(3) })
	case "cut":
		for i := range args {
			s.cut[number(i)] = true
		}
	case "heal":
		clear(s.cut)
		clear(s.mute)
	case "mute":
		s.mute[fmt.Sprint(number(0), quorum.Kind(args[1]))] = true
	case "part":
		sides := make([]int, len(s.w.nodes))
		side := 0
		for i, word := range args[2:] {
			if word == "|" {
				side++
				continue
			}
			sides[number(i+2)] = side
		}
		s.w.parts[partKey{uint64(number(0)), quorum.Kind(args[1])}] = sides
	default:
		return false
	}
	return true
}
