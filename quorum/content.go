package quorum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// Content is all that a payment depends on. Two nodes that were shown different requests under one id have different
// contents, and the difference can never add up to a certificate.
type Content struct {
	WID     uint64         // the Relay's withdrawal id
	Account common.Address // who withdraws
	Network string         // the lane's name
	Token   common.Address // the lane's token, zero for the native coin
	To      common.Address // who is paid
	Amount  uint256.Int    // wei, what is paid
	Fee     uint256.Int    // wei, what the network keeps
	EventID uint64         // the type-6 row that reserved amount + fee
	Message common.Hash    // digest of the text that the requester signed
}

// MaxNetworkName bounds a lane's name in bytes.
const MaxNetworkName = 64

// Check looks at the shape.
func (c Content) Check() error {
	if c.Network == "" || len(c.Network) > MaxNetworkName {
		return fmt.Errorf("network name must have 1 to %d bytes", MaxNetworkName)
	}
	if c.Account == (common.Address{}) {
		return errors.New("account is zero")
	}
	return nil
}

// Hash binds the content to the network.
func (c Content) Hash(network common.Hash) common.Hash { return Digest(KindContent, network, c) }

// WithdrawText is the exact text that a requester signs (EIP-191). to is the caller's own spelling of the destination:
// the Relay keeps it verbatim, and the signature covers those bytes.
func WithdrawText(account common.Address, to, network string, amount uint256.Int, timestamp uint64) string {
	return fmt.Sprintf("Crynux Relay\nAction: Withdraw %s from %s to %s on %s\nAddress: %s\nTimestamp: %d",
		amount.Dec(), account.Hex(), to, network, account.Hex(), timestamp)
}

// PersonalDigest is the EIP-191 hash of a text: what personal_sign signs.
func PersonalDigest(text string) common.Hash {
	return crypto.Keccak256Hash(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d", len(text)), []byte(text))
}
