package quorum_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
)

func goldenPath(name string) string { return filepath.Join("testdata", "golden", name+".txt") }

func encode(t tb, v any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(v)
	require.NoError(t, err)
	return b
}

// Every kind that members sign: body, digest, and the statement on the wire.
func TestGoldenStatements(t *testing.T) {
	c := newCommittee(t, 4)
	for _, s := range statements(c) {
		raw, err := s.sign(c.keys[0], testNetwork)
		require.NoError(t, err)
		golden.Fields(t, goldenPath(string(s.kind)),
			golden.Field{Name: "body", Bytes: encode(t, s.body)},
			golden.Field{Name: "digest", Bytes: s.digest[:]},
			golden.Field{Name: "statement", Bytes: raw})
	}
}

// Every kind that is hashed only.
func TestGoldenHashes(t *testing.T) {
	c := newCommittee(t, 4)
	content := sampleContent()
	contentHash := content.Hash(testNetwork)
	golden.Fields(t, goldenPath("content"),
		golden.Field{Name: "body", Bytes: encode(t, content)}, golden.Field{Name: "digest", Bytes: contentHash[:]})

	session := quorum.Session{
		Network: testNetwork, Epoch: 1, Key: sampleTranscript(c).PublicKey, Chain: 1337, Nonce: 5, Batch: hash(0x1d),
		K: 1, Attempt: 5, Set: c.ids()[:3], Digest: hash(0xdd),
	}
	sessionHash := session.Hash()
	golden.Fields(t, goldenPath("session"),
		golden.Field{Name: "body", Bytes: encode(t, session)}, golden.Field{Name: "digest", Bytes: sessionHash[:]})

	canary := sampleTranscript(c).CanaryDigest(testNetwork, c.ids()[:3])
	golden.Fields(t, goldenPath("canary"), golden.Field{Name: "digest", Bytes: canary[:]})

	value := []byte("the bytes of a batch")
	id := quorum.ValueID(testNetwork, value)
	golden.Fields(t, goldenPath("batch"), golden.Field{Name: "value", Bytes: value}, golden.Field{Name: "digest", Bytes: id[:]})

	halt := quorum.Halt{Epoch: 1, Counter: 16, Code: "operator", Time: 1_780_000_000_002}
	haltID := halt.ID(testNetwork, c.ids()[0])
	golden.Fields(t, goldenPath("halt-id"), golden.Field{Name: "digest", Bytes: haltID[:]})

	h0 := quorum.AccountHead(address(0xac))
	h1 := quorum.NextHead(h0, quorum.Debit{ID: 12, Kind: 4, Amount: "1000"})
	h2 := quorum.NextHead(h1, quorum.Debit{ID: 4001, Kind: 6, Amount: "2500000000000001000"})
	golden.Fields(t, goldenPath("account-chain"), golden.Field{Name: "head 0", Bytes: h0[:]},
		golden.Field{Name: "head 1", Bytes: h1[:]}, golden.Field{Name: "head 2", Bytes: h2[:]})

	g := sampleGenesis(t)
	gid := g.ID()
	golden.Fields(t, goldenPath("genesis"),
		golden.Field{Name: "document without signatures", Bytes: encode(t, g)}, golden.Field{Name: "network id", Bytes: gid[:]})
}

// What q members add up to, as it is stored and as it travels.
func TestGoldenCertificates(t *testing.T) {
	c := newCommittee(t, 4)
	for name, cert := range certificates(t, c) {
		golden.Fields(t, goldenPath(name), golden.Field{Name: "encoding", Bytes: encode(t, cert)})
	}
}

// A kind without golden bytes would be a format that nobody reviewed.
func TestEveryKindHasGoldenBytes(t *testing.T) {
	elsewhere := map[quorum.Kind]string{
		quorum.KindTSS:    "package tss holds the envelope's bytes",
		quorum.KindUnseal: "package vault holds the offer's bytes",
		quorum.KindPolicy: "reserved: a policy's hash is that of its file",
	}
	file, err := parser.ParseFile(token.NewFileSet(), "digest.go", nil, 0)
	require.NoError(t, err)
	kinds := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		kinds++
		if elsewhere[quorum.Kind(text)] == "" {
			require.FileExists(t, goldenPath(text))
		}
		return true
	})
	require.Greater(t, kinds, 15)
}

// The digest is bound to kind and network by the exact preimage of the protocol.
func TestDigestPreimage(t *testing.T) {
	body := sampleApprove()
	want := keccak([]byte("conclave/1/approve"), []byte{0}, testNetwork[:], encode(t, body))
	require.Equal(t, want, quorum.Digest(quorum.KindApprove, testNetwork, body))
	require.NotEqual(t, want, quorum.Digest(quorum.KindRefuse, testNetwork, body))
	require.NotEqual(t, want, quorum.Digest(quorum.KindApprove, hash(1), body))
}

func TestAccountChainPreimage(t *testing.T) {
	a := address(0xac)
	h0 := keccak([]byte("account"), a[:])
	require.Equal(t, h0, quorum.AccountHead(a))
	d := quorum.Debit{ID: 1, Kind: 6, Amount: "5"}
	require.Equal(t, keccak(h0[:], encode(t, d)), quorum.NextHead(h0, d))
	// Verbatim bytes: what reads as the same number is another row.
	require.NotEqual(t, quorum.NextHead(h0, d), quorum.NextHead(h0, quorum.Debit{ID: 1, Kind: 6, Amount: "05"}))
}

func TestSignaturesAreDeterministic(t *testing.T) {
	c := newCommittee(t, 4)
	a, b := sign(t, c.keys[1], sampleApprove()), sign(t, c.keys[1], sampleApprove())
	require.True(t, bytes.Equal(a.Bytes(), b.Bytes()))
}
