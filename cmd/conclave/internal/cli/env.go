package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Env is the world as a verb sees it.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	JSON           bool // --json
}

// System is the process's own Env.
func System() *Env { return &Env{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv} }

// Run makes a cobra RunE of a verb's function. Errors of the function get an exit code here, so that whatever reaches the
// top without one is cobra's own refusal.
func (e *Env) Run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := f(cmd, args)
		if err == nil {
			return nil
		}
		return With(CodeOf(err), err, HintOf(err))
	}
}

// Group is a verb that only holds others. Alone, or with a word that it does not know, it is a usage error: cobra would print
// help and succeed, and a script would take that for done.
func (e *Env) Group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	group.AddCommand(verbs...)
	group.RunE = func(cmd *cobra.Command, args []string) error {
		names := make([]string, len(cmd.Commands()))
		for i, sub := range cmd.Commands() {
			names[i] = sub.Name()
		}
		help := "`" + cmd.CommandPath() + " --help`"
		if len(args) > 0 {
			return Errorf(Usage, help, "unknown command %q for %q", args[0], cmd.CommandPath())
		}
		return Errorf(Usage, help, "%s: give one of %s", cmd.CommandPath(), strings.Join(names, ", "))
	}
	return group
}

// Execute runs the command line and returns the exit code.
func (e *Env) Execute(root *cobra.Command, args []string) Code {
	root.SetArgs(args)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentFlags().BoolVar(&e.JSON, "json", false, "print one JSON document")
	cmd, err := root.ExecuteC()
	if err != nil && CodeOf(err) == Failed && !isOwn(err) {
		err = With(Usage, err, "`"+cmd.CommandPath()+" --help`")
	}
	return Report(e.Stderr, err)
}

func isOwn(err error) bool {
	_, ok := err.(*Error)
	return ok
}

// Print writes v as JSON under --json, else what text writes.
func (e *Env) Print(v any, text func(w io.Writer) error) error {
	if !e.JSON {
		return text(e.Stdout)
	}
	enc := json.NewEncoder(e.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Note tells people something beside the result; under --json it says nothing.
func (e *Env) Note(format string, args ...any) {
	if !e.JSON {
		_, _ = fmt.Fprintln(e.Stderr, oneLine(fmt.Sprintf(format, args...)))
	}
}

// Terminal reports whether stdout is a terminal.
func (e *Env) Terminal() bool {
	f, ok := e.Stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Style is how a piece of text may stand out.
type Style string

// The styles.
const (
	Bold  Style = "\x1b[1m"
	Good  Style = "\x1b[32m"
	Bad   Style = "\x1b[31m"
	Faint Style = "\x1b[2m"
)

// Paint styles text on a terminal; elsewhere, and when NO_COLOR is set, it is the text as it is.
func (e *Env) Paint(s Style, text string) string {
	if !e.Terminal() || e.Getenv("NO_COLOR") != "" || e.Getenv("TERM") == "dumb" {
		return text
	}
	return string(s) + text + "\x1b[0m"
}

// Table writes rows in aligned columns under a header.
func (e *Env) Table(w io.Writer, header []string, rows [][]string) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		clean := make([]string, len(row))
		for i, cell := range row {
			clean[i] = oneLine(cell)
		}
		_, _ = fmt.Fprintln(t, strings.Join(clean, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	// Painted after the columns are laid out: escape bytes would count as width.
	head, rest, _ := strings.Cut(b.String(), "\n")
	_, err := fmt.Fprintf(w, "%s\n%s", e.Paint(Bold, strings.TrimRight(head, " ")), rest)
	return err
}
