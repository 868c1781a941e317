package chain

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// wordSize is the width of one ABI word in bytes.
const wordSize = 32

// TransferData is the call data of ERC-20 transfer(to, amount).
func TransferData(to common.Address, amount uint256.Int) []byte {
	value := amount.Bytes32()
	return append(addressCall("transfer(address,uint256)", to), value[:]...)
}

// GetBenefitData is the call data of getBenefitAddress(account).
func GetBenefitData(account common.Address) []byte {
	return addressCall("getBenefitAddress(address)", account)
}

// SetBenefitData is the call data of setBenefitAddress(benefit), which binds the caller.
func SetBenefitData(benefit common.Address) []byte {
	return addressCall("setBenefitAddress(address)", benefit)
}

// BalanceOfData is the call data of ERC-20 balanceOf(holder).
func BalanceOfData(holder common.Address) []byte {
	return addressCall("balanceOf(address)", holder)
}

// AllowanceData is the call data of ERC-20 allowance(owner, spender).
func AllowanceData(owner, spender common.Address) []byte {
	return append(addressCall("allowance(address,address)", owner), AddressTopic(spender).Bytes()...)
}

// TransferTopic is topic 0 of ERC-20's Transfer(from, to, value).
func TransferTopic() common.Hash { return topic("Transfer(address,address,uint256)") }

// BenefitTopic is topic 0 of BenefitAddressSet(nodeAddress, benefitAddress).
func BenefitTopic() common.Hash { return topic("BenefitAddressSet(address,address)") }

// AddressTopic is an address as an indexed event argument or an ABI word holds it.
func AddressTopic(a common.Address) common.Hash { return common.BytesToHash(a.Bytes()) }

// WordAddress reads an address out of an ABI word. A word with anything in its upper twelve bytes holds none.
func WordAddress(word common.Hash) (common.Address, bool) {
	a := common.BytesToAddress(word.Bytes())
	return a, AddressTopic(a) == word
}

func topic(signature string) common.Hash { return crypto.Keccak256Hash([]byte(signature)) }

func addressCall(signature string, a common.Address) []byte {
	out := make([]byte, 0, 4+2*wordSize)
	out = append(out, crypto.Keccak256([]byte(signature))[:4]...)
	return append(out, AddressTopic(a).Bytes()...)
}
