package quorum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// Readmit is the operators' word from which height on a quarantined member votes again, when too few others can show theirs.
//
// It is never decided: without that member there may be nobody to decide anything. The member follows it by itself, when it has
// heard nothing that speaks against it. Since and Counter name the one quarantine that is meant: a word given for an earlier
// one ends no later one.
type Readmit struct {
	Member  common.Address
	Height  uint64 // the first in which it votes again
	Since   uint64 // when its quarantine began, unix ms by its own clock
	Counter uint64 // behind which it counts on since then
	Reason  string
}

// Action implements ActionBody.
func (Readmit) Action() ActionKind { return ActionReadmit }

// Check implements ActionBody.
func (r Readmit) Check() error {
	switch {
	case r.Member == (common.Address{}):
		return errors.New("a member")
	case r.Height < 2 || r.Since == 0 || r.Counter == 0: // height 1 founds the network, with everybody
		return errors.New("a height above 1, and when the quarantine began and from which counter")
	case r.Reason == "" || len(r.Reason) > MaxText || !printable(r.Reason):
		return fmt.Errorf("a reason of 1 to %d bytes of printable text", MaxText)
	}
	return nil
}

func (r Readmit) typed(t *TypedStruct) {
	t.Name = "Readmit"
	t.Fields = append(t.Fields, TypedField{"member", r.Member}, TypedField{"votesFrom", r.Height},
		TypedField{"quarantinedSince", r.Since}, TypedField{"counter", r.Counter}, TypedField{"reason", r.Reason})
}
