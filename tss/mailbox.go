package tss

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// Bounds of what waits for a session, per sender: nobody can take another's room.
const (
	// maxQueuedFrames is above the 21 frames that an honest participant sends in a whole session of signing.
	maxQueuedFrames = 64
	// maxQueuedBytes is above the 200 KB that an honest participant sends to one other in key generation.
	maxQueuedBytes = 2 << 20
)

// received is an envelope with the authenticated peer that it came from.
type received struct {
	from common.Address
	env  Envelope
	size int
}

// mailbox hands envelopes from the links to the session's loop. It never blocks its writers.
type mailbox struct {
	mu    sync.Mutex // guards queue and load
	queue []received
	load  map[common.Address]*load
	ready chan struct{} // has one token while the queue may hold something
}

// load is what one sender has waiting.
type load struct{ frames, bytes int }

func newMailbox() *mailbox {
	return &mailbox{load: map[common.Address]*load{}, ready: make(chan struct{}, 1)}
}

// push adds an envelope, or reports that its sender's room is used up.
func (m *mailbox) push(r received) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.load[r.from]
	if l == nil {
		l = &load{}
		m.load[r.from] = l
	}
	if !l.fits(r.size) {
		return false
	}
	l.frames, l.bytes = l.frames+1, l.bytes+r.size
	m.queue = append(m.queue, r)
	select {
	case m.ready <- struct{}{}:
	default:
	}
	return true
}

// fits reports whether one more frame has room.
func (l *load) fits(size int) bool {
	return l.frames < maxQueuedFrames && l.bytes+size <= maxQueuedBytes
}

// take empties the queue.
func (m *mailbox) take() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue, m.load = nil, map[common.Address]*load{}
	return q
}

// maxEarlySessions is how many sessions that are unknown here one peer may have messages for. Attempts follow each other, so
// an honest peer has one, and perhaps the next.
const maxEarlySessions = 4

// early holds messages of sessions that have not started here yet: a participant that is a little ahead must not be lost. It
// is not safe for concurrent use; the engine's mutex guards it.
type early struct {
	peers map[common.Address]*earlyPeer
}

// earlyPeer is what one peer has waiting, sessions in the order of arrival.
type earlyPeer struct {
	order []common.Hash
	held  map[common.Hash][]received
	load
}

// add keeps a message, displacing the oldest session of the same peer when it has too many. It returns how many frames were
// displaced, and whether the new one was kept.
func (e *early) add(r received) (displaced int, kept bool) {
	p := e.peers[r.from]
	if p == nil {
		if len(e.peers) >= maxPeers {
			return 0, false
		}
		p = &earlyPeer{held: map[common.Hash][]received{}}
		e.peers[r.from] = p
	}
	id := r.env.Header.Session
	if _, known := p.held[id]; !known {
		if len(p.order) >= maxEarlySessions {
			displaced = len(p.drop(p.order[0]))
		}
		p.order = append(p.order, id)
		p.held[id] = nil
	}
	if !p.fits(r.size) {
		return displaced, false
	}
	p.frames, p.bytes = p.frames+1, p.bytes+r.size
	p.held[id] = append(p.held[id], r)
	return displaced, true
}

// drop forgets one session of the peer and returns what it held.
func (p *earlyPeer) drop(id common.Hash) []received {
	held := p.held[id]
	delete(p.held, id)
	for i, o := range p.order {
		if o == id {
			p.order = append(p.order[:i:i], p.order[i+1:]...)
			break
		}
	}
	for _, r := range held {
		p.frames, p.bytes = p.frames-1, p.bytes-r.size
	}
	return held
}

// take returns everything that waits for a session, peer by peer.
func (e *early) take(id common.Hash) []received {
	var all []received
	for _, p := range e.peers {
		if _, ok := p.held[id]; ok {
			all = append(all, p.drop(id)...)
		}
	}
	return all
}
