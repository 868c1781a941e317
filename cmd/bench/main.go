package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	verbs := map[string]func(context.Context) error{"sign": sign, "silent": silent, "keygen": keygen, "reshare": reshare, "unseal": unseal, "devnet": processes, "idle": idle, "drift": drift, "replay": replay, "agreement": agreement}
	verbs["payout"] = func(ctx context.Context) error { return payout(ctx, args[1:]) }
	if len(args) == 0 || verbs[args[0]] == nil || (len(args) > 1 && args[0] != "payout") {
		fmt.Fprintln(os.Stderr, "bench: one argument is needed\nhint: go run ./cmd/bench sign, silent, keygen, reshare, unseal, devnet, idle, drift, replay, agreement or payout; payout -h lists its options")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := verbs[args[0]](ctx); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// attempts is how often a noisy measurement is made before its last figures stand as they are.
const attempts = 3

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
