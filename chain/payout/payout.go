package payout

import (
	_ "embed" // the compiler's output is committed beside the source
	"encoding/hex"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// What the contract's constants say.
const (
	MaxItems  = 150    // of a batch
	NativeGas = 50_000 // for the recipient of coins
	TokenGas  = 85_000 // for one transfer of a token
)

// What a batch takes at most, in gas: a part for the transaction, and one for each item. An item may burn its limit and then
// needs the slot of its claim (22,100), an event, and its call data; coins cost 9,000 to send, and up to two cold addresses. The
// rest of a token's first part is for pulling in what failed. 150 items of a token take what EIP-7825 allows.
const (
	nativeBase, nativeItem = 80_000, 92_000
	tokenBase, tokenItem   = 180_000, 110_600
)

// GasLimit is the limit of a transaction for a batch of so many items, with which it never lacks gas, whatever its
// recipients do. A token that uses more than 50,000 for a transfer may lack some to pull in what failed, and then the batch
// reverts whole.
func GasLimit(token bool, items int) uint64 {
	if token {
		return tokenBase + tokenItem*uint64(items)
	}
	return nativeBase + nativeItem*uint64(items)
}

var (
	//go:embed BatchPayout.bin
	creation string

	//go:embed BatchPayout.runtime.bin
	runtime string

	//go:embed TokenProbe.runtime.bin
	probe string
)

// CreationCode is the call data that deploys the contract. It takes no arguments.
func CreationCode() []byte { return code(creation) }

// RuntimeCode is what stands at the contract's address.
func RuntimeCode() []byte { return code(runtime) }

// CodeHash is keccak256 of RuntimeCode: what a lane's contract must have.
func CodeHash() common.Hash { return crypto.Keccak256Hash(RuntimeCode()) }

// ProbeCode is what TokenProbe would have at its address.
func ProbeCode() []byte { return code(probe) }

func code(bin string) []byte {
	out, err := hex.DecodeString(strings.TrimSpace(bin))
	if err != nil {
		panic("payout: committed bytecode is not hex: " + err.Error())
	}
	return out
}
