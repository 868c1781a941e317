package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/ledger"
	"conclave/node/config"
	"conclave/node/rehearsal"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

type replayFlags struct {
	policy, home, export string
	drift                uint64
}

// maxDrift bounds an injected drift, in percent: above it nobody speaks of a drift.
const maxDrift = 1000

func newRiskReplay(env *cli.Env) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use: "replay --policy FILE (--home DIR | --export FILE)", Short: "What a policy would have done over recorded history", Args: cobra.NoArgs,
		Long: "Runs a policy over the database of a node that is stopped, or over an export of its log, and prints for each rule what it\n" +
			"would have refused, kept waiting, queued, frozen or tripped, with examples. It changes nothing.",
		RunE: env.Run(func(*cobra.Command, []string) error {
			report, err := f.run(env)
			if err != nil {
				return err
			}
			return env.Print(report, func(w io.Writer) error { return writeReplay(w, report) })
		}),
	}
	cmd.Flags().StringVar(&f.policy, "policy", "", "the policy file to try (required)")
	cmd.Flags().StringVar(&f.home, "home", "", "the home of a node that is stopped")
	cmd.Flags().StringVar(&f.export, "export", "", "an export of a log; without withdrawals, so by the rules about rows alone")
	cmd.Flags().Uint64Var(&f.drift, "inject-drift", 0, "inflate the Relay's credits by this percent, and say when the drift watch would have noticed")
	return cmd
}

func (f replayFlags) run(env *cli.Env) (out rehearsal.Report, err error) {
	switch {
	case f.policy == "":
		return out, cli.Errorf(cli.Usage, "", "risk replay: --policy is required")
	case (f.home == "") == (f.export == ""):
		return out, cli.Errorf(cli.Usage, "", "risk replay: give one of --home and --export")
	case f.drift > maxDrift:
		return out, cli.Errorf(cli.Usage, "", "risk replay: --inject-drift: at most %d", maxDrift)
	}
	file, err := os.ReadFile(f.policy)
	if err != nil {
		return out, cli.With(cli.Usage, err, "")
	}
	c := rehearsal.Config{Drift: f.drift, Progress: progressLine(env)}
	if c.Policy, err = quorum.ParsePolicy(file); err != nil {
		return out, cli.With(cli.Usage, fmt.Errorf("%s: %w", f.policy, err), "")
	}
	if f.drift > 0 && c.Policy.Watch.DriftAlarm == 0 {
		return out, cli.Errorf(cli.Usage, "[watch] drift_alarm_percent switches it on", "risk replay: the policy has no drift watch to inject a drift into")
	}
	end, err := f.open(&c)
	if err != nil {
		return out, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out, err = rehearsal.Run(ctx, c)
	return out, cli.With(cli.Failed, errors.Join(err, end()), "")
}

// open opens what is replayed, to be read only.
func (f replayFlags) open(c *rehearsal.Config) (end func() error, err error) {
	if f.export != "" {
		file, err := os.Open(f.export)
		if err != nil {
			return nil, cli.With(cli.Usage, err, "")
		}
		c.Export = file
		return file.Close, nil
	}
	cfg, err := config.Load(f.home)
	if err != nil {
		return nil, err
	}
	if c.Genesis, err = readGenesis(cfg.GenesisPath()); err != nil {
		return nil, err
	}
	l, err := ledger.OpenRead(cfg.DataPath())
	switch {
	case errors.Is(err, ledger.ErrLocked):
		return nil, cli.With(cli.Usage, err, "stop the node first, or replay an export")
	case err != nil:
		return nil, cli.With(cli.Usage, err, "`conclave run` makes the books of a home")
	}
	c.Ledger = l
	return l.Close, nil
}

// progressLine says now and then how far long work is.
func progressLine(env *cli.Env) func(what string, done, of uint64) {
	began, said := time.Now(), time.Now()
	return func(what string, done, of uint64) {
		if time.Since(said) < sayEvery {
			return
		}
		said = time.Now()
		rate := float64(done) / time.Since(began).Seconds()
		if of <= done {
			env.Note("%d %s, %.0f a second", done, what, rate)
			return
		}
		left := time.Duration(float64(of-done)/rate) * time.Second
		env.Note("%d of %d %s, %.0f a second, %s left", done, of, what, rate, left)
	}
}

func writeReplay(w io.Writer, r rehearsal.Report) error {
	_, _ = fmt.Fprintf(w, "policy %d, %s\n%d events, %d withdrawals, %d payouts", r.Version, r.Hash, r.Events, r.Withdrawals, r.Payouts)
	if r.Events > 0 {
		_, _ = fmt.Fprintf(w, ", %s to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	}
	_, _ = fmt.Fprintln(w)
	if len(r.Rules) == 0 {
		_, _ = fmt.Fprintln(w, "it would have held back nothing")
	}
	for _, f := range r.Rules {
		_, _ = fmt.Fprintf(w, "\n%s: %d %s\n", f.Rule, f.Count, f.Effect)
		for _, x := range f.Examples {
			_, _ = fmt.Fprintf(w, "  %s %d: %s (wanted: %s)\n", x.Of, x.ID, x.Observed, x.Wanted)
		}
	}
	if r.Drift != nil {
		writeDrift(w, *r.Drift)
	}
	return nil
}

func writeDrift(w io.Writer, d rehearsal.Drift) {
	if d.From == nil {
		_, _ = fmt.Fprintf(w, "\ndrift of %d %%: the log is too short for the watch to learn what is usual\n", d.Percent)
		return
	}
	_, _ = fmt.Fprintf(w, "\ndrift of %d %% from %s:\n", d.Percent, d.From.Format(time.RFC3339))
	writeDelay(w, "alert", d.Alerted)
	writeDelay(w, "fuse", d.Tripped)
}

func writeDelay(w io.Writer, what string, at *rehearsal.Delay) {
	if at == nil {
		_, _ = fmt.Fprintf(w, "  %-5s  never\n", what)
		return
	}
	_, _ = fmt.Fprintf(w, "  %-5s  after %d hours, when %s wei too much had been credited\n", what, at.Hours, at.Lost)
}
