package contracts_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/evm/contracts"
)

// metadata is the part of the compiler's metadata that is checked.
type metadata struct {
	Compiler struct{ Version string }
	Settings struct {
		EVMVersion        string
		CompilationTarget map[string]string
		Optimizer         struct {
			Enabled bool
			Runs    int
		}
	}
	Sources map[string]struct{ Keccak256 common.Hash }
}

func TestBytecodeIsOfTheseSources(t *testing.T) {
	one := *uint256.NewInt(1)
	for name, code := range map[string][]byte{
		"BenefitAddress": contracts.BenefitAddressCode(),
		"DevToken":       contracts.DevTokenCode(one)[:len(contracts.DevTokenCode(one))-32],
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(name + ".metadata.json")
			require.NoError(t, err)
			var m metadata
			require.NoError(t, json.Unmarshal(raw, &m))
			require.True(t, strings.HasPrefix(m.Compiler.Version, "0.8.37+"))
			require.Equal(t, "paris", m.Settings.EVMVersion)
			require.True(t, m.Settings.Optimizer.Enabled)
			require.Equal(t, 200, m.Settings.Optimizer.Runs)
			require.Equal(t, map[string]string{name + ".sol": name}, m.Settings.CompilationTarget)

			require.Len(t, m.Sources, 1)
			source, err := os.ReadFile(name + ".sol")
			require.NoError(t, err)
			require.Equal(t, crypto.Keccak256Hash(source), m.Sources[name+".sol"].Keccak256, "the source is not the compiled one")

			require.True(t, bytes.Contains(tail(t, code), ipfs(raw)), "the bytecode is of other metadata")
		})
	}
}

// tail is the CBOR map at the end of the bytecode; its length stands in the last two bytes.
func tail(t *testing.T, code []byte) []byte {
	size := int(binary.BigEndian.Uint16(code[len(code)-2:]))
	require.Less(t, size+2, len(code))
	out := code[len(code)-2-size:]
	require.True(t, bytes.Contains(out, []byte("dipfs")))
	require.True(t, bytes.Contains(out, append([]byte("dsolcC"), 0, 8, 37)), "compiler 0.8.37")
	return out
}

// ipfs is the multihash of a file that fits one chunk: sha-256 over its UnixFS node in dag-pb.
func ipfs(file []byte) []byte {
	var unixfs []byte
	unixfs = append(unixfs, 0x08, 0x02, 0x12) // type file; data follows
	unixfs = binary.AppendUvarint(unixfs, uint64(len(file)))
	unixfs = append(unixfs, file...)
	unixfs = append(unixfs, 0x18) // the file's size
	unixfs = binary.AppendUvarint(unixfs, uint64(len(file)))

	node := []byte{0x0a}
	node = binary.AppendUvarint(node, uint64(len(unixfs)))
	node = append(node, unixfs...)
	sum := sha256.Sum256(node)
	return append([]byte{0x12, 0x20}, sum[:]...)
}

// What package chain packs by hand is what the compiler's ABI says.
func TestCallDataFitsTheABI(t *testing.T) {
	parse := func(name string) abi.ABI {
		raw, err := os.ReadFile(name + ".abi.json")
		require.NoError(t, err)
		out, err := abi.JSON(bytes.NewReader(raw))
		require.NoError(t, err)
		return out
	}
	pack := func(a abi.ABI, method string, args ...any) []byte {
		out, err := a.Pack(method, args...)
		require.NoError(t, err)
		return out
	}
	benefit, token := parse("BenefitAddress"), parse("DevToken")
	who := common.HexToAddress("0x00112233445566778899aabbccddeeff00112233")
	amount := uint256.NewInt(1).Lsh(uint256.NewInt(12345), 200)

	require.Equal(t, pack(benefit, "getBenefitAddress", who), chain.GetBenefitData(who))
	require.Equal(t, pack(benefit, "setBenefitAddress", who), chain.SetBenefitData(who))
	require.Equal(t, pack(token, "transfer", who, amount.ToBig()), chain.TransferData(who, *amount))
	require.Equal(t, pack(token, "balanceOf", who), chain.BalanceOfData(who))
	require.Equal(t, benefit.Events["BenefitAddressSet"].ID, chain.BenefitTopic())
	require.Equal(t, token.Events["Transfer"].ID, chain.TransferTopic())
	require.True(t, benefit.Events["BenefitAddressSet"].Inputs[0].Indexed && benefit.Events["BenefitAddressSet"].Inputs[1].Indexed)

	back, ok := chain.WordAddress(chain.AddressTopic(who))
	require.True(t, ok)
	require.Equal(t, who, back)
	_, ok = chain.WordAddress(common.MaxHash)
	require.False(t, ok)
}
