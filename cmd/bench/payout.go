package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"conclave/internal/devnet"
)

// singles come alone after the load, of four custodians each when the one before is paid; more sign for longer, and then they may meet. They
// are so far apart that each meets the blocks, which come each second, in another 24th of a second: with a whole or half number of seconds
// all would meet the same one or two, and the median would be luck.
const (
	singles = 24
	apart   = 6*time.Second + time.Second/singles
)

// payout measures what a network pays in a minute, and how long one withdrawal alone takes.
func payout(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("payout", flag.ContinueOnError)
	nodes := flags.Int("nodes", 4, "custodians")
	rate := flags.Int("rate", 1200, "withdrawals that users ask for in a minute")
	long := flags.Duration("for", 3*time.Minute, "how long that is measured")
	short := flags.Bool("short", false, "half a minute of load and six that come alone, to try it")
	profile := flags.String("profile", "", "keep the first custodian's profile in this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	v := devnet.Volume{PerMinute: *rate, Settle: 20 * time.Second, For: *long, Singles: singles, Apart: apart, Profile: *profile}
	if *short {
		v.Settle, v.For, v.Singles = 20*time.Second, 30*time.Second, 6
	}
	if v.Profile == "" {
		dir, err := os.MkdirTemp("", "conclave-bench-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		v.Profile = filepath.Join(dir, "custodian.pprof")
	}
	if v.PerMinute < 1 || v.For < time.Second {
		return errors.New("payout: want a rate and a time above zero")
	}
	r, err := devnet.Measure(ctx, devnet.Options{Nodes: *nodes, Network: "devnet", Volume: &v, Err: os.Stderr})
	if err != nil {
		return err
	}
	printPayout(ctx, r, v.Profile)
	return nil
}

// printPayout prints one figure a line, and then in words what it rests on.
func printPayout(ctx context.Context, r devnet.VolumeReport, profile string) {
	for _, f := range []struct {
		name  string
		value float64
		unit  string
	}{
		{"payouts_rate", r.Rate, "1/min"}, {"asked_rate", r.Asked, "1/min"},
		{"latency_p50", r.P50, "s"}, {"latency_p99", r.P99, "s"},
		{"latency_p50_at_rate", r.VolumeP50, "s"}, {"latency_p99_at_rate", r.VolumeP99, "s"},
		{"cpu_per_payout", r.CPU, "s"}, {"cpu_world_per_payout", r.World, "s"},
		{"batch_items_mean", r.Items, "items"}, {"batch_items_max", float64(r.Largest), "items"},
		{"session_mean", r.Session, "s"}, {"others_cpu_share", r.Others, "-"},
	} {
		fmt.Printf("%s %.3f %s\n", f.name, f.value, f.unit)
	}
	fmt.Printf("# %d custodians, %d sign; users asked for %d a minute; measured for %.0f s, in which %d batches became final; then %d came alone\n",
		r.Nodes, r.Quorum, r.PerMinute, r.Window, r.Batches, r.Singles)
	fmt.Printf("# final: from the Relay's list until the first custodian's own endpoints show it that deep, or q members have told it so before; %d were not when users stopped, %.1f s later all were; %d in all, chain, Relay and books agree: %v\n",
		r.Left, r.Drained, r.Paid, r.Conserved)
	fmt.Printf("# stages at the rate: %s\n# stages alone: %s\n", inOrder(r.Stages), inOrder(r.SingleStages))
	what, share := r.Bound()
	fmt.Printf("# used most: %s, %.0f %%; of the window a session ran %.0f %%, slots in flight were all taken %.0f %%, at most %d were certified and waited; %d processors were busy %.0f %%, %.0f %% with something else\n",
		what, 100*share, 100*r.Signing, 100*r.Full, r.Queue, r.Cores, 100*r.Busy, 100*r.Others)
	if line, err := profiled(ctx, profile); err == nil {
		fmt.Printf("# processor time of the first custodian in the window: %s\n", line)
	} else {
		fmt.Fprintf(os.Stderr, "no profile: %v\n", err)
	}
}

// inOrder is how long each stage took after the one before.
func inOrder(stages []devnet.Stage) string {
	var parts []string
	for _, s := range stages {
		parts = append(parts, fmt.Sprintf("%s +%.2f s", s.Name, s.Seconds))
	}
	return strings.Join(parts, ", ")
}

// rooms are what a profile is told by: overlapping expressions over the functions on the stack.
func rooms() [][2]string {
	return [][2]string{
		{"signing", `tss-lib|conclave/tss\.`}, {"signatures of members", `quorum\.recoverAddress`}, {"judging batches", `batch\.\(\*State\)\.(Valid|Apply)`},
		{"building batches", `batch\.\(\*State\)\.Build|pool\)\.candidates`}, {"ledger commits", `ledger\.\(\*Ledger\)\.commit`}, {"verdicts heard", `node\.\(\*core\)\.hear(Fact|Verdict)`},
		{"judge", `node\.\(\*judge\)`}, {"Relay", `conclave/relay\.`}, {"chain", `conclave/chain/evm\.`}, {"network", `libp2p|conclave/p2p`}, {"collector", `runtime\.gcBgMarkWorker`},
	}
}

var accounted = regexp.MustCompile(`accounting for \S+, ([0-9.]+)% of (\S+) total`)

// profiled says what share of a profile each room has. Shares overlap: a signature is verified while a batch is judged.
func profiled(ctx context.Context, file string) (string, error) {
	var parts []string
	total := ""
	for _, room := range rooms() {
		out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0", "-focus="+room[1], file).Output()
		if err != nil {
			return "", fmt.Errorf("read the profile: %w", err)
		}
		share := "0"
		if m := accounted.FindStringSubmatch(string(out)); m != nil {
			share, total = m[1], m[2]
		}
		parts = append(parts, fmt.Sprintf("%s %s %%", room[0], share))
	}
	return total + ": " + strings.Join(parts, ", "), nil
}
