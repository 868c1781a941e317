package agreement

import (
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
//	begin I…                           these have work
//	builds I NAME                      member I would propose the value NAME
//	idle I                             member I has nothing to propose
//	cut I… / heal                      these neither hear nor are heard / all links work
//	mute I KIND                        what I says of this kind is lost: proposal, prevote, precommit
//	kill I / start I                   a crash that keeps the disk / a restart
//	forge I propose R NAME to J…       member I signs, and shows it to these
//	forge I prevote|precommit R NAME to J…
//	run D                              time passes
//	state                              where everyone stands
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 6)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			got := (&scenario{cut: map[int]bool{}, mute: map[string]bool{}}).play(t, string(raw))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(raw), got)
		})
	}
}

type scenario struct {
	w    *world
	out  strings.Builder
	cut  map[int]bool
	mute map[string]bool
}

// play returns the file with the outcome that it has now.
func (s *scenario) play(t *testing.T, file string) string {
	var result strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(file), "\n\n") {
		commands, _, _ := strings.Cut(block+"\n", "----\n")
		s.out.Reset()
		for line := range strings.Lines(commands) {
			if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
				s.do(t, words)
			}
		}
		result.WriteString(commands)
		if s.out.Len() > 0 {
			result.WriteString("----\n" + s.out.String())
		}
		result.WriteString("\n")
	}
	require.Empty(t, s.w.broken)
	return strings.TrimSpace(result.String()) + "\n"
}

func (s *scenario) do(t *testing.T, words []string) {
	args := words[1:]
	number := func(i int) int { return must(strconv.Atoi(args[i])) }
	switch words[0] {
	case "members":
		s.w = newWorld(number(0), 1)
		s.w.onTrace = func(line string) { fmt.Fprintln(&s.out, line) }
		s.w.fate = func(from, to int) (time.Duration, bool) { return 10 * time.Millisecond, s.cut[from] || s.cut[to] }
		s.w.lose = func(from int, kind quorum.Kind) bool { return s.mute[fmt.Sprint(from, kind)] }
	case "evil":
		s.w.nodes[number(0)].evil, s.w.nodes[number(0)].state = true, nil
	case "begin":
		for i := range args {
			s.w.nodes[number(i)].begin()
		}
	case "builds":
		s.w.nodes[number(0)].builds = args[1]
	case "idle":
		s.w.nodes[number(0)].idle = true
	case "cut":
		for i := range args {
			s.cut[number(i)] = true
		}
	case "heal":
		clear(s.cut)
		clear(s.mute)
	case "mute":
		s.mute[fmt.Sprint(number(0), quorum.Kind(args[1]))] = true
	case "kill":
		s.w.nodes[number(0)].down()
	case "start":
		s.w.nodes[number(0)].restart()
	case "forge":
		s.forge(number(0), args[1], uint64(number(2)), args[3], args[5:])
	case "run":
		s.w.run(must(time.ParseDuration(args[0])), func() bool { return false })
	case "state":
		for _, part := range strings.Split(strings.TrimSuffix(s.w.describe(), "; "), "; ") {
			fmt.Fprintln(&s.out, part)
		}
	default:
		t.Fatalf("unknown command %q", words[0])
	}
}

func (s *scenario) forge(as int, what string, round uint64, name string, to []string) {
	id := none
	if name != "nil" {
		id = s.w.name(name)
	}
	send := Send{}
	switch what {
	case "propose":
		send.Proposal = s.w.ring.propose(as, round, id, quorum.NoRound)
	default:
		phase := map[string]quorum.Phase{"prevote": quorum.Prevote, "precommit": quorum.Precommit}[what]
		send.Votes = []quorum.Signed[quorum.Vote]{s.w.ring.say(as, phase, round, id)}
		s.w.noteVote(as, send.Votes[0].Body())
	}
	for _, i := range to {
		s.w.post(parcel{from: as, to: must(strconv.Atoi(i)), send: &send})
	}
}
