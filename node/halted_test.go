package node

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// A halt keeps what it covers out of this node's batches and makes it ask for none of others', until it is cleared; what it
// does not cover goes on.
func TestAHaltedNodeWantsNoPayout(t *testing.T) {
	l := newLab(t)
	ms := uint64(time.Now().UnixMilli())
	c := quorum.Content{WID: 7, Account: common.Address{1}, Network: "devnet", EventID: 7}
	l.content = func(uint64) (quorum.Content, bool) { return c, true }
	for i := 1; i < 4; i++ {
		l.hearFact(by(l, i, quorum.Refuse{
			Epoch: 1, Policy: l.state.Policy.Ref(), Counter: 9, WID: 7, Content: c.Hash(l.network), Reason: quorum.ReasonMinimum, Time: ms,
		}).Bytes())
	}
	for _, v := range l.views(l.state.Height, ms) {
		l.pool.addView(v)
	}
	theirs := l.refused(7, ms)
	wants := func() (builds, asks bool) {
		_, builds = l.build()
		return builds, !l.refrains(theirs)
	}
	is := func(want bool, why string) {
		t.Helper()
		builds, asks := wants()
		require.Equal(t, want, builds, why)
		require.Equal(t, want, asks, why)
	}
	is(true, "nothing is halted")
	for _, h := range []struct {
		scope  quorum.Scope
		target string
		stops  bool
	}{
		{quorum.ScopeAccount, common.Address{2}.Hex(), false},
		{quorum.ScopeLane, "elsewhere", false},
		{quorum.ScopeAccount, c.Account.Hex(), true},
		{quorum.ScopeLane, "devnet", true},
		{quorum.ScopeAll, "", true},
	} {
		require.NoError(t, l.tripScope(h.scope, h.target, "test", "for the test"))
		is(!h.stops, h.scope.String()+" "+h.target)
		require.NoError(t, l.clear("looked at"))
		is(true, "cleared")
	}
}

// R7: whoever still speaks in a decided height is shown its decision, once a second; the others are not disturbed.
func TestWhoSpeaksInADecidedHeightIsShownTheDecision(t *testing.T) {
	l := newLab(t)
	sent := &sends{wire: l.wire}
	l.net = sent
	now := l.now()
	l.now = func() time.Time { return now }
	late := voteMsg{Statement: by(l, 1, quorum.Vote{Epoch: 1, Height: 1, Round: 3, Phase: quorum.Prevote, Counter: 5}).Bytes()}
	l.hearVote(late)
	require.Len(t, sent.frames, 1)
	var m signMsg
	require.NoError(t, unmarshal(sent.frames[0], &m))
	require.Equal(t, signDecision, m.Kind)
	var d quorum.UncheckedDecision
	require.NoError(t, unmarshal(m.Body, &d))
	require.Equal(t, uint64(1), d.Commit.Height)
	l.hearVote(late)
	require.Len(t, sent.frames, 1, "not twice within a second")
	l.hearVote(voteMsg{Statement: by(l, 2, quorum.Vote{Epoch: 1, Height: 1, Round: 3, Phase: quorum.Prevote, Counter: 5}).Bytes()})
	require.Len(t, sent.frames, 2, "each peer for itself")
	now = now.Add(time.Second)
	l.hearVote(late)
	require.Len(t, sent.frames, 3)
}
