package agreement

import (
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Effects is what one Step asks of the driver. Commit comes first, in one transaction and durable, then the statements
// that it made go back in as events, then the rest. A Send can only carry statements that came in as events, so
// nothing of our own leaves before the disk holds it.
type Effects struct {
	Commit Commit

	Send  []Send
	Fetch []Fetch
	Build *Build

	// Evidence proves that a member signed two statements where one is allowed. Keep it and gossip it.
	Evidence []Evidence
	// Foreign are statements under our own key that this state never asked for: the disk was rolled back, or a twin
	// runs. Stop signing.
	Foreign [][]byte
	// Contradiction is a certificate for a value that this node judged invalid: more than f members are faulty, or
	// this node's own rules are wrong. Nothing follows from it here; trip the fuse. Zero when there is none.
	Contradiction quorum.QC

	// Wake is when the next Tick is due; it replaces any earlier one. Zero: none.
	Wake time.Time
}

// Commit is one durable transaction: all of it or nothing.
//
// For Proposal and each of Votes, in that transaction: when signed bytes exist for (height, round, kind), use those;
// else set Counter to the own next one, sign, and record the bytes. With a vote or proposal for a value, record the
// value's bytes too: others will fetch them from its voters. With Save, record those of its valid value: it may be one that
// was learned without a vote, and after a restart it counts as held.
type Commit struct {
	Save     *Durable         // replaces the height's record; nil: unchanged
	Proposal *quorum.Proposal // to sign; Counter is zero
	Votes    []quorum.Vote    // to sign, in this order; Counter is zero
	Decide   *Decision        // the end of the height
}

// Empty reports whether there is nothing to commit.
func (c Commit) Empty() bool {
	return c.Save == nil && c.Proposal == nil && len(c.Votes) == 0 && c.Decide == nil
}

// Decision is a value and the q precommits that decided it. Its bytes are held: it came in as a valid value.
type Decision struct {
	ID common.Hash
	QC quorum.QC
}

// Send goes to To, or to all other members when To is zero. Messages of it may travel one by one; Beside goes with each.
type Send struct {
	To       common.Address
	Proposal quorum.Signed[quorum.Proposal] // zero: none. Its value's bytes travel with it
	Pol      quorum.QC                      // the proposal's proof, zero when it has no valid round
	Votes    []quorum.Signed[quorum.Vote]
	Beside   quorum.QC // the highest known prevote certificate, or zero
}

// Fetch asks for a value by id, from the own store first, then from those who voted for it. Asked again with every resend
// until [ValueReady] answers it; drop it when the height is decided.
type Fetch struct {
	ID   common.Hash
	From []common.Address
}

// Build asks for a new value to propose in Round: oldest certified first, and no PAYOUT while halted.
type Build struct{ Round uint64 }

// Evidence is two different statements of one member for one height, round and kind, as signed bytes.
type Evidence struct {
	Offender      common.Address
	First, Second []byte
}
