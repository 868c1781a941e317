package tss

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// notice is a participant's abort, as it would send it.
func notice(t *testing.T, from common.Address, session common.Hash, n abortNotice) []byte {
	_, keys := testMembers(8)
	env, err := seal(keys[from], testNetwork, Header{Session: session, Round: 1, Type: typeAbort}, encodeAbort(n))
	require.NoError(t, err)
	return env.frame()
}

// A liar that speaks to one participant and not to another makes the first wait for the second. Nobody names the second.
func TestWhoWaitsForASilentOneIsNotNamed(t *testing.T) {
	for _, kind := range []uint8{typeSign1Direct, typeSign1, typeEcho} {
		synctest.Test(t, func(t *testing.T) {
			h, _ := newHub(t, 4)
			shares := testShares(t)[:3]
			liar, cut, other := shares[2].self, shares[0].self, shares[1].self
			h.tamper = func(f, to common.Address, frame []byte) [][]byte {
				if k := typeOf(t, frame); f == liar && (k == typeAbort || to == cut && k == kind) {
					return nil
				}
				return [][]byte{frame}
			}
			start := time.Now()
			outs := h.signAll(shares, "cut", 0)
			require.LessOrEqual(t, time.Since(start), DefaultSignTimeout)
			require.Equal(t, TimedOut, outs[0].Ending, outs[0].String())
			require.Equal(t, []common.Address{liar}, outs[0].Silent, "type %d", kind)
			require.Equal(t, TimedOut, outs[1].Ending, outs[1].String())
			require.NotContains(t, outs[1].Silent, cut, "type %d", kind)
			require.NotContains(t, outs[0].Silent, other)
		})
	}
}

// Whoever gives up at once, and names another, gets nobody named but suspected: itself among them.
func TestAnEarlyComplaintNamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, members := newHub(t, 4)
		shares := testShares(t)[:3]
		liar := members[2]
		start := time.Now()
		outs := all(members[:2], func(i int, m common.Address) Outcome {
			h.engines[m].Receive(liar, notice(t, liar, sessionOf("early"), abortNotice{Kind: uint8(TimedOut), Named: members[:2]}))
			return h.engines[m].sign(t.Context(), signRequest{session: sessionOf("early"), participants: members[:3], share: shares[i]})
		})
		for _, o := range outs {
			require.Equal(t, TimedOut, o.Ending)
			require.Empty(t, o.Silent)
			require.Contains(t, o.Suspects, liar)
		}
		require.LessOrEqual(t, time.Since(start), maxSettle)

		// Not even one that has not begun yet: nobody has waited for it.
		h.engines[members[0]].Receive(liar, notice(t, liar, sessionOf("alone"), abortNotice{Kind: uint8(TimedOut), Named: members[1:2]}))
		out := h.engines[members[0]].sign(t.Context(), signRequest{session: sessionOf("alone"), participants: members[:3], share: shares[0]})
		require.Equal(t, TimedOut, out.Ending)
		require.Empty(t, out.Silent)
		require.Contains(t, out.Suspects, liar)
	})
}

// stuckMachine computes until it is released.
type stuckMachine struct {
	machine
	begun   chan struct{}
	release chan struct{}
}

func (m stuckMachine) start() step {
	close(m.begun)
	<-m.release
	return m.machine.start()
}

// A cancelled session ends although the library computes on; the next session of the key computes when it has returned, and
// what it came to is thrown away.
func TestACancelledSessionEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, members := newHub(t, 4)
		share := testShares(t)[0]
		e := h.engines[members[0]]
		stuck := stuckMachine{begun: make(chan struct{}), release: make(chan struct{})}
		e.wrap = func(m machine) machine { stuck.machine = m; return stuck }

		ctx, cancel := context.WithCancelCause(t.Context())
		ask := func(ctx context.Context, name string) Outcome {
			return e.sign(ctx, signRequest{session: sessionOf(name), participants: members[:3], share: share})
		}
		done := make(chan Outcome)
		go func() { done <- ask(ctx, "first") }()
		<-stuck.begun
		gone := errors.New("the warrant is void")
		start := time.Now()
		cancel(gone)
		out := <-done
		require.Equal(t, Cancelled, out.Ending)
		require.ErrorIs(t, out.Err, gone)
		require.Zero(t, time.Since(start), "no step of virtual time")

		e.wrap = nil
		sent := 0
		h.tamper = func(common.Address, common.Address, []byte) [][]byte { sent++; return nil }
		go func() { done <- ask(t.Context(), "second") }()
		synctest.Wait()
		require.Zero(t, sent, "one key has one call at work")
		// Its deadline runs from the end of its own computing.
		<-time.After(10 * DefaultSignTimeout)
		synctest.Wait()
		require.Zero(t, sent)
		close(stuck.release)
		out = <-done
		require.Equal(t, TimedOut, out.Ending)
		require.ElementsMatch(t, members[1:3], out.Silent)
		require.NotZero(t, sent)
		require.Equal(t, 11*DefaultSignTimeout, time.Since(start))
	})
}
