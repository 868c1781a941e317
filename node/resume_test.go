package node

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// A start builds from the ledger what was built decision by decision, over a change of members in the middle of a page. It believes no
// byte of it: what does not prove itself, and what does not follow, ends the start behind what came before.
func TestAStartReplaysDecisions(t *testing.T) {
	l := newLab(t)
	ms := uint64(time.Now().UnixMilli())
	pay := func(from, to uint64) {
		for wid := from; wid <= to; wid++ {
			require.NoError(t, l.hearDecision(l.decision(l.payout(wid, ms))))
		}
	}
	pay(1, adoptAtOnce+10)
	members := slices.Clone(l.state.Roster.Members)
	members[1].Multiaddrs = []string{"/ip4/127.0.0.1/tcp/7001"}
	l.succeed(l.changeTo(members, 1, 0, 1, 2), members)
	pay(adoptAtOnce+11, adoptAtOnce+15)
	require.NoError(t, l.fatal)
	was := l.state
	require.EqualValues(t, 2, was.Roster.Epoch)

	var all []quorum.UncheckedDecision
	anew := func() {
		var err error
		l.state, err = batch.NewState(l.genesis)
		require.NoError(t, err)
	}
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		return tx.Decisions(1, func(d quorum.UncheckedDecision) error { all = append(all, d); return nil })
	}))
	anew()
	require.NoError(t, l.led.View(l.replayDecisions))
	require.Equal(t, was, l.state)

	const at = 40 // the height before is the last good one
	for name, c := range map[string]struct {
		spoil func([]quorum.UncheckedDecision) []quorum.UncheckedDecision
		want  string
	}{
		"a vote": {func(ds []quorum.UncheckedDecision) []quorum.UncheckedDecision {
			ds[at-1].Commit.Votes[1].Sig[5] ^= 1
			return ds
		}, "height 40"},
		"a value":  {func(ds []quorum.UncheckedDecision) []quorum.UncheckedDecision { ds[at-1].Value[9] ^= 1; return ds }, "height 40"},
		"one less": {func(ds []quorum.UncheckedDecision) []quorum.UncheckedDecision { return slices.Delete(ds, at-1, at) }, "does not follow height 39"},
		"two swapped": {func(ds []quorum.UncheckedDecision) []quorum.UncheckedDecision {
			ds[at-1], ds[at] = ds[at], ds[at-1]
			return ds
		}, "does not follow height 39"},
	} {
		anew()
		spoiled := make([]quorum.UncheckedDecision, len(all))
		for i, d := range all {
			spoiled[i] = d
			spoiled[i].Value, spoiled[i].Commit.Votes = slices.Clone(d.Value), slices.Clone(d.Commit.Votes)
		}
		require.ErrorContains(t, l.replayPage(c.spoil(spoiled)), c.want, name)
		require.EqualValues(t, at-1, l.state.Height, name)
	}

	l.state = was
	b := l.payout(900, ms)
	b.Items[0].Cert.Votes[0].Sig[9] ^= 1
	require.ErrorIs(t, l.replayPage([]quorum.UncheckedDecision{l.decision(b)}), batch.ErrInvalid, "q members committed what is no valid value")
}
