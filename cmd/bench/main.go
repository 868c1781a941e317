package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	verbs := map[string]func(context.Context) error{"sign": sign, "reshare": reshare, "devnet": processes, "idle": idle, "drift": drift, "replay": replay, "agreement": agreement}
	if len(args) != 1 || verbs[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "bench: one argument is needed\nhint: go run ./cmd/bench sign, reshare, devnet, idle, drift, replay or agreement")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := verbs[args[0]](ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// attempts is how often a noisy measurement is made before its last figures stand as they are.
const attempts = 3

// sign compares one signature by 3 of 4 members, envelopes, guard and echo on, with the same by the bare library; both in
// one process each, without a network.
func sign(ctx context.Context) error {
	bench, err := build(ctx, "./tss")
	if err != nil {
		return err
	}
	defer bench.close()
	return untilQuiet(ctx, func(s side) (float64, error) { return bench.time(ctx, benchmarkOf[s]) }, func(m measured) {
		fmt.Printf("sign_overhead_3of4 %.3f ratio\nsign_wall_3of4 %.3f s\n", m.ratio(), median(m.full))
	})
}

// untilQuiet measures pairs until their noise is bearable, prints the last ones, and says when even these are noisy.
func untilQuiet(ctx context.Context, time func(side) (float64, error), show func(measured)) error {
	for i := range attempts {
		m, err := pairs(time, minPairs)
		if err != nil {
			return err
		}
		noise := m.noise()
		if noise != nil && i+1 < attempts && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "noisy, repeated: %v\n", noise)
			continue
		}
		show(m)
		if noise != nil {
			return errors.Join(errNoisy, noise)
		}
		return nil
	}
	return nil
}

var errNoisy = errors.New("the figures are noisy: give the machine nothing else to do")

// benchmarkOf names the two sides in package tss.
var benchmarkOf = map[side]string{plain: "BenchmarkBareSign", full: "BenchmarkSign"}
