package vault

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// scheme is the first item of every file that is written. It names all that follows: layout, key derivation and cipher.
// Files of schemeOne are read, and written anew as this one when the vault is opened: see [state.migrate].
const (
	scheme    = 2
	schemeOne = 1 // no commitment in a password's slot, whose key wrapped the root key itself
)

// Kinds of slots. Those of hardware and of key services will be further numbers here.
const slotPassword = 1

// Kinds of records.
const (
	kindPreParams = 1 // id: fingerprint
	kindShare     = 2 // id: public key ‖ session of the key generation
)

// Sizes of the format.
const (
	rootSize  = 32
	saltSize  = 32
	nonceSize = 24 // XChaCha20: random nonces do not collide
	macSize   = 16
)

// Bounds of what is read.
const (
	maxSlots  = 8         // each costs a key derivation when the password is wrong
	maxHeader = 8 << 10   // a password slot has 150 bytes
	maxRecord = 128 << 10 // a share of the largest committee has 20 KB
)

// identity is the part of the header that never changes; records are bound to its hash.
type identity struct {
	Node common.Address
	ID   [32]byte // random: two vaults of one node differ
}

// slot wraps the root key in one way.
type slot struct {
	Type uint64
	Body []byte // RLP of the type's own form
}

// passwordSlot is a root key under a password. Commit is a value of the key that the password makes: without it, one
// wrapping could be made that opens under many passwords, and whether it opens would tell of all of them at once.
type passwordSlot struct {
	Params  Params
	Salt    [saltSize]byte
	Commit  [sha256.Size]byte
	Nonce   [nonceSize]byte
	Wrapped [rootSize + macSize]byte
}

// passwordSlotOne is that of schemeOne.
type passwordSlotOne struct {
	Params  Params
	Salt    [saltSize]byte
	Nonce   [nonceSize]byte
	Wrapped [rootSize + macSize]byte
}

// header is vault.header. The checksum, which needs no key, tells damage from a wrong password; the tag, which needs the
// root key, tells damage from forgery, also in slots other than the one that opened.
type header struct {
	Scheme   uint64
	Identity identity
	Slots    []slot
	Tag      [32]byte // HMAC under a key of the root key, over all before it
	Sum      [32]byte // SHA-256 over all before it
}

// recordID is what a record is called; its file has a name made from it.
type recordID struct {
	Kind  uint64
	ID    []byte
	Epoch uint64 // zero for preparameters, which serve the epoch that they meet
}

// record is a sealed file.
type record struct {
	Scheme uint64
	ID     recordID
	Nonce  [nonceSize]byte
	Sealed []byte
}

// shareBody is the secret of a share's record. MadeWith is what makes a set of preparameters used: one write saves the
// share and spends the set, so no crash falls between.
type shareBody struct {
	MadeWith common.Hash // fingerprint of the set; zero when the share came from elsewhere
	Share    []byte
}

// hash names the vault in a scheme; it is part of what authenticates slots and records.
func (i identity) hash(scheme uint64) [32]byte {
	return sha256.Sum256(append([]byte("conclave/vault/header\x00"), encode(struct {
		Scheme   uint64
		Identity identity
	}{scheme, i})...))
}

// body is what tag and checksum cover: the header without them.
func (h header) body() []byte { return encode([]any{h.Scheme, h.Identity, h.Slots}) }

func (h header) sum() [32]byte { return sha256.Sum256(append(h.body(), h.Tag[:]...)) }

func encodeHeader(h header) []byte {
	h.Sum = h.sum()
	return encode(h)
}

// decodeHeader reads a header as far as it can be read without a key.
func decodeHeader(b []byte) (header, error) {
	var h header
	if err := decode(b, &h); err != nil {
		return header{}, err
	}
	if h.Sum != h.sum() {
		return header{}, fmt.Errorf("%w: checksum", ErrDamaged)
	}
	if len(h.Slots) == 0 || len(h.Slots) > maxSlots {
		return header{}, fmt.Errorf("%w: %d slots", ErrDamaged, len(h.Slots))
	}
	for _, s := range h.Slots {
		if s.Type != slotPassword {
			return header{}, fmt.Errorf("%w: slot of type %d", ErrScheme, s.Type)
		}
		if _, err := s.password(h.Scheme); err != nil {
			return header{}, err
		}
	}
	return h, nil
}

// password reads a password's slot; one of schemeOne has no commitment.
func (s slot) password(scheme uint64) (p passwordSlot, err error) {
	if scheme == schemeOne {
		var one passwordSlotOne
		err = rlp.DecodeBytes(s.Body, &one)
		p = passwordSlot{Params: one.Params, Salt: one.Salt, Nonce: one.Nonce, Wrapped: one.Wrapped}
	} else {
		err = rlp.DecodeBytes(s.Body, &p)
	}
	if err != nil {
		return passwordSlot{}, fmt.Errorf("%w: slot", ErrDamaged)
	}
	return p, nil
}

// decodeRecord reads a record's frame; only its key tells whether it is genuine.
func decodeRecord(b []byte) (record, error) {
	var r record
	if err := decode(b, &r); err != nil {
		return record{}, err
	}
	if _, err := r.ID.file(); err != nil {
		return record{}, err
	}
	if len(r.Sealed) < macSize {
		return record{}, fmt.Errorf("%w: %d sealed bytes", ErrDamaged, len(r.Sealed))
	}
	return r, nil
}

// decode reads a file of the vault.
func decode(b []byte, into any) error { return decodeOf(b, into, schemeOne, scheme) }

// decodeOf reads a file whose first item is one of the schemes. What an unknown scheme holds is not looked at.
func decodeOf(b []byte, into any, schemes ...uint64) error {
	content, _, err := rlp.SplitList(b)
	if err != nil {
		return fmt.Errorf("%w: not its encoding", ErrDamaged)
	}
	is, _, err := rlp.SplitUint64(content)
	if err != nil {
		return fmt.Errorf("%w: no scheme", ErrDamaged)
	}
	if !slices.Contains(schemes, is) {
		return fmt.Errorf("%w: %d", ErrScheme, is)
	}
	if err := rlp.DecodeBytes(b, into); err != nil {
		return fmt.Errorf("%w: not its encoding", ErrDamaged)
	}
	return nil
}

// encode is RLP of our own types, which always have one.
func encode(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(err)
	}
	return b
}
