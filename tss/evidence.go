package tss

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// EvidenceKind says what a piece of evidence shows.
type EvidenceKind uint8

// Kinds of evidence. The first two convince anyone by themselves.
const (
	// Equivocation is two envelopes of one sender in one slot with different payloads.
	Equivocation EvidenceKind = 1
	// FalseEcho is an echo in which the sender shows a broadcast that its author never signed.
	FalseEcho EvidenceKind = 2
	// Refused is a message that the guard refused; who holds the key's public material can read it again.
	Refused EvidenceKind = 3
	// BadProof is the messages of a member whose proof the library refused. Only their receiver has run that check.
	BadProof EvidenceKind = 4
)

// String is the kind's name in logs and on screens.
func (k EvidenceKind) String() string {
	switch k {
	case Equivocation:
		return "equivocation"
	case FalseEcho:
		return "false echo"
	case Refused:
		return "refused message"
	case BadProof:
		return "bad proof"
	}
	return fmt.Sprintf("evidence %d", uint8(k))
}

// Evidence is signed envelopes that speak against one member. It is RLP-encodable and holds no secret of the holder.
type Evidence struct {
	Kind      EvidenceKind
	Culprit   common.Address
	Rule      string // which rule was broken
	Envelopes []Envelope
}

// maxCarried is the largest evidence that an abort carries: every message of signing, with room for the frame around it.
const maxCarried = 12 << 10

// size is how many bytes of payload the evidence holds.
func (e Evidence) size() (n int) {
	for _, env := range e.Envelopes {
		n += len(env.Payload)
	}
	return n
}

// maxRule is longer than every rule's name: evidence that comes from others is bounded.
const maxRule = 64

// ErrNoProof means that the evidence does not show, to someone who was not there, what it says.
var ErrNoProof = errors.New("evidence proves nothing")

// Verify checks that the evidence convicts its culprit by itself, for anyone who knows the network. [Refused] and [BadProof]
// never do: they fail with [ErrNoProof].
func (e Evidence) Verify(network common.Hash) error {
	if len(e.Rule) > maxRule {
		return fmt.Errorf("%w: rule of %d bytes", ErrNoProof, len(e.Rule))
	}
	for _, env := range e.Envelopes {
		if signer, err := env.Signer(network); err != nil || signer != e.Culprit {
			return fmt.Errorf("%w: an envelope is not the culprit's", ErrNoProof)
		}
	}
	switch e.Kind {
	case Equivocation:
		return e.verifyEquivocation()
	case FalseEcho:
		return e.verifyFalseEcho(network)
	}
	return fmt.Errorf("%w: %s", ErrNoProof, e.Kind)
}

func (e Evidence) verifyEquivocation() error {
	if len(e.Envelopes) != 2 {
		return fmt.Errorf("%w: %d envelopes", ErrNoProof, len(e.Envelopes))
	}
	a, b := e.Envelopes[0].Header, e.Envelopes[1].Header
	if a.Session != b.Session || a.slot(e.Culprit) != b.slot(e.Culprit) {
		return fmt.Errorf("%w: two slots", ErrNoProof)
	}
	if a.Payload == b.Payload {
		return fmt.Errorf("%w: one payload", ErrNoProof)
	}
	return nil
}

func (e Evidence) verifyFalseEcho(network common.Hash) error {
	if len(e.Envelopes) != 1 || e.Envelopes[0].Header.Type != typeEcho {
		return fmt.Errorf("%w: not one echo", ErrNoProof)
	}
	// Through the frame's decoder, so that the payload is the one that was signed.
	env, err := parseFrame(e.Envelopes[0].frame())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	shown, err := parseEcho(env.Payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	for _, entry := range shown {
		if !entry.genuine(network, env.Header) {
			return nil
		}
	}
	return fmt.Errorf("%w: every entry is genuine", ErrNoProof)
}

// Sides are the bytes of portable evidence as it is kept and told: the envelopes, one of them for a false echo.
func (e Evidence) Sides() (first, second []byte) {
	first = e.Envelopes[0].frame()
	if e.Kind == Equivocation {
		second = e.Envelopes[1].frame()
	}
	return first, second
}

// ReadEvidence reads what [Evidence.Sides] wrote, of anybody, and verifies it: two envelopes of one slot, or one echo. It
// fails with [ErrNoProof] unless the bytes convict the culprit by themselves, in the one way in which we write them.
func ReadEvidence(network common.Hash, culprit common.Address, first, second []byte) (Evidence, error) {
	e := Evidence{Kind: FalseEcho, Culprit: culprit, Rule: "echo.false"}
	sides := [][]byte{first}
	if len(second) > 0 {
		e.Kind, e.Rule = Equivocation, "equivocation"
		sides = append(sides, second)
	}
	for _, raw := range sides {
		env, err := ReadEnvelope(raw)
		if err != nil {
			return Evidence{}, fmt.Errorf("%w: %w", ErrNoProof, err)
		}
		if e.Kind == Equivocation && len(env.Payload) > 0 {
			return Evidence{}, fmt.Errorf("%w: payloads beside headers that prove it alone", ErrNoProof)
		}
		e.Envelopes = append(e.Envelopes, env)
	}
	return e, e.Verify(network)
}

// ReadEnvelope reads an envelope that stands in evidence; its payload may be missing. Nobody's signature is looked at.
func ReadEnvelope(raw []byte) (Envelope, error) {
	var e Envelope
	if len(raw) > MaxKeygenFrame {
		return e, fmt.Errorf("%w: %d bytes", errFrame, len(raw))
	}
	if err := rlp.DecodeBytes(raw, &e); err != nil {
		return e, fmt.Errorf("%w: %w", errFrame, err)
	}
	if len(e.Payload) > 0 && crypto.Keccak256Hash(e.Payload) != e.Header.Payload {
		return e, fmt.Errorf("%w: payload is not the header's", errFrame)
	}
	return e, nil
}

// Encode writes an envelope as [ReadEnvelope] reads it.
func (e Envelope) Encode() []byte { return e.frame() }

// Bare is the envelope without its payload, which its header names.
func (e Envelope) Bare() Envelope { return e.bare() }

// Portable reports whether the evidence convinces someone who was not in the session.
func (e Evidence) Portable() bool { return e.Kind == Equivocation || e.Kind == FalseEcho }

// abortNotice is the payload of an abort: why, whom the sender names, and what it can show. Nothing in it is believed
// without proof.
type abortNotice struct {
	Kind     uint8
	Named    []common.Address
	Evidence []Evidence
}

// parseAbort reads an abort's payload.
func parseAbort(b []byte) (abortNotice, error) {
	var n abortNotice
	if len(b) > MaxSignFrame {
		return n, errFrame
	}
	if err := rlp.DecodeBytes(b, &n); err != nil {
		return n, fmt.Errorf("%w: %w", errFrame, err)
	}
	if len(n.Named) > quorum.MaxMembers || len(n.Evidence) > 1 {
		return n, errFrame
	}
	return n, nil
}

func encodeAbort(n abortNotice) []byte {
	b, err := rlp.EncodeToBytes(&n)
	if err != nil {
		panic(fmt.Sprintf("tss: encode abort: %v", err)) // our own type
	}
	return b
}
