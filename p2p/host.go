package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
)

// comingAndGoing is how many connect and disconnect events may wait for us before libp2p waits.
const comingAndGoing = 4 * MaxMembers

// Host is the Network over libp2p.
type Host struct {
	cfg      Config
	handlers Handlers
	log      *zap.Logger
	self     common.Address
	ids      protocolIDs
	door     *Door
	gater    *gater
	host     host.Host

	work sync.WaitGroup // every goroutine and every handler under way; added to only while running, under mu

	mu       sync.Mutex // guards all below
	state    state
	ctx      context.Context
	peers    map[common.Address]*member
	senders  map[streamKey]*sender
	receives map[streamKey]*receiver
	gossip   *gossip
	notices  []notice      // what Handlers.Connected is yet to hear
	noticed  chan struct{} // there are some
}

type notice struct {
	peer common.Address
	up   bool
}

type state int

const (
	built state = iota
	running
	ended
)

// member is what a host keeps for one other member while it is one.
type member struct {
	id     peer.ID
	wake   chan struct{} // its connection came or went
	cancel context.CancelFunc
	ctx    context.Context // ends with the membership or with Run; nil before Run
}

var _ Network = (*Host)(nil)

// New builds the host and opens its listening sockets; nobody is let in before Run.
func New(cfg Config, handlers Handlers) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := handlers.Validate(&cfg); err != nil {
		return nil, err
	}
	self := ethcrypto.PubkeyToAddress(cfg.Key.PublicKey)
	h := &Host{
		cfg: cfg, handlers: handlers, log: cfg.Log, self: self, ids: newProtocolIDs(cfg.NetworkID),
		door: NewDoor(&cfg, self), gater: newGater(),
		peers: make(map[common.Address]*member), senders: make(map[streamKey]*sender), receives: make(map[streamKey]*receiver),
		noticed: make(chan struct{}, 1),
	}
	if err := h.admit(cfg.Members); err != nil {
		return nil, err
	}
	if err := h.listen(); err != nil {
		return nil, err
	}
	return h, nil
}

// listen makes the libp2p host: TCP, Noise and yamux, and none of libp2p's ways to find or help strangers.
func (h *Host) listen() error {
	key, err := libp2pKey(h.cfg.Key)
	if err != nil {
		return fmt.Errorf("p2p: identity: %w", err)
	}
	var addrs []ma.Multiaddr
	for _, s := range h.cfg.Listen {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return fmt.Errorf("p2p: listen address %q: %w", s, err)
		}
		addrs = append(addrs, a)
	}
	resources, err := newResourceManager()
	if err != nil {
		return fmt.Errorf("p2p: resource limits: %w", err)
	}
	h.host, err = libp2p.New(
		libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.ConnectionGater(h.gater), libp2p.ResourceManager(resources),
		// Without port reuse: two members that dial each other at once from their listening ports would meet in one TCP connection.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(string(h.ids.security()), noise.New), libp2p.Muxer(yamux.ID, muxer()),
		libp2p.DisableRelay(), libp2p.Ping(false), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ForceReachabilityPublic(), libp2p.IPv6BlackHoleSuccessCounter(nil), libp2p.UDPBlackHoleSuccessCounter(nil),
		// Members know each other's addresses from their records: identify need tell none, and no version either.
		libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return nil }), libp2p.UserAgent("conclave"),
		libp2p.WithDialTimeout(dialTimeout),
	)
	if err != nil {
		return errors.Join(fmt.Errorf("p2p: make host: %w", err), resources.Close())
	}
	// One by one and after construction: libp2p takes one good address of many for success, and logs a taken port to stderr by itself.
	for _, a := range addrs {
		if err := h.host.Network().Listen(a); err != nil {
			return errors.Join(fmt.Errorf("p2p: listen on %s: %w", a, err), h.host.Close())
		}
	}
	return nil
}

// aliveEvery is how long a connection may be silent before the other end is asked for a sign of life, which has the library's ten
// seconds. A cut cable tells TCP nothing: until the connection is given up, its member counts as connected, and signing sessions
// wait for it. The library's own half a minute made that forty seconds.
const aliveEvery = 5 * time.Second

// muxer is the library's own, with an ear for dead connections.
func muxer() *yamux.Transport {
	t := *yamux.DefaultTransport
	t.KeepAliveInterval = aliveEvery
	return &t
}

// Self is the member id of Config.Key.
func (h *Host) Self() common.Address { return h.self }

// Addrs are the multiaddrs that are listened on, with their actual ports.
func (h *Host) Addrs() []string {
	addrs := h.host.Network().ListenAddresses()
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}

// Peers lists every other member, sorted by address.
func (h *Host) Peers() []PeerStatus { return h.door.Status() }

// Strangers counts the handshakes with keys that are no member's.
func (h *Host) Strangers() uint64 { return h.gater.strangersSeen() }

// Close frees the sockets of a host that is not going to run. Run closes by itself.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != built {
		return nil
	}
	h.state = ended
	return h.host.Close()
}

// Run serves until ctx ends. See Network.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := h.begin(ctx)
	if err != nil {
		return err
	}
	defer events.Close()

	for {
		select {
		case <-ctx.Done():
			return h.end()
		case e := <-events.Out():
			h.connectedness(e.(event.EvtPeerConnectednessChanged).Peer)
		case <-h.noticed:
			h.tell()
		}
	}
}

// begin opens the door last: whoever comes in meets every protocol in its place.
func (h *Host) begin(ctx context.Context) (event.Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != built {
		return nil, ErrNotRunning
	}
	h.state, h.ctx = running, ctx

	events, err := h.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.BufSize(comingAndGoing))
	if err == nil {
		h.gossip, err = h.startGossip(ctx)
	}
	if err != nil {
		h.state = ended
		return nil, errors.Join(fmt.Errorf("p2p: start: %w", err), h.host.Close())
	}
	for _, p := range h.cfg.Protocols {
		h.host.SetStreamHandler(h.ids.frame(p.Name), h.onFrames(p))
	}
	for _, r := range h.cfg.Requests {
		h.host.SetStreamHandler(h.ids.request(r.Name), h.onRequest(r))
	}
	h.gater.setOpen(true)
	for a, m := range h.peers {
		h.startMember(a, m)
	}
	return events, nil
}

func (h *Host) end() error {
	h.gater.setOpen(false)
	h.mu.Lock()
	h.state = ended
	h.mu.Unlock()
	err := h.host.Close()
	h.work.Wait()
	for _, s := range h.door.Status() {
		h.door.SetConnected(s.Address, false)
	}
	if err != nil {
		return fmt.Errorf("p2p: close: %w", err)
	}
	return nil
}

// enter registers work that Run waits for; the caller owes h.work.Done.
func (h *Host) enter() (context.Context, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != running {
		return nil, false
	}
	h.work.Add(1)
	return h.ctx, true
}

// connectedness records that a peer came or went. The event may be older than the state: what counts is now.
func (h *Host) connectedness(id peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	addr, ok := h.gater.member(id)
	if !ok {
		h.work.Add(1)
		go func() { // removed between its handshake and now
			defer h.work.Done()
			_ = h.host.Network().ClosePeer(id)
		}()
		return
	}
	up := h.host.Network().Connectedness(id) == network.Connected
	if h.door.SetConnected(addr, up) {
		h.peers[addr].stir()
		h.notice(addr, up)
	}
}

// notice queues a call of Handlers.Connected; the caller holds mu. The queue keeps the order of what happened, and leaves the calls
// to Run's goroutine, so that a handler may call back into the host.
func (h *Host) notice(peer common.Address, up bool) {
	h.notices = append(h.notices, notice{peer, up})
	select {
	case h.noticed <- struct{}{}:
	default:
	}
}

func (h *Host) tell() {
	h.mu.Lock()
	notices := h.notices
	h.notices = nil
	h.mu.Unlock()
	for _, n := range notices {
		h.log.Debug("peer connection", zap.Stringer("peer", n.peer), zap.Bool("up", n.up))
		if h.handlers.Connected != nil {
			h.handlers.Connected(n.peer, n.up)
		}
	}
}

// stir wakes the dialler; one pending wake is enough.
func (m *member) stir() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// deadline is the context's, or d from now if that is earlier.
func deadline(ctx context.Context, d time.Duration) time.Time {
	at := time.Now().Add(d)
	if t, ok := ctx.Deadline(); ok && t.Before(at) {
		return t
	}
	return at
}
