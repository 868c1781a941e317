package payout

import (
	_ "embed" // the compiler's output is committed beside the source
	"encoding/hex"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// TokenGas is what the contract lets a token use for one transfer.
const TokenGas = 85_000

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

// ProbeData is the call data of probe(token, to, amount).
func ProbeData(token, to common.Address, amount uint256.Int) []byte {
	out := append([]byte{}, crypto.Keccak256([]byte("probe(address,address,uint256)"))[:4]...)
	value := amount.Bytes32()
	for _, word := range [][]byte{common.LeftPadBytes(token[:], 32), common.LeftPadBytes(to[:], 32), value[:]} {
		out = append(out, word...)
	}
	return out
}

func code(bin string) []byte {
	out, err := hex.DecodeString(strings.TrimSpace(bin))
	if err != nil {
		panic("payout: committed bytecode is not hex: " + err.Error())
	}
	return out
}
