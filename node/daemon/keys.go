package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"conclave/node"
	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/vault"
)

// keys is a vault as the node sees it.
type keys struct {
	*vault.Vault
	ctx  context.Context // ends the search for primes
	note func(string)
}

var _ node.KeyStore = keys{}

// ShareOf implements node.KeyStore.
func (k keys) ShareOf(t quorum.Transcript) (*tss.KeyShare, error) {
	share, err := k.Vault.ShareOf(t)
	if errors.Is(err, vault.ErrNoShare) {
		return nil, fmt.Errorf("%w: %w", node.ErrNoShare, err)
	}
	return share, err
}

// openVault opens the vault, or makes it when this home never ran: then there is nothing yet that it could have lost.
func openVault(h home, o Options) (*vault.Vault, error) {
	password, err := o.Password(h.cfg)
	if err != nil {
		return nil, err
	}
	defer clear(password)
	v, err := vault.Open(h.cfg.VaultPath(), h.self(), password)
	if err == nil {
		return v, checkBooks(h, v)
	}
	if !errors.Is(err, vault.ErrNoVault) && !errors.Is(err, fs.ErrNotExist) {
		return nil, explain(err)
	}
	if _, stat := os.Stat(h.cfg.LedgerPath()); !errors.Is(stat, fs.ErrNotExist) {
		return nil, problem(Setup, "restore the vault from its backup; without its share this node cannot sign", "%w", err)
	}
	o.Note("this home has no vault yet: one is made under the given password")
	v, err = vault.Create(h.cfg.VaultPath(), h.self(), password, vault.DefaultParams())
	return v, explain(err)
}

// checkBooks refuses a vault with shares beside books that are gone: this node has signed what it no longer knows of.
func checkBooks(h home, v *vault.Vault) error {
	if len(v.Keys()) == 0 {
		return nil
	}
	if _, err := os.Stat(h.cfg.LedgerPath()); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	v.Close()
	return problem(Refused, "put the newest copy of data/ back; voting without its record could contradict what this node signed before",
		"%s is gone, but the vault holds a key share", h.cfg.LedgerPath())
}

// PreParams implements node.KeyStore. A set that nobody made ahead is found now and kept before it is used.
func (k keys) PreParams() (*tss.PreParams, error) {
	pre, err := k.Vault.PreParams()
	if !errors.Is(err, vault.ErrNoPreParams) {
		return pre, err
	}
	k.note("looking for the primes of the key generation: up to two minutes")
	pre, err = tss.GeneratePreParams(k.ctx, func(spent time.Duration) {
		if seconds := int(spent.Seconds()); seconds%10 == 9 {
			k.note(fmt.Sprintf("still looking for primes, %d s", seconds+1))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("find preparameters: %w", err)
	}
	if err := k.PutPreParams(pre); err != nil {
		return nil, err
	}
	return k.Vault.PreParams()
}
