package risk

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
)

// Kind is what a node says of a withdrawal.
type Kind uint8

// The kinds of verdict.
const (
	Wait    Kind = 0 // not yet; Code says what for
	Approve Kind = 1 // owed: sign an APPROVE
	Refuse  Kind = 2 // can never become right: sign a REFUSE with Reason
)

// String is the name that logs and the API use.
func (k Kind) String() string {
	switch k {
	case Wait:
		return "wait"
	case Approve:
		return "approve"
	case Refuse:
		return "refuse"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Code names what a withdrawal waits for: a closed set, for the API's "why not yet".
type Code string

// What a withdrawal may wait for.
const (
	WaitDecided     Code = "decided"             // a decision disposed of it; no verdict is due
	WaitHalted      Code = "halted"              // this node, the lane or the account is halted
	WaitDecisions   Code = "decisions-missing"   // the decisions up to the one that put epoch and policy in force are not all here
	WaitHistory     Code = "before-cutover"      // its event is of before the cut-over
	WaitHistoryOpen Code = "history"             // the books do not hold the genesis document's history
	WaitEvent       Code = "event-not-bound"     // its type-6 row is missing or is not its own
	WaitSpent       Code = "decided-not-booked"  // the books lack what was decided for the account
	WaitFrozen      Code = "account-frozen"      // an operator or a decision must look
	WaitOverdraft   Code = "balance-short"       // not covered, pending credits included: the account freezes
	WaitPending     Code = "credits-pending"     // covered once pending credits count
	WaitLane        Code = "network-unknown"     // no lane or no tariff of that name
	WaitRequests    Code = "earlier-request"     // an earlier type-6 row of the account lacks its request
	WaitDestination Code = "destination-unknown" // not final, no answer, or answers that differ
	WaitFee         Code = "fee-differs"         // the fee is not what the policy's tariff gives
	WaitObjection   Code = "objection"           // this node's operator objects
	WaitDenied      Code = "denied-here"         // account or destination is denied by this node's overlay
	WaitAllow       Code = "not-allowed"         // the destination is not on the policy's allow list
	WaitCoolDown    Code = "cool-down"           // the account was never paid at the destination, and the row settled lately
	WaitLarge       Code = "large-withdrawal"    // a large amount, and the row settled lately
	WaitHours       Code = "outside-hours"       // verdicts are given at other times of day
	WaitAccrual     Code = "accrual-counting"    // the sums of credits are being counted for the policy in force
)

// Outcome is what one rule says.
type Outcome string

// The outcomes of a rule.
const (
	Passed  Outcome = "passed"
	Waits   Outcome = "waits"
	Refuses Outcome = "refuses"
	Unasked Outcome = "not asked" // behind a rule that waits, and without meaning before that
)

// Explanation is one rule's word, for people.
type Explanation struct {
	Rule      string
	Outcome   Outcome
	Threshold string   // what the rule asks for
	Observed  string   // what it found
	Evidence  []uint64 // event or withdrawal ids
	Do        string   // what a person can do; empty when passed
	Local     bool     // this node's overlay makes the rule stricter than the policy

	code   Code          // when it waits
	reason quorum.Reason // when it refuses
}

// Code is what a rule that waits waits for.
func (e Explanation) Code() Code { return e.code }

// Verdict is the answer on one withdrawal, with all that its signed body needs.
type Verdict struct {
	Kind   Kind
	Code   Code          // of a Wait
	Reason quorum.Reason // of a Refuse

	Content quorum.Content
	Seq     uint64      // of the account's chain at the bound event
	Head    common.Hash // there
	Bound   bool        // its row is in the books
	Noted   bool        // since when is noted: if not, note it, for delays count from there

	Explanations []Explanation  // in the order in which the rules were asked
	Freeze       *ledger.Freeze // freeze the account for this; Since is the caller's
	Thaw         *ledger.Freeze // this reason no longer holds
	Alerts       []ledger.Alert
}

// Why returns the explanation that decided a Wait or a Refuse; ok is false for an Approve.
func (v Verdict) Why() (e Explanation, ok bool) {
	for _, e := range v.Explanations {
		if (v.Kind == Wait && e.Outcome == Waits && e.code == v.Code) || (v.Kind == Refuse && e.Outcome == Refuses) {
			return e, true
		}
	}
	return Explanation{}, false
}
