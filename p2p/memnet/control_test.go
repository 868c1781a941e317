package memnet_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"conclave/p2p"
	"conclave/p2p/memnet"
)

// world is a hub and its nodes; each node notes what it hears as "kind from text".
type world struct {
	t     require.TestingT
	hub   *memnet.Hub
	nodes []*memnet.Node
	heard []chan string
	stops []func()
}

// key is a key for tests only.
func key(i int) *ecdsa.PrivateKey {
	k, err := crypto.ToECDSA(crypto.Keccak256([]byte("memnet test key"), []byte{byte(i)}))
	if err != nil {
		panic(err) // the constant above yields valid keys
	}
	return k
}

func newWorld(t require.TestingT, n int, opts memnet.Options) *world {
	w := &world{t: t, hub: memnet.New(opts)}
	for i := range n {
		w.join(i, n)
	}
	synctest.Wait()
	return w
}

// join starts a node with key i among the first n members.
func (w *world) join(i, n int) *memnet.Node {
	var members []p2p.Peer
	for j := range n {
		members = append(members, p2p.NewPeer(&key(j).PublicKey))
	}
	heard := make(chan string, 1<<12)
	name := func(a common.Address) int {
		for j := range n {
			if members[j].Address == a {
				return j
			}
		}
		return -1
	}
	node, err := w.hub.Join(p2p.Config{
		Key: key(i), NetworkID: common.Hash{1}, Members: members, Topics: []string{"facts"},
		Protocols:        []p2p.ProtocolSpec{{Name: "votes", MaxFrame: 100, Queue: 100}},
		Requests:         []p2p.RequestSpec{{Name: "fetch", MaxBody: 100, MaxReply: 100}},
		ThrottleDuration: time.Second, ThrottleMax: 1000, Fanout: 4, Log: zap.NewNop(),
	}, p2p.Handlers{
		Check: func(_ string, data []byte) (common.Address, error) { return members[0].Address, nil },
		Gossip: func(_ string, _, via common.Address, data []byte) {
			heard <- fmt.Sprintf("gossip %d %s", name(via), data)
		},
		Frame: func(_ string, from common.Address, data []byte) {
			heard <- fmt.Sprintf("frame %d %s", name(from), data)
		},
		Request: func(_ context.Context, _ string, from common.Address, body []byte) ([]byte, error) {
			heard <- fmt.Sprintf("request %d %s", name(from), body)
			return body, nil
		},
		Connected: func(peer common.Address, up bool) { heard <- fmt.Sprintf("up %d %v", name(peer), up) },
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	synctest.Wait()
	w.nodes, w.heard = append(w.nodes, node), append(w.heard, heard)
	w.stops = append(w.stops, func() { cancel(); require.NoError(w.t, <-done) })
	return node
}

func (w *world) close() {
	for _, s := range w.stops {
		s()
	}
}

// all is what node i heard so far, once everything that is due has arrived; comings and goings are left out.
func (w *world) all(i int) []string {
	synctest.Wait()
	var out []string
	for len(w.heard[i]) > 0 {
		if s := <-w.heard[i]; s[:2] != "up" {
			out = append(out, s)
		}
	}
	return out
}

func (w *world) send(from, to int, text string) {
	require.NoError(w.t, w.nodes[from].Send(w.nodes[to].Self(), "votes", []byte(text)))
}

func (w *world) publish(from int, text string) {
	require.NoError(w.t, w.nodes[from].Publish("facts", []byte(text)))
}

func bubble(t *testing.T, n int, opts memnet.Options, f func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, n, opts)
		defer w.close()
		f(t, w)
	})
}

func TestDropLosesWhatItMatches(t *testing.T) {
	bubble(t, 3, memnet.Options{}, func(t *testing.T, w *world) {
		w.hub.Drop(func(m memnet.Message) bool {
			return m.Kind == memnet.Gossip && m.Name == "facts" && m.ToNode == 1 || m.Kind == memnet.Frame && m.From == w.nodes[2].Self()
		})
		w.publish(0, "a")
		w.send(2, 0, "lost")
		require.Empty(t, w.all(1))
		require.Equal(t, []string{"gossip 0 a"}, w.all(2))
		require.Empty(t, w.all(0))
		w.hub.Drop(nil)
		w.send(2, 0, "kept")
		require.Equal(t, []string{"frame 2 kept"}, w.all(0))

		var fates []string
		for _, r := range w.hub.Records() {
			fates = append(fates, fmt.Sprintf("%s %d>%d %s %s", r.Kind, r.FromNode, r.ToNode, r.Data, r.Fate))
		}
		require.ElementsMatch(t, []string{"gossip 0>1 a dropped", "gossip 0>2 a delivered", "frame 2>0 lost dropped", "frame 2>0 kept delivered"}, fates)
	})
}

func TestDelayIsVirtualTimePerLink(t *testing.T) {
	bubble(t, 3, memnet.Options{}, func(t *testing.T, w *world) {
		w.hub.Delay(func(m memnet.Message) time.Duration { return time.Duration(m.ToNode) * time.Minute })
		w.publish(0, "a")
		w.send(0, 1, "f")
		began := time.Now()
		require.Empty(t, w.all(1))
		<-time.After(time.Minute)
		require.ElementsMatch(t, []string{"gossip 0 a", "frame 0 f"}, w.all(1))
		require.Empty(t, w.all(2))
		<-time.After(time.Minute)
		require.Equal(t, []string{"gossip 0 a"}, w.all(2))
		require.Equal(t, 2*time.Minute, time.Since(began))
	})
}

// Whatever the delays and the order of release, frames of one stream arrive in order, and everything arrives once.
func TestFramesKeepTheirOrderUnderEveryRule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		delays := rapid.SliceOfN(rapid.IntRange(0, 5), 10, 10).Draw(rt, "delays")
		ranks := rapid.SliceOfN(rapid.IntRange(0, 9), 20, 20).Draw(rt, "ranks")
		held := rapid.IntRange(0, 10).Draw(rt, "held")
		serial := rapid.Bool().Draw(rt, "serial")
		synctest.Test(t, func(*testing.T) {
			w := newWorld(rt, 3, memnet.Options{Serial: serial})
			defer w.close()
			base := len(w.hub.Records())
			require.Zero(rt, base)
			w.hub.Delay(func(m memnet.Message) time.Duration { return time.Duration(delays[m.Seq%10]) * time.Second })
			for i := range 10 {
				if i == held {
					w.hub.Hold(func(m memnet.Message) bool { return ranks[m.Seq%20]%2 == 0 })
				}
				for from := range 2 {
					w.send(from, 2, fmt.Sprint(i))
				}
			}
			<-time.After(time.Minute)
			w.hub.Release(func(a, b memnet.Message) bool { return ranks[a.Seq%20] < ranks[b.Seq%20] })
			<-time.After(time.Minute)
			next := make([]int, 2)
			for _, s := range w.all(2) {
				var from, i int
				_, err := fmt.Sscanf(s, "frame %d %d", &from, &i)
				require.NoError(rt, err)
				require.Equal(rt, next[from], i, "from %d", from)
				next[from]++
			}
			require.Equal(rt, []int{10, 10}, next)
		})
	})
}

func TestHoldReordersGossip(t *testing.T) {
	bubble(t, 2, memnet.Options{}, func(t *testing.T, w *world) {
		w.hub.Hold(func(memnet.Message) bool { return true })
		for _, s := range []string{"a", "b", "c"} {
			w.publish(0, s)
		}
		require.Empty(t, w.all(1))
		require.Len(t, w.hub.Held(), 3)
		w.hub.Release(func(a, b memnet.Message) bool { return a.Seq > b.Seq })
		require.Equal(t, []string{"gossip 0 c", "gossip 0 b", "gossip 0 a"}, w.all(1))
	})
}

func TestPartitionAndHeal(t *testing.T) {
	bubble(t, 4, memnet.Options{}, func(t *testing.T, w *world) {
		n := w.nodes
		w.hub.Partition([]*memnet.Node{n[0], n[1]}, []*memnet.Node{n[2]})
		w.publish(0, "a")
		require.Equal(t, []string{"gossip 0 a"}, w.all(1))
		require.Empty(t, w.all(2))
		require.Empty(t, w.all(3))
		for from, to := range map[int]int{0: 2, 2: 3, 3: 1} {
			require.ErrorIs(t, n[from].Send(n[to].Self(), "votes", nil), p2p.ErrNotConnected)
		}
		w.hub.Heal()
		w.send(0, 3, "f")
		require.Equal(t, []string{"frame 0 f"}, w.all(3))
		w.hub.Unplug(n[3])
		require.ErrorIs(t, n[3].Send(n[0].Self(), "votes", nil), p2p.ErrNotConnected)
		w.hub.Plug(n[3])
		w.send(3, 0, "g")
		require.Equal(t, []string{"frame 3 g"}, w.all(0))
	})
}

// A message under way when its link is cut is lost; one of a sender that crashed is not, for it had left.
func TestWhatIsUnderWayWhenALinkGoes(t *testing.T) {
	bubble(t, 3, memnet.Options{}, func(t *testing.T, w *world) {
		w.hub.Delay(func(memnet.Message) time.Duration { return time.Second })
		w.send(0, 2, "cut")
		w.send(1, 2, "left")
		asked := make(chan error, 1)
		go func() {
			_, err := w.nodes[0].Request(context.Background(), w.nodes[2].Self(), "fetch", nil)
			asked <- err
		}()
		synctest.Wait()
		w.hub.Unplug(w.nodes[0])
		require.ErrorIs(t, <-asked, p2p.ErrNotConnected, "at once, not at its deadline")
		w.stops[1]()
		w.stops[1] = func() {}
		<-time.After(2 * time.Second)
		require.Equal(t, []string{"frame 1 left"}, w.all(2))
	})
}

func TestDoubleDeliversTwice(t *testing.T) {
	bubble(t, 2, memnet.Options{Serial: true}, func(t *testing.T, w *world) {
		w.hub.Double(func(m memnet.Message) bool { return string(m.Data) != "once" })
		w.hub.Delay(func(m memnet.Message) time.Duration {
			if m.Again && m.Kind == memnet.Gossip {
				return time.Minute
			}
			return 0
		})
		w.send(0, 1, "a")
		w.send(0, 1, "once")
		w.publish(0, "g")
		require.Equal(t, []string{"frame 0 a", "frame 0 a", "frame 0 once", "gossip 0 g"}, w.all(1))
		<-time.After(time.Minute)
		require.Empty(t, w.all(1), "gossip is known by its bytes")
		records := w.hub.Records()
		require.Equal(t, memnet.Duplicate, records[len(records)-1].Fate)
		w.hub.Double(nil)
		w.send(0, 1, "b")
		require.Equal(t, []string{"frame 0 b"}, w.all(1))
	})
}

func TestRequestsAreLostDelayedAndAnswered(t *testing.T) {
	bubble(t, 2, memnet.Options{Serial: true}, func(t *testing.T, w *world) {
		ctx := context.Background()
		ask := func() error {
			_, err := w.nodes[0].Request(ctx, w.nodes[1].Self(), "fetch", []byte("x"))
			return err
		}
		w.hub.Delay(func(memnet.Message) time.Duration { return time.Second })
		began := time.Now()
		require.NoError(t, ask())
		require.Equal(t, 2*time.Second, time.Since(began), "there and back")
		for _, kind := range []memnet.Kind{memnet.Request, memnet.Reply} {
			w.hub.Drop(func(m memnet.Message) bool { return m.Kind == kind })
			began = time.Now()
			require.ErrorIs(t, ask(), context.DeadlineExceeded)
			require.Equal(t, p2p.RequestTimeout, time.Since(began))
		}
	})
}

func TestTwinsShareAnAddress(t *testing.T) {
	bubble(t, 3, memnet.Options{}, func(t *testing.T, w *world) {
		twin := w.join(0, 3)
		w.send(1, 0, "to both")
		require.Equal(t, []string{"frame 1 to both"}, w.all(0))
		require.Equal(t, []string{"frame 1 to both"}, w.all(3))
		require.NoError(t, twin.Publish("facts", []byte("other")))
		w.publish(0, "one")
		require.ElementsMatch(t, []string{"gossip 0 other", "gossip 0 one"}, w.all(1))
		require.Empty(t, w.all(0), "a twin is no other member")

		// Each twin in its own half: the classic equivocation.
		w.hub.Partition([]*memnet.Node{w.nodes[0], w.nodes[1]}, []*memnet.Node{twin, w.nodes[2]})
		w.publish(0, "left")
		require.NoError(t, twin.Publish("facts", []byte("right")))
		require.Equal(t, []string{"gossip 0 left"}, w.all(1))
		require.Contains(t, w.all(2), "gossip 0 right")
		for _, p := range w.nodes[1].Peers() {
			require.Equal(t, p.Address == w.nodes[0].Self(), p.Connected)
		}
	})
}

// Serial nodes handle what several senders sent in the order in which it was sent, every time.
func TestSerialIsRepeatable(t *testing.T) {
	var first []string
	for range 20 {
		bubble(t, 4, memnet.Options{Serial: true}, func(t *testing.T, w *world) {
			for i := range 30 {
				w.send(i%3, 3, fmt.Sprint(i))
				w.publish(i%3, fmt.Sprint("g", i))
			}
			got := w.all(3)
			require.Len(t, got, 60)
			if first == nil {
				first = got
			}
			require.Equal(t, first, got)
		})
	}
}

func TestJoinRefusesWhatHostRefuses(t *testing.T) {
	_, err := memnet.New(memnet.Options{}).Join(p2p.Config{}, p2p.Handlers{})
	require.Error(t, err)
	require.False(t, errors.Is(err, p2p.ErrNotRunning))
}
