package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"conclave/internal/devnet"
)

const (
	// idleSettles is how long a network that has its key is left alone before it is measured.
	idleSettles = 20 * time.Second
	// idleFor is how long it is measured; the figure is for an hour.
	idleFor = 2 * time.Minute
)

// idle measures what four custodians of a network that has a key and nothing to pay use: a block a second arrives, the
// Relay is asked, VIEWs go round. Linux only, as the figures come from /proc.
func idle(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "conclave-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- devnet.Run(ctx, devnet.Options{Nodes: 4, Dir: dir, Network: "devnet", Out: io.Discard, Err: os.Stderr})
	}()
	seconds, err := idleSeconds(dir, ended)
	stop()
	if err == nil {
		err = <-ended
	}
	if err == nil || errors.Is(err, context.Canceled) {
		fmt.Printf("idle_cpu_per_hour %.0f s\n", seconds*float64(time.Hour/idleFor)/4)
		return nil
	}
	return err
}

// idleSeconds is the processor time of all custodians together while they idle.
func idleSeconds(dir string, ended <-chan error) (float64, error) {
	var pids []int
	for deadline := time.Now().Add(networkPatience); len(pids) == 0; {
		select {
		case err := <-ended:
			return 0, errors.Join(errors.New("the network ended before it was measured"), err)
		case <-time.After(time.Second):
		}
		if time.Now().After(deadline) {
			return 0, errors.New("the network has no key yet")
		}
		pids = keyed(filepath.Join(dir, "devnet.json"))
	}
	time.Sleep(idleSettles)
	before, err := cpuSeconds(pids)
	if err != nil {
		return 0, err
	}
	time.Sleep(idleFor)
	after, err := cpuSeconds(pids)
	return after - before, err
}

// keyed returns the custodians' processes once the network has a payer.
func keyed(file string) (pids []int) {
	var state struct {
		Payer      *string `json:"payer"`
		Custodians []struct {
			PID int `json:"pid"`
		} `json:"custodians"`
	}
	raw, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(raw, &state) != nil || state.Payer == nil {
		return nil
	}
	for _, c := range state.Custodians {
		pids = append(pids, c.PID)
	}
	return pids
}

// cpuSeconds sums user and system time of processes.
func cpuSeconds(pids []int) (sum float64, err error) {
	for _, pid := range pids {
		u, err := devnet.UsageOf(pid)
		if err != nil {
			return 0, err
		}
		sum += u.CPU
	}
	return sum, nil
}
