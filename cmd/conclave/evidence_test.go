package main

import (
	"encoding/json"
	"testing"

	"conclave/node"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// What the node writes is read back as it was, one piece or many; other documents are refused.
func TestEvidenceFilesAreReadAsWritten(t *testing.T) {
	who := common.Address{1}
	e := node.EvidenceView{ID: common.Hash{2}, Kind: "two-votes", Member: &who, First: []node.Exhibit{{What: "statement", RLP: "0x01", Says: "x"}},
		Second: []node.Exhibit{}, Range: &node.RangeEvidence{Rows: []node.RowEvidence{{ID: 3}}, Frozen: []common.Address{}}}
	for _, v := range []any{e, []node.EvidenceView{e}} {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		got, err := parseEvidence(raw)
		require.NoError(t, err)
		require.Equal(t, []node.EvidenceView{e}, got)
	}
	for _, bad := range []string{``, `{"version":1}`, `[{"kind":1}]`, `"x"`, `[`} {
		_, err := parseEvidence([]byte(bad))
		require.Error(t, err, bad)
	}
	require.Contains(t, about(e), "event 3: here no row; there no row")
}

func FuzzParseEvidence(f *testing.F) {
	f.Add([]byte(`[{"kind":"two-votes","first":[{"rlp":"0x01"}]}]`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := parseEvidence(raw)
		if err != nil {
			return
		}
		for _, e := range all {
			_ = about(e) // shows whatever it is given
		}
	})
}
