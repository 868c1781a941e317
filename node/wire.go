package node

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/p2p"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
)

// Topics and protocols of the wire.
const (
	topicFacts = "facts" // verdicts, views, outcomes, halts: one signed statement each
	topicVotes = "votes" // proposals, prevotes, precommits, with what travels beside them

	protoVotes   = "votes"   // the same as topicVotes, resent to one peer
	protoFacts   = "facts"   // several statements at once, to one peer
	protoSigning = "signing" // READY, ABORT, session starts, signed transactions, ceremony
	protoTSS     = "tss"     // frames of threshold sessions

	protoGovernance = "governance" // actions that operators signed, and who holds which

	askSync = "sync" // decisions, values, statements
)

// Bounds of the wire. Each holds the largest honest message with room to spare.
const (
	maxVoteFrame    = batch.MaxBytes + 64<<10 // a proposal with its value and two certificates
	maxFactsFrame   = 256 << 10               // a bundle of statements
	maxSigningFrame = maxVoteFrame            // a decision of the largest batch
	maxGovFrame     = quorum.MaxAction + 16<<10
	maxBundle       = 256       // statements in one bundle
	maxSyncReply    = 2 << 20   // of any answer
	maxSyncPage     = 512 << 10 // of decisions in one answer, but for a first one that is larger: a slow link carries it in time
	maxSyncDecision = 256       // decisions in one answer
	sendQueue       = 1024      // frames waiting for one peer; a peer that is behind by more is resent to
)

// Wire describes topics, frame streams and questions to p2p.
func Wire() ([]string, []p2p.ProtocolSpec, []p2p.RequestSpec) {
	return []string{topicFacts, topicVotes},
		[]p2p.ProtocolSpec{
			{Name: protoVotes, MaxFrame: maxVoteFrame, Queue: sendQueue},
			{Name: protoFacts, MaxFrame: maxFactsFrame, Queue: sendQueue},
			{Name: protoSigning, MaxFrame: maxSigningFrame, Queue: sendQueue},
			{Name: protoGovernance, MaxFrame: maxGovFrame, Queue: sendQueue},
			{Name: protoEvidence, MaxFrame: maxEvidenceFrame, Queue: evidenceQueue},
			{Name: protoTSS, MaxFrame: tss.MaxKeygenFrame + 4<<10, Queue: sendQueue},
		},
		[]p2p.RequestSpec{{Name: askSync, MaxBody: 4 << 10, MaxReply: maxSyncReply}}
}

// voteMsg carries one statement of agreement and what travels beside it. Empty fields are absent.
type voteMsg struct {
	Statement []byte // a signed proposal, prevote or precommit
	Beside    []byte // the sender's highest prevote certificate
	Value     []byte // of a proposal
	Proof     []byte // of a proposal with a valid round: the prevote certificate of that round
}

// factsMsg carries signed statements.
type factsMsg struct{ Statements [][]byte }

// signMsg is one message of the signing protocol.
type signMsg struct {
	Kind signKind
	Body []byte
}

type signKind uint8

const (
	signStatement signKind = 1 // a READY, ABORT or CEREMONY statement
	signStart     signKind = 2 // a coordinator's session start
	signDone      signKind = 3 // a signed transaction
	signFounding  signKind = 4 // a MEMBERS action with all its proofs
	signCanary    signKind = 5 // a canary signature
	signDecision  signKind = 6 // an UncheckedDecision

	signTranscript signKind = 7 // a ceremony's transcript with all signatures
	signStanding   signKind = 8 // how far a member is in a ceremony
)

// doneMsg is a signed transaction of a decided slot.
type doneMsg struct {
	Batch common.Hash
	K     uint64
	Sig   quorum.Signature
}

// canaryMsg is a signature of the new key over its transcript.
type canaryMsg struct {
	Transcript common.Hash
	Canary     quorum.Canary
}

// transcriptMsg is a ceremony's transcript, signed by every member.
type transcriptMsg struct {
	Transcript quorum.Transcript
	Signatures []quorum.Signature
}

// syncReq asks a peer for what it holds.
type syncReq struct {
	What   syncWhat
	Height uint64
	ID     common.Hash
}

type syncWhat uint8

const (
	syncDecisions syncWhat = 1 // decisions from Height on, as []quorum.UncheckedDecision
	syncValue     syncWhat = 2 // the value ID of height Height
	syncFacts     syncWhat = 3 // own open verdicts, view and halts, as factsMsg
)

var errFrame = errors.New("malformed frame")

// marshal encodes our own types.
func marshal(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(fmt.Sprintf("node: encode %T: %v", v, err))
	}
	return b
}

// unmarshal decodes foreign bytes strictly.
func unmarshal(raw []byte, into any) error {
	if err := rlp.DecodeBytes(raw, into); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return nil
}
