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
	"conclave/node/config"
	"conclave/node/daemon"
	"conclave/tss/vault"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// endWithin is how long a node may take to end cleanly; what is on disk is sound at every moment, so that ending it
// harder loses time and nothing else.
const endWithin = 5 * time.Second

// parentFD is the inherited descriptor that tells of the parent's end.
const parentFD = 3

type runFlags struct {
	home, passwordFile string
	fingerprint        string // that the operator confirmed
	exitWithParent     bool
	sealed             bool // without a password file it starts sealed, rather than asking
	profile            string
}

func (f *runFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.home, "home", "", "the node's home (required)")
	cmd.Flags().StringVar(&f.passwordFile, "password-file", "", "file with the vault's password, mode 0600 (default: the configuration's)")
	cmd.Flags().StringVar(&f.fingerprint, "fingerprint", "", "the fingerprint of the network that its members confirmed to each other; kept for later starts. Without it, no part in making the key")
	cmd.Flags().BoolVar(&f.exitWithParent, "exit-with-parent", false,
		"end when descriptor 3, the read end of a pipe whose write end the parent keeps, is closed: whatever ends the parent ends this node")
}

func newRun(env *cli.Env) *cobra.Command {
	f := runFlags{sealed: true}
	cmd := &cobra.Command{
		Use: "run --home DIR", Short: "Run the custodian until SIGINT or SIGTERM; a second signal ends it at once", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			ctx, stop, err := f.begin(env)
			if err != nil {
				return err
			}
			defer stop()
			if f.profile != "" {
				defer profiling(f.profile, func(text string) { env.Note("%s", text) })()
			}
			d, err := f.open(ctx, env, "")
			if err != nil {
				return explained(err)
			}
			return explained(d.Run(ctx))
		}),
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.profile, "cpu-profile", "", "file for a profile of what the processor does: SIGUSR1 begins it, the next one ends it")
	return cmd
}

// begin checks the flags and hardens the process before any secret is read. The context ends with the first signal, or
// with the parent.
func (f *runFlags) begin(env *cli.Env) (context.Context, func(), error) {
	if f.home == "" {
		return nil, nil, cli.Errorf(cli.Usage, "", "--home is required")
	}
	if err := vault.DisableCoreDumps(); err != nil {
		return nil, nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	parent := make(chan struct{})
	if f.exitWithParent {
		if err := watchParent(parent); err != nil {
			end()
			return nil, nil, err
		}
	}
	go func() {
		select {
		case <-signals:
		case <-parent:
		case <-ctx.Done():
			return
		}
		end()
		select {
		case <-signals:
		case <-time.After(endWithin):
		}
		_, _ = fmt.Fprintln(env.Stderr, "conclave: ended without waiting")
		os.Exit(int(cli.Failed))
	}()
	return ctx, func() { signal.Stop(signals); end() }, nil
}

// watchParent closes gone when the parent ends. The kernel closes the parent's end of the pipe whatever ends the parent,
// SIGKILL included, on every system and without polling. Nobody ever writes to it.
func watchParent(gone chan<- struct{}) error {
	const hint = "the parent gives the read end of a pipe as descriptor 3"
	var stat unix.Stat_t
	if err := unix.Fstat(parentFD, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		return cli.Errorf(cli.Usage, hint, "--exit-with-parent: descriptor %d is no pipe", parentFD)
	}
	unix.CloseOnExec(parentFD)
	pipe := os.NewFile(parentFD, "parent")
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		close(gone)
	}()
	return nil
}

// open opens the home. least raises the log's level, "" leaves it to the configuration.
func (f *runFlags) open(ctx context.Context, env *cli.Env, least config.LogLevel) (*daemon.Daemon, error) {
	return daemon.Open(ctx, daemon.Options{
		Home: f.home, Password: f.password, Fingerprint: f.fingerprint,
		Log: func(level config.LogLevel) *zap.Logger {
			if least != "" && level != "debug" {
				level = least
			}
			return daemon.NewLogger(env.Stderr, level, term.IsTerminal(int(os.Stderr.Fd())))
		},
		Note: func(text string) { env.Note("%s", text) },
	})
}

// password looks where the operator said, then in the configuration. Without either run starts sealed, once there is a
// vault; else it is asked for at the terminal.
func (f *runFlags) password(cfg config.Config) ([]byte, error) {
	path := f.passwordFile
	if path == "" {
		path = cfg.PasswordPath()
	}
	if path != "" {
		password, err := config.ReadPassword(path)
		return password, cli.With(cli.Usage, wrapped("vault password", err), cli.HintOf(err))
	}
	switch exists := vault.Exists(cfg.VaultPath()); {
	case f.sealed && exists:
		return nil, nil
	case exists:
		return askedPassword("Vault password: ")
	}
	return newPassword("Password for the new vault: ")
}

// askedPassword asks at the terminal.
func askedPassword(prompt string) ([]byte, error) {
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return nil, cli.Errorf(cli.Usage, "--password-file FILE, or [vault] password_file of config.toml", "the vault needs its password, and there is no terminal to ask at")
	}
	return askPassword(stdin, prompt)
}

// newPassword asks twice.
func newPassword(prompt string) ([]byte, error) {
	password, err := askedPassword(prompt)
	if err != nil {
		return nil, err
	}
	again, err := askedPassword("The same again: ")
	if err != nil {
		clear(password)
		return nil, err
	}
	defer clear(again)
	if string(again) != string(password) {
		clear(password)
		return nil, cli.Errorf(cli.Usage, "", "the passwords differ")
	}
	return password, nil
}

func askPassword(fd int, prompt string) ([]byte, error) {
	_, _ = fmt.Fprint(os.Stderr, prompt)
	password, err := term.ReadPassword(fd)
	_, _ = fmt.Fprintln(os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	return password, nil
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// explained gives what keeps a home from starting its exit code.
func explained(err error) error {
	var p *daemon.Problem
	if !errors.As(err, &p) {
		return err
	}
	code := cli.Failed
	switch p.Class {
	case daemon.Setup:
		code = cli.Usage
	case daemon.Refused:
		code = cli.Refused
	}
	return cli.With(code, err, p.Help)
}
