package conform

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/p2p"
)

// still is how long a case watches for what must not happen.
const still = time.Second

// Case is one promise of p2p.Network.
type Case struct {
	Name string
	Run  func(*testing.T, Join)
}

// Cases are all of them.
func Cases() []Case {
	return []Case{
		{"gossip reaches all others once", gossipReachesAll},
		{"refused gossip is counted and goes nowhere", gossipRefused},
		{"frames keep their order", framesInOrder},
		{"a held stream fills its queue and no other", queueFull},
		{"bounds are errors", bounds},
		{"requests are answered, refused or time out", requests},
		{"a full set of requests refuses the next", requestsBounded},
		{"a member restarts", restart},
		{"the throttle drops and counts", throttle},
		{"what costs more counts more", throttleBySize},
		{"a removed member is disconnected", removed},
		{"strangers and other networks stay out", strangers},
		{"nothing works before and after Run", lifetime},
	}
}

func gossipReachesAll(t *testing.T, join Join) {
	c := newCluster(t, join, 3, nil)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	a.awaitGossip(b, d)

	// The author need not be the publisher.
	require.NoError(t, a.Publish("views", said(d.Self(), "x")))
	want := got{kind: "gossip", name: "views", author: d.Self(), data: string(said(d.Self(), "x"))}
	for _, n := range []*node{b, d} {
		g := n.next()
		require.Contains(t, []common.Address{a.Self(), b.Self(), d.Self()}, g.via)
		require.NotEqual(t, n.Self(), g.via)
		g.via = common.Address{}
		require.Equal(t, want, g)
	}
	b.quiet(still)
	a.quiet(0)
	require.NotZero(t, b.status(a.Self()).LastSeen)
}

func gossipRefused(t *testing.T, join Join) {
	c := newCluster(t, join, 3, nil)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	a.awaitGossip(b, d)

	stranger := common.HexToAddress("0x5717")
	require.NoError(t, a.Publish("facts", said(a.Self(), "known")))
	require.NoError(t, a.Publish("facts", said(a.Self(), "bad")))
	require.NoError(t, a.Publish("facts", said(stranger, "signed by no member")))
	require.NoError(t, a.Publish("facts", said(a.Self(), "good")))
	for _, n := range []*node{b, d} {
		require.Equal(t, string(said(a.Self(), "good")), n.next().data)
		n.await("both refusals counted", func() bool { return n.status(a.Self()).Refused == 2 })
		n.quiet(still)
	}
	require.Zero(t, b.status(d.Self()).Refused, "nobody forwards what it refused")
	require.ErrorIs(t, a.Publish("nowhere", nil), p2p.ErrUnknownProtocol)
	require.ErrorIs(t, a.Publish("facts", make([]byte, p2p.MaxGossip+1)), p2p.ErrFrameTooLarge)
}

func framesInOrder(t *testing.T, join Join) {
	const frames = 500
	c := newCluster(t, join, 3, func(cfg *p2p.Config) { cfg.Protocols[0].Queue = frames })
	to := c.nodes[2]
	for i := range frames {
		for _, from := range c.nodes[:2] {
			// The sender's buffer is its own again when Send returns.
			frame := fmt.Appendf(nil, "%d", i)
			require.NoError(t, from.Send(to.Self(), "votes", frame))
			clear(frame)
		}
	}
	next := map[common.Address]int{}
	for range 2 * frames {
		g := to.next()
		require.Equal(t, got{kind: "frame", name: "votes", via: g.via, data: fmt.Sprint(next[g.via])}, g)
		next[g.via]++
	}
	require.NoError(t, to.Send(c.addr(0), "session", nil), "an empty frame is a frame")
	require.Equal(t, got{kind: "frame", name: "session", via: to.Self()}, c.nodes[0].next())
}

func queueFull(t *testing.T, join Join) {
	c := newCluster(t, join, 3, func(cfg *p2p.Config) { cfg.Protocols[0].Queue = 4 })
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]

	sent, hold := 0, append([]byte("hold"), make([]byte, 60<<10)...)
	var err error
	for err == nil {
		require.Less(t, sent, 10_000, "the queue has no end")
		if err = a.Send(b.Self(), "votes", hold); err == nil {
			sent++
		}
	}
	require.ErrorIs(t, err, p2p.ErrQueueFull)
	require.NotZero(t, a.status(b.Self()).Dropped)

	// Another peer, and another protocol of the same peer, get through meanwhile.
	require.NoError(t, d.Send(b.Self(), "votes", []byte("from d")))
	require.Equal(t, "from d", b.next().data)
	require.NoError(t, a.Send(b.Self(), "session", []byte("beside")))
	require.Equal(t, "beside", b.next().data)

	b.release()
	for range sent {
		require.True(t, bytes.Equal(hold, []byte(b.next().data)))
	}
	require.NoError(t, a.Send(b.Self(), "votes", []byte("after")))
	require.Equal(t, "after", b.next().data)
}

func bounds(t *testing.T, join Join) {
	c := newCluster(t, join, 2, nil)
	a, b, ctx := c.nodes[0], c.nodes[1], context.Background()

	require.NoError(t, a.Send(b.Self(), "votes", make([]byte, 64<<10)))
	require.Len(t, b.next().data, 64<<10)
	require.ErrorIs(t, a.Send(b.Self(), "votes", make([]byte, 64<<10+1)), p2p.ErrFrameTooLarge)
	require.ErrorIs(t, a.Send(b.Self(), "unheard-of", nil), p2p.ErrUnknownProtocol)
	require.ErrorIs(t, a.Send(common.Address{1}, "votes", nil), p2p.ErrUnknownPeer)
	require.ErrorIs(t, a.Send(a.Self(), "votes", nil), p2p.ErrUnknownPeer)

	_, err := a.Request(ctx, b.Self(), "fetch", make([]byte, 1<<10+1))
	require.ErrorIs(t, err, p2p.ErrFrameTooLarge)
	_, err = a.Request(ctx, b.Self(), "votes", nil)
	require.ErrorIs(t, err, p2p.ErrUnknownProtocol)
	_, err = a.Request(ctx, common.Address{1}, "fetch", nil)
	require.ErrorIs(t, err, p2p.ErrUnknownPeer)
	require.Error(t, a.SetMembers([]p2p.Peer{{Address: b.Self()}}), "a member without its key")
}

func requests(t *testing.T, join Join) {
	c := newCluster(t, join, 2, nil)
	a, b, ctx := c.nodes[0], c.nodes[1], context.Background()

	reply, err := a.Request(ctx, b.Self(), "fetch", []byte("thing"))
	require.NoError(t, err)
	require.Equal(t, "re:thing", string(reply))
	require.Equal(t, got{kind: "request", name: "fetch", via: a.Self(), data: "thing"}, b.next())

	_, err = a.Request(ctx, b.Self(), "fetch", []byte("refuse"))
	var refused *p2p.RemoteError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, p2p.RemoteError{Peer: b.Self(), Reason: "no such thing"}, *refused)

	_, err = a.Request(ctx, b.Self(), "fetch", []byte("huge"))
	require.ErrorAs(t, err, &refused, "a reply over its bound stays where it was made")

	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = a.Request(short, b.Self(), "fetch", []byte("wait"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func requestsBounded(t *testing.T, join Join) {
	c := newCluster(t, join, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, p2p.RequestsPerPeer)
	for range p2p.RequestsPerPeer {
		go func() {
			_, err := a.Request(ctx, b.Self(), "fetch", []byte("wait"))
			errs <- err
		}()
	}
	for range p2p.RequestsPerPeer {
		require.Equal(t, "wait", b.next().data)
	}
	_, err := a.Request(ctx, b.Self(), "fetch", []byte("one more"))
	require.ErrorIs(t, err, p2p.ErrQueueFull)
	cancel()
	for range p2p.RequestsPerPeer {
		require.ErrorIs(t, <-errs, context.Canceled)
	}
	reply, err := a.Request(context.Background(), b.Self(), "fetch", []byte("again"))
	require.NoError(t, err)
	require.Equal(t, "re:again", string(reply))
}

func restart(t *testing.T, join Join) {
	c := newCluster(t, join, 3, nil)
	a, b := c.nodes[0], c.nodes[1]
	a.awaitGossip(b, c.nodes[2])
	again := said(a.Self(), "said before and after")
	require.NoError(t, a.Publish("facts", again))
	require.Equal(t, string(again), b.next().data)

	b.stop()
	a.awaitUp(1)
	require.ErrorIs(t, a.Send(b.Self(), "votes", nil), p2p.ErrNotConnected)
	_, err := a.Request(context.Background(), b.Self(), "fetch", nil)
	require.ErrorIs(t, err, p2p.ErrNotConnected)

	began := time.Now()
	b = c.restart(1)
	a.awaitUp(2)
	b.awaitUp(2)
	require.Less(t, time.Since(began), 10*time.Second)
	require.NoError(t, a.Send(b.Self(), "votes", []byte("welcome back")))
	require.Equal(t, "welcome back", b.next().data)
	require.NoError(t, b.Send(a.Self(), "votes", []byte("thanks")))
	a.await("the answer", func() bool { return a.next().data == "thanks" })

	// Identical bytes get through again, as members repeat their open verdicts: in a later slot, and soon.
	<-time.After(p2p.RepublishAfter)
	a.awaitGossip(b)
	require.NoError(t, a.Publish("facts", again))
	require.Equal(t, string(again), b.next().data)
	require.NoError(t, a.Publish("facts", again), "within the slot it is sent once")

	var heard []string
	for len(a.links) > 0 {
		if l := <-a.links; l.via == b.Self() {
			heard = append(heard, l.kind)
		}
	}
	require.Equal(t, []string{"up", "down", "up"}, heard)
}

func throttle(t *testing.T, join Join) {
	const most, sent = 20, 50
	c := newCluster(t, join, 2, func(cfg *p2p.Config) { cfg.ThrottleMax, cfg.ThrottleDuration = most, time.Hour })
	a, b := c.nodes[0], c.nodes[1]
	for i := range sent {
		require.NoError(t, a.Send(b.Self(), "votes", fmt.Append(nil, i)))
	}
	for i := range most {
		require.Equal(t, fmt.Sprint(i), b.next().data)
	}
	b.await("the rest counted", func() bool { return b.status(a.Self()).Throttled == sent-most })
	_, err := a.Request(context.Background(), b.Self(), "fetch", nil)
	var refused *p2p.RemoteError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, p2p.ErrThrottled.Error(), refused.Reason)
	b.await("gossip counted too", func() bool {
		require.NoError(t, a.Publish("facts", said(a.Self(), fmt.Sprint(time.Now().UnixNano()))))
		return b.status(a.Self()).Throttled > sent-most+1
	})
	b.quiet(0)
}

func throttleBySize(t *testing.T, join Join) {
	c := newCluster(t, join, 2, func(cfg *p2p.Config) { cfg.ThrottleMax, cfg.ThrottleDuration = 10, time.Hour })
	a, b := c.nodes[0], c.nodes[1]
	for range 3 {
		require.NoError(t, a.Send(b.Self(), "session", make([]byte, 256<<10))) // costs five
	}
	b.next()
	b.next()
	b.await("the third dropped", func() bool { return b.status(a.Self()).Throttled == 1 })
	b.quiet(0)
}

func removed(t *testing.T, join Join) {
	c := newCluster(t, join, 3, nil)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	began := time.Now()
	all := c.members()
	for _, n := range []*node{a, d} {
		require.NoError(t, n.SetMembers([]p2p.Peer{all[0], all[2]}))
	}
	b.awaitUp(0)
	require.Less(t, time.Since(began), 5*time.Second)
	require.ErrorIs(t, a.Send(b.Self(), "votes", nil), p2p.ErrUnknownPeer)
	require.ErrorIs(t, b.Send(a.Self(), "votes", nil), p2p.ErrNotConnected)
	require.Len(t, a.Peers(), 1)
	require.NoError(t, a.Send(d.Self(), "votes", []byte("still here")))
	require.Equal(t, "still here", d.next().data)

	// And back again.
	for _, n := range []*node{a, d} {
		require.NoError(t, n.SetMembers(all))
	}
	b.awaitUp(2)
	a.awaitUp(2)
	require.NoError(t, b.Send(a.Self(), "votes", []byte("back")))
	require.Equal(t, "back", a.next().data)
}

func strangers(t *testing.T, join Join) {
	c := newCluster(t, join, 2, nil)
	a, b := c.nodes[0], c.nodes[1]

	// A key of no member that knows where everybody lives, and a third member's key in another network.
	all := c.members()
	c.keys, c.addrs = append(c.keys, testKey(100), testKey(2)), append(c.addrs, nil, nil)
	stranger := c.build(2, c.base)
	other := c.base
	other.NetworkID[0]++
	foreigner := c.build(3, other)
	all = append(all, p2p.NewPeer(&c.keys[3].PublicKey, foreigner.Addrs()...))
	for _, n := range []*node{a, b} {
		require.NoError(t, n.SetMembers(all))
	}
	for _, n := range []*node{stranger, foreigner} {
		require.NoError(t, n.SetMembers(c.members()))
		n.run()
	}
	<-time.After(2 * still)
	stranger.awaitUp(0)
	foreigner.awaitUp(0)
	require.ErrorIs(t, stranger.Send(a.Self(), "votes", nil), p2p.ErrNotConnected)
	require.ErrorIs(t, a.Send(foreigner.Self(), "votes", nil), p2p.ErrNotConnected)
	require.NoError(t, stranger.Publish("facts", said(a.Self(), "from nobody")))
	require.NoError(t, foreigner.Publish("facts", said(a.Self(), "from elsewhere")))
	a.quiet(still)
	b.quiet(0)
	a.awaitUp(1)
}

func lifetime(t *testing.T, join Join) {
	c := newCluster(t, join, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	waits := make(chan error, 1)
	go func() {
		_, err := a.Request(context.Background(), b.Self(), "fetch", []byte("wait"))
		waits <- err
	}()
	require.Equal(t, "wait", b.next().data)
	a.stop()
	require.Error(t, <-waits)
	require.ErrorIs(t, a.Send(b.Self(), "votes", nil), p2p.ErrNotRunning)
	require.ErrorIs(t, a.Publish("facts", nil), p2p.ErrNotRunning)
	_, err := a.Request(context.Background(), b.Self(), "fetch", nil)
	require.ErrorIs(t, err, p2p.ErrNotRunning)
	require.ErrorIs(t, a.Run(context.Background()), p2p.ErrNotRunning)
	require.False(t, a.Peers()[0].Connected)
}
