package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/node"
)

func TestEvidenceIsListedAndChosen(t *testing.T) {
	d := open(t)
	for _, where := range []string{d.URL(), d.socket} {
		c := d.dial(t, where)
		var all []node.EvidenceView
		require.NoError(t, c.Call(&all, "custodian_evidence"))
		require.Len(t, all, 1)
		require.Equal(t, someone, *all[0].Member)
		require.NoError(t, c.Call(&all, "custodian_evidence", "ab"))
		require.Equal(t, "0x01ab", all[0].First[0].RLP)
		wantError(t, c.Call(&all, "custodian_evidence", "404"), CodeUnknown)
	}
}
