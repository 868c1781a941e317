package quorum

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// Body is what a member signs. Check looks at the shape alone: what any reader can tell without knowing history.
type Body interface {
	Kind() Kind
	Check() error
}

// MaxStatement bounds a single signed statement on the wire, in bytes. The largest is a VIEW of many lanes.
const MaxStatement = 16 << 10

// Errors of opening a statement.
var (
	// ErrNotMember means that the signature is whole, but its signer has no seat in the roster.
	ErrNotMember = errors.New("signer is not a member")
	// ErrMalformed means that the bytes are not the one canonical encoding of a known statement.
	ErrMalformed = errors.New("malformed statement")
)

// envelope is a statement on the wire and on disk.
type envelope struct {
	Kind Kind
	Body rlp.RawValue
	Sig  Signature
}

// Signed is a statement whose signature was verified against a roster, or made with the own key. Its zero value is
// nobody's statement; only [Sign] and [Open] make others.
type Signed[T Body] struct {
	body   T
	signer common.Address
	sig    Signature
	raw    []byte
}

// Body returns what was signed.
func (s Signed[T]) Body() T { return s.body }

// Signer returns the member who signed.
func (s Signed[T]) Signer() common.Address { return s.signer }

// Signature returns the signature over the body's digest.
func (s Signed[T]) Signature() Signature { return s.sig }

// Bytes returns the statement's one encoding. The caller must not change it.
func (s Signed[T]) Bytes() []byte { return s.raw }

// Sign makes a statement of the holder of key.
func Sign[T Body](key *ecdsa.PrivateKey, network common.Hash, body T) (Signed[T], error) {
	if err := body.Check(); err != nil {
		return Signed[T]{}, fmt.Errorf("sign %s: %w", body.Kind(), err)
	}
	raw := mustEncode(body)
	digest := digestRaw(body.Kind(), network, raw)
	sig, err := SignDigest(key, digest)
	if err != nil {
		return Signed[T]{}, err
	}
	signer, err := sig.Recover(digest)
	if err != nil {
		return Signed[T]{}, fmt.Errorf("sign %s: %w", body.Kind(), err)
	}
	return Signed[T]{body: body, signer: signer, sig: sig, raw: mustEncode(envelope{body.Kind(), raw, sig})}, nil
}

// Authenticate checks the signature of statement bytes and returns its kind and signer, without decoding the body: bytes
// of strangers are looked at no further than this. It fails with [ErrMalformed], [ErrSignature] or [ErrNotMember].
func Authenticate(network common.Hash, members Members, raw []byte) (Kind, common.Address, error) {
	env, signer, err := authenticate(network, members, raw)
	return env.Kind, signer, err
}

func authenticate(network common.Hash, members Members, raw []byte) (envelope, common.Address, error) {
	var env envelope
	if len(raw) > MaxStatement {
		return env, common.Address{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(raw), MaxStatement)
	}
	if err := rlp.DecodeBytes(raw, &env); err != nil {
		return env, common.Address{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !env.Kind.wellFormed() {
		return env, common.Address{}, fmt.Errorf("%w: kind %q", ErrMalformed, env.Kind)
	}
	signer, err := env.Sig.Recover(digestRaw(env.Kind, network, env.Body))
	if err != nil {
		return env, common.Address{}, err
	}
	if !members.Has(signer) {
		return env, signer, fmt.Errorf("%w: %s", ErrNotMember, signer)
	}
	return env, signer, nil
}

// Open verifies a statement of kind T by a member of the roster.
func Open[T Body](network common.Hash, members Members, raw []byte) (Signed[T], error) {
	var none Signed[T]
	env, signer, err := authenticate(network, members, raw)
	if err != nil {
		return none, err
	}
	var body T
	if err := decodeExact(env.Body, &body); err != nil {
		return none, err
	}
	if body.Kind() != env.Kind {
		return none, fmt.Errorf("%w: a %s where a %s belongs", ErrMalformed, env.Kind, body.Kind())
	}
	if err := body.Check(); err != nil {
		return none, fmt.Errorf("%w: %s: %w", ErrMalformed, env.Kind, err)
	}
	return Signed[T]{body: body, signer: signer, sig: env.Sig, raw: bytes.Clone(raw)}, nil
}

// PeekKind returns the kind of statement bytes without checking anything; use it to choose which [Open] to call.
func PeekKind(raw []byte) (Kind, error) {
	content, rest, err := rlp.SplitList(raw)
	if err != nil || len(rest) != 0 {
		return "", ErrMalformed
	}
	kind, _, err := rlp.SplitString(content)
	if err != nil {
		return "", ErrMalformed
	}
	return Kind(kind), nil
}

// decodeExact decodes RLP and insists that the bytes are the encoding that we would write ourselves.
func decodeExact(raw []byte, into any) error {
	if err := rlp.DecodeBytes(raw, into); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(mustEncode(into), raw) {
		return fmt.Errorf("%w: not the canonical encoding", ErrMalformed)
	}
	return nil
}
