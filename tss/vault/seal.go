package vault

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Purposes of keys. Each key has one; the texts are part of the format.
const (
	forTag    = "conclave/vault/tag\x00"
	forRecord = "conclave/vault/record\x00"
)

// derive makes the slot key. The caller wipes it.
func (p passwordSlot) derive(password []byte) []byte {
	key := argon2.IDKey(password, p.Salt[:], p.Params.Time, p.Params.Memory, p.Params.Threads, chacha20poly1305.KeySize)
	// The derivation's memory would stay with the process until some later collection.
	debug.FreeOSMemory()
	return key
}

// bound is what a slot's wrapping authenticates beside the root key.
func (p passwordSlot) bound(vault [32]byte) []byte {
	return encode([]any{uint64(scheme), vault, uint64(slotPassword), p.Params, p.Salt})
}

// wrap makes a slot that the password opens.
func wrap(random io.Reader, vault [32]byte, root, password []byte, params Params) (slot, error) {
	p := passwordSlot{Params: params}
	for _, b := range [][]byte{p.Salt[:], p.Nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return slot{}, err
		}
	}
	key := p.derive(password)
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return slot{}, err
	}
	aead.Seal(p.Wrapped[:0], p.Nonce[:], root, p.bound(vault))
	return slot{slotPassword, encode(p)}, nil
}

// unwrap opens a slot into root; it fails with ErrPassword, or with ErrParams before it spends anything.
func (s slot) unwrap(l limits, vault [32]byte, root, password []byte) error {
	var p passwordSlot
	if err := rlp.DecodeBytes(s.Body, &p); err != nil {
		return fmt.Errorf("%w: slot", ErrDamaged)
	}
	if err := l.check(p.Params); err != nil {
		return err
	}
	key := p.derive(password)
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return err
	}
	// The key appears in root's memory and nowhere else.
	if _, err := aead.Open(root[:0], p.Nonce[:], p.Wrapped[:], p.bound(vault)); err != nil {
		return ErrPassword
	}
	return nil
}

// tag authenticates a header by the root key.
func (h header) tag(root []byte) ([32]byte, error) {
	vault := h.Identity.hash()
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
	root  *page
	node  common.Address
	vault [32]byte
}

// cipher returns the cipher of a record's key, and what it authenticates beside the secret.
func (s sealer) cipher(id recordID) (cipher.AEAD, []byte, error) {
	key, err := hkdf.Key(sha256.New, s.root.root(), s.vault[:], forRecord+string(encode(id)), chacha20poly1305.KeySize)
	if err != nil {
		return nil, nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	return aead, encode([]any{uint64(scheme), s.vault, id, s.node}), err
}

// seal makes a record's file.
func (s sealer) seal(random io.Reader, id recordID, secret []byte) ([]byte, error) {
	aead, bound, err := s.cipher(id)
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
	aead, bound, err := s.cipher(r.ID)
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, r.Nonce[:], r.Sealed, bound)
	if err != nil {
		return nil, fmt.Errorf("%w: not what was sealed here", ErrDamaged)
	}
	return secret, nil
}
