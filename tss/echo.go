package tss

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// Reliable broadcast. A sender could give different members different bytes for one broadcast; most proofs of the library
// assume that it did not. So before the broadcasts of a round are used, each participant shows all others the signed headers
// that it holds of that round. Headers carry the payload's hash, so a difference is at once the proof: two signatures of the
// sender in one slot. No message that leads to the next round leaves before all shown headers agree.

// echoEntry is one broadcast as its receiver holds it: who sent it, which type, and the signature over its header.
type echoEntry struct {
	From    common.Address
	Type    uint8
	Payload common.Hash
	Sig     quorum.Signature
}

// maxEchoEntries bounds an echo: one broadcast of each participant per round.
const maxEchoEntries = quorum.MaxMembers

// genuine reports whether the author signed the entry, as a broadcast of the echo's session and round.
func (e echoEntry) genuine(network common.Hash, echo Header) bool {
	signer, err := e.envelope(echo).Signer(network)
	return err == nil && signer == e.From
}

// envelope is the entry as the author signed it.
func (e echoEntry) envelope(echo Header) Envelope {
	return Envelope{
		Header: Header{Session: echo.Session, Round: echo.Round, Type: e.Type, Payload: e.Payload},
		Sig:    e.Sig,
	}
}

// encodeEcho writes the entries in their order.
func encodeEcho(entries []echoEntry) []byte {
	slices.SortFunc(entries, func(a, b echoEntry) int { return bytes.Compare(a.From[:], b.From[:]) })
	b, err := rlp.EncodeToBytes(entries)
	if err != nil {
		panic(fmt.Sprintf("tss: encode echo: %v", err)) // our own type
	}
	return b
}

// parseEcho reads an echo's payload: entries ascending by author, no author twice.
func parseEcho(b []byte) ([]echoEntry, error) {
	var entries []echoEntry
	if len(b) > MaxSignFrame {
		return nil, errFrame
	}
	if err := rlp.DecodeBytes(b, &entries); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	if len(entries) > maxEchoEntries {
		return nil, errFrame
	}
	for i := 1; i < len(entries); i++ {
		if bytes.Compare(entries[i-1].From[:], entries[i].From[:]) >= 0 {
			return nil, fmt.Errorf("%w: entries are not ascending", errFrame)
		}
	}
	return entries, nil
}
