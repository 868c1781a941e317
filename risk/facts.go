package risk

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
)

// View is the books; a ledger transaction is one.
type View interface {
	// Standing reads how a request stands in the books.
	Standing(ledger.Withdrawal) (ledger.Standing, error)
	// RiskFacts reads what the rules of risk remember of it beside the books.
	RiskFacts(ledger.Withdrawal) (ledger.RiskFacts, error)
}

// DestinationState says how far the question is answered where an account's withdrawals go.
type DestinationState uint8

// The states. The zero value knows nothing, so that a forgotten fact waits.
const (
	Unavailable DestinationState = 0 // no endpoint gave an answer
	NotFinal    DestinationState = 1 // the final chain has not reached the requester's time
	Disagreeing DestinationState = 2 // endpoints gave different answers
	Known       DestinationState = 3 // Address is the answer
)

// String is the name that explanations use.
func (s DestinationState) String() string {
	switch s {
	case Unavailable:
		return "no endpoint answers"
	case NotFinal:
		return "the final chain has not reached the request's time"
	case Disagreeing:
		return "endpoints disagree"
	case Known:
		return "known"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Destination is what the lane's chain says where the account's withdrawals went at the first final block at or after the
// request's time: the bound address, or the account itself.
type Destination struct {
	State   DestinationState
	Address common.Address // when Known
}

// Facts is what a verdict needs beside the books. All of it is of one moment.
type Facts struct {
	Policy      quorum.Policy  // in force
	Overlay     quorum.Overlay // this node's stricter rules
	Now         uint64         // unix ms by this node's clock: it only delays
	LaneKnown   bool           // the request's network has a lane
	Token       common.Address
	Destination Destination
	FeeAddress  common.Address // of the genesis document
	DaoAddress  common.Address
	Cutover     uint64   // highest event id that is history
	Carried     []uint64 // withdrawals of before the cut-over that this network pays
	Halted      string   // why nothing may be signed for this request; empty when nothing is halted
	InForce     bool     // every decision is known up to the one that put epoch and policy in force
}
