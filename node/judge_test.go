package node

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
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
// asked for its final block once.
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
		require.Equal(t, i+1, young.asked, "once a pass")
		require.Equal(t, 1, good.asked, "final answers are kept")
	}

	dead.err = nil
	require.Equal(t, risk.Known, pass()[1], "the next pass asks again")
	require.Equal(t, risk.Known, pass()[2])
}

// A final block wakes the judge for what waited for it, once, and not for another lane's.
func TestJudgeWakesForAFinalBlock(t *testing.T) {
	young, good := &lineEnd{}, &lineEnd{}
	j := newJudge(&Node{log: zap.NewNop(), alerts: newAlerts(zap.NewNop(), time.Now), watchers: map[string]*watcher{"young": {end: young}, "good": {end: good}}})
	open := []ledger.Withdrawal{{ID: 1, Network: "young", Timestamp: 200}, {ID: 2, Network: "good"}}
	j.begin(open)
	for _, w := range open {
		j.destination(t.Context(), w, quorum.Lane{Network: w.Network})
	}
	j.finalMoved("good")
	require.Empty(t, j.bell)
	j.finalMoved("young")
	require.Len(t, j.bell, 1)
	<-j.bell
	j.finalMoved("young")
	require.Empty(t, j.bell, "nobody waits until a pass has found it early again")
}

// farEnd is an endpoint some way off, with a contract that binds nobody. Every second second has a block.
type farEnd struct {
	chain.Endpoint
	away    time.Duration
	headers atomic.Int64
	calls   atomic.Int64
	atOnce  atomic.Int64
	most    atomic.Int64
}

func (e *farEnd) travel(ctx context.Context) error {
	defer e.atOnce.Add(-1)
	for now := e.atOnce.Add(1); ; {
		if most := e.most.Load(); now <= most || e.most.CompareAndSwap(most, now) {
			break
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(e.away):
		return nil
	}
}

func (e *farEnd) Final(ctx context.Context) (chain.Header, error) {
	return chain.Header{Number: 1000, Time: 2000}, e.travel(ctx)
}

func (e *farEnd) HeaderAt(ctx context.Context, number uint64) (chain.Header, error) {
	e.headers.Add(1)
	return chain.Header{Number: number, Time: 2 * number}, e.travel(ctx)
}

func (e *farEnd) BenefitAddress(ctx context.Context, _, _ common.Address, at chain.Header) (common.Address, error) {
	e.calls.Add(1)
	return common.Address{}, e.travel(ctx)
}

// A thousand requests of one moment cost one question each and the few headers that they share, some at a time.
func TestManyQuestionsShareWhatTheyRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &farEnd{away: 50 * time.Millisecond}
		lane := quorum.Lane{Network: "far", BenefitContract: common.Address{0xbe}}
		j := newJudge(&Node{log: zap.NewNop(), now: time.Now, alerts: newAlerts(zap.NewNop(), time.Now), genesis: quorum.Genesis{Lanes: []quorum.Lane{lane}},
			watchers: map[string]*watcher{"far": {end: end}}})
		var open []ledger.Withdrawal
		for i := range uint64(1000) {
			open = append(open, ledger.Withdrawal{ID: i + 1, Account: common.Address{1, byte(i)}, Network: "far", Timestamp: 1800 + i%60})
		}
		began := time.Now()
		j.begin(open)
		var asked []*opinion
		for rest := open; len(rest) > 0; {
			var some []*opinion
			some, rest = j.gather(t.Context(), rest, inForce{})
			asked = append(asked, some...)
		}
		require.Len(t, asked, 1000)
		for i, o := range asked {
			require.Equal(t, open[i].ID, o.w.ID, "in their order")
			require.Equal(t, risk.Destination{State: risk.Known, Address: o.w.Account}, o.facts.Destination)
		}
		require.EqualValues(t, 1000, end.calls.Load())
		require.Less(t, end.headers.Load(), int64(600), "of two hundred blocks, some asked for twice at once")
		require.EqualValues(t, judgeAsks, end.most.Load())
		require.Less(t, time.Since(began), 8*time.Second, "one by one it takes ten minutes")
	})
}

// A lane that is silent costs one question a pass, however many wait for it.
func TestASilentLaneIsAskedAlone(t *testing.T) {
	end := &lineEnd{err: errors.New("connection refused")}
	j := newJudge(&Node{log: zap.NewNop(), now: time.Now, alerts: newAlerts(zap.NewNop(), time.Now), genesis: quorum.Genesis{Lanes: []quorum.Lane{{Network: "dead"}}},
		watchers: map[string]*watcher{"dead": {end: end}}})
	var open []ledger.Withdrawal
	for i := range uint64(100) {
		open = append(open, ledger.Withdrawal{ID: i + 1, Network: "dead"}, ledger.Withdrawal{ID: 1000 + i, Network: "no lane of ours"})
	}
	for pass := range 3 {
		j.begin(open)
		for rest := slices.Clone(open); len(rest) > 0; {
			_, rest = j.gather(t.Context(), rest, inForce{})
		}
		require.Equal(t, pass+1, end.asked)
	}
}
