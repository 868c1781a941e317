package payout_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/chain/payout"
)

var (
	update   = flag.Bool("update", false, "write the binding anew")
	compiler = flag.String("solc", os.Getenv("SOLC_MODULES"), "a node_modules folder with solc, to compile again")
)

// settings is settings.json.
type settings struct {
	Solc     string
	Settings struct {
		EVMVersion string
		ViaIR      bool
		Optimizer  struct {
			Enabled bool
			Runs    int
		}
	}
}

// metadata is the part of the compiler's metadata that is checked.
type metadata struct {
	Compiler struct{ Version string }
	Settings struct {
		EVMVersion        string
		ViaIR             bool
		CompilationTarget map[string]string
		Optimizer         struct {
			Enabled bool
			Runs    int
		}
	}
	Sources map[string]struct{ Keccak256 common.Hash }
}

func readSettings(t *testing.T) settings {
	var s settings
	require.NoError(t, json.Unmarshal(read(t, "settings.json"), &s))
	return s
}

func read(t testing.TB, path ...string) []byte {
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return b
}

// Without a compiler: the source hashes to what the metadata names, and the metadata to what the bytecode's end names.
func TestBytecodeIsOfThisSource(t *testing.T) {
	for _, name := range []string{"BatchPayout", "TokenProbe"} {
		raw := read(t, name+".metadata.json")
		source := read(t, name+".sol")
		checkMetadata(t, raw, name+".sol", name, source)
		for _, file := range []string{name + ".bin", name + ".runtime.bin"} {
			bin, err := hex.DecodeString(strings.TrimSpace(string(read(t, file))))
			require.NoError(t, err)
			checkTail(t, bin, raw)
		}
	}
	require.True(t, bytes.Contains(payout.CreationCode(), payout.RuntimeCode()), "what is deployed ends as what stands there")
	require.Equal(t, crypto.Keccak256Hash(payout.RuntimeCode()), payout.CodeHash())

	source := read(t, "testdata", "Hostile.sol")
	for _, h := range readHelpers(t) {
		checkMetadata(t, []byte(h.Metadata), "Hostile.sol", h.Name, source)
		if h.Bin != "" {
			checkTail(t, common.FromHex(h.Bin), []byte(h.Metadata))
		}
	}
}

func checkMetadata(t *testing.T, raw []byte, file, name string, source []byte) {
	s := readSettings(t)
	var m metadata
	require.NoError(t, json.Unmarshal(raw, &m))
	require.True(t, strings.HasPrefix(m.Compiler.Version, s.Solc+"+"))
	require.Equal(t, map[string]string{file: name}, m.Settings.CompilationTarget)
	require.Equal(t, s.Settings.EVMVersion, m.Settings.EVMVersion)
	require.Equal(t, s.Settings.ViaIR, m.Settings.ViaIR)
	require.Equal(t, s.Settings.Optimizer, m.Settings.Optimizer)
	require.Len(t, m.Sources, 1)
	require.Equal(t, crypto.Keccak256Hash(source), m.Sources[file].Keccak256, "%s is not the compiled one: run make contract", file)
}

// checkTail reads the CBOR map at the end of the bytecode; its length stands in the last two bytes.
func checkTail(t *testing.T, code, metadata []byte) {
	size := int(binary.BigEndian.Uint16(code[len(code)-2:]))
	require.Less(t, size+2, len(code))
	tail := code[len(code)-2-size:]
	require.True(t, bytes.Contains(tail, append([]byte("dipfsX\""), ipfs(metadata)...)), "the bytecode is of other metadata")
	require.True(t, bytes.Contains(tail, append([]byte("dsolcC"), 0, 8, 37)), "compiler 0.8.37")
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

// With the compiler: the same source and settings give the same bytes.
func TestCompilesToTheSameBytes(t *testing.T) {
	out := t.TempDir()
	compile(t, out)
	compared := 0
	require.NoError(t, filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(out, path)
		require.NoError(t, err)
		require.Equal(t, string(read(t, name)), string(read(t, path)), name)
		compared++
		return nil
	}))
	require.Equal(t, 9, compared)
}

// compile runs compile.js, or skips the test where the compiler is missing.
func compile(t *testing.T, args ...string) {
	node, err := exec.LookPath("node")
	if err != nil || *compiler == "" {
		t.Skip("needs node, and SOLC_MODULES or -solc naming a node_modules folder with solc: `make contract` compiles again")
	}
	cmd := exec.Command(node, append([]string{"compile.js"}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+*compiler)
	log, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", log)
}
