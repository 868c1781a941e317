package tss

import (
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// Bounds of a frame in bytes. The largest message of signing has 6.9 KB, key generation sends up to 134 KB in one.
const (
	MaxSignFrame   = 16 << 10
	MaxKeygenFrame = 1 << 20
)

// Header is what a member signs for every message of a session. The sender is not a field: it is whom the signature recovers
// to, and it must be the peer that the frame came from. The payload enters by its hash, so that two headers with their
// signatures prove an equivocation without the bytes.
type Header struct {
	Session common.Hash
	Round   uint8
	Type    uint8
	To      common.Address // zero for a broadcast
	Payload common.Hash
}

// Envelope is one frame: a header, the sender's signature over it, and the payload. In evidence the payload may be missing.
type Envelope struct {
	Header  Header
	Sig     quorum.Signature
	Payload []byte
}

var errFrame = errors.New("malformed frame")

// digest is what the sender signs.
func (h Header) digest(network common.Hash) common.Hash {
	return quorum.Digest(quorum.KindTSS, network, h)
}

// slot is what may be filled once: two different payloads in one slot are an equivocation.
type slot struct {
	round, kind uint8
	to          common.Address
	from        common.Address
}

func (h Header) slot(from common.Address) slot { return slot{h.Round, h.Type, h.To, from} }

// Signer returns who signed the header.
func (e Envelope) Signer(network common.Hash) (common.Address, error) {
	return e.Sig.Recover(e.Header.digest(network))
}

// bare is the envelope without its payload.
func (e Envelope) bare() Envelope { return Envelope{Header: e.Header, Sig: e.Sig} }

// seal makes the envelope of a payload.
func seal(key *ecdsa.PrivateKey, network common.Hash, h Header, payload []byte) (Envelope, error) {
	h.Payload = crypto.Keccak256Hash(payload)
	sig, err := quorum.SignDigest(key, h.digest(network))
	if err != nil {
		return Envelope{}, fmt.Errorf("seal message: %w", err)
	}
	return Envelope{h, sig, payload}, nil
}

// frame encodes the envelope for the wire.
func (e Envelope) frame() []byte {
	b, err := rlp.EncodeToBytes(&e)
	if err != nil {
		panic(fmt.Sprintf("tss: encode envelope: %v", err)) // our own type
	}
	return b
}

// parseFrame reads a frame of any session; it fails unless the bytes are the one encoding of an envelope whose payload is
// the one that the header names.
func parseFrame(b []byte) (Envelope, error) {
	if len(b) > MaxKeygenFrame {
		return Envelope{}, fmt.Errorf("%w: %d bytes", errFrame, len(b))
	}
	var e Envelope
	if err := rlp.DecodeBytes(b, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	if crypto.Keccak256Hash(e.Payload) != e.Header.Payload {
		return Envelope{}, fmt.Errorf("%w: payload is not the header's", errFrame)
	}
	return e, nil
}
