package node

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
)

// crowd is a wire on which each member answers in its own way.
type crowd struct {
	wire
	mu      sync.Mutex // guards asked
	asked   map[common.Address]int
	answers map[common.Address]func(ctx context.Context, req syncReq) ([]byte, error)
}

func (w *crowd) Request(ctx context.Context, to common.Address, _ string, body []byte) ([]byte, error) {
	var req syncReq
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.asked[to]++
	answer := w.answers[to]
	w.mu.Unlock()
	if answer == nil {
		return nil, errors.New("no answer")
	}
	return answer(ctx, req)
}

func (w *crowd) times(who common.Address) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[who]
}

// away is a lab whose members decided a few heights without it.
type away struct {
	*lab
	crowd   *crowd
	history []quorum.UncheckedDecision // from height 1 on
}

// newAway has them refuse one withdrawal in each height from 2 on.
func newAway(t *testing.T, heights int) *away {
	a := &away{lab: newLab(t), crowd: &crowd{asked: map[common.Address]int{}, answers: map[common.Address]func(context.Context, syncReq) ([]byte, error){}}}
	a.net = a.crowd
	first, ok := quorum.UncheckedDecision{}, false
	require.NoError(t, a.led.View(func(tx *ledger.Tx) (err error) { first, ok, err = tx.Decision(1); return err }))
	require.True(t, ok)
	other := newBareLab(t)
	require.NoError(t, other.hearDecision(first))
	a.history = append(a.history, first)
	for i := range heights {
		d := other.decision(other.refused(uint64(i+1), uint64(i+1)*1_000+uint64(time.Now().UnixMilli())))
		require.NoError(t, other.hearDecision(d))
		a.history = append(a.history, d)
	}
	return a
}

// page answers as an honest member, so many decisions at once.
func (a *away) page(most int) func(context.Context, syncReq) ([]byte, error) {
	return func(_ context.Context, req syncReq) ([]byte, error) {
		rest := a.history[min(int(req.Height)-1, len(a.history)):]
		return marshal(rest[:min(len(rest), most)]), nil
	}
}

// run drives the core until it holds everything, or virtual time is up. It returns how long it took.
func (a *away) run(limit time.Duration, claims ...int) time.Duration {
	began := time.Now()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for time.Since(began) < limit && a.state.Height < uint64(len(a.history)) && a.fatal == nil {
		for _, i := range claims {
			a.behind[a.genesis.Members[i].Address] = math.MaxUint64
		}
		select {
		case task := <-a.tasks:
			task()
		case <-tick.C:
			a.maybeSync()
		}
	}
	return time.Since(began)
}

// One honest member is enough, whatever the others show.
func TestSyncFromOneHonestMember(t *testing.T) {
	forever := func(ctx context.Context, _ syncReq) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	for name, liar := range map[string]func(a *away) func(context.Context, syncReq) ([]byte, error){
		"garbage": func(*away) func(context.Context, syncReq) ([]byte, error) {
			return func(context.Context, syncReq) ([]byte, error) { return []byte("rubbish"), nil }
		},
		"nothing": func(*away) func(context.Context, syncReq) ([]byte, error) {
			return func(context.Context, syncReq) ([]byte, error) { return marshal([]quorum.UncheckedDecision{}), nil }
		},
		"silence": func(*away) func(context.Context, syncReq) ([]byte, error) { return forever },
		"one at a time, slowly": func(a *away) func(context.Context, syncReq) ([]byte, error) {
			return func(ctx context.Context, req syncReq) ([]byte, error) {
				time.Sleep(900 * time.Millisecond)
				return a.page(1)(ctx, req)
			}
		},
		"other heights": func(a *away) func(context.Context, syncReq) ([]byte, error) {
			return func(ctx context.Context, req syncReq) ([]byte, error) {
				req.Height++
				return a.page(8)(ctx, req)
			}
		},
		"a bent signature behind good ones": func(a *away) func(context.Context, syncReq) ([]byte, error) {
			return func(_ context.Context, req syncReq) ([]byte, error) {
				rest := append([]quorum.UncheckedDecision{}, a.history[min(int(req.Height)-1, len(a.history)):]...)
				if len(rest) > 2 {
					rest = rest[:3]
					rest[2].Commit.Votes = append([]quorum.Ballot{}, rest[2].Commit.Votes...)
					rest[2].Commit.Votes[1].Sig[5] ^= 1
				}
				return marshal(rest), nil
			}
		},
		"too many": func(a *away) func(context.Context, syncReq) ([]byte, error) {
			return func(context.Context, syncReq) ([]byte, error) {
				return marshal(make([]quorum.UncheckedDecision, maxSyncDecision+1)), nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAway(t, 40)
				ids := a.state.Roster.IDs()
				a.crowd.answers[ids[1]], a.crowd.answers[ids[2]], a.crowd.answers[ids[3]] = liar(a), liar(a), a.page(8)
				took := a.run(time.Minute, 1, 2, 3)
				require.NoError(t, a.fatal)
				require.EqualValues(t, len(a.history), a.state.Height)
				require.Less(t, took, 10*time.Second, "a liar's time is its own")
				a.end()
				a.drain()
			})
		})
	}
}

// Who showed rubbish is left alone, longer each time; who is slow is asked, but last.
func TestSyncRemembersLiars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAway(t, 2)
		ids := a.state.Roster.IDs()
		liar, honest := ids[1], ids[2]
		a.crowd.answers[liar] = func(context.Context, syncReq) ([]byte, error) { return []byte("rubbish"), nil }
		a.run(barredFor-time.Second, 1)
		require.Equal(t, 1, a.crowd.times(liar))
		a.run(2*time.Second, 1)
		require.Equal(t, 2, a.crowd.times(liar), "a minute later it may have come to its senses")
		a.run(2*barredFor-2*time.Second, 1)
		require.Equal(t, 2, a.crowd.times(liar))
		a.run(3*time.Second, 1)
		require.Equal(t, 3, a.crowd.times(liar))

		a.crowd.answers[liar] = a.page(8)
		a.crowd.answers[honest] = a.page(8)
		a.run(time.Minute, 1, 2)
		require.EqualValues(t, len(a.history), a.state.Height)
		require.Equal(t, 3, a.crowd.times(liar))
		a.end()
		a.drain()
	})
}

// Each member that claims to be ahead is asked in its turn, however often one claims.
func TestSyncTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAway(t, 1)
		a.run(3*time.Second, 1, 2, 3)
		for _, id := range a.state.Roster.IDs()[1:] {
			require.NotZero(t, a.crowd.times(id))
		}
		a.end()
		a.drain()
	})
}

// Decisions that come together are recorded together, and as they would be one by one; what q members committed against the
// rules stops the node behind the last good one.
func TestSyncRecordsTogether(t *testing.T) {
	a := newAway(t, 6)
	before, err := a.led.Commits()
	require.NoError(t, err)
	roster := a.state.Roster
	good, err := proveDecisions(a.network, roster, a.history[1:])
	require.NoError(t, err)
	require.Len(t, good, 6)
	require.True(t, a.adopt(good))
	require.NoError(t, a.fatal)
	require.EqualValues(t, 7, a.state.Height)
	after, err := a.led.Commits()
	require.NoError(t, err)
	require.Equal(t, before+1, after)
	require.False(t, a.adopt(good), "shown again they are nothing new")

	one := newBareLab(t)
	for _, d := range a.history {
		require.NoError(t, one.hearDecision(d))
	}
	require.Equal(t, one.state, a.state)
	var want, got common.Hash
	require.NoError(t, one.led.View(func(tx *ledger.Tx) (err error) { want, err = tx.StateHash(); return err }))
	require.NoError(t, a.led.View(func(tx *ledger.Tx) (err error) { got, err = tx.StateHash(); return err }))
	require.Equal(t, want, got)

	next := a.refused(50, uint64(time.Now().UnixMilli())+1e6)
	late := next
	late.Time++
	wrong, err := proveDecisions(a.network, roster, []quorum.UncheckedDecision{a.decision(late)})
	require.NoError(t, err, "all of it is signed")
	require.False(t, a.adopt(wrong))
	require.ErrorContains(t, a.fatal, "time")
	require.EqualValues(t, 7, a.state.Height)
}

// What stands before the first decision that does not prove itself is taken; nothing behind it is.
func TestSyncTakesThePrefix(t *testing.T) {
	a := newAway(t, 9)
	for bad := range 9 {
		shown := append([]quorum.UncheckedDecision{}, a.history[1:]...)
		shown[bad].Value = append([]byte{}, shown[bad].Value...)
		shown[bad].Value[len(shown[bad].Value)-1] ^= 1
		good, err := proveDecisions(a.network, a.state.Roster, shown)
		require.ErrorIs(t, err, errSync)
		require.Len(t, good, bad)
	}
}
