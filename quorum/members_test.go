package quorum_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// TestTriesInARowCoverEveryone: whichever try the ceremony is at, the next CoveringSets hold every member.
func TestTriesInARowCoverEveryone(t *testing.T) {
	for n := quorum.MinMembers; n <= quorum.MaxMembers; n++ {
		var ids quorum.Members
		for i := range n {
			ids = append(ids, common.Address{byte(i + 1)})
		}
		for try := range uint64(3 * n) {
			var canaries []quorum.Canary
			for k := range uint64(quorum.CoveringSets(n)) {
				set := quorum.CanarySet(ids, try+k)
				require.Len(t, set, ids.Q())
				canaries = append(canaries, quorum.Canary{Set: set})
			}
			require.True(t, quorum.Covered(ids, canaries), "%d members, try %d", n, try)
			require.Equal(t, n == ids.Q(), quorum.Covered(ids, canaries[:1]), "%d members", n)
		}
	}
}

func TestMemberChangeCheck(t *testing.T) {
	c := newCommittee(t, 4)
	good := quorum.NewMemberChange(c.roster.Members, "rotation")
	require.NoError(t, good.Check())
	for name, do := range map[string]func(*quorum.MemberChange){
		"no reason":          func(m *quorum.MemberChange) { m.Reason = "" },
		"nobody":             func(m *quorum.MemberChange) { m.Members = nil },
		"one":                func(m *quorum.MemberChange) { m.Members = m.Members[:1] },
		"out of order":       func(m *quorum.MemberChange) { m.Members[0], m.Members[1] = m.Members[1], m.Members[0] },
		"one twice":          func(m *quorum.MemberChange) { m.Members[1] = m.Members[0] },
		"one operator twice": func(m *quorum.MemberChange) { m.Members[1].Operator = m.Members[0].Operator },
	} {
		bad := quorum.NewMemberChange(c.roster.Members, "rotation")
		do(&bad)
		require.Error(t, bad.Check(), name)
		_, err := quorum.NewAction(1, 1, 1, bad)
		require.ErrorIs(t, err, quorum.ErrAction, name)
	}
}
