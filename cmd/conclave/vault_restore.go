package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/daemon"
	"conclave/tss/vault"
)

func newVaultVerify(env *cli.Env) *cobra.Command {
	var k keeper
	var identity string
	cmd := &cobra.Command{
		Use: "verify (--home DIR | --identity FILE BACKUP)", Short: "Open the vault, or a backup, check every share in it, and change nothing: a drill",
		Args: cobra.MaximumNArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return verifyBackup(env, args[0], identity, k.home)
			}
			if identity != "" {
				return cli.Errorf(cli.Usage, "", "--identity goes with a backup")
			}
			return verifyVault(env, &k)
		}),
	}
	k.register(cmd)
	cmd.Flags().StringVar(&identity, "identity", "", "age identity file that opens the backup, mode 0600")
	return cmd
}

func verifyVault(env *cli.Env, k *keeper) error {
	v, err := k.readVault()
	if err != nil {
		return err
	}
	defer v.Close()
	shares, err := v.Shares()
	if err != nil {
		return closedVault(err)
	}
	if len(shares) == 0 {
		env.Note("the vault opens; it holds no share yet")
	}
	return printShares(env, k.node.Hex(), time.Time{}, shares)
}

func verifyBackup(env *cli.Env, file, identity, home string) error {
	if identity == "" {
		return cli.Errorf(cli.Usage, "", "--identity is required for a backup")
	}
	if err := vault.DisableCoreDumps(); err != nil {
		return err
	}
	b, err := openBackup(file, identity)
	if err != nil {
		return err
	}
	if home != "" {
		k := keeper{home: home}
		if err := k.open(); err != nil {
			return err
		}
		if k.node != b.Node {
			return cli.Errorf(cli.Refused, "", "the backup is of node %s, this home's is %s", b.Node, k.node)
		}
	}
	env.Note("the backup opens, and each share in it proves itself; nothing was restored")
	return printShares(env, b.Node.Hex(), b.Made, b.Shares)
}

func newVaultRestore(env *cli.Env) *cobra.Command {
	var k keeper
	var identity string
	var memory uint32
	cmd := &cobra.Command{
		Use: "restore --home DIR --identity FILE BACKUP", Args: cobra.ExactArgs(1),
		Short: "Put a backup's share into the vault of a node that is down; the node is in quarantine from then on",
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			if identity == "" {
				return cli.Errorf(cli.Usage, "", "--identity is required")
			}
			return restore(env, &k, args[0], identity, vaultFlags{memory: memory}.params())
		}),
	}
	k.register(cmd)
	cmd.Flags().StringVar(&identity, "identity", "", "age identity file that opens the backup, mode 0600 (required)")
	cmd.Flags().Uint32Var(&memory, "kdf-memory", 512, "memory in MiB that each guess of a new vault's password costs, 64 to 2048")
	return cmd
}

func restore(env *cli.Env, k *keeper, file, identity string, params vault.Params) error {
	if err := k.open(); err != nil {
		return err
	}
	b, err := openBackup(file, identity)
	if err != nil {
		return err
	}
	password, err := passwordFrom(k.passwordFile, func() ([]byte, error) {
		if vault.Exists(k.cfg.VaultPath()) {
			return askedPassword("Vault password: ")
		}
		return newPassword("Password for the new vault: ")
	})
	if err != nil {
		return err
	}
	defer clear(password)
	err = daemon.Restore(k.home, b, password, params)
	if errors.Is(err, vault.ErrLockedOut) {
		return closedVault(err)
	}
	if errors.Is(err, vault.ErrParams) {
		return cli.With(cli.Usage, err, "--kdf-memory is in MiB, 64 to 2048")
	}
	if err != nil {
		return explained(err)
	}
	env.Note("restored. The node is in quarantine: what it said since the backup is not known here; `conclave status` says what ends it")
	return printShares(env, b.Node.Hex(), b.Made, b.Shares)
}
