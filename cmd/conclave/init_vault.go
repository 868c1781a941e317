package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/ethereum/go-ethereum/common"

	"conclave/cmd/conclave/internal/cli"
	"conclave/tss"
	"conclave/tss/vault"
)

// vaultFlags is what init may be told of the vault.
type vaultFlags struct {
	memory    uint32   // MiB of Argon2id
	preparams []string // files with preparameters that were made ahead
}

// params is the cost of guessing the password.
func (f vaultFlags) params() vault.Params {
	p := vault.DefaultParams()
	if f.memory > 0 {
		p.Memory = f.memory << 10
	}
	return p
}

// read gives the preparameters that were made ahead: one set serves in one ceremony.
func (f vaultFlags) read() (sets []*tss.PreParams, err error) {
	for _, file := range f.preparams {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, cli.With(cli.Usage, fmt.Errorf("preparameters: %w", err), "")
		}
		pre, err := tss.UnmarshalPreParams(raw)
		clear(raw)
		if err != nil {
			return nil, cli.With(cli.Usage, fmt.Errorf("preparameters: %w", err), "leave --preparams out: keygen makes fresh ones")
		}
		sets = append(sets, pre)
	}
	return sets, nil
}

// prepareVault makes the vault. Without a password there is nothing to seal with yet: the folder stays empty, and the first
// start with a password makes the vault.
func prepareVault(dir string, node common.Address, password []byte, f vaultFlags) (err error) {
	defer clear(password)
	if password == nil {
		return os.Mkdir(dir, 0o700)
	}
	sets, err := f.read()
	if err != nil {
		return err
	}
	v, err := vault.Create(dir, node, password, f.params())
	if errors.Is(err, vault.ErrParams) {
		return cli.With(cli.Usage, err, "--kdf-memory is in MiB, 64 to 2048")
	}
	if err != nil {
		return err
	}
	defer v.Close()
	for _, pre := range sets {
		if err := v.PutPreParams(pre); err != nil {
			return err
		}
	}
	return nil
}
