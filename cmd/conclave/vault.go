package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/node/daemon"
	"conclave/tss"
	"conclave/tss/vault"
)

func newVault(env *cli.Env) *cobra.Command {
	return env.Group("vault", "The sealed key share: its password, its backup, and trying both",
		newVaultPasswd(env), newVaultIdentity(env), newVaultBackup(env), newVaultVerify(env), newVaultRestore(env))
}

// closedVault explains errors of a vault that a verb opens by itself.
func closedVault(err error) error {
	if errors.Is(err, vault.ErrLockedOut) {
		return cli.With(cli.Sealed, err, "find out who tried; then wait")
	}
	return explained(daemon.Explain(err))
}

func newVaultPasswd(env *cli.Env) *cobra.Command {
	var k keeper
	var next string
	cmd := &cobra.Command{
		Use: "passwd --home DIR", Short: "Change the vault's password, of a running node or of one that is down; no share is written anew", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error { return passwd(env, &k, next) }),
	}
	k.register(cmd)
	cmd.Flags().StringVar(&next, "new-password-file", "", "file with the new password, mode 0600 (default: asked for twice)")
	return cmd
}

func passwd(env *cli.Env, k *keeper, nextFile string) error {
	if err := k.open(); err != nil {
		return err
	}
	old, err := k.password("Present vault password: ")
	if err != nil {
		return err
	}
	defer clear(old)
	next, err := passwordFrom(nextFile, func() ([]byte, error) { return newPassword("New vault password: ") })
	if err != nil {
		return err
	}
	defer clear(next)
	if err := k.changePassword(old, next); err != nil {
		return err
	}
	if file := k.cfg.PasswordPath(); file != "" && file != nextFile {
		env.Note("config.toml names %s: write the new password there, or the next start fails", file)
	}
	return env.Print(map[string]bool{"changed": true}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, "the password is changed; copies of the vault that were made before open with the old one")
		return err
	})
}

// changePassword works on the files, or over the socket when a node has them.
func (k *keeper) changePassword(old, next []byte) error {
	params, err := vault.ParamsOf(k.cfg.VaultPath(), k.node)
	if err != nil {
		return closedVault(err)
	}
	v, err := vault.Open(k.cfg.VaultPath(), k.node, old)
	if errors.Is(err, vault.ErrInUse) {
		return k.send("admin_vaultPassword", vault.Request{For: vault.ForPassword, Password: old, Next: next})
	}
	if err != nil {
		return closedVault(err)
	}
	defer v.Close()
	return closedVault(v.ChangePassword(old, next, params))
}

func newVaultIdentity(env *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "identity --out FILE", Short: "Make an age identity for backups; keep the file away from the node. age-keygen does the same", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			if out == "" {
				return cli.Errorf(cli.Usage, "", "--out is required")
			}
			identity, recipient, err := vault.NewIdentity()
			if err != nil {
				return err
			}
			defer clear(identity)
			if err := writeNewSecret(out, identity); err != nil {
				return err
			}
			env.Note("%s opens the backups that are made for this recipient: keep it away from the node", out)
			return env.Print(map[string]string{"recipient": recipient}, func(w io.Writer) error { _, err := fmt.Fprintln(w, recipient); return err })
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "the new file, mode 0600 (required)")
	return cmd
}

func writeNewSecret(path string, content []byte) error {
	err := config.WriteSecret(path, content)
	if errors.Is(err, fs.ErrExist) {
		return cli.Errorf(cli.Usage, "choose a new file", "%s exists", path)
	}
	return err
}

func newVaultBackup(env *cli.Env) *cobra.Command {
	var k keeper
	var out string
	var to []string
	cmd := &cobra.Command{
		Use: "backup --home DIR --to age1… --out FILE", Short: "Encrypt the key share and its epoch to age recipients; a node may run meanwhile", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			if out == "" || len(to) == 0 {
				return cli.Errorf(cli.Usage, "`conclave vault identity` makes a recipient", "--to and --out are required")
			}
			return backup(env, &k, out, to)
		}),
	}
	k.register(cmd)
	cmd.Flags().StringArrayVar(&to, "to", nil, "an age recipient; repeatable, any one of them opens it (required)")
	cmd.Flags().StringVar(&out, "out", "", "the new file (required)")
	return cmd
}

func backup(env *cli.Env, k *keeper, out string, to []string) error {
	v, err := k.readVault()
	if err != nil {
		return err
	}
	defer v.Close()
	made := time.Now()
	var file bytes.Buffer
	if err := v.WriteBackup(&file, made, to...); err != nil {
		if errors.Is(err, vault.ErrRecipient) {
			return cli.With(cli.Usage, err, "`conclave vault identity` makes one")
		}
		return err
	}
	shares, err := v.Shares()
	if err != nil {
		return err
	}
	if err := writeNewSecret(out, file.Bytes()); err != nil {
		return err
	}
	env.Note("try it now: `conclave vault verify --identity FILE %s`, where the identity is", out)
	return printShares(env, k.node.Hex(), made, shares)
}

// readVault opens the vault beside a node that may run.
func (k *keeper) readVault() (*vault.Vault, error) {
	if err := k.open(); err != nil {
		return nil, err
	}
	password, err := k.password("Vault password: ")
	if err != nil {
		return nil, err
	}
	defer clear(password)
	v, err := vault.OpenToRead(k.cfg.VaultPath(), k.node, password)
	return v, closedVault(err)
}

// shownShare is a share as people compare it: nothing of it is secret.
type shownShare struct {
	Epoch     uint64 `json:"epoch"`
	Payer     string `json:"payer"`
	Threshold int    `json:"threshold"`
	Members   int    `json:"members"`
	Session   string `json:"session"`
}

func printShares(env *cli.Env, node string, made time.Time, shares []*tss.KeyShare) error {
	out := struct {
		Node   string       `json:"node"`
		Made   *time.Time   `json:"made,omitempty"`
		Shares []shownShare `json:"shares"`
	}{Node: node, Shares: []shownShare{}}
	if !made.IsZero() {
		made = made.UTC().Truncate(time.Second)
		out.Made = &made
	}
	var rows [][]string
	for _, s := range shares {
		shown := shownShare{s.Epoch(), s.Payer().Hex(), s.Threshold(), len(s.Members()), s.Transcript().Session.Hex()}
		out.Shares = append(out.Shares, shown)
		rows = append(rows, []string{fmt.Sprint(shown.Epoch), shown.Payer, fmt.Sprintf("%d of %d", shown.Threshold, shown.Members), shown.Session})
	}
	return env.Print(out, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "node %s\n", node); err != nil {
			return err
		}
		if out.Made != nil {
			if _, err := fmt.Fprintf(w, "made %s\n", out.Made.Format(time.RFC3339)); err != nil {
				return err
			}
		}
		return env.Table(w, []string{"EPOCH", "PAYER", "SIGN", "SESSION"}, rows)
	})
}

// openBackup reads a backup and its identity file.
func openBackup(file, identity string) (*vault.Backup, error) {
	secret, err := config.ReadSecret(identity)
	if err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("identity: %w", err), "")
	}
	defer clear(secret)
	f, err := os.Open(file)
	if err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("backup: %w", err), "")
	}
	defer f.Close() //nolint:errcheck // nothing was written
	b, err := vault.ReadBackup(f, strings.NewReader(string(secret)))
	switch {
	case errors.Is(err, vault.ErrIdentity):
		return nil, cli.With(cli.Usage, err, "give the identity of one of the recipients it was made for")
	case errors.Is(err, vault.ErrRecipient):
		return nil, cli.With(cli.Usage, err, "the file has a line AGE-SECRET-KEY-1…")
	case errors.Is(err, vault.ErrScheme):
		return nil, cli.With(cli.Usage, err, "use the version of conclave that wrote it, or a later one")
	}
	return b, err
}
