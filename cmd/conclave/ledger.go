package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"conclave/cmd/conclave/internal/cli"
	"conclave/ledger"
	"conclave/node/config"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

func newLedger(env *cli.Env) *cobra.Command {
	return env.Group("ledger", "Check, replay, export and compact the books of a stopped node",
		newLedgerCheck(env), newLedgerReplay(env), newLedgerExport(env), newLedgerCompact(env))
}

// ledgerHome is where a home's books lie, and the document that they are judged by.
func ledgerHome(home string) (dir string, g quorum.Genesis, err error) {
	if home == "" {
		return "", g, cli.Errorf(cli.Usage, "", "--home is required")
	}
	c, err := config.Read(home)
	if err != nil {
		return "", g, err
	}
	g, err = readGenesis(c.GenesisPath())
	return filepath.Dir(c.LedgerPath()), g, err
}

// openStopped opens the books of a home to be read.
func openStopped(home string) (l *ledger.Ledger, dir string, g quorum.Genesis, err error) {
	if dir, g, err = ledgerHome(home); err != nil {
		return nil, "", g, err
	}
	if l, err = ledger.OpenRead(dir); err != nil {
		return nil, "", g, ledgerError(err)
	}
	id, err := l.Network()
	if err == nil && id != g.ID() {
		err = cli.Errorf(cli.Failed, "", "the books are of network %s, the genesis document of %s", id, g.ID())
	}
	if err != nil {
		return nil, "", g, errors.Join(err, l.Close())
	}
	return l, dir, g, nil
}

// openSound is openStopped of a file whose pages were read first: work that trusts a broken page ends in the middle.
func openSound(env *cli.Env, home string) (l *ledger.Ledger, sizes map[string]uint64, g quorum.Genesis, err error) {
	dir, _, err := ledgerHome(home)
	if err != nil {
		return nil, nil, g, err
	}
	if _, err := soundFile(env, dir); err != nil {
		return nil, nil, g, err
	}
	if l, _, g, err = openStopped(home); err != nil {
		return nil, nil, g, err
	}
	if sizes, err = l.Sizes(); err != nil {
		return nil, nil, g, errors.Join(ledgerError(err), l.Close())
	}
	return l, sizes, g, nil
}

// soundFile reads every page of a database and fails with the places that are damaged.
func soundFile(env *cli.Env, dir string) (report ledger.FileReport, err error) {
	pages := map[string]uint64{}
	if info, err := os.Stat(filepath.Join(dir, "ledger.db")); err == nil {
		pages["pages"] = uint64(info.Size()) / uint64(os.Getpagesize())
	}
	bar := newProgress(env, pages)
	report, err = ledger.CheckFile(dir, bar.tell)
	bar.end()
	if err != nil {
		return report, ledgerError(err)
	}
	if len(report.Damage) > 0 {
		return report, damaged(report)
	}
	return report, nil
}

// ledgerError gives what keeps books from being read its hint.
func ledgerError(err error) error {
	switch {
	case errors.Is(err, ledger.ErrLocked):
		return cli.With(cli.Failed, err, "stop the node first: it holds its database while it runs")
	case errors.Is(err, ledger.ErrOlder):
		return cli.With(cli.Failed, err, "start the node once with this program, which moves the layout on")
	case errors.Is(err, fs.ErrNotExist):
		return cli.With(cli.Failed, err, "the node makes it when it runs for the first time")
	case errors.Is(err, ledger.ErrCorrupt):
		return cli.With(cli.Failed, err, "keep the file, and restore the node from its peers or a backup")
	}
	return err
}

// interruptible ends with the first signal.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

func newLedgerReplay(env *cli.Env) *cobra.Command {
	var home, into string
	cmd := &cobra.Command{
		Use: "replay --home DIR [--into DIR]", Short: "Rebuild the books from their recorded log and compare", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error { return replayBooks(env, home, into) }),
	}
	cmd.Flags().StringVar(&home, "home", "", "the stopped node's home (required)")
	cmd.Flags().StringVar(&into, "into", "", "an empty directory that keeps the rebuilt books (default: a temporary one)")
	return cmd
}

// rebuilt is what `ledger replay` prints.
type rebuilt struct {
	Events   uint64      `json:"events"`
	Commits  uint64      `json:"commits"`
	Root     common.Hash `json:"root"`
	Equal    bool        `json:"equal"`
	Compared []string    `json:"compared"` // buckets
	Limited  string      `json:"limited,omitempty"`
}

func replayBooks(env *cli.Env, home, into string) (err error) {
	l, sizes, g, err := openSound(env, home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if into == "" {
		if into, err = os.MkdirTemp("", "conclave-replay-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(into)) }()
	} else if err := emptyDir(into); err != nil {
		return err
	}
	again, err := ledger.Open(into, g.ID())
	if err != nil {
		return ledgerError(err)
	}
	defer func() { err = errors.Join(err, again.Close()) }()
	limit, percent := ledger.ReplayMemory(sizes["accounts"])
	debug.SetMemoryLimit(limit)
	debug.SetGCPercent(percent)
	ctx, stop := interruptible()
	defer stop()
	bar := newProgress(env, sizes)
	out, err := l.Rebuild(ctx, again, ledger.Intake{FeeAddress: g.FeeAddress, VestingAdmins: g.VestingAdmins, VestingTerms: g.VestingTerms, History: g.Cutover}, bar.tell)
	bar.end()
	if err != nil {
		return ledgerError(fmt.Errorf("replay: %w", err))
	}
	r := rebuilt{out.Replayed.Events, out.Replayed.Commits, out.Again, true, out.Compared, out.Limited}
	return env.Print(r, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d events give the recorded books again: root %s, %d tables equal record by record\n", r.Events, r.Root, len(r.Compared))
		if err == nil && r.Limited != "" {
			_, err = fmt.Fprintf(w, "only the log was compared: %s\n", r.Limited)
		}
		return err
	})
}

// emptyDir makes a directory, or accepts an empty one.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return cli.Errorf(cli.Usage, "", "--into: %s is not empty", dir)
	}
	return err
}

func newLedgerCompact(env *cli.Env) *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use: "compact --home DIR", Short: "Write the database anew without its free pages", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			l, sizes, _, err := openSound(env, home)
			if err != nil {
				return err
			}
			if err := l.Close(); err != nil {
				return err
			}
			dir, _, err := ledgerHome(home)
			if err != nil {
				return err
			}
			bar := newProgress(env, sizes)
			out, err := ledger.Compact(dir, bar.tell)
			bar.end()
			if err != nil {
				return ledgerError(err)
			}
			return env.Print(out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "compacted: %.1f MB are %.1f MB now\n", float64(out.Before)/1e6, float64(out.After)/1e6)
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the stopped node's home (required)")
	return cmd
}
