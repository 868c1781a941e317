package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain/payout"
)

// ErrContract means that the contract of a lane does not have the code that this version pays batches through.
var ErrContract = errors.New("chain: the lane's contract has other code")

// CheckContract compares the code at the contract of a lane of the way "batch" with what this version knows. Code that stands in a
// final block stays: the contract cannot be changed, and nothing in it destroys it.
func CheckContract(ctx context.Context, e Endpoint, l Lane, at Header) error {
	if l.Way != WayBatch {
		return nil
	}
	code, err := e.CodeAt(ctx, l.Contract, at)
	if err != nil {
		return fmt.Errorf("code of %s: %w", l.Contract, err)
	}
	if hash := crypto.Keccak256Hash(code); hash != payout.CodeHash() {
		return fmt.Errorf("%w: %s has %d bytes, hash %s, in block %d; it must be %s", ErrContract, l.Contract, len(code), hash, at.Number, payout.CodeHash())
	}
	return nil
}

// NeedsAllowance reports whether the lane's contract takes what it pays out of the payer's allowance.
func (l Lane) NeedsAllowance() bool { return l.Way == WayBatch && !l.Native() }

// Allow is the payment that lets the lane's contract take the payer's tokens: approve(contract, 2^256 − 1) of the lane's token. The
// contract takes nothing but its caller's own, so nobody but the payer can use it.
func Allow(l Lane, payer common.Address, nonce, gas uint64, fees Fees) Payment {
	return Payment{ChainID: l.ChainID, Nonce: nonce, Payer: payer, To: l.Token, Data: ApproveData(l.Contract, *new(uint256.Int).SetAllOne()), Gas: gas, Fees: fees}
}

// ApproveData is the call data of ERC-20 approve(spender, amount).
func ApproveData(spender common.Address, amount uint256.Int) []byte {
	value := amount.Bytes32()
	return append(addressCall("approve(address,uint256)", spender), value[:]...)
}
