package p2p

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// What the host as a whole, strangers before their handshake, and one member may take. A full committee is MaxMembers
// connections, doubled because two members may dial each other at once.
const (
	hostConns    = 4 * MaxMembers
	hostStreams  = MaxMembers * peerStreams / 4 // not all members fill theirs at once
	hostMemory   = 1 << 30
	knockers     = 64        // inbound connections in the handshake, of anybody
	knockersMem  = 64 << 20  // their buffers
	peerConns    = 8         // one or two in use, and the dead ones of a member that restarted
	peerStreams  = 256       // gossip, frames and requests, both ways
	peerMemory   = 128 << 20 // yamux windows of up to 16 MiB for a few busy streams
	protoStreams = 2 * RequestsPerPeer

	// One IP address may open knockBurst connections at once, then one each knockEvery: enough for several members behind one
	// address that redial every ten seconds. Loopback is free: there it is the operator's own machine.
	knockBurst = 32
	knockEvery = 500 * time.Millisecond
	// ipConns is how many connections of one IP address may stand.
	ipConns = 64
	// knockForget is how long a full bucket of an address is kept.
	knockForget = time.Minute
)

func newResourceManager() (network.ResourceManager, error) {
	peerLimits := rcmgr.ResourceLimits{
		Conns: peerConns, ConnsInbound: peerConns, ConnsOutbound: peerConns, FD: peerConns,
		Streams: peerStreams, StreamsInbound: peerStreams, StreamsOutbound: peerStreams, Memory: peerMemory,
	}
	hostLimits := rcmgr.ResourceLimits{
		Conns: hostConns, ConnsInbound: hostConns, ConnsOutbound: hostConns, FD: hostConns,
		Streams: hostStreams, StreamsInbound: hostStreams, StreamsOutbound: hostStreams, Memory: hostMemory,
	}
	limits := rcmgr.PartialLimitConfig{
		System:      hostLimits,
		PeerDefault: peerLimits,
		// Transient is what has no peer yet. Outbound has its own share, so that knockers cannot keep us from dialling. Streams are
		// transient only until their protocol is agreed.
		Transient: rcmgr.ResourceLimits{
			Conns: 2 * knockers, ConnsInbound: knockers, ConnsOutbound: knockers, FD: 2 * knockers,
			Streams: hostStreams, StreamsInbound: hostStreams, StreamsOutbound: hostStreams, Memory: knockersMem,
		},
		ProtocolPeerDefault: rcmgr.ResourceLimits{
			Streams: 2 * protoStreams, StreamsInbound: protoStreams, StreamsOutbound: protoStreams, Memory: peerMemory,
		},
	}.Build(rcmgr.InfiniteLimits)

	perSecond := float64(time.Second) / float64(knockEvery)
	subnets := func(prefix int) []rate.SubnetLimit {
		return []rate.SubnetLimit{{PrefixLength: prefix, Limit: rate.Limit{RPS: perSecond, Burst: knockBurst}}}
	}
	knocks := &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			// An IPv6 customer has a whole /56 to knock from.
			IPv4SubnetLimits: subnets(32), IPv6SubnetLimits: subnets(56), GracePeriod: knockForget,
		},
	}
	perIP := func(prefix int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: prefix, ConnCount: ipConns}}
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits), rcmgr.WithMetricsDisabled(),
		rcmgr.WithConnRateLimiters(knocks), rcmgr.WithLimitPerSubnet(perIP(32), perIP(56)))
}
