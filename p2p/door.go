package p2p

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// throttleUnit: a message of this many bytes costs as much again as a small one, so that the throttle bounds bytes too.
	throttleUnit = 64 << 10
	// refusalCost is what a message that breaks its contract costs its sender: it cost us a signature check for nothing.
	refusalCost = 10
)

// Door knows the members and counts what comes from each: both implementations of [Network] ask it before anything enters.
// Its users are those implementations; the node talks to Network.
//
// A peer's score is its throttle: a refused message costs more of the peer's allowance than a good one. Gossipsub's own
// peer score is not used, for in a network of a few known members there is nobody to replace a bad neighbour with.
type Door struct {
	self     common.Address
	duration time.Duration
	max      int

	mu      sync.Mutex // guards all below
	members map[common.Address]*guest
}

type guest struct {
	status PeerStatus
	peer   Peer
	asking int       // requests to it under way
	opened time.Time // of the throttle's present window
	spent  int       // in that window
}

// NewDoor is a door that knows nobody yet.
func NewDoor(c *Config, self common.Address) *Door {
	return &Door{self: self, duration: c.ThrottleDuration, max: c.ThrottleMax, members: make(map[common.Address]*guest)}
}

// SetMembers replaces the membership and returns who was added, and who was removed as it last was; who stays keeps its counters.
func (d *Door) SetMembers(members []Peer) (added []common.Address, removed []PeerStatus) {
	d.mu.Lock()
	defer d.mu.Unlock()

	now, stays := time.Now(), make(map[common.Address]bool, len(members))
	for _, m := range members {
		if m.Address == d.self {
			continue
		}
		stays[m.Address] = true
		m.Multiaddrs = slices.Clone(m.Multiaddrs)
		g := d.members[m.Address]
		if g == nil {
			g = &guest{status: PeerStatus{Address: m.Address, Since: now}}
			d.members[m.Address] = g
			added = append(added, m.Address)
		}
		g.peer, g.status.Multiaddrs = m, m.Multiaddrs
	}
	for a, g := range d.members {
		if !stays[a] {
			delete(d.members, a)
			removed = append(removed, g.status)
		}
	}
	slices.SortFunc(added, common.Address.Cmp)
	slices.SortFunc(removed, func(a, b PeerStatus) int { return a.Address.Cmp(b.Address) })
	return added, removed
}

// Member returns the member as it was last set.
func (d *Door) Member(a common.Address) (Peer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.members[a]; g != nil {
		return g.peer, true
	}
	return Peer{}, false
}

// Admit counts one message of size bytes from a peer. ErrUnknownPeer and ErrThrottled mean: drop it unread.
func (d *Door) Admit(from common.Address, size int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.members[from]
	if g == nil {
		return ErrUnknownPeer
	}
	now := time.Now()
	if now.Sub(g.opened) >= d.duration {
		g.opened, g.spent = now, 0
	}
	// The first message of a window always passes, or one above the whole allowance could never arrive.
	cost := 1 + size/throttleUnit
	if g.spent > 0 && g.spent+cost > d.max {
		g.status.Throttled++
		return ErrThrottled
	}
	g.spent += cost
	g.status.LastSeen = now
	return nil
}

// Refuse counts a message that broke its contract and charges its sender.
func (d *Door) Refuse(from common.Address) {
	d.with(from, func(g *guest) {
		g.status.Refused++
		g.spent += refusalCost
	})
}

// Drop counts a message lost between us and the peer.
func (d *Door) Drop(peer common.Address) { d.with(peer, func(g *guest) { g.status.Dropped++ }) }

// Judge runs check over admitted gossip. ErrIgnore passes through; any other error was counted as via's refusal.
func (d *Door) Judge(check func(string, []byte) (common.Address, error), topic string, via common.Address, data []byte) (common.Address, error) {
	author, err := check(topic, data)
	if errors.Is(err, ErrIgnore) {
		return common.Address{}, ErrIgnore
	}
	if err == nil && author != d.self {
		if _, ok := d.Member(author); !ok {
			err = fmt.Errorf("author %s: %w", author, ErrUnknownPeer)
		}
	}
	if err != nil {
		d.Refuse(via)
		return common.Address{}, err
	}
	return author, nil
}

// SetConnected records a peer's state and tells whether it changed.
func (d *Door) SetConnected(peer common.Address, up bool) (changed bool) {
	d.with(peer, func(g *guest) {
		if changed = g.status.Connected != up; changed {
			g.status.Connected, g.status.Since = up, time.Now()
		}
	})
	return changed
}

// Connected is nil, ErrNotConnected or ErrUnknownPeer.
func (d *Door) Connected(peer common.Address) error {
	err := ErrUnknownPeer
	d.with(peer, func(g *guest) {
		if err = nil; !g.status.Connected {
			err = ErrNotConnected
		}
	})
	return err
}

// Ask takes one of the RequestsPerPeer places, ErrQueueFull when all are taken; call done when the request ended.
func (d *Door) Ask(peer common.Address) (done func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.members[peer]
	switch {
	case g == nil:
		return nil, ErrUnknownPeer
	case g.asking >= RequestsPerPeer:
		return nil, ErrQueueFull
	}
	g.asking++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		g.asking--
	}, nil
}

// Status lists every other member, sorted by address.
func (d *Door) Status() []PeerStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]PeerStatus, 0, len(d.members))
	for _, g := range d.members {
		s := g.status
		s.Multiaddrs = slices.Clone(s.Multiaddrs)
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b PeerStatus) int { return a.Address.Cmp(b.Address) })
	return out
}

func (d *Door) with(peer common.Address, f func(*guest)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.members[peer]; g != nil {
		f(g)
	}
}
