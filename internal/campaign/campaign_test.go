package campaign

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/internal/scenario"
	"conclave/internal/simnet"
)

var (
	schedules = flag.Int("campaign.schedules", 12, "how many schedules to play")
	first     = flag.Uint64("campaign.seed", 0, "the first seed; the others follow. 0: a random one, which is printed")
	replay    = flag.String("campaign.replay", "", "a file with one schedule, played instead")
	repeat    = flag.Int("campaign.repeat", 0, "play the schedule of each seed so often and compare the traces")
	journal   = flag.String("campaign.journal", "", "a file that holds the seed of the schedule being played")
	keep      = flag.String("campaign.keep", "", "a folder for what failed, made small")
	changes   = flag.Bool("campaign.changes", false, "operators ask for other committees too")
	tries     = flag.Int("campaign.tries", 200, "how many plays making a failing schedule small may take")
)

// stage plays schedules.
type stage struct {
	t     *testing.T
	cfg   simnet.Config
	whole bool // the trace holds every message too
	plays int

	mu    sync.Mutex // guards trace
	trace []string
}

func newStage(t *testing.T) *stage {
	key, err := simnet.LoadFixture()
	require.NoError(t, err)
	return &stage{t: t, cfg: simnet.Config{Key: key, Poll: 2 * time.Second, Strict: true, Stagger: 7*time.Millisecond + 300*time.Microsecond}}
}

// play runs one schedule in a bubble of its own.
func (s *stage) play(text string) (report simnet.Report, err error) {
	s.plays++
	s.trace = nil
	dir := filepath.Join(s.t.TempDir(), fmt.Sprint(s.plays))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	script, err := scenario.Parse("schedule", text)
	if err != nil {
		return report, err
	}
	cfg := s.cfg
	cfg.Dir, cfg.Trace = dir, s.write
	if s.whole {
		cfg.Hear = func(h simnet.Heard) {
			s.write(fmt.Sprintf("%s  %s %s %d>%d %x", h.Sent.Format("04:05.000000000"), h.Kind, h.Name, h.FromNode, h.ToNode, sha256.Sum256(h.Data)))
		}
	}
	synctest.Test(s.t, func(t *testing.T) {
		report, err = script.Run(t.Context(), cfg)
	})
	return report, err
}

func (s *stage) write(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, line)
}

func (s *stage) fails(text string) error {
	_, err := s.play(text)
	return err
}

// TestSchedules plays random schedules. In the suite these are a few; .ci/campaign plays hundreds.
func TestSchedules(t *testing.T) {
	s := newStage(t)
	if *replay != "" {
		text, err := os.ReadFile(*replay)
		require.NoError(t, err)
		_, err = s.play(string(text))
		t.Log("\n" + strings.Join(s.trace, "\n"))
		require.NoError(t, err)
		return
	}
	seed := *first
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	began, sum := time.Now(), tally{}
	for i := range uint64(*schedules) {
		text := written()(seed + i)
		if *journal != "" { // what is on the way when the whole process ends
			require.NoError(t, os.WriteFile(*journal, fmt.Appendf(nil, "%d\n", seed+i), 0o600))
		}
		report, err := s.play(text)
		sum.add(text, s.trace, report, err)
		if err != nil {
			s.failed(seed+i, text, err)
		}
	}
	sum.print(seed, uint64(*schedules), time.Since(began))
}

// written is who writes the schedules.
func written() func(uint64) string {
	if *changes {
		return GenerateChanges
	}
	return Generate
}

// failed tells how a schedule failed, and leaves a small one.
func (s *stage) failed(seed uint64, text string, err error) {
	trace := s.trace
	small := Shrink(text, s.fails, *tries)
	s.t.Errorf("seed %d: %v\n\nthe schedule:\n%s\nmade small:\n%s\nthe trace of the whole:\n%s", seed, err, text, small, strings.Join(trace, "\n"))
	if *keep == "" {
		return
	}
	head := fmt.Sprintf("# Seed %d failed: %s\n", seed, strings.ReplaceAll(err.Error(), "\n", "\n# "))
	file := filepath.Join(*keep, fmt.Sprintf("seed-%d.txt", seed))
	require.NoError(s.t, os.WriteFile(file, []byte(head+small), 0o600))
	require.NoError(s.t, os.WriteFile(file+".trace", []byte(text+"\n"+strings.Join(trace, "\n")), 0o600))
}

// TestGenerateIsAFunctionOfItsSeed: and everything that it writes is understood.
func TestGenerateIsAFunctionOfItsSeed(t *testing.T) {
	for seed := range uint64(300) {
		for _, write := range []func(uint64) string{Generate, GenerateChanges} {
			text := write(seed)
			require.Equal(t, text, write(seed))
			_, err := scenario.Parse("schedule", text)
			require.NoError(t, err)
		}
	}
}
