package memnet

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/p2p"
)

const (
	// gossipQueue is how much gossip of one publisher and topic may wait for one node; more is lost, as in a real network.
	gossipQueue = 1024
	// maxRecords is how many fates are remembered; the oldest half is forgotten when they are full.
	maxRecords = 1 << 16
)

// Kind is the way in which a message travels.
type Kind string

const (
	Gossip  Kind = "gossip"
	Frame   Kind = "frame"
	Request Kind = "request"
	Reply   Kind = "reply"
)

// Message is what the rules of a test see. FromNode and ToNode tell twins apart, which share an address.
type Message struct {
	Seq              uint64 // in order of sending, over the whole hub
	Kind             Kind
	Name             string // topic or protocol
	From, To         common.Address
	FromNode, ToNode int // Node.ID
	Data             []byte
	Sent             time.Time
	Again            bool // the second delivery of a message that a rule doubled
}

// Fate is what became of a message.
type Fate string

const (
	Delivered Fate = "delivered"
	Dropped   Fate = "dropped"   // by the test's rule
	Cut       Fate = "cut"       // no link when it was due, or nobody listens for it
	Overflow  Fate = "overflow"  // the receiver's queue was full
	Throttled Fate = "throttled" // by the receiver's door
	Refused   Fate = "refused"   // by the receiver's Check, or over its bound
	Ignored   Fate = "ignored"   // by the receiver's Check: known already
	Duplicate Fate = "duplicate" // gossip that the receiver had in this slot
)

// Record is a message and its fate.
type Record struct {
	Message
	Fate Fate
	At   time.Time
}

// Options of a hub.
type Options struct {
	// Serial makes each node handle one message at a time, in order of arrival: less like a network, more repeatable.
	Serial bool
	// Due may move the moment at which a message is due, or a call over a broken link ends, to a later one: a test that wants no
	// two at one moment; nil moves none. It is called with the hub locked.
	Due func(time.Time) time.Time
}

// Hub is the space between nodes.
type Hub struct {
	opts Options

	mu      sync.Mutex // guards all below, and every node's fields that say so
	nodes   []*Node    // running, by id
	made    int
	seq     uint64
	drop    func(Message) bool
	delay   func(Message) time.Duration
	double  func(Message) bool
	hold    func(Message) bool
	held    []*item
	group   map[int]int // node id → partition; nil when whole
	records []Record
	calls   map[*call]bool
}

// New makes an empty hub.
func New(opts Options) *Hub { return &Hub{opts: opts, calls: make(map[*call]bool)} }

// Join makes a node for the config's key; it is attached while its Run runs. A key that is attached already gets a twin.
func (h *Hub) Join(cfg p2p.Config, handlers p2p.Handlers) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := handlers.Validate(&cfg); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	self := crypto.PubkeyToAddress(cfg.Key.PublicKey)
	n := &Node{
		hub: h, id: h.made, cfg: cfg, handlers: handlers, self: self, door: p2p.NewDoor(&cfg, self),
		plugged: true, lanes: make(map[laneKey]*lane), waiting: make(map[laneKey]int), last: make(map[laneKey]time.Time),
		said: newSlotSet(), heard: newSlotSet(), noticed: make(chan struct{}, 1),
	}
	n.door.SetMembers(cfg.Members)
	h.made++
	return n, nil
}

// Drop loses every message that the rule matches, from now on; nil loses none.
func (h *Hub) Drop(rule func(Message) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop = rule
}

// Delay retards each message by what the rule says, from now on; nil delivers at once. Frames of one stream never overtake each other.
func (h *Hub) Delay(rule func(Message) time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delay = rule
}

// Double delivers every gossip and frame that the rule matches twice, from now on; nil doubles none. The second delivery has a
// delay of its own, and of a frame it stands behind the first on its stream.
func (h *Hub) Double(rule func(Message) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.double = rule
}

// Hold keeps back every message that the rule matches, and what follows a held frame on its stream, until Release.
func (h *Hub) Hold(rule func(Message) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = rule
}

// Held lists what is kept back, in order of sending.
func (h *Hub) Held() []Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Message, len(h.held))
	for i, it := range h.held {
		out[i] = it.Message
	}
	return out
}

// Release ends Hold and lets everything go, sorted by less; nil keeps the order of sending. Frames of one stream share the places
// that less gives them in their own order.
func (h *Hub) Release(less func(a, b Message) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	items := h.held
	h.hold, h.held = nil, nil
	if less != nil {
		sort.SliceStable(items, func(i, j int) bool { return less(items[i].Message, items[j].Message) })
	}
	places, frames := make(map[laneKey][]int), make(map[laneKey][]*item)
	for i, it := range items {
		if it.Kind == Frame {
			k := it.stream()
			places[k], frames[k] = append(places[k], i), append(frames[k], it)
		}
	}
	for k, its := range frames {
		slices.SortFunc(its, func(a, b *item) int { return int(a.Seq) - int(b.Seq) })
		for i, place := range places[k] {
			items[place] = its[i]
		}
	}
	for _, it := range items {
		h.seq++
		it.rank = h.seq
		h.enqueue(it)
	}
}

// Partition splits the hub: only nodes of one set are linked. Nodes in no set are alone.
func (h *Hub) Partition(sets ...[]*Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.group = make(map[int]int)
	for i, set := range sets {
		for _, n := range set {
			h.group[n.id] = i + 1
		}
	}
	h.relink()
}

// Heal ends a partition.
func (h *Hub) Heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.group = nil
	h.relink()
}

// Unplug cuts one node off while it runs on; Plug mends it.
func (h *Hub) Unplug(n *Node) { h.plug(n, false) }

// Plug mends what Unplug cut.
func (h *Hub) Plug(n *Node) { h.plug(n, true) }

func (h *Hub) plug(n *Node, in bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n.plugged = in
	h.relink()
}

// Records tells what became of each message, in the order in which it was decided.
func (h *Hub) Records() []Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records)
}

// record is called with the hub locked.
func (h *Hub) record(m Message, fate Fate) {
	if len(h.records) == maxRecords {
		h.records = append(h.records[:0], h.records[maxRecords/2:]...)
	}
	h.records = append(h.records, Record{m, fate, time.Now()})
}

// near tells whether the space between two nodes is whole; the hub is locked.
func (h *Hub) near(a, b *Node) bool {
	if a == b || !a.plugged || !b.plugged {
		return false
	}
	ga, gb := h.group[a.id], h.group[b.id]
	return h.group == nil || (ga != 0 && ga == gb)
}

// cut ends a call between nodes that are linked no more; the hub is locked.
func (h *Hub) cut(c *call) {
	if h.opts.Due == nil {
		c.end(nil, p2p.ErrNotConnected)
		return
	}
	time.AfterFunc(time.Until(h.opts.Due(time.Now())), func() { c.end(nil, p2p.ErrNotConnected) })
}

// linked tells whether a connection stands between two nodes; the hub is locked.
func (h *Hub) linked(a, b *Node) bool {
	if a.state != running || b.state != running || !h.near(a, b) || a.cfg.NetworkID != b.cfg.NetworkID {
		return false
	}
	_, knows := a.door.Member(b.self)
	_, known := b.door.Member(a.self)
	return knows && known
}

// relink brings every node's view of its connections up to date; the hub is locked.
func (h *Hub) relink() {
	for _, n := range h.nodes {
		up := make(map[common.Address]bool)
		for _, m := range h.nodes {
			if h.linked(n, m) {
				up[m.self] = true
			}
		}
		for _, p := range n.door.Status() {
			if n.door.SetConnected(p.Address, up[p.Address]) {
				n.notice(p.Address, up[p.Address])
			}
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(h.calls), func(a, b *call) int { return cmp.Compare(a.seq, b.seq) }) {
		if !h.linked(c.from, c.to) {
			h.cut(c)
		}
	}
}
