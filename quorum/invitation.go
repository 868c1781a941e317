package quorum

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// MaxInvitation bounds an invitation's text in bytes: the largest committee with the most and the longest addresses.
const MaxInvitation = 48 << 10

// ErrInvitation means that a text is no invitation: cut off, mistyped, or not whole.
var ErrInvitation = errors.New("not an invitation")

// Invitation tells a newcomer where the members in force are. The genesis document names those of the beginning, of whom none
// may be left.
//
// It carries no signature, because nothing is believed for its sake: a newcomer verifies every decision from the genesis
// document on by itself. Who gives a false one keeps the newcomer from the members, and no more.
type Invitation struct {
	Network common.Hash
	Members []Member // ascending by address
}

// invitationSum is how many bytes of a hash are written behind an invitation. They are there for slips of people, not for liars.
const invitationSum = 8

// invitationText is what the text holds.
type invitationText struct {
	Network common.Hash
	Members []Member
	Sum     [invitationSum]byte
}

// Check looks at the members: an order, and each as a committee could have it.
func (i Invitation) Check() error {
	r, err := NewRoster(0, i.Members)
	if err != nil {
		return err
	}
	for k, m := range r.Members {
		if m.Address != i.Members[k].Address {
			return errors.New("members must ascend")
		}
	}
	return nil
}

func (i Invitation) sum() (s [invitationSum]byte) {
	h := keccak(append([]byte("conclave/1/invitation\x00"), mustEncode(i)...))
	copy(s[:], h[:])
	return s
}

// String is the one text of an invitation that passes its check.
func (i Invitation) String() string {
	return base64.RawURLEncoding.EncodeToString(mustEncode(invitationText{i.Network, i.Members, i.sum()}))
}

// ParseInvitation reads an invitation's text strictly: any other text, of the same meaning even, is [ErrInvitation].
func ParseInvitation(text string) (Invitation, error) {
	refuse := func(format string, args ...any) (Invitation, error) {
		return Invitation{}, fmt.Errorf("%w: %w", ErrInvitation, fmt.Errorf(format, args...))
	}
	if len(text) > MaxInvitation {
		return refuse("%d bytes, at most %d", len(text), MaxInvitation)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return refuse("%w", err)
	}
	var t invitationText
	if err := rlp.DecodeBytes(raw, &t); err != nil {
		return refuse("%w", err)
	}
	i := Invitation{t.Network, t.Members}
	if err := i.Check(); err != nil {
		return refuse("%w", err)
	}
	// This compares the sum too, and sees what the decoder of base64 skips.
	if i.String() != text {
		return refuse("a character is wrong, or does not belong there: its checksum differs")
	}
	return i, nil
}
