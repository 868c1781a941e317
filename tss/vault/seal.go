package vault

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime/debug"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Purposes of keys. Each key has one; the texts are part of the format.
const (
	forTag    = "conclave/vault/tag\x00"
	forRecord = "conclave/vault/record\x00"
	forWrap   = "conclave/vault/slot/wrap\x00"
	forCommit = "conclave/vault/slot/commit\x00"
)

// derive makes the slot key. The caller wipes it.
func (p passwordSlot) derive(password []byte) []byte {
	key := argon2.IDKey(password, p.Salt[:], p.Params.Time, p.Params.Memory, p.Params.Threads, chacha20poly1305.KeySize)
	// The derivation's memory would stay with the process until some later collection.
	debug.FreeOSMemory()
	return key
}

// split makes the wrapping key and the commitment of a slot key.
func split(key []byte, vault [32]byte) (wrap []byte, commit [sha256.Size]byte, err error) {
	c, err := hkdf.Key(sha256.New, key, vault[:], forCommit, sha256.Size)
	if err != nil {
		return nil, commit, err
	}
	wrap, err = hkdf.Key(sha256.New, key, vault[:], forWrap, chacha20poly1305.KeySize)
	return wrap, [sha256.Size]byte(c), err
}

// bound is what a slot's wrapping authenticates beside the root key.
func (p passwordSlot) bound(of uint64, vault [32]byte) []byte {
	if of == schemeOne {
		return encode([]any{of, vault, uint64(slotPassword), p.Params, p.Salt})
	}
	return encode([]any{of, vault, uint64(slotPassword), p.Params, p.Salt, p.Commit})
}

// wrap makes a slot that the password opens.
func wrap(random io.Reader, id identity, root, password []byte, params Params) (slot, error) {
	p := passwordSlot{Params: params}
	for _, b := range [][]byte{p.Salt[:], p.Nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return slot{}, err
		}
	}
	key := p.derive(password)
	defer clear(key)
	vault := id.hash(scheme)
	wrapping, commit, err := split(key, vault)
	defer clear(wrapping)
	if err != nil {
		return slot{}, err
	}
	p.Commit = commit
	aead, err := chacha20poly1305.NewX(wrapping)
	if err != nil {
		return slot{}, err
	}
	aead.Seal(p.Wrapped[:0], p.Nonce[:], root, p.bound(scheme, vault))
	return slot{slotPassword, encode(p)}, nil
}

// unwrap opens a slot into root; it fails with ErrPassword, or with ErrParams before it spends anything.
func (s slot) unwrap(l limits, of uint64, id identity, root, password []byte) (Params, error) {
	p, err := s.password(of)
	if err != nil {
		return Params{}, err
	}
	if err := l.check(p.Params); err != nil {
		return Params{}, err
	}
	key := p.derive(password)
	defer clear(key)
	vault, wrapping := id.hash(of), key
	otherwise := ErrPassword // what a wrapping that does not open means: in schemeOne nothing else tells
	if of != schemeOne {
		var commit [sha256.Size]byte
		if wrapping, commit, err = split(key, vault); err != nil {
			return Params{}, err
		}
		defer clear(wrapping)
		if !hmac.Equal(commit[:], p.Commit[:]) {
			return Params{}, ErrPassword
		}
		otherwise = fmt.Errorf("%w: the password's slot", ErrDamaged)
	}
	aead, err := chacha20poly1305.NewX(wrapping)
	if err != nil {
		return Params{}, err
	}
	// The key appears in root's memory and nowhere else.
	if _, err := aead.Open(root[:0], p.Nonce[:], p.Wrapped[:], p.bound(of, vault)); err != nil {
		return Params{}, otherwise
	}
	return p.Params, nil
}

// tag authenticates a header by the root key.
func (h header) tag(root []byte) ([32]byte, error) {
	vault := h.Identity.hash(h.Scheme)
	key, err := hkdf.Key(sha256.New, root, vault[:], forTag, sha256.Size)
	if err != nil {
		return [32]byte{}, err
	}
	defer clear(key)
	m := hmac.New(sha256.New, key)
	m.Write(h.body())
	return [32]byte(m.Sum(nil)), nil
}

// sealer seals the records of one vault.
type sealer struct {
	root *page
	id   identity
}

// cipher returns the cipher of a record's key, and what it authenticates beside the secret: the scheme, the vault by the
// hash of its header's identity, kind, name and epoch of the record, and the node.
func (s sealer) cipher(of uint64, id recordID) (cipher.AEAD, []byte, error) {
	vault := s.id.hash(of)
	key, err := hkdf.Key(sha256.New, s.root.root(), vault[:], forRecord+string(encode(id)), chacha20poly1305.KeySize)
	if err != nil {
		return nil, nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	return aead, encode([]any{of, vault, id, s.id.Node}), err
}

// seal makes a record's file.
func (s sealer) seal(random io.Reader, id recordID, secret []byte) ([]byte, error) {
	aead, bound, err := s.cipher(scheme, id)
	if err != nil {
		return nil, err
	}
	r := record{Scheme: scheme, ID: id}
	if _, err := io.ReadFull(random, r.Nonce[:]); err != nil {
		return nil, err
	}
	r.Sealed = aead.Seal(nil, r.Nonce[:], secret, bound)
	return encode(r), nil
}

// open returns a record's secret, which the caller wipes.
func (s sealer) open(r record) ([]byte, error) {
	aead, bound, err := s.cipher(r.Scheme, r.ID)
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, r.Nonce[:], r.Sealed, bound)
	if err != nil {
		return nil, fmt.Errorf("%w: not what was sealed here", ErrDamaged)
	}
	return secret, nil
}
