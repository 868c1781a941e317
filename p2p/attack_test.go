package p2p

import (
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// target is a running host of members 0..2 and what it let through.
type target struct {
	*Host
	frames, gossip chan string
	vias           chan common.Address
}

func startTarget(t *testing.T, change func(*Config)) *target {
	x := &target{frames: make(chan string, 1000), gossip: make(chan string, 1000), vias: make(chan common.Address, 1000)}
	cfg := testConfig(3)
	cfg.Listen, cfg.ThrottleMax = []string{"/ip4/127.0.0.1/tcp/0"}, 1000
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg, Handlers{
		Check: func(_ string, data []byte) (common.Address, error) { return cfg.Members[2].Address, nil },
		Gossip: func(_ string, _, via common.Address, data []byte) {
			x.gossip <- string(data)
			x.vias <- via
		},
		Frame:   func(_ string, _ common.Address, frame []byte) { x.frames <- string(frame) },
		Request: func(_ context.Context, _ string, _ common.Address, body []byte) ([]byte, error) { return body, nil },
	})
	require.NoError(t, err)
	x.Host = h
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	require.Eventually(t, func() bool { h.gater.mu.Lock(); defer h.gater.mu.Unlock(); return h.gater.open }, 10*time.Second, time.Millisecond)
	return x
}

// rawHost speaks libp2p as an attacker would: with any key, and none of our manners.
func rawHost(t *testing.T, key *ecdsa.PrivateKey, security protocol.ID) host.Host {
	id, err := libp2pKey(key)
	require.NoError(t, err)
	h, err := libp2p.New(libp2p.Identity(id), libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay(),
		libp2p.Security(string(security), noise.New), libp2p.Muxer(yamux.ID, yamux.DefaultTransport), libp2p.DisableMetrics())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

func (x *target) info(t *testing.T) peer.AddrInfo {
	info := peer.AddrInfo{ID: x.host.ID()}
	for _, a := range x.Addrs() {
		addr, err := ma.NewMultiaddr(a)
		require.NoError(t, err)
		info.Addrs = append(info.Addrs, addr)
	}
	return info
}

func connect(t *testing.T, h host.Host, x *target) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, h.Connect(ctx, x.info(t)))
	require.Eventually(t, func() bool {
		for _, p := range x.Peers() {
			if p.Connected {
				return true
			}
		}
		return false
	}, 10*time.Second, time.Millisecond)
}

func (x *target) of(t *testing.T, i int) PeerStatus {
	return x.Peers()[indexOf(x.door, testPeers(3)[i].Address)]
}

func TestStrangerIsRefusedAfterItsHandshake(t *testing.T) {
	x := startTarget(t, nil)
	h := rawHost(t, testKey(99), x.ids.security())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// On the stranger's side the handshake may be complete before the refusal reaches it, so a stream must fail at the latest.
	err := h.Connect(ctx, x.info(t))
	if err == nil {
		var s network.Stream
		if s, err = h.NewStream(ctx, x.host.ID(), x.ids.frame("votes")); err == nil {
			_, err = s.Read(make([]byte, 1))
		}
	}
	require.Error(t, err)
	require.Eventually(t, func() bool { return x.Strangers() >= 1 }, 10*time.Second, time.Millisecond)
	require.Empty(t, x.host.Network().Peers())
}

func TestMemberOfAnotherNetworkFailsBeforeCryptography(t *testing.T) {
	x := startTarget(t, nil)
	h := rawHost(t, testKey(1), newProtocolIDs(common.Hash{2}).security())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.Error(t, h.Connect(ctx, x.info(t)))
	require.Zero(t, x.Strangers(), "it never got to say who it is")
}

func TestOversizeFrameResetsTheStream(t *testing.T) {
	x := startTarget(t, nil)
	h := rawHost(t, testKey(1), x.ids.security())
	connect(t, h, x)
	ctx := context.Background()
	s, err := h.NewStream(ctx, x.host.ID(), x.ids.frame("votes"))
	require.NoError(t, err)
	_, err = s.Write(append(appendFrame(nil, []byte("fits")), 255, 255, 255, 255))
	require.NoError(t, err)
	require.Equal(t, "fits", <-x.frames)
	_, err = s.Read(make([]byte, 1))
	require.ErrorIs(t, err, network.ErrReset)
	require.Equal(t, uint64(1), x.of(t, 1).Refused)

	// The connection stands, and a new stream is welcome; so is a third that replaces it while it is open.
	for _, text := range []string{"second", "third"} {
		s, err := h.NewStream(ctx, x.host.ID(), x.ids.frame("votes"))
		require.NoError(t, err)
		_, err = s.Write(appendFrame(nil, []byte(text)))
		require.NoError(t, err)
		require.Equal(t, text, <-x.frames)
	}
	ask, err := h.NewStream(ctx, x.host.ID(), x.ids.request("fetch"))
	require.NoError(t, err)
	_, err = ask.Write([]byte{0, 0, 4, 0})
	require.NoError(t, err)
	_, err = io.ReadAll(ask)
	require.ErrorIs(t, err, network.ErrReset)
	require.Equal(t, uint64(2), x.of(t, 1).Refused)
}

// A member that floods and forwards another's message among the flood must not keep that message from arriving by another way:
// what the throttle drops does not count as seen.
func TestThrottledForwarderCannotCensor(t *testing.T) {
	x := startTarget(t, func(c *Config) { c.ThrottleMax, c.ThrottleDuration = 5, time.Hour })
	flooder, author := rawGossip(t, x, 1), rawGossip(t, x, 2)
	for i := range 20 {
		flooder.say(t, wireGossip("flood"+string(rune('a'+i))))
	}
	require.Eventually(t, func() bool { return x.of(t, 1).Throttled >= 15 }, 20*time.Second, 10*time.Millisecond)
	flooder.say(t, wireGossip("vote"))
	require.Eventually(t, func() bool { return x.of(t, 1).Throttled >= 16 }, 20*time.Second, 10*time.Millisecond)
	author.say(t, wireGossip("vote"))
	var heard []string
	for range 6 {
		heard = append(heard, <-x.gossip)
	}
	require.Contains(t, heard, "vote")
	require.Equal(t, uint64(16), x.of(t, 1).Throttled)
}

func TestMalformedGossipIsRefused(t *testing.T) {
	x := startTarget(t, nil)
	g := rawGossip(t, x, 1)
	g.say(t, []byte("short"))
	require.Eventually(t, func() bool { return x.of(t, 1).Refused == 1 }, 20*time.Second, 10*time.Millisecond)
	g.say(t, wireGossip("good"))
	require.Equal(t, "good", <-x.gossip)
	require.Equal(t, testPeers(2)[1].Address, <-x.vias)
}

// Gossipsub gives a peer up after a handful of broken streams; we do not, as long as it is connected.
func TestGossipIsMendedWhileThePeerIsConnected(t *testing.T) {
	const givenUp = 6
	x := startTarget(t, nil)
	h := rawHost(t, testKey(1), x.ids.security())
	opened := make(chan struct{}, 100)
	h.SetStreamHandler(x.ids.gossip(), func(s network.Stream) {
		opened <- struct{}{}
		_ = s.Reset()
	})
	connect(t, h, x)
	for i := range givenUp + 2 {
		select {
		case <-opened:
		case <-time.After(30 * time.Second):
			require.Fail(t, "gossip has given the peer up", "after %d streams", i)
		}
	}
	require.True(t, x.of(t, 1).Connected)
}

func wireGossip(text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), text...)
}

type gossiper struct{ topic *pubsub.Topic }

// rawGossip is a member's gossipsub without our checks, once the target has heard that it exists.
func rawGossip(t *testing.T, x *target, i int) gossiper {
	h := rawHost(t, testKey(i), x.ids.security())
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithFloodPublish(true), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID), pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithGossipSubProtocols([]protocol.ID{x.ids.gossip()}, func(f pubsub.GossipSubFeature, _ protocol.ID) bool { return f == pubsub.GossipSubFeatureMesh }))
	require.NoError(t, err)
	topic, err := ps.Join("facts")
	require.NoError(t, err)
	connect(t, h, x)
	require.Eventually(t, func() bool { return len(topic.ListPeers()) == 1 }, 20*time.Second, 10*time.Millisecond)
	return gossiper{topic}
}

func (g gossiper) say(t *testing.T, wire []byte) {
	require.NoError(t, g.topic.Publish(context.Background(), wire))
}

// Whoever speaks no libp2p keeps nobody else out while it is at the door.
func TestNoiseThatIsNotNoise(t *testing.T) {
	x := startTarget(t, nil)
	parts := strings.Split(x.Addrs()[0], "/")
	conn, err := net.Dial("tcp", net.JoinHostPort(parts[2], parts[4]))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	h := rawHost(t, testKey(1), x.ids.security())
	connect(t, h, x)
}

func TestTakenPortIsAnError(t *testing.T) {
	x := startTarget(t, nil)
	cfg := testConfig(2)
	cfg.Listen = x.Addrs()
	_, err := New(cfg, x.handlers)
	require.ErrorContains(t, err, "listen on")
	cfg.Listen = []string{"127.0.0.1:1"}
	_, err = New(cfg, x.handlers)
	require.ErrorContains(t, err, "127.0.0.1:1")
	cfg.Listen = nil
	cfg.Members[1].Multiaddrs = []string{"nowhere"}
	_, err = New(cfg, x.handlers)
	require.ErrorContains(t, err, "nowhere")
}

func TestIdentityIsTheMembersKey(t *testing.T) {
	for i := range 20 {
		key, err := libp2pKey(testKey(i))
		require.NoError(t, err)
		want, err := peer.IDFromPrivateKey(key)
		require.NoError(t, err)
		got, err := peerID(NewPeer(&testKey(i).PublicKey))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, ethcrypto.PubkeyToAddress(testKey(i).PublicKey), NewPeer(&testKey(i).PublicKey).Address)
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add(appendFrame([]byte{replyDone}, []byte("yes")))
	f.Add(refusal(io.ErrUnexpectedEOF))
	f.Add([]byte{2, 0, 0, 0, 0})
	f.Add([]byte{replyDone, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, wire []byte) {
		reply, err := readReply(strings.NewReader(string(wire)), common.Address{1}, 64)
		if err != nil {
			require.Nil(t, reply)
			return
		}
		require.LessOrEqual(t, len(reply), 64)
		require.Equal(t, appendFrame([]byte{replyDone}, reply), wire[:1+frameHead+len(reply)])
	})
}
