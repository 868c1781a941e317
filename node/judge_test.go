package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// lineEnd is an endpoint whose final block is all that is asked for.
type lineEnd struct {
	chain.Endpoint
	err   error // instead of a final block at time 100
	asked int
}

func (e *lineEnd) Final(context.Context) (chain.Header, error) {
	e.asked++
	return chain.Header{Time: 100}, e.err
}

// A lane that does not answer is asked once a pass, each time about another withdrawal; one that is only not final yet is
// asked about every one.
func TestJudgeSilentLane(t *testing.T) {
	dead, young, good := &lineEnd{err: errors.New("connection refused")}, &lineEnd{}, &lineEnd{}
	j := newJudge(&Node{log: zap.NewNop(), alerts: newAlerts(zap.NewNop(), time.Now), watchers: map[string]*watcher{"dead": {end: dead}, "young": {end: young}, "good": {end: good}}})
	open := func() []ledger.Withdrawal {
		return []ledger.Withdrawal{
			{ID: 1, Network: "dead"}, {ID: 2, Network: "dead"}, {ID: 3, Network: "young", Timestamp: 200},
			{ID: 4, Network: "young", Timestamp: 200}, {ID: 5, Network: "good"}, {ID: 6, Network: "good"},
		}
	}
	pass := func() map[uint64]risk.DestinationState {
		ws, got := open(), map[uint64]risk.DestinationState{}
		j.begin(ws)
		for _, w := range ws {
			got[w.ID] = j.destination(t.Context(), w, quorum.Lane{Network: w.Network}).State
		}
		return got
	}
	unknown := risk.Destination{}.State
	want := map[uint64]risk.DestinationState{1: unknown, 2: unknown, 3: risk.NotFinal, 4: risk.NotFinal, 5: risk.Known, 6: risk.Known}
	for i, last := range []uint64{1, 2, 1} {
		require.Equal(t, want, pass())
		require.Equal(t, i+1, dead.asked)
		require.Equal(t, last, j.failed["dead"])
		require.Equal(t, 2*(i+1), young.asked)
		require.Equal(t, 2, good.asked, "final answers are kept")
	}

	dead.err = nil
	require.Equal(t, risk.Known, pass()[1], "the next pass asks again")
	require.Equal(t, risk.Known, pass()[2])
}
