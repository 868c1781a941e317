package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
)

// The sizes that are measured.
const (
	rateEvents, rateAccounts   = 1_000_000, 100_000
	relayEvents                = 300_000
	floorEvents, floorAccounts = 200_000, 100_000
	largeEvents, largeAccounts = 5_000_000, 1_000_000

	// rateRuns is how often the rates are measured; the median stands.
	rateRuns = 3
	// rssEvery is how often the memory of a replay is looked at, between two commits.
	rssEvery = 20 * time.Millisecond
	// childSays tells a process of ours what to measure.
	childSays = "CONCLAVE_BENCH_REPLAY"
)

// replay measures how fast and in how much memory books are replayed. Each replay is a process of its own.
func replay(ctx context.Context) error {
	if job := os.Getenv(childSays); job != "" {
		return replayChild(ctx, job)
	}
	dir, err := os.MkdirTemp("", "conclave-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "log")
	if err := record(path, generate(rateEvents, rateAccounts)); err != nil {
		return err
	}
	if err := rates(ctx, "replay_rate", replayJob{Log: path, Accounts: rateAccounts}); err != nil {
		return err
	}
	if err := rates(ctx, "replay_rate_relay", replayJob{Relay: relayEvents, Accounts: rateAccounts}); err != nil {
		return err
	}
	noise := floor(ctx, filepath.Join(dir, "floor"))
	if noise != nil && !errors.Is(noise, errNoisy) {
		return noise
	}
	if err := record(path, generate(largeEvents, largeAccounts)); err != nil {
		return err
	}
	large, err := replayIn(ctx, replayJob{Log: path, Accounts: largeAccounts})
	if err != nil {
		return err
	}
	fmt.Printf("replay_rate_large %.0f events/s\nreplay_rss %.0f MB\nrestart_ready %.3f s\nreplay_size_large %.0f MB/Mevents\n",
		large.Rate, large.RSS, large.Restart, large.Size)
	return noise
}

// rates prints the median rate of some replays, and what the books take on disk.
func rates(ctx context.Context, name string, job replayJob) error {
	var all []float64
	var last replayFigures
	for range rateRuns {
		f, err := replayIn(ctx, job)
		if err != nil {
			return err
		}
		all, last = append(all, f.Rate), f
	}
	fmt.Printf("%s %.0f events/s\n", name, median(all))
	if job.Relay == 0 {
		fmt.Printf("replay_size %.0f MB/Mevents\nreplay_size_compact %.0f MB/Mevents\n", last.Size, last.Compact)
	}
	return nil
}

// floor compares the books with a bare writer of the same records in the same commits.
func floor(ctx context.Context, path string) error {
	if err := record(path, generate(floorEvents, floorAccounts)); err != nil {
		return err
	}
	if err := os.Setenv("CONCLAVE_BENCH_LOG", path); err != nil {
		return err
	}
	bench, err := build(ctx, "./ledger")
	if err != nil {
		return err
	}
	defer bench.close()
	names := map[side]string{plain: "BenchmarkReplayFloor", full: "BenchmarkReplayBooks"}
	return untilQuiet(ctx, func(s side) (float64, error) { return bench.time(ctx, names[s]) }, func(m measured) {
		fmt.Printf("replay_vs_floor %.3f ratio\n", 1/m.ratio()) // of rates: 1 is as fast as the bare writer
	})
}

// replayJob is what one process measures: a recorded log, or so many events of a simulated Relay.
type replayJob struct {
	Log             string
	Relay, Accounts int
}

type replayFigures struct {
	Rate    float64 // events a second
	RSS     float64 // MB of RssAnon at the most
	Restart float64 // seconds until the books answer again
	Size    float64 // MB of the file for a million events
	Compact float64 // the same after a compaction
}

// replayIn measures in a process of its own.
func replayIn(ctx context.Context, job replayJob) (f replayFigures, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return f, err
	}
	cmd := exec.CommandContext(ctx, self, "replay")
	cmd.Env = append(os.Environ(), childSays+"="+string(raw))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("replay in a process of its own: %w", err)
	}
	return f, json.Unmarshal(out, &f)
}

func replayChild(ctx context.Context, text string) error {
	var job replayJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	limit, percent := ledger.ReplayMemory(uint64(job.Accounts)) // as `conclave ledger replay` does
	debug.SetMemoryLimit(limit)
	debug.SetGCPercent(percent)
	dir, err := os.MkdirTemp("", "conclave-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	log := recorded(job.Log)
	if job.Relay > 0 {
		relay, stop, err := relayLog(ctx, job.Relay, job.Accounts)
		if err != nil {
			return err
		}
		defer stop()
		log = relay
	}
	l, err := ledger.Open(dir, common.Hash{1})
	if err != nil {
		return err
	}
	in := ledger.Intake{Now: 1, FeeAddress: benchFeeAccount}
	in.Policy.UncoveredMax.SetAllOne()
	in.Policy.UncoveredMax.Rsh(&in.Policy.UncoveredMax, 1)
	peak := watchRSS()
	began := time.Now()
	out, err := l.Replay(ctx, log, in, nil)
	took := time.Since(began).Seconds()
	f := replayFigures{Rate: float64(out.Events) / took, RSS: peak()}
	if err = errors.Join(err, l.Close()); err != nil {
		return err
	}
	if f.Restart, err = restart(dir); err != nil {
		return err
	}
	c, err := ledger.Compact(dir, nil)
	if err != nil {
		return err
	}
	f.Size, f.Compact = float64(c.Before)/float64(out.Events), float64(c.After)/float64(out.Events)
	return json.NewEncoder(os.Stdout).Encode(f)
}

// restart is how long a node waits for its books: until they are open, known to be no older copy, and give their root.
func restart(dir string) (float64, error) {
	began := time.Now()
	l, err := ledger.Open(dir, common.Hash{1})
	if err != nil {
		return 0, err
	}
	err = errors.Join(l.Rollback(), l.View(func(tx *ledger.Tx) error { _, err := tx.Totals(); return err }))
	took := time.Since(began).Seconds()
	return took, errors.Join(err, l.Close())
}

// watchRSS looks at this process's anonymous memory until it is asked for the most that it saw, in MB.
func watchRSS() (peak func() float64) {
	stop, most := make(chan struct{}), make(chan float64)
	go func() {
		tick := time.NewTicker(rssEvery)
		defer tick.Stop()
		high := 0.0
		for {
			select {
			case <-tick.C:
				high = max(high, rssAnon())
			case <-stop:
				most <- max(high, rssAnon())
				return
			}
		}
	}()
	return func() float64 { close(stop); return <-most }
}

// rssAnon reads RssAnon, MB; 0 where there is no /proc.
func rssAnon() float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "RssAnon:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kb, _ := strconv.ParseFloat(fields[0], 64)
	return kb * 1024 / 1e6
}
