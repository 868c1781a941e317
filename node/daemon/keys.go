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
	*vault.Door
	ctx  context.Context // ends the search for primes
	note func(string)
}

var _ node.KeyStore = keys{}

// ShareOf implements node.KeyStore.
func (k keys) ShareOf(t quorum.Transcript) (*tss.KeyShare, error) {
	share, err := k.Door.ShareOf(t)
	return share, inNodesWords(err)
}

// inNodesWords joins the error that the node branches on.
func inNodesWords(err error) error {
	switch {
	case errors.Is(err, vault.ErrNoShare):
		return fmt.Errorf("%w: %w", node.ErrNoShare, err)
	case errors.Is(err, vault.ErrSealed), errors.Is(err, vault.ErrClosed):
		return fmt.Errorf("%w: %w", node.ErrSealed, err)
	}
	return err
}

// Standing implements node.Sealable.
func (k keys) Standing() node.VaultStatus { return statusOf(k.Door.Standing()) }

func statusOf(s vault.Standing) node.VaultStatus {
	out := node.VaultStatus{State: string(s.State), Wrong: s.Wrong}
	if !s.Until.IsZero() {
		until := s.Until.UTC()
		out.Until = &until
	}
	return out
}

// openVault stands before the vault, or makes it when this home never ran: then there is nothing yet that it could have
// lost. Without a password it stays sealed; so it does while it takes none.
func openVault(h home, o Options) (*vault.Door, error) {
	password, err := o.Password(h.cfg)
	if err != nil {
		return nil, err
	}
	defer clear(password)
	door, err := vault.NewDoor(h.cfg.VaultPath(), h.self())
	if errors.Is(err, vault.ErrNoVault) || errors.Is(err, fs.ErrNotExist) {
		door, err = makeVault(h, o, password)
	}
	if err != nil {
		return nil, explain(err)
	}
	if err := checkBooks(h, door); err != nil {
		door.Close()
		return nil, err
	}
	if password == nil {
		o.Note("the vault is sealed: `conclave unseal --home " + h.cfg.Home() + "`")
		return door, nil
	}
	err = door.Unseal(password)
	if errors.Is(err, vault.ErrLockedOut) {
		o.Note("the vault stays sealed: " + err.Error())
		return door, nil
	}
	if err != nil {
		door.Close()
		return nil, explain(err)
	}
	return door, nil
}

// makeVault is for the first start of a home.
func makeVault(h home, o Options, password []byte) (*vault.Door, error) {
	if _, stat := os.Stat(h.cfg.LedgerPath()); !errors.Is(stat, fs.ErrNotExist) {
		return nil, problem(Setup, "`conclave vault restore` puts its share back from a backup; without it this node cannot sign", "%w in %s", vault.ErrNoVault, h.cfg.VaultPath())
	}
	if password == nil {
		return nil, problem(Setup, "give --password-file, or start once at a terminal: a vault is made under its first password", "%w in %s yet", vault.ErrNoVault, h.cfg.VaultPath())
	}
	o.Note("this home has no vault yet: one is made under the given password")
	v, err := vault.Create(h.cfg.VaultPath(), h.self(), password, vault.DefaultParams())
	if err != nil {
		return nil, err
	}
	v.Close()
	return vault.NewDoor(h.cfg.VaultPath(), h.self())
}

// checkBooks refuses a vault with shares beside books that are gone: this node has signed what it no longer knows of.
func checkBooks(h home, door *vault.Door) error {
	held, err := door.Held()
	if err != nil || !held {
		return explain(err)
	}
	if _, err := os.Stat(h.cfg.LedgerPath()); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return problem(Refused, "put the newest copy of data/ back; voting without its record could contradict what this node signed before. "+
		"If there is none: move the vault away and `conclave vault restore` it from its backup, which begins in quarantine",
		"%s is gone, but the vault holds a key share", h.cfg.LedgerPath())
}

// PreParams implements node.KeyStore. A set that nobody made ahead is found now and kept before it is used.
func (k keys) PreParams() (*tss.PreParams, error) {
	pre, err := k.preParams()
	return pre, inNodesWords(err)
}

func (k keys) preParams() (*tss.PreParams, error) {
	pre, err := k.Door.PreParams()
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
	return k.Door.PreParams()
}
