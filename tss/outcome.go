package tss

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Ending is how a session ended.
type Ending uint8

// Endings. Each is documented as an operator would ask about it.
const (
	// Refused to start: nothing was sent. Outcome.Err says why.
	NotStarted Ending = iota
	// Signed: the signature was verified here against the key's address.
	Signed
	// Generated: a key was made, checked, and its transcript signed by all members.
	Generated
	// TimedOut: someone did not answer within a round's deadline. Silent says who, Suspects who may be, when that cannot be
	// told; both are local advice, not proof.
	TimedOut
	// Aborted: one member broke a rule and the evidence names it.
	Aborted
	// Unattributed: the session failed and nobody can be convicted. It strikes the whole set of signers.
	Unattributed
	// Cancelled: this node left, because its context ended.
	Cancelled
)

// String is the ending's name in logs and on screens.
func (e Ending) String() string {
	names := [...]string{"not started", "signed", "generated", "timed out", "aborted", "unattributed", "cancelled"}
	if int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("ending %d", uint8(e))
}

// Outcome is what came of a session. Exactly the fields that its Ending names are set, Session and Round always.
type Outcome struct {
	Ending    Ending
	Session   common.Hash
	Round     uint8            // the round that was under way
	Signature quorum.Signature // Signed
	Silent    []common.Address // TimedOut
	Culprits  []common.Address // Aborted: proven here; Evidence.Portable says whether it is proven to all
	Suspects  []common.Address // Unattributed, TimedOut: near the failure, which is no proof
	Reason    string           // the rule or the failure, in words
	Evidence  []Evidence       // Aborted
	Err       error            // NotStarted and Cancelled
}

// String is one line for a log.
func (o Outcome) String() string {
	s := fmt.Sprintf("%s in round %d", o.Ending, o.Round)
	for _, who := range [][]common.Address{o.Silent, o.Culprits, o.Suspects} {
		for _, a := range who {
			s += " " + a.Hex()
		}
	}
	if o.Reason != "" {
		s += ": " + o.Reason
	}
	if o.Err != nil {
		s += ": " + o.Err.Error()
	}
	return s
}

// notice is what others are told about a session that failed here: the least that lets them stop waiting.
func (o Outcome) notice() abortNotice {
	n := abortNotice{Kind: uint8(o.Ending)}
	for _, who := range [][]common.Address{o.Silent, o.Culprits, o.Suspects} {
		n.Named = append(n.Named, who...)
	}
	n.Named = n.Named[:min(len(n.Named), quorum.MaxMembers)]
	for _, ev := range o.Evidence {
		if ev.Portable() || ev.Kind == Refused && ev.size() <= maxCarried {
			n.Evidence = []Evidence{ev}
			break
		}
	}
	return n
}

// unattributed is a failure that convicts nobody.
func unattributed(reason string, suspects ...common.Address) *Outcome {
	return &Outcome{Ending: Unattributed, Reason: reason, Suspects: slices.Clone(suspects)}
}

// convicted is a failure with a culprit.
func convicted(ev Evidence) *Outcome {
	return &Outcome{Ending: Aborted, Culprits: []common.Address{ev.Culprit}, Reason: ev.Rule, Evidence: []Evidence{ev}}
}
