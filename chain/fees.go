package chain

import "github.com/holiman/uint256"

// maxPerGas bounds a price for one unit of gas, in wei: 2^96 is eighty billion ether, and what is multiplied with it
// stays far below 2^256.
var maxPerGas = new(uint256.Int).Lsh(uint256.NewInt(1), 96)

// Fees are what one unit of gas may cost, in wei: Offer is maxFeePerGas of the first transaction, Tip its
// maxPriorityFeePerGas, FeeCap what no replacement exceeds. The policy's formula (package quorum) gives them.
type Fees struct {
	Offer, Tip, FeeCap uint256.Int
}
