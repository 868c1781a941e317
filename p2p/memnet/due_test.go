package memnet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/p2p"
	"conclave/p2p/memnet"
)

// apart gives each moment away once, a millisecond after the last one at the earliest.
func apart() func(time.Time) time.Time {
	var last time.Time
	return func(at time.Time) time.Time {
		if next := last.Add(time.Millisecond); next.After(at) {
			at = next
		}
		last = at
		return at
	}
}

// TestDueKeepsMessagesApart: what is sent at one moment, to whomever, on whatever stream, comes one message after the other.
func TestDueKeepsMessagesApart(t *testing.T) {
	bubble(t, 3, memnet.Options{Serial: true, Due: apart()}, func(t *testing.T, w *world) {
		w.send(0, 1, "a")
		w.send(0, 2, "b")
		w.publish(0, "c")
		w.send(0, 1, "d")
		w.send(2, 1, "e")
		time.Sleep(time.Second)
		require.Equal(t, []string{"frame 0 a", "gossip 0 c", "frame 0 d", "frame 2 e"}, w.all(1))
		require.Equal(t, []string{"frame 0 b", "gossip 0 c"}, w.all(2))
		seen := map[time.Time]bool{}
		for _, r := range w.hub.Records() {
			require.False(t, seen[r.At], "two at %s", r.At)
			seen[r.At] = true
		}
		require.Len(t, seen, 6)
	})
}

// TestDueKeepsCutCallsApart: questions that end because their link does end one after the other, in the order in which they were asked.
func TestDueKeepsCutCallsApart(t *testing.T) {
	bubble(t, 2, memnet.Options{Serial: true, Due: apart()}, func(t *testing.T, w *world) {
		w.hub.Hold(func(memnet.Message) bool { return true })
		const calls = 4
		began, ends := time.Now(), make([]time.Duration, calls)
		for i := range calls {
			go func() {
				_, err := w.nodes[0].Request(context.Background(), w.nodes[1].Self(), "fetch", fmt.Append(nil, i))
				require.True(t, errors.Is(err, p2p.ErrNotConnected), "%v", err)
				ends[i] = time.Since(began)
			}()
			synctest.Wait()
		}
		w.hub.Unplug(w.nodes[1])
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range calls {
			require.Equal(t, time.Duration(i)*time.Millisecond, ends[i])
		}
	})
}
