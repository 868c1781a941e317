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
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
	"conclave/tss"
)

// Vault is an open vault: the root key is in memory. It is safe for concurrent use.
//
// The type has no String and no JSON; every format verb prints a placeholder.
type Vault struct{ s *state }

type state struct {
	env     env
	disk    disk
	sealer  sealer
	lock    *lock  // nil: whoever opened it holds the lock, or only reads
	reading bool   // beside a node: nothing is written but the count of wrong passwords
	opened  Params // of the slot that the password opened

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
	now    func() time.Time // nil: time.Now
}

func (e env) time() time.Time {
	if e.now == nil {
		return time.Now()
	}
	return e.now()
}

func production() env { return env{limits: bounds(), random: rand.Reader} }

// Create makes a vault in dir, which it creates with mode 0700 unless it is there, for the member node. It fails with
// [ErrExists], [ErrMode], [ErrParams] or [ErrInUse], and takes as long as params say. The password stays the caller's, to
// be cleared.
func Create(dir string, node common.Address, password []byte, params Params) (*Vault, error) {
	v, err := production().createAlone(dir, node, password, params)
	if err != nil {
		return nil, fmt.Errorf("create vault: %w", err)
	}
	return v, nil
}

// Open opens the vault in dir with its password and reads every record once; one of an earlier scheme is written anew. It
// fails with [ErrNoVault], [ErrMode], [ErrInUse], [ErrScheme], [ErrDamaged], [ErrOtherNode], [ErrLockedOut], [ErrParams] or
// [ErrPassword], in about this order: what can be refused before the password is tried is. The password stays the
// caller's, to be cleared.
func Open(dir string, node common.Address, password []byte) (*Vault, error) {
	v, err := production().openAlone(dir, node, password)
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	return v, nil
}

// OpenToRead is [Open] beside a process that may write to the vault: nothing but the count of wrong passwords is written,
// and what would write fails.
func OpenToRead(dir string, node common.Address, password []byte) (*Vault, error) {
	v, err := production().openToRead(dir, node, password)
	if err != nil {
		return nil, fmt.Errorf("open vault to read: %w", err)
	}
	return v, nil
}

func (e env) createAlone(dir string, node common.Address, password []byte, params Params) (*Vault, error) {
	if err := errors.Join(e.limits.check(params), checkPassword(password)); err != nil {
		return nil, err
	}
	d := disk{dir, e.fault}
	if err := d.make(); err != nil {
		return nil, err
	}
	return d.alone(func() (*Vault, error) { return e.create(dir, node, password, params) })
}

func (e env) openAlone(dir string, node common.Address, password []byte) (*Vault, error) {
	d := disk{dir, e.fault}
	if _, err := d.header(node); err != nil {
		return nil, err // before a file is made for the lock
	}
	return d.alone(func() (*Vault, error) { return e.open(dir, node, password) })
}

// alone runs fn under the vault's lock, which the vault then keeps until it is closed.
func (d disk) alone(fn func() (*Vault, error)) (*Vault, error) {
	l, err := d.lock()
	if err != nil {
		return nil, err
	}
	v, err := fn()
	if err != nil {
		l.free()
		return nil, err
	}
	v.s.lock = l
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
	s.header, s.sealer = h, sealer{root, h.Identity}
	if err := s.rewrap(password, params); err != nil {
		root.wipe()
		return nil, err
	}
	return s.ready(password)
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
	return e.openAs(dir, node, password, false)
}

func (e env) openToRead(dir string, node common.Address, password []byte) (*Vault, error) {
	return e.openAs(dir, node, password, true)
}

func (e env) openAs(dir string, node common.Address, password []byte, reading bool) (*Vault, error) {
	s := &state{env: e, disk: disk{dir, e.fault}, reading: reading}
	var err error
	if s.header, err = s.disk.header(node); err != nil {
		return nil, err
	}
	root, err := newPage()
	if err != nil {
		return nil, err
	}
	if err := s.guess(func() error { return s.unlock(root, password) }); err != nil {
		root.wipe()
		return nil, err
	}
	return s.ready(password)
}

// header reads the header of a member's vault as far as it can be read without its password.
func (d disk) header(node common.Address) (header, error) {
	if err := d.check(); err != nil {
		return header{}, err
	}
	b, err := d.read(headerFile, maxHeader)
	if errors.Is(err, fs.ErrNotExist) {
		return header{}, fmt.Errorf("%w in %s", ErrNoVault, d.dir)
	}
	if err != nil {
		return header{}, err
	}
	h, err := decodeHeader(b)
	if err != nil {
		return header{}, fmt.Errorf("%s: %w", headerFile, err)
	}
	if h.Identity.Node != node {
		return header{}, fmt.Errorf("%s %w: %s", headerFile, ErrOtherNode, h.Identity.Node)
	}
	return h, nil
}

// unlock tries the password on every slot, and then believes the header.
func (s *state) unlock(root *page, password []byte) error {
	opened, err := s.tryPassword(root.root(), password)
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
	s.sealer, s.opened = sealer{root, s.header.Identity}, opened
	return nil
}

// tryPassword opens the slot that the password fits into root.
func (s *state) tryPassword(root, password []byte) (opened Params, err error) {
	if len(password) == 0 || len(password) > MaxPassword {
		return Params{}, ErrPassword
	}
	err = ErrPassword
	for _, slot := range s.header.Slots {
		opened, err = slot.unwrap(s.env.limits, s.header.Scheme, s.header.Identity, root, password)
		if !errors.Is(err, ErrPassword) {
			break
		}
	}
	return opened, err
}

// ready reads the records of a vault whose root key is there, and brings them to the present scheme.
func (s *state) ready(password []byte) (*Vault, error) {
	err := s.scan()
	if err == nil && !s.reading {
		err = s.migrate(password)
	}
	if err != nil {
		s.sealer.root.wipe()
		return nil, err
	}
	if !s.reading {
		s.sweep()
	}
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

// ChangePassword makes next the password that opens the vault; it fails with [ErrPassword], counted as ever, when old is
// not the present one. It writes one file, the header, and no record: the cost does not depend on what the vault holds.
// Copies of the directory that were made before still open with the password of then.
func (v *Vault) ChangePassword(old, next []byte, params Params) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if err := v.s.changePassword(old, next, params); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return nil
}

func (s *state) changePassword(old, next []byte, params Params) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	if err := errors.Join(s.env.limits.check(params), checkPassword(next)); err != nil {
		return err
	}
	again, err := newPage()
	if err != nil {
		return err
	}
	defer again.wipe()
	err = s.guess(func() error { _, err := s.tryPassword(again.root(), old); return err })
	if err != nil {
		return err
	}
	return s.rewrap(next, params)
}

// rewrap is for who opened the vault with the old password just now.
func (v *Vault) rewrap(password []byte, params Params) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.s.rewrap(password, params)
}

// mayWrite fails on a vault that was closed or is only read.
func (s *state) mayWrite() error {
	switch {
	case s.closed:
		return ErrClosed
	case s.reading:
		return errReading
	}
	return nil
}

// errReading is a bug of the caller.
var errReading = errors.New("the vault was opened to read")

// rewrap makes password the one that opens the vault, and writes the header. No record changes.
func (s *state) rewrap(password []byte, params Params) error {
	h := s.header
	wrapped, err := wrap(s.env.random, s.sealer.id, s.sealer.root.root(), password, params)
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
	s.header, s.opened = h, params
	return nil
}

// Close wipes the root key. What is called after it fails with [ErrClosed].
func (v *Vault) Close() {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if !v.s.closed {
		v.s.closed = true
		v.s.sealer.root.wipe()
		v.s.lock.free()
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
	if err := s.mayWrite(); err != nil {
		return err
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
	if err := s.mayWrite(); err != nil {
		return err
	}
	if share.Self() != s.sealer.id.Node {
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
