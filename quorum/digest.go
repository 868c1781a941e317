package quorum

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// Kind names what a signed or hashed body is. It is part of every digest, so that bytes signed as one kind can never be
// shown as another.
type Kind string

// The kinds of protocol version 1.
const (
	KindMember     Kind = "member"
	KindApprove    Kind = "approve"
	KindRefuse     Kind = "refuse"
	KindView       Kind = "view"
	KindOutcome    Kind = "outcome"
	KindProposal   Kind = "proposal"
	KindPrevote    Kind = "prevote"
	KindPrecommit  Kind = "precommit"
	KindReady      Kind = "ready"
	KindAbort      Kind = "abort"
	KindHalt       Kind = "halt"
	KindClear      Kind = "clear"
	KindTranscript Kind = "transcript"
	KindCeremony   Kind = "ceremony"
	KindTSS        Kind = "tss"
	KindCheckpoint Kind = "checkpoint"
	KindDeletion   Kind = "deletion"
	KindUnseal     Kind = "unseal" // a vault's one-time key, to this machine's operator; it never travels

	// The kinds below are hashed, never signed as statements.
	KindContent Kind = "content"
	KindBatch   Kind = "batch"
	KindCanary  Kind = "canary"
	KindSession Kind = "session"
	KindPolicy  Kind = "policy"
	KindAction  Kind = "action" // what operators decide; they sign typed data that names it
	// KindFingerprint is what people confirm before they make a key.
	KindFingerprint Kind = "fingerprint"
)

// maxKind bounds a kind's name in bytes.
const maxKind = 32

// wellFormed reports whether k is a name. The digest's preimage is kind ‖ 0x00 ‖ network ‖ body: a "kind" that holds a zero
// byte could swallow the network and part of a body that quotes both, and a signature would fit two readings.
func (k Kind) wellFormed() bool {
	for _, r := range k {
		if (r < 'a' || r > 'z') && r != '-' {
			return false
		}
	}
	return k != "" && len(k) <= maxKind
}

// digestPrefix opens every digest of protocol version 1.
const digestPrefix = "conclave/1/"

// Digest is keccak256("conclave/1/" ‖ kind ‖ 0x00 ‖ network ‖ rlp(body)). It panics when body cannot be encoded: bodies
// are our own types.
func Digest(kind Kind, network common.Hash, body any) common.Hash {
	return digestRaw(kind, network, mustEncode(body))
}

// digestRaw is Digest over a body that is RLP already.
func digestRaw(kind Kind, network common.Hash, body []byte) common.Hash {
	return crypto.Keccak256Hash([]byte(digestPrefix), []byte(kind), []byte{0}, network[:], body)
}

func mustEncode(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(fmt.Sprintf("quorum: encode %T: %v", v, err))
	}
	return b
}

func keccak(b []byte) common.Hash { return crypto.Keccak256Hash(b) }

// AccountHead is the head of an account's chain before its first debit.
func AccountHead(account common.Address) common.Hash {
	return crypto.Keccak256Hash([]byte("account"), account[:])
}

// Debit is one link of an account's chain: a type-4 or type-6 row of the Relay's log, its amount as verbatim bytes.
type Debit struct {
	ID     uint64
	Kind   uint8
	Amount string
}

// NextHead is the head after one more debit.
func NextHead(head common.Hash, d Debit) common.Hash {
	return crypto.Keccak256Hash(head[:], mustEncode(d))
}
