package conform

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/p2p"
)

// patience is how long a case waits for what must happen; real sockets on a busy machine may need seconds.
const patience = 30 * time.Second

// Endpoint is a network under test, and where it listens (nil when it has no sockets).
type Endpoint interface {
	p2p.Network
	Addrs() []string
}

// Join makes an implementation's endpoint.
type Join func(p2p.Config, p2p.Handlers) (Endpoint, error)

// got is one thing that a node's handlers received.
type got struct {
	kind        string // gossip, frame, request, up, down
	name        string
	author, via common.Address
	data        string
}

// node is one member of a cluster, with what its handlers heard.
type node struct {
	Endpoint
	t      *testing.T
	cfg    p2p.Config
	heard  chan got
	links  chan got      // up and down, apart so that they do not disturb
	hold   chan struct{} // frames that say "hold" wait until it closes
	cancel context.CancelFunc
	ended  chan error
}

type cluster struct {
	t     *testing.T
	join  Join
	keys  []*ecdsa.PrivateKey
	addrs [][]string
	base  p2p.Config
	nodes []*node
}

// testKey is a key for tests only: anybody can compute it.
func testKey(i int) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave p2p test key"), []byte{byte(i)}))
	if err != nil {
		panic(err) // the constant above yields valid keys
	}
	return key
}

func config() p2p.Config {
	return p2p.Config{
		NetworkID:        common.HexToHash("0x01"),
		Topics:           []string{"facts", "views"},
		Protocols:        []p2p.ProtocolSpec{{Name: "votes", MaxFrame: 64 << 10, Queue: 64}, {Name: "session", MaxFrame: 1 << 20, Queue: 64}},
		Requests:         []p2p.RequestSpec{{Name: "fetch", MaxBody: 1 << 10, MaxReply: 1 << 20}},
		ThrottleDuration: time.Second,
		ThrottleMax:      100_000,
		Fanout:           6,
		Log:              zap.NewNop(),
	}
}

// newCluster starts n members that know each other and waits until all are connected.
func newCluster(t *testing.T, join Join, n int, change func(*p2p.Config)) *cluster {
	c := &cluster{t: t, join: join, base: config(), nodes: make([]*node, n), addrs: make([][]string, n)}
	if change != nil {
		change(&c.base)
	}
	for i := range n {
		c.keys = append(c.keys, testKey(i))
		c.nodes[i] = c.build(i, c.base)
		c.addrs[i] = c.nodes[i].Addrs()
	}
	for _, n := range c.nodes {
		require.NoError(t, n.SetMembers(c.members()))
		n.run()
	}
	for _, n := range c.nodes {
		n.awaitUp(len(c.nodes) - 1)
	}
	return c
}

func (c *cluster) members() []p2p.Peer {
	var out []p2p.Peer
	for i, k := range c.keys {
		out = append(out, p2p.NewPeer(&k.PublicKey, c.addrs[i]...))
	}
	return out
}

func (c *cluster) addr(i int) common.Address { return crypto.PubkeyToAddress(c.keys[i].PublicKey) }

// build makes member i on its earlier address, or on a new one.
func (c *cluster) build(i int, cfg p2p.Config) *node {
	cfg.Key, cfg.Listen = c.keys[i], c.addrs[i]
	if len(cfg.Listen) == 0 {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	n := &node{t: c.t, cfg: cfg, heard: make(chan got, 1<<14), links: make(chan got, 1<<10), hold: make(chan struct{})}
	var err error
	n.Endpoint, err = c.join(cfg, n.handlers())
	require.NoError(c.t, err)
	return n
}

// restart brings a stopped member back with the same key and address.
func (c *cluster) restart(i int) *node {
	n := c.build(i, c.base)
	require.NoError(c.t, n.SetMembers(c.members()))
	c.nodes[i] = n
	n.run()
	return n
}

// handlers of a test node: gossip is "author index, verdict, text"; see check.
func (n *node) handlers() p2p.Handlers {
	return p2p.Handlers{
		Check: check,
		Gossip: func(topic string, author, via common.Address, data []byte) {
			n.heard <- got{"gossip", topic, author, via, string(data)}
		},
		Frame: func(protocol string, from common.Address, frame []byte) {
			if bytes.HasPrefix(frame, []byte("hold")) {
				<-n.hold
			}
			n.heard <- got{kind: "frame", name: protocol, via: from, data: string(frame)}
		},
		Request: func(ctx context.Context, protocol string, from common.Address, body []byte) ([]byte, error) {
			n.heard <- got{kind: "request", name: protocol, via: from, data: string(body)}
			switch string(body) {
			case "refuse":
				return nil, errors.New("no such thing")
			case "wait":
				<-ctx.Done()
				return nil, ctx.Err()
			case "huge":
				return make([]byte, 1<<20+1), nil
			}
			return append([]byte("re:"), body...), nil
		},
		Connected: func(peer common.Address, up bool) {
			kind := map[bool]string{true: "up", false: "down"}[up]
			n.links <- got{kind: kind, via: peer}
		},
	}
}

// check reads its verdict from the bytes: 20 bytes author, then "bad", "known" or anything else.
func check(_ string, data []byte) (common.Address, error) {
	if len(data) < common.AddressLength {
		return common.Address{}, errors.New("too short")
	}
	author, text := common.BytesToAddress(data[:common.AddressLength]), string(data[common.AddressLength:])
	switch {
	case text == "bad":
		return author, errors.New("signature is not the author's")
	case text == "known":
		return author, p2p.ErrIgnore
	}
	return author, nil
}

func said(author common.Address, text string) []byte { return append(author.Bytes(), text...) }

func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.ended = cancel, make(chan error, 1)
	go func() { n.ended <- n.Run(ctx) }()
	n.t.Cleanup(n.stop)
}

// stop ends Run and waits for it; again is harmless.
func (n *node) stop() {
	if n.cancel == nil {
		return
	}
	n.release()
	n.cancel()
	n.cancel = nil
	select {
	case err := <-n.ended:
		require.NoError(n.t, err)
	case <-time.After(patience):
		require.Fail(n.t, "Run does not end")
	}
}

func (n *node) release() {
	select {
	case <-n.hold:
	default:
		close(n.hold)
	}
}

// next is the next thing heard.
func (n *node) next() got {
	n.t.Helper()
	select {
	case g := <-n.heard:
		return g
	case <-time.After(patience):
		require.Fail(n.t, "nothing heard")
		return got{}
	}
}

// quiet fails if anything is heard within d.
func (n *node) quiet(d time.Duration) {
	n.t.Helper()
	select {
	case g := <-n.heard:
		require.Fail(n.t, "heard what must not arrive", "%+v", g)
	case <-time.After(d):
	}
}

// awaitUp waits until n peers are connected.
func (n *node) awaitUp(peers int) {
	n.t.Helper()
	n.await("peers connected", func() bool {
		up := 0
		for _, p := range n.Peers() {
			if p.Connected {
				up++
			}
		}
		return up == peers
	})
}

func (n *node) await(what string, cond func() bool) {
	n.t.Helper()
	tick, end := time.NewTicker(10*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-end:
			require.Fail(n.t, "never: "+what)
		}
	}
}

// awaitGossip publishes text with a rising suffix until all listeners heard one: subscriptions cross a moment after connections do.
func (n *node) awaitGossip(listeners ...*node) {
	n.t.Helper()
	heard := make([]bool, len(listeners))
	for try := range 1000 {
		require.NoError(n.t, n.Publish("facts", said(n.Self(), "hello"+string(rune('a'+try)))))
		all := true
		for i, l := range listeners {
			if !heard[i] {
				select {
				case <-l.heard:
					heard[i] = true
				case <-time.After(100 * time.Millisecond):
					all = false
				}
			}
		}
		if all {
			break
		}
	}
	// What else was said on the way is not the case's matter.
	for _, l := range listeners {
		l.drain(300 * time.Millisecond)
	}
}

func (n *node) drain(d time.Duration) {
	for {
		select {
		case <-n.heard:
		case <-time.After(d):
			return
		}
	}
}

func (n *node) status(of common.Address) p2p.PeerStatus {
	n.t.Helper()
	for _, p := range n.Peers() {
		if p.Address == of {
			return p
		}
	}
	require.Fail(n.t, "not among the peers", "%s", of)
	return p2p.PeerStatus{}
}
