package quorum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// PolicyRef names a policy file: its version and the hash of its bytes.
type PolicyRef struct {
	Version uint64
	Hash    common.Hash
}

// Approve says: in my own books this withdrawal is owed, and the account's chain of debits up to it is this one.
type Approve struct {
	Epoch   uint64
	Policy  PolicyRef
	Counter uint64
	WID     uint64
	Content common.Hash
	Account common.Address
	Seq     uint64      // how many debits the account's chain holds up to the bound type-6 row, from 1
	Head    common.Hash // the chain's head there
	Time    uint64      // unix ms by the signer's clock
}

// Kind implements Body.
func (Approve) Kind() Kind { return KindApprove }

// Check implements Body.
func (a Approve) Check() error {
	if a.Seq == 0 {
		return errors.New("sequence starts at 1: a withdrawal is itself a debit")
	}
	return nil
}

// Reason is why a withdrawal can never be paid: a closed set, because it is signed and shown to its owner.
type Reason string

// The reasons to refuse.
const (
	ReasonSignature   Reason = "signature-not-of-account"
	ReasonMessageUsed Reason = "message-used-before"
	ReasonDestination Reason = "destination-mismatch"
	ReasonMinimum     Reason = "amount-below-minimum"
	ReasonDenied      Reason = "address-denied" // by the policy that the refusal names
)

func (r Reason) known() bool {
	switch r {
	case ReasonSignature, ReasonMessageUsed, ReasonDestination, ReasonMinimum, ReasonDenied:
		return true
	}
	return false
}

// Refuse says: this withdrawal was debited in my own books, and can never become right.
type Refuse struct {
	Epoch   uint64
	Policy  PolicyRef
	Counter uint64
	WID     uint64
	Content common.Hash
	Reason  Reason
	Time    uint64
}

// Kind implements Body.
func (Refuse) Kind() Kind { return KindRefuse }

// Check implements Body.
func (r Refuse) Check() error {
	if !r.Reason.known() {
		return fmt.Errorf("unknown reason %q", r.Reason)
	}
	return nil
}
