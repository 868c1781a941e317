package memnet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/p2p"
)

// Node is one endpoint of a hub.
type Node struct {
	hub      *Hub
	id       int
	cfg      p2p.Config
	handlers p2p.Handlers
	self     common.Address
	door     *p2p.Door
	noticed  chan struct{}
	work     sync.WaitGroup // what Run waits for; added to only while running, with the hub locked

	// Guarded by the hub's mutex.
	state   state
	ctx     context.Context
	plugged bool
	lanes   map[laneKey]*lane
	waiting map[laneKey]int       // items per stream that are not yet handed over
	last    map[laneKey]time.Time // when the latest frame of each stream is due
	said    *slotSet              // gossip published in this slot
	heard   *slotSet              // gossip received of this slot
	notices []notice
}

type state int

const (
	built state = iota
	running
	ended
)

type notice struct {
	peer common.Address
	up   bool
}

var _ p2p.Network = (*Node)(nil)

// ID tells nodes apart, twins too; in order of Join.
func (n *Node) ID() int { return n.id }

// Self is the member id of the config's key.
func (n *Node) Self() common.Address { return n.self }

// Addrs: a node listens nowhere.
func (n *Node) Addrs() []string { return nil }

// Peers lists every other member.
func (n *Node) Peers() []p2p.PeerStatus { return n.door.Status() }

// SetMembers replaces the membership.
func (n *Node) SetMembers(members []p2p.Peer) error {
	if err := p2p.ValidateMembers(members); err != nil {
		return err
	}
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	_, removed := n.door.SetMembers(members)
	for _, was := range removed {
		if was.Connected {
			n.notice(was.Address, false)
		}
	}
	n.hub.relink()
	return nil
}

// Run attaches the node until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := n.attach(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			n.detach()
			n.work.Wait()
			return nil
		case <-n.noticed:
			n.tell()
		}
	}
}

func (n *Node) attach(ctx context.Context) error {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	if n.state != built {
		return p2p.ErrNotRunning
	}
	n.state, n.ctx = running, ctx
	n.hub.nodes = append(n.hub.nodes, n)
	slices.SortFunc(n.hub.nodes, func(a, b *Node) int { return a.id - b.id })
	n.hub.relink()
	return nil
}

func (n *Node) detach() {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	n.state = ended
	n.hub.nodes = slices.DeleteFunc(n.hub.nodes, func(m *Node) bool { return m == n })
	for _, l := range n.lanes {
		for _, it := range l.items {
			n.hub.record(it.Message, Cut)
		}
	}
	n.lanes = nil
	for _, p := range n.door.Status() {
		n.door.SetConnected(p.Address, false)
	}
	n.hub.relink()
}

// notice queues a call of Handlers.Connected; the hub is locked.
func (n *Node) notice(peer common.Address, up bool) {
	n.notices = append(n.notices, notice{peer, up})
	select {
	case n.noticed <- struct{}{}:
	default:
	}
}

func (n *Node) tell() {
	n.hub.mu.Lock()
	notices := n.notices
	n.notices = nil
	n.hub.mu.Unlock()
	for _, x := range notices {
		if n.handlers.Connected != nil {
			n.handlers.Connected(x.peer, x.up)
		}
	}
}

// Publish gossips data to everyone linked.
func (n *Node) Publish(topic string, data []byte) error {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	switch {
	case n.state != running:
		return p2p.ErrNotRunning
	case !slices.Contains(n.cfg.Topics, topic):
		return fmt.Errorf("topic %q: %w", topic, p2p.ErrUnknownProtocol)
	case len(data) > p2p.MaxGossip:
		return fmt.Errorf("gossip of %d bytes: %w", len(data), p2p.ErrFrameTooLarge)
	}
	slot := uint64(time.Now().UnixNano() / int64(p2p.RepublishAfter))
	if !n.said.add(slot, topic, data) {
		return nil
	}
	for _, m := range n.hub.nodes {
		if !n.hub.linked(n, m) {
			continue
		}
		it := &item{Message: Message{Kind: Gossip, Name: topic, Data: slices.Clone(data)}, from: n, to: m, slot: slot}
		if n.hub.submit(it) != nil {
			m.door.Drop(n.self)
		}
	}
	return nil
}

// Send queues one frame for every node of that address.
func (n *Node) Send(to common.Address, protocol string, frame []byte) error {
	spec, err := n.cfg.Protocol(protocol)
	if err != nil {
		return err
	}
	if len(frame) > spec.MaxFrame {
		return fmt.Errorf("frame of %d bytes for %q: %w", len(frame), protocol, p2p.ErrFrameTooLarge)
	}
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	targets, err := n.targets(to)
	if err != nil {
		return err
	}
	for _, m := range targets {
		it := &item{Message: Message{Kind: Frame, Name: protocol, Data: slices.Clone(frame)}, from: n, to: m}
		if e := n.hub.submit(it); e != nil {
			n.door.Drop(to)
			err = e
		}
	}
	return err
}

// targets are the linked nodes of an address; the hub is locked.
func (n *Node) targets(to common.Address) ([]*Node, error) {
	if n.state != running {
		return nil, p2p.ErrNotRunning
	}
	if err := n.door.Connected(to); err != nil {
		return nil, err
	}
	var out []*Node
	for _, m := range n.hub.nodes {
		if m.self == to && n.hub.linked(n, m) {
			out = append(out, m)
		}
	}
	return out, nil
}

// bound is how many items of a stream may wait.
func (n *Node) bound(it *item) int {
	switch it.Kind {
	case Gossip:
		return gossipQueue
	case Frame:
		spec, err := n.cfg.Protocol(it.Name)
		if err != nil {
			return 0 // Send has checked the name
		}
		return spec.Queue
	default:
		return p2p.RequestsPerPeer
	}
}

// slotSet remembers gossip of the present slot and the one before, as gossipsub's seen cache would.
type slotSet struct {
	slot     uint64
	now, old map[common.Hash]bool
}

func newSlotSet() *slotSet {
	return &slotSet{now: make(map[common.Hash]bool), old: make(map[common.Hash]bool)}
}

// add tells whether the bytes are new in their slot.
func (s *slotSet) add(slot uint64, topic string, data []byte) bool {
	if slot > s.slot {
		s.slot, s.old, s.now = slot, s.now, make(map[common.Hash]bool)
	}
	id := crypto.Keccak256Hash(fmt.Append(nil, slot, "/", topic, "\x00"), data)
	if s.now[id] || s.old[id] {
		return false
	}
	s.now[id] = true
	return true
}
