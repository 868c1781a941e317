package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/ledger"
	"conclave/node"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// What a node answers is read back as it was; other documents are refused.
func TestProofFilesAreReadAsWritten(t *testing.T) {
	p := node.Proof{Kind: node.ProofPayment, Network: common.Hash{1}, RLP: "0x01", Height: 3, ID: 4, Transaction: "0x02", Outcome: "0x03", Cancels: []string{"0x04"},
		Successions: []string{}}
	raw, err := json.Marshal(p)
	require.NoError(t, err)
	got, err := parseProof(raw)
	require.NoError(t, err)
	require.Equal(t, p, got)
	for _, bad := range []string{``, `[]`, `{"kind":1}`, `{"verdict":"proves"}`, `{} {}`, `"x"`, `{`} {
		_, err := parseProof([]byte(bad))
		require.Error(t, err, bad)
	}
}

func FuzzParseProof(f *testing.F) {
	f.Add([]byte(`{"kind":"payment","rlp":"0x01","successions":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parseProof(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(p)
		require.NoError(t, err)
		same, err := parseProof(again)
		require.NoError(t, err)
		require.Equal(t, p.Kind, same.Kind)
		require.Equal(t, p.RLP, same.RLP)
	})
}

// trailOf is a chain of lines as a node shows it.
func trailOf(n int) (out []node.AuditView) {
	var prev common.Hash
	for i := range n {
		l := ledger.AuditLine{Index: uint64(i + 1), Time: uint64(1000 * i), What: "decided", Ref: "height", Prev: prev}
		prev = l.Hash()
		out = append(out, node.AuditView{Index: l.Index, Time: time.UnixMilli(int64(l.Time)).UTC(), What: l.What, Ref: l.Ref, Prev: l.Prev, Hash: prev})
	}
	return out
}

// Each line is held against the one before, over several answers: a line that was changed or taken out shows.
func TestATrailIsAChain(t *testing.T) {
	var out bytes.Buffer
	tail := trail{env: &cli.Env{Stdout: &out, Stderr: &out, JSON: true}}
	lines := trailOf(5)
	require.NoError(t, tail.write(lines[1:3]))
	require.NoError(t, tail.write(lines[3:]))
	require.Equal(t, 4, bytes.Count(out.Bytes(), []byte("\n")), "one document a line")

	for name, spoil := range map[string]func([]node.AuditView) []node.AuditView{
		"taken out": func(l []node.AuditView) []node.AuditView { return append(l[:2:2], l[3:]...) },
		"changed":   func(l []node.AuditView) []node.AuditView { l[2].Ref = "another"; return l },
		"made anew": func(l []node.AuditView) []node.AuditView {
			l[2].Ref = "another"
			l[2].Hash = ledger.AuditLine{Index: l[2].Index, Time: uint64(l[2].Time.UnixMilli()), What: l[2].What, Ref: l[2].Ref, Prev: l[2].Prev}.Hash()
			return l
		},
	} {
		tail := trail{env: &cli.Env{Stdout: &out, Stderr: &out}}
		require.ErrorContains(t, tail.write(spoil(trailOf(5))), "does not follow", name)
	}
}
