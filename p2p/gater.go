package p2p

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater is libp2p's connmgr.ConnectionGater: members only, and dials only where our own dialler asked for one.
type gater struct {
	mu        sync.Mutex // guards all below
	open      bool       // Run has begun
	members   map[peer.ID]common.Address
	dialling  map[peer.ID]bool
	strangers uint64
}

func newGater() *gater {
	return &gater{members: make(map[peer.ID]common.Address), dialling: make(map[peer.ID]bool)}
}

func (g *gater) setOpen(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
}

func (g *gater) setMembers(members map[peer.ID]common.Address) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = members
}

// member is the authenticated peer's member id.
func (g *gater) member(id peer.ID) (common.Address, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.members[id]
	return a, ok
}

func (g *gater) setDialling(id peer.ID, on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if on {
		g.dialling[id] = true
	} else {
		delete(g.dialling, id)
	}
}

// InterceptPeerDial lets only the dialler dial: any other dial would go to addresses that a peer claimed for itself.
func (g *gater) InterceptPeerDial(id peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, member := g.members[id]
	return g.open && member && g.dialling[id]
}

// InterceptAddrDial: the dialler emptied the address book and put the configured addresses in; nothing to add here.
func (g *gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept: who knocks is not known yet; how often one address may knock is the resource manager's matter (limits.go).
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// InterceptSecured is the door proper: the handshake has proven who it is.
func (g *gater) InterceptSecured(_ network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, member := g.members[id]
	if !member {
		g.strangers++
	}
	return g.open && member
}

// InterceptUpgraded asks again: the member may have been removed during the handshake.
func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	_, member := g.member(c.RemotePeer())
	return member, 0
}

func (g *gater) strangersSeen() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.strangers
}
