package quorum_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/internal/golden"
	"conclave/quorum"
)

// What is written is read back, in one text only.
func TestInvitationIsOneText(t *testing.T) {
	c := newCommittee(t, 7)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(quorum.MinMembers, len(c.roster.Members)).Draw(rt, "n")
		members := slices.Clone(c.roster.Members[:n])
		for i := range members {
			members[i].Name = fmt.Sprintf("%s-%d", rapid.StringMatching(`[a-zé ]{1,20}`).Draw(rt, "name"), i)
			members[i].Multiaddrs = rapid.SliceOfN(rapid.StringMatching(`/ip4/[0-9.]{7,15}/tcp/[0-9]{1,5}`), 1, 8).Draw(rt, "multiaddrs")
		}
		i := quorum.Invitation{Network: testNetwork, Members: members}
		require.NoError(rt, i.Check())
		text := i.String()
		require.LessOrEqual(rt, len(text), quorum.MaxInvitation)
		got, err := quorum.ParseInvitation(text)
		require.NoError(rt, err)
		require.Equal(rt, i, got)

		// A slip anywhere is seen.
		at := rapid.IntRange(0, len(text)-1).Draw(rt, "at")
		slip := rapid.SampledFrom([]byte("aZ9_-\n =")).Draw(rt, "slip")
		if text[at] != slip {
			_, err := quorum.ParseInvitation(text[:at] + string(slip) + text[at+1:])
			require.ErrorIs(rt, err, quorum.ErrInvitation)
		}
		for _, other := range []string{text[:at], text + "\n", text[:at] + "\n" + text[at:], text + "=", " " + text, text + text} {
			_, err := quorum.ParseInvitation(other)
			require.ErrorIs(rt, err, quorum.ErrInvitation)
		}
	})
}

func TestInvitationBytes(t *testing.T) {
	i := quorum.Invitation{Network: testNetwork, Members: newCommittee(t, 4).roster.Members}
	golden.Text(t, "testdata/golden/invitation.txt", i.String()+"\n")
}

// The largest committee with the longest records fits.
func TestLargestInvitationFits(t *testing.T) {
	c := newCommittee(t, quorum.MaxMembers)
	for i := range c.roster.Members {
		c.roster.Members[i].Name = fmt.Sprintf("%064d", i)
		c.roster.Members[i].Multiaddrs = slices.Repeat([]string{strings.Repeat("a", 256)}, 8)
	}
	i := quorum.Invitation{Network: testNetwork, Members: c.roster.Members}
	require.NoError(t, i.Check())
	text := i.String()
	require.Greater(t, len(text), quorum.MaxInvitation*3/4, "the bound is near what it must hold")
	got, err := quorum.ParseInvitation(text)
	require.NoError(t, err)
	require.Equal(t, i, got)
	_, err = quorum.ParseInvitation(strings.Repeat("A", quorum.MaxInvitation+1))
	require.ErrorContains(t, err, "at most")
}

func TestInvitationOfNoCommittee(t *testing.T) {
	c := newCommittee(t, 4)
	for name, do := range map[string]func([]quorum.Member) []quorum.Member{
		"nobody":       func([]quorum.Member) []quorum.Member { return nil },
		"one":          func(m []quorum.Member) []quorum.Member { return m[:1] },
		"out of order": func(m []quorum.Member) []quorum.Member { slices.Reverse(m); return m },
		"one twice":    func(m []quorum.Member) []quorum.Member { m[1] = m[0]; return m },
		"another key":  func(m []quorum.Member) []quorum.Member { m[0].PublicKey = m[1].PublicKey; return m },
		"no address":   func(m []quorum.Member) []quorum.Member { m[0].Multiaddrs = nil; return m },
	} {
		i := quorum.Invitation{Network: testNetwork, Members: do(slices.Clone(c.roster.Members))}
		require.Error(t, i.Check(), name)
		_, err := quorum.ParseInvitation(i.String())
		require.ErrorIs(t, err, quorum.ErrInvitation, name)
	}
}

func FuzzInvitation(f *testing.F) {
	i := quorum.Invitation{Network: testNetwork, Members: newCommittee(f, 4).roster.Members}
	text := i.String()
	f.Add(text)
	f.Add(text[:len(text)-2])
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(f, err)
	f.Add(base64.URLEncoding.EncodeToString(raw[1:]))
	f.Fuzz(func(t *testing.T, text string) {
		i, err := quorum.ParseInvitation(text)
		if err != nil {
			require.ErrorIs(t, err, quorum.ErrInvitation)
			return
		}
		require.NoError(t, i.Check())
		require.Equal(t, text, i.String(), "one text per invitation")
	})
}
