package quorum

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// VestingTerm is during which part of the Relay's log a vesting admin's word counts: schedules whose rows have ids from From
// to Until, both inclusive; an Until of 0 has no end. It goes by ids because a schedule's text holds no time at which it was
// signed, and every node sees the same ids. Up to a cut-over, whose rows are sealed, nobody can slip one in later.
type VestingTerm struct {
	Admin common.Address `json:"admin"`
	From  uint64         `json:"from"`
	Until uint64         `json:"until"`
}

// Holds reports whether the term holds at a row.
func (t VestingTerm) Holds(event uint64) bool {
	return t.From <= event && (t.Until == 0 || event <= t.Until)
}

// MayVest reports whether an admin's signature under the schedule of a row counts.
func MayVest(admins []common.Address, terms []VestingTerm, admin common.Address, event uint64) bool {
	for _, t := range terms {
		if t.Admin == admin && !t.Holds(event) {
			return false
		}
	}
	return slices.Contains(admins, admin)
}

// maxVestingAdmins bounds the admins of a document: a handful of keys and their successors.
const maxVestingAdmins = 64

// checkVesting: terms stand ascending by admin, one each, and of admins only, so that one meaning has one document.
func checkVesting(admins []common.Address, terms []VestingTerm) error {
	if len(admins) > maxVestingAdmins {
		return fmt.Errorf("%d vesting admins, at most %d", len(admins), maxVestingAdmins)
	}
	if terms != nil && len(terms) == 0 {
		return errors.New("vesting_terms is empty: leave it out")
	}
	for i, t := range terms {
		switch {
		case !slices.Contains(admins, t.Admin):
			return fmt.Errorf("the vesting term of %s is of no vesting admin", t.Admin)
		case i > 0 && terms[i-1].Admin.Cmp(t.Admin) >= 0:
			return errors.New("vesting terms must ascend by admin")
		case t.Until != 0 && t.Until < t.From, t.From == 0 && t.Until == 0:
			return fmt.Errorf("the vesting term of %s holds never, or always", t.Admin)
		}
	}
	return nil
}
