package tss

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
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
