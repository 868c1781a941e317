package quorum_test

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

func TestVestingTerms(t *testing.T) {
	old, young, always := address(1), address(2), address(3)
	admins := []common.Address{young, old, always}
	terms := []quorum.VestingTerm{{Admin: old, Until: 100}, {Admin: young, From: 90}}
	for _, c := range []struct {
		admin common.Address
		event uint64
		may   bool
	}{
		{old, 1, true}, {old, 100, true}, {old, 101, false},
		{young, 89, false}, {young, 90, true}, {young, 1 << 60, true},
		{always, 1, true}, {always, 1 << 60, true},
		{address(4), 95, false},
	} {
		require.Equal(t, c.may, quorum.MayVest(admins, terms, c.admin, c.event), "%s at %d", c.admin, c.event)
	}
	require.True(t, quorum.MayVest(admins, nil, old, 101), "without terms all always count")
}

func TestADocumentWithVestingTerms(t *testing.T) {
	g := sampleGenesis(t)
	plain := g.ID()
	require.NotContains(t, string(asJSON(t, g)), "vesting_terms", "a document without terms is what it was")
	g.VestingAdmins = []common.Address{address(1), address(0xad)}
	bare := g.ID()
	g.VestingTerms = []quorum.VestingTerm{{Admin: address(1), Until: 100}, {Admin: address(0xad), From: 90}}
	again, err := quorum.ParseGenesis(asJSON(t, g))
	require.NoError(t, err)
	require.Equal(t, g.VestingTerms, again.VestingTerms)
	require.Equal(t, g.ID(), again.ID())
	require.NotEqual(t, bare, g.ID(), "terms are signed")
	require.NotEqual(t, plain, bare)

	for what, terms := range map[string][]quorum.VestingTerm{
		"empty":                   {},
		"of no vesting admin":     {{Admin: address(9), Until: 1}},
		"ascend":                  {{Admin: address(0xad), From: 9}, {Admin: address(1), From: 9}},
		"ascend ":                 {{Admin: address(1), From: 9}, {Admin: address(1), Until: 3}},
		"holds never, or always":  {{Admin: address(1), From: 9, Until: 8}},
		"holds never, or always ": {{Admin: address(1)}},
	} {
		g.VestingTerms = terms
		require.ErrorContains(t, g.Check(), strings.TrimSpace(what))
	}
	g.VestingTerms = nil
	g.VestingAdmins = make([]common.Address, 65)
	require.ErrorContains(t, g.Check(), "at most 64")
}
