package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/ledger"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

// checkedLedger is what `ledger check` prints.
type checkedLedger struct {
	File     ledger.FileReport     `json:"file"`
	Books    ledger.BooksReport    `json:"books"`
	Protocol ledger.ProtocolReport `json:"protocol"`
}

func newLedgerCheck(env *cli.Env) *cobra.Command {
	var home, export string
	cmd := &cobra.Command{
		Use: "check (--home DIR | --export FILE)", Short: "Check every byte and every sum of the books, or an export", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			switch {
			case (home == "") == (export == ""):
				return cli.Errorf(cli.Usage, "", "check: give either --home or --export")
			case export != "":
				return checkExport(env, export)
			}
			return checkLedger(env, home)
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the stopped node's home")
	cmd.Flags().StringVar(&export, "export", "", "a file that `ledger export` wrote, - for standard input")
	return cmd
}

// checkLedger looks at the file first: what the books say means something only when its bytes are what was written.
func checkLedger(env *cli.Env, home string) (err error) {
	dir, _, err := ledgerHome(home)
	if err != nil {
		return err
	}
	var out checkedLedger
	if out.File, err = soundFile(env, dir); err != nil {
		return err
	}
	l, _, g, err := openStopped(home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.CheckHighWater(dir); err != nil {
		return ledgerError(fmt.Errorf("check high-water file: %w", err))
	}
	sizes, err := l.Sizes()
	if err != nil {
		return ledgerError(err)
	}
	bar := newProgress(env, sizes)
	defer bar.end()
	if out.Books, err = l.CheckBooks(bar.tell); err != nil {
		return ledgerError(fmt.Errorf("check books: %w", err))
	}
	founding, err := foundingOf(g)
	if err != nil {
		return err
	}
	founding.Progress = bar.tell
	if out.Protocol, err = l.CheckProtocol(founding); err != nil {
		return ledgerError(fmt.Errorf("check what was said and decided: %w", err))
	}
	bar.end()
	return env.Print(out, func(w io.Writer) error {
		b, p := out.Books, out.Protocol
		_, err := fmt.Fprintf(w, "sound: %d pages (%d free), %d records, each by its checksum\n"+
			"books: %d events, %d accounts, %d debits, %d withdrawals, root %s\n"+
			"protocol: %d statements, %d decisions, %d slots, %d paid, %d reports, %d audit lines\n",
			out.File.Pages, out.File.Free, out.File.Records, b.Events, b.Accounts, b.Debits, b.Withdrawals, b.Root,
			p.Statements, p.Decisions, p.Slots, p.Paid, p.Reports, p.AuditLines)
		return err
	})
}

// named is how many places of damage an error lists.
const named = 5

// damaged fails with the first places.
func damaged(report ledger.FileReport) error {
	var places []string
	for _, d := range report.Damage[:min(named, len(report.Damage))] {
		places = append(places, d.String())
	}
	return cli.Errorf(cli.Failed, "keep the file, and restore the node from its peers or a backup",
		"the database is damaged in %d places, first %s", len(report.Damage), strings.Join(places, "; "))
}

func foundingOf(g quorum.Genesis) (f ledger.Founding, err error) {
	f.FirstNonce = map[uint64]uint64{}
	for _, lane := range g.Lanes {
		f.FirstNonce[lane.ChainID] = lane.FirstNonce
	}
	f.Roster, err = g.Roster()
	return f, err
}

func checkExport(env *cli.Env, path string) error {
	in, size := os.Stdin, map[string]uint64{}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err == nil {
			size["bytes"] = uint64(info.Size())
		}
		in = f
	}
	bar := newProgress(env, size)
	read := &counted{Reader: in}
	m, err := ledger.VerifyExport(read, func(string, uint64) { bar.tell("bytes", read.n) })
	bar.end()
	if err = errors.Join(err, in.Close()); err != nil {
		return cli.With(cli.Failed, fmt.Errorf("%s: %w", path, err), "export again, or take another copy")
	}
	return env.Print(m, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "sound: %d events up to %d of network %s, root %s\n", m.Events, m.LastID, m.Network, m.Root)
		return err
	})
}

// counted counts what is read.
type counted struct {
	io.Reader
	n uint64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += uint64(n)
	return n, err
}

func newLedgerExport(env *cli.Env) *cobra.Command {
	var home, path string
	cmd := &cobra.Command{
		Use: "export --home DIR [--out FILE]", Short: "Write the log as lines of JSON, with a manifest that proves it", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error { return exportLedger(env, home, path) }),
	}
	cmd.Flags().StringVar(&home, "home", "", "the stopped node's home (required)")
	cmd.Flags().StringVar(&path, "out", "", "a new file (default: standard output)")
	return cmd
}

func exportLedger(env *cli.Env, home, path string) (err error) {
	l, sizes, _, err := openSound(env, home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	out := env.Stdout
	var file *os.File
	if path != "" {
		if file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		out = file
	}
	bar := newProgress(env, sizes)
	m, err := l.Export(out, bar.tell)
	bar.end()
	if file != nil {
		err = errors.Join(err, file.Sync(), file.Close())
	}
	if err != nil {
		return ledgerError(fmt.Errorf("export: %w", err))
	}
	if file == nil {
		env.Note("exported %d events, root %s", m.Events, m.Root)
		return nil
	}
	return env.Print(m, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "exported %d events up to %d, root %s\n", m.Events, m.LastID, m.Root)
		return err
	})
}
