package quorum_test

import (
	"slices"
	"strings"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The table of the protocol: q is more than two thirds, f is what a committee survives.
func TestQuorumTable(t *testing.T) {
	table := map[int]struct{ f, q int }{
		2: {0, 2}, 3: {0, 3}, 4: {1, 3}, 5: {1, 4}, 6: {1, 5}, 7: {2, 5}, 8: {2, 6}, 9: {2, 7}, 10: {3, 7},
		11: {3, 8}, 12: {3, 9}, 13: {4, 9}, 14: {4, 10}, 15: {4, 11}, 16: {5, 11},
	}
	for n := quorum.MinMembers; n <= quorum.MaxMembers; n++ {
		want, ok := table[n]
		require.True(t, ok)
		q, f := quorum.Size(n), quorum.Faults(n)
		require.Equal(t, want.q, q, "q of %d", n)
		require.Equal(t, want.f, f, "f of %d", n)
		require.Equal(t, n-f, q, "q = n - f")
		require.Greater(t, 3*q, 2*n, "more than two thirds")
		require.Greater(t, 2*q-n, f, "two quorums share an honest member")
		require.GreaterOrEqual(t, n-f, q, "the honest alone reach a quorum")
	}
	for _, n := range []int{3, 6, 9} {
		require.NotEqual(t, (2*n+2)/3, quorum.Size(n), "two thirds rounded up is not enough for %d", n)
	}
}

func TestRosterSortsAndCounts(t *testing.T) {
	c := newCommittee(t, 4)
	require.True(t, slices.IsSortedFunc(c.roster.Members, func(a, b quorum.Member) int { return a.Address.Cmp(b.Address) }))
	require.Equal(t, 3, c.roster.Q())
	require.Equal(t, 1, c.roster.F())
	require.Equal(t, 3, c.ids().Q())
	require.Equal(t, 1, c.ids().F())
	for i, m := range c.roster.Members {
		require.Equal(t, m.Operator, c.roster.Operators()[i])
		found, ok := c.roster.Find(m.Address)
		require.True(t, ok)
		require.Equal(t, m, found)
	}
	_, ok := c.roster.Find(address(1))
	require.False(t, ok)
}

func TestProposerRotates(t *testing.T) {
	c := newCommittee(t, 4)
	ids := c.ids()
	require.Equal(t, ids[1], ids.Proposer(5, 0))
	require.Equal(t, ids[2], ids.Proposer(5, 1))
	rapid.Check(t, func(t *rapid.T) {
		h, r := rapid.Uint64().Draw(t, "h"), rapid.Uint64().Draw(t, "r")
		require.True(t, ids.Has(ids.Proposer(h, r)))
	})
}

func TestRosterRefuses(t *testing.T) {
	members := func(n int) []quorum.Member {
		var out []quorum.Member
		for i := range n {
			out = append(out, testMember(i, testKey("member", i)))
		}
		return out
	}
	for what, c := range map[string]struct {
		n      int
		change func(m []quorum.Member)
		want   string
	}{
		"one member":             {1, nil, "1 members"},
		"too many":               {quorum.MaxMembers + 1, nil, "17 members"},
		"a member twice":         {4, func(m []quorum.Member) { m[1] = m[0] }, "stands twice"},
		"an operator twice":      {4, func(m []quorum.Member) { m[1].Operator = m[0].Operator }, "stands twice"},
		"a name twice":           {4, func(m []quorum.Member) { m[1].Name = m[0].Name }, "stands twice"},
		"operator is a node":     {4, func(m []quorum.Member) { m[1].Operator = m[0].Address }, "stands twice"},
		"operator is own node":   {4, func(m []quorum.Member) { m[1].Operator = m[1].Address }, "must not be the node's key"},
		"no operator":            {4, func(m []quorum.Member) { m[1].Operator = common.Address{} }, "operator address is missing"},
		"address of another key": {4, func(m []quorum.Member) { m[1].Address = address(9) }, "not that of the public key"},
		"no point of the curve":  {4, func(m []quorum.Member) { m[1].PublicKey = quorum.PublicKey{5} }, "public key"},
		"no name":                {4, func(m []quorum.Member) { m[1].Name = "" }, "name"},
		"a long name":            {4, func(m []quorum.Member) { m[1].Name = strings.Repeat("a", 65) }, "name"},
		"a name that paints":     {4, func(m []quorum.Member) { m[1].Name = "\x1b[2Jroot" }, "name"},
		"a name of broken bytes": {4, func(m []quorum.Member) { m[1].Name = "a\xff" }, "name"},
		"no multiaddr":           {4, func(m []quorum.Member) { m[1].Multiaddrs = nil }, "multiaddr"},
		"an empty multiaddr":     {4, func(m []quorum.Member) { m[1].Multiaddrs = []string{""} }, "multiaddr"},
		"many multiaddrs":        {4, func(m []quorum.Member) { m[1].Multiaddrs = make([]string, 9) }, "multiaddr"},
	} {
		m := members(c.n)
		if c.change != nil {
			c.change(m)
		}
		_, err := quorum.NewRoster(1, m)
		require.ErrorContains(t, err, c.want, what)
	}
}

func TestRosterIsIndependentOfTheOrderGiven(t *testing.T) {
	c := newCommittee(t, 5)
	rapid.Check(t, func(t *rapid.T) {
		r, err := quorum.NewRoster(1, rapid.Permutation(c.roster.Members).Draw(t, "order"))
		require.NoError(t, err)
		require.Equal(t, c.roster, r)
	})
}

func TestPublicKeyText(t *testing.T) {
	m := testMember(0, testKey("member", 0))
	text, err := m.PublicKey.MarshalText()
	require.NoError(t, err)
	var again quorum.PublicKey
	require.NoError(t, again.UnmarshalText(text))
	require.Equal(t, m.PublicKey, again)
	for _, bad := range []string{"", "0x", string(text[2:]), string(text) + "00", "0x" + strings.Repeat("zz", 33)} {
		require.Error(t, again.UnmarshalText([]byte(bad)), bad)
	}
}
