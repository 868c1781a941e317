package memnet

import (
	"context"
	"errors"
	"slices"
	"time"

	"conclave/p2p"
)

// laneKey names one stream into a node.
type laneKey struct {
	from int // Node.ID
	kind Kind
	name string
}

// item is a message under way.
type item struct {
	Message
	from, to *Node
	rank     uint64 // order among items due at one time
	due      time.Time
	slot     uint64 // of gossip
	call     *call  // of requests and replies
	err      error  // of a reply
}

func (it *item) stream() laneKey { return laneKey{it.FromNode, it.Kind, it.Name} }

// lane is a queue into a node and the goroutine that empties it. Guarded by the hub's mutex.
type lane struct {
	items []*item // by due, then rank
	wake  chan struct{}
}

// submit sends one message on its way; the hub is locked and from is linked with to.
func (h *Hub) submit(it *item) error {
	h.seq++
	it.Seq, it.rank, it.Sent = h.seq, h.seq, time.Now()
	it.From, it.To, it.FromNode, it.ToNode = it.from.self, it.to.self, it.from.id, it.to.id
	if h.drop != nil && h.drop(it.Message) {
		h.record(it.Message, Dropped)
		return nil
	}
	if n := it.to.waiting[it.stream()]; n >= it.from.bound(it) {
		h.record(it.Message, Overflow)
		return p2p.ErrQueueFull
	}
	it.to.waiting[it.stream()]++
	if h.holds(it) {
		h.held = append(h.held, it)
		return nil
	}
	h.enqueue(it)
	if h.double != nil && (it.Kind == Gossip || it.Kind == Frame) && h.double(it.Message) && it.to.waiting[it.stream()] < it.from.bound(it) {
		again := *it
		h.seq++
		again.Again, again.rank = true, h.seq
		it.to.waiting[it.stream()]++
		h.enqueue(&again)
	}
	return nil
}

// holds tells whether a message is kept back: by the rule, or because a frame before it on its stream is.
func (h *Hub) holds(it *item) bool {
	behind := func(o *item) bool { return o.to == it.to && o.stream() == it.stream() }
	return h.hold != nil && h.hold(it.Message) || it.Kind == Frame && slices.ContainsFunc(h.held, behind)
}

// enqueue puts an item into its receiver's lane at the time it is due; the hub is locked.
func (h *Hub) enqueue(it *item) {
	n := it.to
	if n.state != running {
		h.record(it.Message, Cut)
		return
	}
	it.due = time.Now()
	if h.delay != nil {
		it.due = it.due.Add(h.delay(it.Message))
	}
	if it.Kind == Frame {
		if last := n.last[it.stream()]; last.After(it.due) {
			it.due = last
		}
	}
	if h.opts.Due != nil {
		it.due = h.opts.Due(it.due)
	}
	if it.Kind == Frame {
		n.last[it.stream()] = it.due
	}
	key := it.stream()
	if h.opts.Serial {
		key = laneKey{}
	}
	l := n.lanes[key]
	if l == nil {
		l = &lane{wake: make(chan struct{}, 1)}
		n.lanes[key] = l
		n.work.Add(1)
		go func(ctx context.Context) {
			defer n.work.Done()
			n.empty(ctx, l)
		}(n.ctx)
	}
	at, _ := slices.BinarySearchFunc(l.items, it, func(a, b *item) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return int(a.rank) - int(b.rank)
	})
	l.items = slices.Insert(l.items, at, it)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// empty delivers a lane's items when they are due, one after the other.
func (n *Node) empty(ctx context.Context, l *lane) {
	for ctx.Err() == nil {
		it, wait := n.pop(l)
		if it != nil {
			n.deliver(ctx, it)
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-due:
		}
	}
}

// pop takes the next item that is due, or tells how long until there is one; 0: nothing is under way.
func (n *Node) pop(l *lane) (*item, time.Duration) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	if len(l.items) == 0 {
		return nil, 0
	}
	it := l.items[0]
	if wait := time.Until(it.due); wait > 0 {
		return nil, wait
	}
	l.items = slices.Delete(l.items, 0, 1)
	n.waiting[it.stream()]--
	return it, 0
}

// deliver takes a message through the door and to its handler.
func (n *Node) deliver(ctx context.Context, it *item) {
	fate, handle := n.judge(it)
	n.hub.mu.Lock()
	n.hub.record(it.Message, fate)
	n.hub.mu.Unlock()
	if fate == Delivered {
		handle(ctx)
	}
}

// judge decides a message's fate, and what to do when it is Delivered.
func (n *Node) judge(it *item) (Fate, func(context.Context)) {
	n.hub.mu.Lock()
	near := n.hub.near(it.from, n)
	n.hub.mu.Unlock()
	if !near {
		return Cut, nil
	}
	if it.Kind == Reply {
		return Delivered, func(context.Context) { it.call.end(it.Data, it.err) }
	}
	switch err := n.door.Admit(it.From, len(it.Data)); {
	case errors.Is(err, p2p.ErrThrottled):
		if it.Kind == Request {
			n.answer(it, nil, err)
		}
		return Throttled, nil
	case err != nil:
		return Cut, nil
	}
	switch it.Kind {
	case Gossip:
		return n.judgeGossip(it)
	case Frame:
		return n.judgeFrame(it)
	default:
		return n.judgeRequest(it)
	}
}

func (n *Node) judgeGossip(it *item) (Fate, func(context.Context)) {
	if !slices.Contains(n.cfg.Topics, it.Name) {
		n.door.Refuse(it.From)
		return Refused, nil
	}
	n.hub.mu.Lock()
	fresh := n.heard.add(it.slot, it.Name, it.Data)
	n.hub.mu.Unlock()
	if !fresh {
		return Duplicate, nil
	}
	author, err := n.door.Judge(n.handlers.Check, it.Name, it.From, it.Data)
	switch {
	case errors.Is(err, p2p.ErrIgnore):
		return Ignored, nil
	case err != nil:
		return Refused, nil
	}
	return Delivered, func(context.Context) { n.handlers.Gossip(it.Name, author, it.From, it.Data) }
}

func (n *Node) judgeFrame(it *item) (Fate, func(context.Context)) {
	spec, err := n.cfg.Protocol(it.Name)
	switch {
	case err != nil:
		return Cut, nil
	case len(it.Data) > spec.MaxFrame:
		n.door.Refuse(it.From)
		return Refused, nil
	}
	return Delivered, func(context.Context) { n.handlers.Frame(it.Name, it.From, it.Data) }
}
