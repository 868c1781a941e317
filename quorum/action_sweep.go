package quorum

import (
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// MaxViewed bounds the lanes of a VIEW: each once for the payer, and once for an old one that is being emptied.
const MaxViewed = 2 * MaxLanes

// maxSweepBytes bounds an encoded [SweepAction]: an address, an amount, and their heads.
const maxSweepBytes = 64

// Sweeping returns the change with a sweep ordered behind it: a new key, and everything moved to its address.
func (m MemberChange) Sweeping() MemberChange {
	m.Sweep = true
	return m
}

// typedSweep shows on a wallet what the flag means. A change that orders a sweep is another type, so that no wallet, and no
// signature, takes one for the other.
func (m MemberChange) typedSweep(t *TypedStruct) {
	if !m.Sweep {
		return
	}
	t.Name = "MembersAndSweep"
	t.Fields = append(t.Fields, TypedField{"sweep", "a new key by these members, and everything moved to its address"})
}

// SweepAction is the action of a SWEEP decision that moves money: how much of what the batch names goes where. Both follow from the
// decisions below and the VIEWs that the batch carries; they stand in it so that its transaction is rendered from its bytes alone.
type SweepAction struct {
	To    common.Address // the payer in force
	Value uint256.Int    // of the lane's token, smallest unit; the coin's wei where the lane has no token
}

// Encode returns the one encoding.
func (s SweepAction) Encode() []byte { return mustEncode(s) }

// DecodeSweepAction reads a sweep strictly; whether it is the right one only the batch's state tells.
func DecodeSweepAction(raw []byte) (SweepAction, error) {
	var s SweepAction
	if len(raw) > maxSweepBytes {
		return s, badAction("%d bytes, at most %d", len(raw), maxSweepBytes)
	}
	if err := decodeExact(raw, &s); err != nil {
		return SweepAction{}, badAction("%w", err)
	}
	if s.To == (common.Address{}) || s.Value.IsZero() {
		return SweepAction{}, badAction("%w", errors.New("a sweep of nothing, or to nobody"))
	}
	return s, nil
}
