package quorum_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/internal/golden"
	"conclave/quorum"
)

// A change of members, with and without a sweep behind it, and what a sweep moves.
func TestGoldenSweep(t *testing.T) {
	c := newCommittee(t, 4)
	plain := quorum.NewMemberChange(c.roster.Members[:3], "one leaves")
	for name, change := range map[string]quorum.MemberChange{"action-members": plain, "action-members-sweep": plain.Sweeping()} {
		a := sampleAction(t, change)
		digest, err := a.Digest(testNetwork, signedAt)
		require.NoError(t, err)
		id := a.Hash(testNetwork)
		golden.Fields(t, goldenPath(name), golden.Field{Name: "action", Bytes: encode(t, a)}, golden.Field{Name: "action hash", Bytes: id[:]},
			golden.Field{Name: "typed data's digest", Bytes: digest[:]})
	}
	golden.Fields(t, goldenPath("action-sweep"), golden.Field{Name: "action", Bytes: quorum.SweepAction{To: address(0x70), Value: wei("99")}.Encode()})
}

// TestASweepIsSignedFor: a signature under the change alone orders no sweep, and a wallet shows the order in its own words.
func TestASweepIsSignedFor(t *testing.T) {
	c := newCommittee(t, 4)
	plain := sampleAction(t, quorum.NewMemberChange(c.roster.Members[:3], "one leaves"))
	swept := sampleAction(t, quorum.NewMemberChange(c.roster.Members[:3], "one leaves").Sweeping())
	a, err := plain.Typed(testNetwork, signedAt)
	require.NoError(t, err)
	b, err := swept.Typed(testNetwork, signedAt)
	require.NoError(t, err)
	require.Equal(t, "Members", a.Name)
	require.Equal(t, "MembersAndSweep", b.Name)
	require.Len(t, b.Fields, len(a.Fields)+1)

	signed := endorse(t, c, plain, signedAt, 0, 1, 2)
	signed.Action = swept
	_, err = signed.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrAction)

	// "No sweep" has one encoding: left out.
	spelled := plain
	spelled.Body = encode(t, struct {
		Members []quorum.Member
		Reason  string
		Sweep   bool
	}{c.roster.Members[:3], "one leaves", false})
	_, err = spelled.Open()
	require.ErrorIs(t, err, quorum.ErrAction)
}

func TestSweepActions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := quorum.SweepAction{To: address(rapid.Byte().Draw(t, "to")), Value: wei(rapid.StringMatching(`[1-9][0-9]{0,75}`).Draw(t, "value"))}
		got, err := quorum.DecodeSweepAction(s.Encode())
		if s.To == address(0) {
			require.ErrorIs(t, err, quorum.ErrAction)
			return
		}
		require.NoError(t, err)
		require.Equal(t, s, got)
	})
	for name, raw := range map[string][]byte{
		"nothing": nil, "no value": quorum.SweepAction{To: address(1)}.Encode(), "to nobody": quorum.SweepAction{Value: wei("1")}.Encode(),
		"more behind it": append(quorum.SweepAction{To: address(1), Value: wei("1")}.Encode(), 0), "too long": make([]byte, 65),
	} {
		_, err := quorum.DecodeSweepAction(raw)
		require.ErrorIs(t, err, quorum.ErrAction, name)
	}
}

func FuzzSweepAction(f *testing.F) {
	f.Add(quorum.SweepAction{To: address(0x70), Value: wei("99")}.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := quorum.DecodeSweepAction(raw)
		if err != nil {
			require.ErrorIs(t, err, quorum.ErrAction)
			return
		}
		require.Equal(t, raw, s.Encode())
	})
}
