package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
	"conclave/tss"
)

// Vault is an open vault: the root key is in memory. It is safe for concurrent use.
//
// The type has no String and no JSON; every format verb prints a placeholder.
type Vault struct{ s *state }

type state struct {
	env    env
	disk   disk
	sealer sealer

	mu      sync.Mutex // guards what follows, the root key's page and the files
	closed  bool
	header  header
	index   index
	offered common.Hash // the set that PreParams hands out; a share that is saved next is taken to be made with it
}

// env is what tests change: bounds that take no second, randomness that repeats, crashes.
type env struct {
	limits limits
	random io.Reader
	fault  func(step string) error
}

func production() env { return env{limits: bounds(), random: rand.Reader} }

// Create makes a vault in dir, which it creates with mode 0700 unless it is there, for the member node. It fails with
// [ErrExists], [ErrMode] or [ErrParams], and takes as long as params say. The password stays the caller's, to be cleared.
func Create(dir string, node common.Address, password []byte, params Params) (*Vault, error) {
	v, err := production().create(dir, node, password, params)
	if err != nil {
		return nil, fmt.Errorf("create vault: %w", err)
	}
	return v, nil
}

// Open opens the vault in dir with its password and reads every record once. It fails with [ErrNoVault], [ErrMode],
// [ErrScheme], [ErrDamaged], [ErrOtherNode], [ErrParams] or [ErrPassword], in about this order: what can be refused before
// the password is tried is. The password stays the caller's, to be cleared.
func Open(dir string, node common.Address, password []byte) (*Vault, error) {
	v, err := production().open(dir, node, password)
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	return v, nil
}

func (e env) create(dir string, node common.Address, password []byte, params Params) (*Vault, error) {
	if err := errors.Join(e.limits.check(params), checkPassword(password)); err != nil {
		return nil, err
	}
	s := &state{env: e, disk: disk{dir, e.fault}}
	if err := s.disk.make(); err != nil {
		return nil, err
	}
	if err := s.disk.vacant(); err != nil {
		return nil, err
	}
	h := header{Scheme: scheme, Identity: identity{Node: node}}
	root, err := newPage()
	if err != nil {
		return nil, err
	}
	for _, b := range [][]byte{h.Identity.ID[:], root.root()} {
		if _, err := io.ReadFull(e.random, b); err != nil {
			root.wipe()
			return nil, err
		}
	}
	s.header, s.sealer = h, sealer{root, node, h.Identity.hash()}
	if err := s.rewrap(password, params); err != nil {
		root.wipe()
		return nil, err
	}
	return s.ready()
}

// vacant refuses a directory that holds a vault, or records whose vault is gone: a new root key would not open them.
func (d disk) vacant() error {
	names, err := d.records()
	if err != nil {
		return err
	}
	_, err = d.read(headerFile, maxHeader)
	if len(names) == 0 && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%w in %s", ErrExists, d.dir)
}

func (e env) open(dir string, node common.Address, password []byte) (*Vault, error) {
	s := &state{env: e, disk: disk{dir, e.fault}}
	if err := s.disk.check(); err != nil {
		return nil, err
	}
	b, err := s.disk.read(headerFile, maxHeader)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoVault, dir)
	}
	if err != nil {
		return nil, err
	}
	if s.header, err = decodeHeader(b); err != nil {
		return nil, fmt.Errorf("%s: %w", headerFile, err)
	}
	if s.header.Identity.Node != node {
		return nil, fmt.Errorf("%s %w: %s", headerFile, ErrOtherNode, s.header.Identity.Node)
	}
	root, err := newPage()
	if err != nil {
		return nil, err
	}
	if err := s.unlock(root, password); err != nil {
		root.wipe()
		return nil, err
	}
	return s.ready()
}

// unlock tries the password on every slot, and then believes the header.
func (s *state) unlock(root *page, password []byte) error {
	if len(password) > MaxPassword {
		return ErrPassword
	}
	vault := s.header.Identity.hash()
	err := ErrPassword
	for _, slot := range s.header.Slots {
		if err = slot.unwrap(s.env.limits, vault, root.root(), password); !errors.Is(err, ErrPassword) {
			break
		}
	}
	if err != nil {
		return err
	}
	tag, err := s.header.tag(root.root())
	if err != nil {
		return err
	}
	if !hmac.Equal(tag[:], s.header.Tag[:]) {
		return fmt.Errorf("%w: %s is not what this vault wrote", ErrDamaged, headerFile)
	}
	s.sealer = sealer{root, s.header.Identity.Node, vault}
	return nil
}

// ready reads the records of a vault whose root key is there.
func (s *state) ready() (*Vault, error) {
	if err := s.scan(); err != nil {
		s.sealer.root.wipe()
		return nil, err
	}
	s.sweep()
	return &Vault{s}, nil
}

// sweep removes sets that are used but still have a file, because a crash came between. They are not handed out either way.
func (s *state) sweep() {
	for name, file := range s.index.sets {
		if _, used := s.index.used[name]; used && s.disk.remove(file) == nil {
			delete(s.index.sets, name)
		}
	}
}

// ChangePassword makes password the one that opens the vault. It writes one file, the header, and no record. Copies of the
// directory that were made before still open with the password of then.
func (v *Vault) ChangePassword(password []byte, params Params) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if v.s.closed {
		return fmt.Errorf("change password: %w", ErrClosed)
	}
	if err := errors.Join(v.s.env.limits.check(params), checkPassword(password)); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	if err := v.s.rewrap(password, params); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return nil
}

// rewrap makes password the one that opens the vault, and writes the header. No record changes.
func (s *state) rewrap(password []byte, params Params) error {
	h := s.header
	wrapped, err := wrap(s.env.random, s.sealer.vault, s.sealer.root.root(), password, params)
	if err != nil {
		return err
	}
	h.Slots = []slot{wrapped}
	if h.Tag, err = h.tag(s.sealer.root.root()); err != nil {
		return err
	}
	if err := s.disk.write(headerFile, encodeHeader(h)); err != nil {
		return err
	}
	s.header = h
	return nil
}

// Close wipes the root key. What is called after it fails with [ErrClosed].
func (v *Vault) Close() {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if !v.s.closed {
		v.s.closed = true
		v.s.sealer.root.wipe()
	}
}

// Format prints a placeholder for every verb.
func (Vault) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, "[vault]") }

// PutPreParams keeps a set of preparameters for a later key generation. The same set again changes nothing, unless it has
// made a share: then it fails with [ErrUsed].
func (v *Vault) PutPreParams(p *tss.PreParams) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if err := v.s.putPreParams(p); err != nil {
		return fmt.Errorf("keep preparameters: %w", err)
	}
	return nil
}

func (s *state) putPreParams(p *tss.PreParams) error {
	if s.closed {
		return ErrClosed
	}
	name := p.Fingerprint()
	if _, used := s.index.used[name]; used {
		return ErrUsed
	}
	if _, held := s.index.sets[name]; held {
		return nil
	}
	secret, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	defer clear(secret)
	file, err := s.store(idOfPreParams(name), secret)
	if err != nil {
		return err
	}
	s.index.sets[name] = file
	return nil
}

// PreParams returns a set that has made no share: the same one until a share is saved, so that a key generation that ends
// badly costs none. It fails with [ErrNoPreParams].
func (v *Vault) PreParams() (*tss.PreParams, error) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	p, err := v.s.preParams()
	if err != nil {
		return nil, fmt.Errorf("take preparameters: %w", err)
	}
	return p, nil
}

func (s *state) preParams() (*tss.PreParams, error) {
	if s.closed {
		return nil, ErrClosed
	}
	name := s.offered
	if name == (common.Hash{}) {
		unused := s.unused()
		if len(unused) == 0 {
			return nil, ErrNoPreParams
		}
		name = unused[0]
	}
	file := s.index.sets[name]
	_, secret, err := s.load(file)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	p, err := tss.UnmarshalPreParams(secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if p.Fingerprint() != name {
		return nil, fmt.Errorf("%w: %s holds another set", ErrDamaged, file)
	}
	s.offered = name
	return p, nil
}

// unused are the sets that no share names, ascending. A used one has a file only if its removal was cut short.
func (s *state) unused() []common.Hash {
	var out []common.Hash
	for name := range s.index.sets {
		if _, used := s.index.used[name]; !used {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, common.Hash.Cmp)
	return out
}

// SaveShare makes a share durable: it is on disk when it returns nil. The set that [Vault.PreParams] returned before is
// used from then on, and removed. The same share again changes nothing; another share of the same key generation is
// refused, and so is another member's, with [ErrOtherNode].
func (v *Vault) SaveShare(share *tss.KeyShare) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if err := v.s.saveShare(share); err != nil {
		return fmt.Errorf("save share: %w", err)
	}
	return nil
}

func (s *state) saveShare(share *tss.KeyShare) error {
	switch {
	case s.closed:
		return ErrClosed
	case share.Self() != s.sealer.node:
		return fmt.Errorf("the share %w: %s", ErrOtherNode, share.Self())
	}
	t := share.Transcript()
	id := idOfShare(t.PublicKey, t.Epoch, t.Session)
	secret, err := share.MarshalBinary()
	if err != nil {
		return err
	}
	defer clear(secret)
	if name, err := id.file(); err != nil {
		return err
	} else if _, held := s.index.shares[name]; held {
		return s.same(name, secret)
	}
	body := encode(shareBody{s.offered, secret})
	defer clear(body)
	name, err := s.store(id, body)
	if err != nil {
		return err
	}
	s.index.shares[name] = id
	s.spend()
	return nil
}

// same compares a share with the one that is held.
func (s *state) same(name string, secret []byte) error {
	held, err := s.share(name)
	if err != nil {
		return err
	}
	b, err := held.MarshalBinary()
	if err != nil {
		return err
	}
	defer clear(b)
	if !bytes.Equal(b, secret) {
		return errors.New("another share of the same key generation is held")
	}
	return nil
}

// spend removes the set that the share just saved was made with. Its use is recorded by then, in the share's own file: a
// file that cannot be removed is not handed out again, so that is no reason to fail a key generation.
func (s *state) spend() {
	if s.offered == (common.Hash{}) {
		return
	}
	s.index.used[s.offered] = struct{}{}
	s.offered = common.Hash{}
	s.sweep()
}

// Share returns the share of a key, checked as [tss.LoadKeyShare] does. It fails with [ErrNoShare], and with [ErrSeveral]
// when the key has shares of several epochs or ceremonies: [Vault.ShareOf] tells them apart.
func (v *Vault) Share(key quorum.PublicKey) (*tss.KeyShare, error) {
	return v.find(func(id recordID) bool { return id.key() == key })
}

// ShareOf returns the share of the key generation that a transcript tells of. It fails with [ErrNoShare].
func (v *Vault) ShareOf(t quorum.Transcript) (*tss.KeyShare, error) {
	want := idOfShare(t.PublicKey, t.Epoch, t.Session)
	return v.find(func(id recordID) bool { return id.Epoch == want.Epoch && bytes.Equal(id.ID, want.ID) })
}

func (v *Vault) find(is func(recordID) bool) (*tss.KeyShare, error) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if v.s.closed {
		return nil, ErrClosed
	}
	var found []string
	for name, id := range v.s.index.shares {
		if is(id) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return nil, ErrNoShare
	case 1:
		share, err := v.s.share(found[0])
		if err != nil {
			return nil, fmt.Errorf("load share: %w", err)
		}
		return share, nil
	}
	return nil, ErrSeveral
}

// Keys are the keys of which the vault holds a share, ascending. It needs no root key and works on a closed vault too.
func (v *Vault) Keys() []quorum.PublicKey {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	keys := map[quorum.PublicKey]struct{}{}
	for _, id := range v.s.index.shares {
		keys[id.key()] = struct{}{}
	}
	return slices.SortedFunc(maps.Keys(keys), func(a, b quorum.PublicKey) int { return bytes.Compare(a[:], b[:]) })
}
