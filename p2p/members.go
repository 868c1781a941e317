package p2p

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
)

const (
	// redialFirst and redialMost bound the wait between dials of one member: a restarted member is back within a second, an absent one
	// costs a dial in ten seconds.
	redialFirst = 500 * time.Millisecond
	redialMost  = 10 * time.Second
	// dialTimeout ends one dial: handshake included, a member that takes longer is as good as absent.
	dialTimeout = 5 * time.Second
)

// SetMembers replaces the membership. See Network.
func (h *Host) SetMembers(members []Peer) error {
	if err := ValidateMembers(members); err != nil {
		return err
	}
	return h.admit(members)
}

func (h *Host) admit(members []Peer) error {
	ids := make(map[peer.ID]common.Address, len(members))
	byAddress := make(map[common.Address]peer.ID, len(members))
	for _, m := range members {
		if m.Address == h.self {
			continue
		}
		id, err := peerID(m)
		if err != nil {
			return fmt.Errorf("p2p: %w", err)
		}
		for _, a := range m.Multiaddrs {
			if err := Dialable(a); err != nil {
				return fmt.Errorf("member %s: %w", m.Address, err)
			}
		}
		ids[id], byAddress[m.Address] = m.Address, id
	}

	// The gater first: from here on nobody removed gets in again.
	h.mu.Lock()
	h.gater.setMembers(ids)
	added, removed := h.door.SetMembers(members)
	var gone []peer.ID
	for _, was := range removed {
		gone = append(gone, h.dismiss(was.Address))
		if was.Connected {
			h.notice(was.Address, false)
		}
	}
	for _, a := range added {
		m := &member{id: byAddress[a], wake: make(chan struct{}, 1)}
		h.peers[a] = m
		if h.state == running {
			h.startMember(a, m)
		}
	}
	for _, m := range h.peers {
		m.stir() // its addresses may be new
	}
	h.mu.Unlock()

	for _, id := range gone {
		_ = h.host.Network().ClosePeer(id) // its error is that of a socket we no longer want
	}
	return nil
}

// dismiss ends everything that is kept for a removed member; the caller holds mu and closes its connections.
func (h *Host) dismiss(a common.Address) peer.ID {
	m := h.peers[a]
	delete(h.peers, a)
	if m.cancel != nil {
		m.cancel()
	}
	for k := range h.senders {
		if k.peer == a {
			delete(h.senders, k)
		}
	}
	return m.id
}

// startMember begins to dial; the caller holds mu and the host is running.
func (h *Host) startMember(a common.Address, m *member) {
	m.ctx, m.cancel = context.WithCancel(h.ctx)
	h.work.Add(1)
	go func() {
		defer h.work.Done()
		h.redial(m.ctx, a, m)
	}()
}

// redial keeps one member connected until its membership ends.
func (h *Host) redial(ctx context.Context, a common.Address, m *member) {
	wait := redialFirst
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
			// Both sides see a connection break: a random moment keeps them from dialling each other at once.
			wait = redialFirst
			timer.Reset(rand.N(redialFirst))
		case <-timer.C:
			if h.dial(ctx, a, m) {
				continue // until the connection goes
			}
			timer.Reset(wait/2 + rand.N(wait/2))
			wait = min(2*wait, redialMost)
		}
	}
}

// dial tells whether there is nothing more to do: the member is connected, or says nowhere to dial it.
func (h *Host) dial(ctx context.Context, a common.Address, m *member) bool {
	if h.host.Network().Connectedness(m.id) == network.Connected {
		return true
	}
	p, ok := h.door.Member(a)
	if !ok || len(p.Multiaddrs) == 0 {
		return true
	}
	info := peer.AddrInfo{ID: m.id}
	for _, s := range p.Multiaddrs {
		if addr, err := ma.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, addr)
		}
	}
	// Only what the member's record says is dialled: an address that a peer told of itself could point anywhere.
	h.host.Peerstore().ClearAddrs(m.id)
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(m.id) // libp2p's own backoff starts at five seconds; ours is above
	}
	h.gater.setDialling(m.id, true)
	defer h.gater.setDialling(m.id, false)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := h.host.Connect(ctx, info); err != nil {
		h.log.Debug("dial", zap.Stringer("peer", a), zap.Error(err))
		return false
	}
	return true
}
