//go:build !memo

package quorum

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// recoverAddress does the curve arithmetic of Recover, for a signature whose numbers are in range.
func recoverAddress(digest common.Hash, sig Signature) (common.Address, error) {
	pub, err := crypto.SigToPub(digest[:], sig[:])
	if err != nil {
		return common.Address{}, err
	}
	return crypto.PubkeyToAddress(*pub), nil
}
