package vault

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/ethereum/go-ethereum/common"

	"conclave/tss"
)

const (
	backupName = "conclave vault backup"
	backupForm = 1
	// MaxBackup bounds a backup in bytes: as many shares as two generations of a few keys have.
	MaxBackup = 4 << 20
	maxShares = 32
)

var (
	// ErrBackup means that a file is no backup, or is damaged.
	ErrBackup = errors.New("no backup of a vault")
	// ErrIdentity means that a backup was made for other recipients.
	ErrIdentity = errors.New("not encrypted to this identity")
	// ErrRecipient means that a recipient or an identity is none of age.
	ErrRecipient = errors.New("want an age recipient (age1…) or identity file")
)

// backup is what is encrypted: shares with their epochs, and nothing that speaks of votes. Preparameters are left out: new
// ones can be made.
type backup struct {
	Scheme uint64
	Name   string
	Node   common.Address
	Made   uint64 // unix ms
	Shares [][]byte
}

// Backup is a backup that was opened and checked.
type Backup struct {
	Node   common.Address
	Made   time.Time
	Shares []*tss.KeyShare
}

// WriteBackup encrypts the shares to age recipients. It fails with [ErrNoShare] when there is none to keep and with
// [ErrRecipient]. Each share is checked as [tss.LoadKeyShare] does before it is written.
func (v *Vault) WriteBackup(w io.Writer, made time.Time, to ...string) error {
	recipients, err := recipientsOf(to)
	if err != nil {
		return fmt.Errorf("back up vault: %w", err)
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	plain, err := v.s.backup(made)
	if err != nil {
		return fmt.Errorf("back up vault: %w", err)
	}
	defer clear(plain)
	out, err := age.Encrypt(w, recipients...)
	if err == nil {
		_, err = out.Write(plain)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("back up vault: %w", err)
	}
	return nil
}

func recipientsOf(to []string) ([]age.Recipient, error) {
	if len(to) == 0 {
		return nil, fmt.Errorf("%w: none is given", ErrRecipient)
	}
	var out []age.Recipient
	for _, text := range to {
		r, err := age.ParseRecipients(bytes.NewReader([]byte(text)))
		if err != nil {
			// The library quotes its input, which may be an identity by mistake.
			return nil, fmt.Errorf("%w: one of those given is no recipient", ErrRecipient)
		}
		out = append(out, r...)
	}
	return out, nil
}

func (s *state) backup(made time.Time) ([]byte, error) {
	if s.closed {
		return nil, ErrClosed
	}
	b := backup{Scheme: backupForm, Name: backupName, Node: s.sealer.id.Node, Made: uint64(made.UnixMilli())}
	defer func() { b.clear() }()
	names := make([]string, 0, len(s.index.shares))
	for name := range s.index.shares {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		share, err := s.share(name)
		if err != nil {
			return nil, err
		}
		raw, err := share.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b.Shares = append(b.Shares, raw)
	}
	switch {
	case len(b.Shares) == 0:
		return nil, ErrNoShare
	case len(b.Shares) > maxShares:
		return nil, fmt.Errorf("%w: %d shares", ErrFull, len(b.Shares))
	}
	return encode(b), nil
}

func (b backup) clear() {
	for _, s := range b.Shares {
		clear(s)
	}
}

// ReadBackup decrypts a backup with an age identity file's content and checks every share of it as [tss.LoadKeyShare] does.
// It fails with [ErrRecipient], [ErrIdentity], [ErrBackup] or [ErrOtherNode], and writes nothing anywhere.
func ReadBackup(r io.Reader, identities io.Reader) (*Backup, error) {
	b, err := readBackup(r, identities)
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	return b, nil
}

func readBackup(r, identities io.Reader) (*Backup, error) {
	ids, err := age.ParseIdentities(identities)
	if err != nil {
		return nil, fmt.Errorf("%w: no identity is in the file", ErrRecipient) // without the library's words, which may quote a secret
	}
	in, err := age.Decrypt(io.LimitReader(r, MaxBackup), ids...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, ErrIdentity
	}
	if err != nil {
		return nil, fmt.Errorf("%w: not its encoding", ErrBackup)
	}
	plain, err := io.ReadAll(in)
	defer clear(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: cut short or changed", ErrBackup)
	}
	return decodeBackup(plain)
}

func decodeBackup(plain []byte) (*Backup, error) {
	var b backup
	if err := decodeOf(plain, &b, backupForm); errors.Is(err, ErrScheme) {
		return nil, err
	} else if err != nil || b.Name != backupName {
		return nil, fmt.Errorf("%w: not its encoding", ErrBackup)
	}
	defer b.clear()
	if len(b.Shares) == 0 || len(b.Shares) > maxShares {
		return nil, fmt.Errorf("%w: %d shares", ErrBackup, len(b.Shares))
	}
	out := &Backup{Node: b.Node, Made: time.UnixMilli(int64(b.Made)).UTC()}
	for _, raw := range b.Shares {
		s, err := tss.LoadKeyShare(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBackup, err)
		}
		if s.Self() != b.Node {
			return nil, fmt.Errorf("a share of %s %w", s.Self(), ErrOtherNode)
		}
		out.Shares = append(out.Shares, s)
	}
	return out, nil
}

// Restore puts the shares of a backup into the vault. The same again changes nothing. What this node said since the backup
// was made is not in it: whoever restores puts the node in quarantine first.
func (v *Vault) Restore(b *Backup) error {
	for _, s := range b.Shares {
		if err := v.SaveShare(s); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	return nil
}

// Shares are the shares that the vault holds, each checked as [tss.LoadKeyShare] does, by epoch.
func (v *Vault) Shares() ([]*tss.KeyShare, error) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if v.s.closed {
		return nil, ErrClosed
	}
	var out []*tss.KeyShare
	for name := range v.s.index.shares {
		s, err := v.s.share(name)
		if err != nil {
			return nil, fmt.Errorf("load share: %w", err)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *tss.KeyShare) int {
		x, y := a.PublicKey(), b.PublicKey()
		return cmp.Or(cmp.Compare(a.Epoch(), b.Epoch()), bytes.Compare(x[:], y[:]))
	})
	return out, nil
}

// NewIdentity makes an age identity: what opens backups, and the recipient to encrypt them to. Who has age-keygen needs it not.
func NewIdentity() (identity []byte, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, "", err
	}
	text := fmt.Sprintf("# public key: %s\n%s\n", id.Recipient(), id)
	return []byte(text), id.Recipient().String(), nil
}
