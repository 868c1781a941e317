package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// What a node halted by its operator's word is more than that it did: a lane or one account may go on waiting unseen.
func TestTheFusesAlertSaysWhatIsHalted(t *testing.T) {
	for want, h := range map[string]quorum.Halt{
		"this node halted itself: operator: why":       {Code: "operator", Reason: "why"},
		"this node halted lane mainnet: operator: why": {Scope: quorum.ScopeLane, Target: "mainnet", Code: "operator", Reason: "why"},
		"this node halted account 0x12: operator: why": {Scope: quorum.ScopeAccount, Target: "0x12", Code: "operator", Reason: "why"},
	} {
		require.Equal(t, want, alertFuse(h).Text)
	}
}
