package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// within is how long the tests of one mutant may take before they count as failed: a rule that is gone may well be a rule
// without which nothing ends.
const within = 4 * time.Minute

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	only := flags.String("only", ".", "only mutants whose name matches")
	rotate := flags.Int("rotate", 0, "only so many, others each day")
	list := flags.Bool("list", false, "say which there are and run nothing")
	if err := flags.Parse(args); err != nil || flags.NArg() != 0 {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	chosen, err := choose(*only, *rotate, time.Now())
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		return 2
	}
	if *list {
		for _, m := range chosen {
			fmt.Printf("%-32s %s\n", m.name, m.rule)
		}
		return 0
	}
	if err := hunt(ctx, chosen); err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		return 1
	}
	return 0
}

// choose picks mutants by name, and of those n by the day when n is not zero.
func choose(only string, n int, now time.Time) ([]mutant, error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	all, err := load(filepath.Join("cmd", "mutants", "rules"))
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: run it in the module's root", err)
	}
	var named []mutant
	for _, m := range all {
		if match.MatchString(m.name) {
			named = append(named, m)
		}
	}
	if n <= 0 || n >= len(named) {
		return named, nil
	}
	first := int(now.Unix()/86400) * n % len(named)
	return append(named[first:], named[:first]...)[:n], nil
}

// errSurvived means that the tests do not notice a broken rule.
var errSurvived = errors.New("a broken rule was not noticed")

func hunt(ctx context.Context, chosen []mutant) error {
	killed, broken := 0, 0
	for _, m := range chosen {
		began := time.Now()
		survived, err := m.run(ctx)
		took := time.Since(began).Round(time.Second)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			broken++
			fmt.Printf("BROKEN   %-32s %5s  %v\n", m.name, took, err)
		case survived:
			fmt.Printf("SURVIVED %-32s %5s  %s\n", m.name, took, m.rule)
		default:
			killed++
			fmt.Printf("killed   %-32s %5s  %s\n", m.name, took, m.rule)
		}
	}
	if broken > 0 {
		fmt.Printf("%d that cannot be tried\n", broken)
	}
	fmt.Printf("%d mutants, %d killed, %d survived\n", len(chosen), killed, len(chosen)-killed-broken)
	if killed < len(chosen) {
		return errSurvived
	}
	return nil
}

// run reports whether all of the mutant's tests pass all the same. Any one that fails kills it.
func (m mutant) run(ctx context.Context) (survived bool, err error) {
	dir, err := os.MkdirTemp("", "conclave-mutant.")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := os.Getwd()
	if err != nil {
		return false, err
	}
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return false, err
	}
	for _, t := range m.tests {
		passed, err := t.pass(ctx, overlay)
		if err != nil || !passed {
			return false, err
		}
	}
	return true, nil
}

// overlay writes the mutant's files, and what tells the Go tool to read them instead of the real ones.
func (m mutant) overlay(root, dir string) (string, error) {
	files, err := m.mutate(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, src := range files {
		instead := filepath.Join(dir, fmt.Sprintf("mutant%d.go", len(replace)))
		if err := os.WriteFile(instead, src, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(name))] = instead
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, raw, 0o600)
}

// pass runs the tests over the overlay. What is not built, and an expression that names no test, is an error: it would look
// like a kill, or like a survivor.
func (t killer) pass(ctx context.Context, overlay string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, within+time.Minute) // building counts only here
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-count=1", "-timeout", within.String(), "-run", t.run, t.pkg)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.CombinedOutput()
	text := string(out)
	switch {
	case strings.Contains(text, "[build failed]") || strings.Contains(text, "[setup failed]"):
		return false, fmt.Errorf("it does not build:\n%s", text)
	case strings.Contains(text, "no tests to run"):
		return false, fmt.Errorf("no test of %s matches %s", t.pkg, t.run)
	case err == nil:
		return true, nil
	case ctx.Err() != nil && !strings.Contains(text, "FAIL"):
		return false, ctx.Err()
	case !strings.Contains(text, "FAIL"):
		return false, fmt.Errorf("%w:\n%s", err, text)
	}
	return false, nil
}
