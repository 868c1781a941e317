package vault

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
	"conclave/tss"
)

// ErrSealed means that the vault's password was not given, or that the vault was sealed since.
var ErrSealed = errors.New("the vault is sealed")

// ErrUnsealed means that the vault is unsealed already.
var ErrUnsealed = errors.New("the vault is unsealed already")

// State is what a [Door] can be in.
type State string

// The states. A locked out vault is a sealed one that takes no password for a while.
const (
	Sealed    State = "sealed"
	Unsealed  State = "unsealed"
	LockedOut State = "locked-out"
)

// Standing is a door's state, for people.
type Standing struct {
	State State
	Wrong uint64    // passwords since the last right one
	Until time.Time // zero unless locked out
}

// Door is the vault of a running node. It keeps other processes from writing to the directory from the time it is made
// until it is closed, sealed or not. It is safe for concurrent use.
type Door struct {
	env  env
	disk disk
	node common.Address
	lock *lock

	turn sync.Mutex // held while a password is tried, which takes seconds
	mu   sync.Mutex // guards what follows, and is never held for long
	open *Vault     // nil while sealed
	once *oneTime   // nil: none was asked for
	ends bool
}

// NewDoor stands before the vault of the member node in dir, sealed. It fails as [Open] does before it tries a password:
// with [ErrNoVault], [ErrMode], [ErrScheme], [ErrDamaged], [ErrOtherNode] or [ErrInUse].
func NewDoor(dir string, node common.Address) (*Door, error) {
	d, err := production().door(dir, node)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return d, nil
}

func (e env) door(dir string, node common.Address) (*Door, error) {
	d := &Door{env: e, disk: disk{dir, e.fault}, node: node}
	if _, err := d.disk.header(node); err != nil {
		return nil, err
	}
	var err error
	d.lock, err = d.disk.lock()
	return d, err
}

// Unseal opens the vault. It fails with [ErrUnsealed] on one that is open, and else as [Open] does; it then is sealed.
func (d *Door) Unseal(password []byte) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	if v, err := d.vault(); err == nil && v != nil {
		return ErrUnsealed
	}
	v, err := d.env.open(d.disk.dir, d.node, password)
	if err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ends {
		v.Close()
		return ErrClosed
	}
	d.open = v
	return nil
}

// Seal wipes the root key and the one-time key. Sealing a sealed vault changes nothing.
func (d *Door) Seal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seal()
}

func (d *Door) seal() {
	if d.open != nil {
		d.open.Close()
		d.open = nil
	}
	d.once.end()
	d.once = nil
}

// Close seals for good, and lets other processes write to the directory.
func (d *Door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seal()
	d.ends = true
	d.lock.free()
}

// Standing says in which state the vault is. A count of wrong passwords that cannot be read is taken for a lockout: no
// password is tried then either.
func (d *Door) Standing() Standing {
	a, err := d.disk.attempts()
	s := Standing{State: Sealed, Wrong: a.Wrong, Until: a.until(d.env.time())}
	if _, sealed := d.vault(); sealed == nil {
		s.State = Unsealed
	} else if err != nil || !s.Until.IsZero() {
		s.State = LockedOut
	}
	return s
}

// Held reports whether the directory has a file of a share. It needs no password.
func (d *Door) Held() (bool, error) {
	names, err := d.disk.records()
	for _, name := range names {
		if strings.HasPrefix(name, sharePrefix) {
			return true, err
		}
	}
	return false, err
}

// vault is the open vault, or why there is none.
func (d *Door) vault() (*Vault, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ends:
		return nil, ErrClosed
	case d.open == nil:
		return nil, ErrSealed
	}
	return d.open, nil
}

// through calls fn with the open vault. A vault that is sealed meanwhile fails as one that was sealed before.
func through[T any](d *Door, fn func(*Vault) (T, error)) (T, error) {
	var none T
	v, err := d.vault()
	if err != nil {
		return none, err
	}
	out, err := fn(v)
	if errors.Is(err, ErrClosed) {
		return none, ErrSealed
	}
	return out, err
}

// PreParams is [Vault.PreParams], or [ErrSealed].
func (d *Door) PreParams() (*tss.PreParams, error) { return through(d, (*Vault).PreParams) }

// Share is [Vault.Share], or [ErrSealed].
func (d *Door) Share(key quorum.PublicKey) (*tss.KeyShare, error) {
	return through(d, func(v *Vault) (*tss.KeyShare, error) { return v.Share(key) })
}

// ShareOf is [Vault.ShareOf], or [ErrSealed].
func (d *Door) ShareOf(t quorum.Transcript) (*tss.KeyShare, error) {
	return through(d, func(v *Vault) (*tss.KeyShare, error) { return v.ShareOf(t) })
}

// PutPreParams is [Vault.PutPreParams], or [ErrSealed].
func (d *Door) PutPreParams(p *tss.PreParams) error {
	return d.do(func(v *Vault) error { return v.PutPreParams(p) })
}

// SaveShare is [Vault.SaveShare], or [ErrSealed].
func (d *Door) SaveShare(s *tss.KeyShare) error {
	return d.do(func(v *Vault) error { return v.SaveShare(s) })
}

// DeleteShare is [Vault.DeleteShare], or [ErrSealed].
func (d *Door) DeleteShare(old, successor quorum.Transcript) error {
	return d.do(func(v *Vault) error { return v.DeleteShare(old, successor) })
}

// DropShare is [Vault.DropShare], or [ErrSealed].
func (d *Door) DropShare(t quorum.Transcript) error {
	return d.do(func(v *Vault) error { return v.DropShare(t) })
}

func (d *Door) do(fn func(*Vault) error) error {
	_, err := through(d, func(v *Vault) (struct{}, error) { return struct{}{}, fn(v) })
	return err
}

// ChangePassword is [Vault.ChangePassword]. It works on a sealed vault too, which it leaves sealed.
func (d *Door) ChangePassword(old, next []byte, params Params) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	v, err := d.vault()
	if errors.Is(err, ErrSealed) {
		if err := errors.Join(d.env.limits.check(params), checkPassword(next)); err != nil {
			return fmt.Errorf("change password: %w", err)
		}
		if v, err = d.env.open(d.disk.dir, d.node, old); err == nil {
			defer v.Close()
			err = v.rewrap(next, params)
		}
		if err != nil {
			return fmt.Errorf("change password: %w", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return v.ChangePassword(old, next, params)
}

// Params is what guessing the present password costs.
func (d *Door) Params() (Params, error) { return d.disk.params(d.node) }

// ParamsOf is what guessing the present password of the vault in dir costs. It needs no password.
func ParamsOf(dir string, node common.Address) (Params, error) { return disk{dir: dir}.params(node) }

func (d disk) params(node common.Address) (Params, error) {
	h, err := d.header(node)
	if err != nil {
		return Params{}, err
	}
	p, err := h.Slots[0].password(h.Scheme)
	return p.Params, err
}

// Shares is [Vault.Shares], or [ErrSealed].
func (d *Door) Shares() ([]*tss.KeyShare, error) { return through(d, (*Vault).Shares) }
