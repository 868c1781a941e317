package contracts

import (
	_ "embed" // the compiler's output is committed beside the sources
	"encoding/hex"
	"strings"

	"github.com/holiman/uint256"
)

//go:embed BenefitAddress.bin
var benefitAddressBin string

//go:embed DevToken.bin
var devTokenBin string

// BenefitAddressCode is the call data that deploys BenefitAddress. Its calls are packed by package chain
// (GetBenefitData, SetBenefitData).
func BenefitAddressCode() []byte { return code(benefitAddressBin) }

// DevTokenCode is the call data that deploys DevToken with its whole supply, in the smallest unit, at the deployer.
func DevTokenCode(supply uint256.Int) []byte {
	word := supply.Bytes32()
	return append(code(devTokenBin), word[:]...)
}

func code(bin string) []byte {
	out, err := hex.DecodeString(strings.TrimSpace(bin))
	if err != nil {
		panic("contracts: committed bytecode is not hex: " + err.Error())
	}
	return out
}
