package agreement

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// world is a committee on one thread: its own clock, its own network, its own disks, and a driver as the node has one. All
// that happens in it follows from what the closures below answer.
type world struct {
	ring  *keyring
	start time.Time
	now   time.Duration // since the start
	nodes []*node       // the members in order, then further copies of some of them
	wire  wire
	seq   int
	steps int // things that happened
	names map[common.Hash]string

	// What the network and the machines do to us. Nil: nothing.
	fate func(p *parcel) fate
	calm func(p *parcel) fate // takes over from fate when the network heals
	// Until when the network loses all that a place says, or all that it is told: the liars ask for that.
	mutedUntil, deafUntil map[int]time.Duration

	lose    func(p *parcel, from int, kind quorum.Kind) bool     // statements that never arrive
	parts   map[partKey][]int                                    // of a round and kind: which place is on which side
	crash   func(place int) (rest time.Duration, down bool)      // asked at each boundary between two effects
	onEvil  func(to int, p *parcel)                              // what reaches a liar
	onForge func(f forgery)                                      // what a liar shows
	onTrace func(line string)                                    // what is worth reading in a scenario
	around  func(n *node, ev Event, step func() Effects) Effects // a rule that is broken on purpose
	shadows int                                                  // how many states step beside each, to see that they do the same

	shared  map[voteKey]map[int]bool // every prevote ever signed, by anyone: who
	sent    map[onceKey][]byte       // every own statement ever sent by a place: its bytes
	traced  map[onceKey]bool
	broken  []string // invariants that broke
	decided map[common.Hash]bool
	cover   coverage

	strategy string
	healed   bool
	healedAt time.Duration
	healedIn uint64 // the highest round then
}

type voteKey struct {
	round uint64
	id    common.Hash
}

type onceKey struct {
	place int
	round uint64
	kind  quorum.Kind
}

type partKey struct {
	round uint64
	kind  quorum.Kind
}

// fate is what happens to one message on its way. The zero value of again: it comes once.
type fate struct {
	after time.Duration
	lost  bool
	again time.Duration
}

// usual is the fate of a message that nobody cares about.
var usual = fate{after: 10 * time.Millisecond}

// parcel is one thing that will happen: a message that arrives, or whatever 'do' does.
type parcel struct {
	at       time.Duration
	seq      int
	from, to int // places
	send     *Send
	ask      *common.Hash // a fetch
	give     *common.Hash // its answer
	decision *Decision
	do       func()
}

func newWorld(n int) *world {
	w := &world{
		ring: rings[n](), start: time.UnixMilli(1_700_000_000_000),
		names: map[common.Hash]string{{}: "nil"}, shared: map[voteKey]map[int]bool{}, sent: map[onceKey][]byte{},
		traced: map[onceKey]bool{}, decided: map[common.Hash]bool{}, parts: map[partKey][]int{},
		mutedUntil: map[int]time.Duration{}, deafUntil: map[int]time.Duration{},
	}
	for i := range n {
		w.addNode(i)
	}
	return w
}

// addNode adds a machine of a member: the first is the member itself, any other runs under the same key elsewhere.
func (w *world) addNode(who int) *node {
	nd := &node{i: len(w.nodes), who: who, w: w, due: never, answered: map[int]time.Duration{}, store: map[common.Hash]bool{}}
	nd.disk = disk{
		proposals: map[uint64]quorum.Signed[quorum.Proposal]{}, votes: map[onceKey]quorum.Signed[quorum.Vote]{},
		values: map[common.Hash]bool{},
	}
	nd.open(func() (*State, error) { return New(w.ring.config(who)) })
	w.nodes = append(w.nodes, nd)
	return nd
}

func (w *world) name(s string) common.Hash {
	id := w.ring.value(s)
	w.names[id] = s
	return id
}

func (w *world) fine(id common.Hash) bool { return !strings.HasPrefix(w.names[id], "bad") }

func (w *world) trace(format string, args ...any) {
	if w.onTrace != nil {
		w.onTrace(fmt.Sprintf("%5.2fs ", w.now.Seconds()) + fmt.Sprintf(format, args...))
	}
}

func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// post puts a message on the wire, unless its fate is to be lost.
func (w *world) post(p *parcel) {
	f := usual
	if w.fate != nil {
		f = w.fate(p)
	}
	if f.lost {
		w.cover[msgLost]++
	} else {
		w.in(f.after, p)
	}
	if f.again > 0 {
		w.cover[msgTwice]++
		second := *p
		w.in(f.again, &second)
	}
}

// in makes a parcel happen after a while, whatever the network thinks of it.
func (w *world) in(d time.Duration, p *parcel) {
	p.at = w.now + d
	w.seq++
	p.seq = w.seq
	w.wire.push(p)
}

const never = time.Duration(math.MaxInt64)

// step does the next thing that is due before the deadline, and reports whether there was one.
func (w *world) step(until time.Duration) bool {
	w.steps++
	var due *node
	at := until
	for _, n := range w.nodes {
		if n.state != nil && n.due < at {
			due, at = n, n.due
		}
	}
	if len(w.wire) > 0 && w.wire[0].at <= at && w.wire[0].at < until {
		p := w.wire.pop()
		w.now = max(w.now, p.at)
		w.deliver(p)
		return true
	}
	if due == nil {
		w.now = until
		return false
	}
	w.now = max(w.now, at)
	due.handle(Tick{})
	return true
}

// run lets time pass until done, and reports whether it came to that in time.
func (w *world) run(d time.Duration, done func() bool) bool {
	until := w.now + d
	for !done() {
		if !w.step(until) {
			return done()
		}
		if len(w.broken) > 0 {
			return false
		}
	}
	return true
}

func (w *world) deliver(p *parcel) {
	if p.do != nil {
		p.do()
		return
	}
	switch n := w.nodes[p.to]; {
	case n.liar:
		if w.onEvil != nil {
			w.onEvil(p.to, p)
		}
	case n.state != nil:
		n.receive(p)
	}
}

// heal ends all that the network and the machines do to us; who was down is up, who was halted is not, and everyone has
// work. The liars go on.
func (w *world) heal() {
	w.fate, w.crash = w.calm, nil
	w.cover[partsHealed] += len(w.parts)
	clear(w.parts)
	for _, n := range w.nodes {
		n.halted = false
		if n.state == nil && !n.liar {
			n.restart()
		}
	}
	w.healed, w.healedAt, w.healedIn = true, w.now, w.highest()
	for _, n := range w.nodes {
		if !n.liar && n.disk.decision == nil {
			n.begin()
		}
	}
}

// settle waits for the decision of everyone honest, and judges by I17: behind the round that was running when the network
// healed come at most f of liars, one whose honest proposer had not yet heard of a lock that was taken late in that round
// (testdata/late-lock.txt), and one of an honest proposer that knows every lock.
func (w *world) settle(d time.Duration) {
	if !w.healed {
		panic("the network has not healed")
	}
	if !w.allDecided() {
		w.cover[openAtHeal]++
	}
	done := w.run(d, w.allDecided)
	if len(w.broken) > 0 {
		return
	}
	if !done {
		w.breaks("I17 stuck: undecided %s after the network healed: %s", d, w.describe())
		return
	}
	f := uint64(w.ring.ids.F())
	for _, n := range w.nodes {
		if n.evil {
			continue
		}
		if r := n.disk.decision.QC.Round(); r > w.healedIn+f+2 {
			w.breaks("I17 late: n%d decides in round %d, the network healed in round %d", n.i, r, w.healedIn)
		}
	}
	w.cover.settled(w)
}

func (w *world) allDecided() bool {
	for _, n := range w.nodes {
		if !n.evil && n.disk.decision == nil {
			return false
		}
	}
	return true
}

// highest is the highest round of an honest member.
func (w *world) highest() uint64 {
	var r uint64
	for _, n := range w.nodes {
		if n.evil {
			continue
		}
		if d := n.disk.decision; d != nil {
			r = max(r, d.QC.Round())
		} else if n.state != nil {
			r = max(r, n.state.round)
		}
	}
	return r
}

func (w *world) honest(id common.Address) bool { return !w.nodes[indexOf(w.ring.ids, id)].evil }

// describe says where everyone stands.
func (w *world) describe() string {
	out := ""
	for _, n := range w.nodes {
		switch s := n.state; {
		case n.liar:
			out += fmt.Sprintf("n%d evil; ", n.i)
		case n.disk.decision != nil:
			out += fmt.Sprintf("n%d decided %s; ", n.i, w.names[n.disk.decision.ID])
		case s == nil:
			out += fmt.Sprintf("n%d down; ", n.i)
		default:
			out += fmt.Sprintf("n%d %d %s lock %d:%s valid %s; ", n.i, s.round, s.step, int(s.lockedRound)-1, w.names[s.lockedID], w.names[s.valid.ID()])
		}
	}
	return out
}

// wire is a heap of parcels by time, then by the order in which they were sent.
type wire []*parcel

func (w wire) before(i, j int) bool {
	return w[i].at < w[j].at || (w[i].at == w[j].at && w[i].seq < w[j].seq)
}

func (w *wire) push(p *parcel) {
	*w = append(*w, p)
	h := *w
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.before(i, up) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (w *wire) pop() *parcel {
	h := *w
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], nil
	h = h[:last]
	*w = h
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < len(h) && h.before(down, least) {
				least = down
			}
		}
		if least == i {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
