package agreement

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// world is a committee on one thread: its own clock, its own network, its own disks, and a driver as the node has one. All
// that happens in it follows from its seed.
type world struct {
	ring  *keyring
	now   time.Time
	start time.Time
	rng   *rand.Rand
	nodes []*node
	wire  wire
	seq   int
	names map[common.Hash]string

	// What the network and the machines do to us. Nil or zero: nothing.
	fate    func(from, to int) (delay time.Duration, lost bool)
	lose    func(from int, kind quorum.Kind) bool // statements that never arrive
	crash   float64                               // chance at each boundary between two effects
	rest    func() time.Duration                  // how long a crashed node stays away
	onEvil  func(to int, p parcel)                // what reaches a Byzantine member
	onTrace func(line string)                     // what is worth reading in a scenario
	shared  map[voteKey]map[int]bool              // every prevote ever signed, by anyone: who
	ever    map[onceKey]string                    // every own statement ever sent by an honest member: its bytes
	broken  []string                              // invariants that broke
	decided map[common.Hash]bool
}

type voteKey struct {
	round uint64
	id    common.Hash
}

type onceKey struct {
	node  int
	round uint64
	kind  quorum.Kind
}

// parcel is one message in flight: events for the receiver's driver.
type parcel struct {
	at       time.Time
	seq      int
	from, to int
	send     *Send
	ask      *common.Hash // a fetch
	give     *common.Hash // its answer
	decision *Decision
	wakeOf   int // incarnation: a restart, when above zero
}

type wire []parcel

func (w wire) Len() int { return len(w) }
func (w wire) Less(i, j int) bool {
	return w[i].at.Before(w[j].at) || (w[i].at.Equal(w[j].at) && w[i].seq < w[j].seq)
}
func (w wire) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *wire) Push(x any)   { *w = append(*w, x.(parcel)) }
func (w *wire) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// disk is what survives a crash.
type disk struct {
	record    []byte
	proposals map[uint64]quorum.Signed[quorum.Proposal]
	votes     map[onceKey]quorum.Signed[quorum.Vote]
	values    map[common.Hash]bool
	decision  *Decision
}

type node struct {
	i        int
	w        *world
	evil     bool
	state    *State // nil while down
	disk     disk
	store    map[common.Hash]bool // values in memory
	wake     time.Time
	begun    bool
	halted   bool
	idle     bool // has nothing to propose
	builds   string
	life     int
	answered map[int]time.Time // R7, by peer
}

func newWorld(n int, seed uint64) *world {
	w := &world{
		ring: rings[n](), start: time.UnixMilli(1_700_000_000_000), rng: rand.New(rand.NewPCG(seed, 1)),
		names: map[common.Hash]string{{}: "nil"}, shared: map[voteKey]map[int]bool{}, ever: map[onceKey]string{},
		decided: map[common.Hash]bool{},
	}
	w.now = w.start
	for i := range n {
		nd := &node{i: i, w: w, answered: map[int]time.Time{}, store: map[common.Hash]bool{}}
		nd.disk = disk{proposals: map[uint64]quorum.Signed[quorum.Proposal]{}, votes: map[onceKey]quorum.Signed[quorum.Vote]{}, values: map[common.Hash]bool{}}
		nd.state = must(New(w.ring.config(i)))
		w.nodes = append(w.nodes, nd)
	}
	return w
}

func (w *world) name(s string) common.Hash {
	id := value(s)
	w.names[id] = s
	return id
}

func (w *world) fine(id common.Hash) bool { return !strings.HasPrefix(w.names[id], "bad") }

func (w *world) trace(format string, args ...any) {
	if w.onTrace != nil {
		w.onTrace(fmt.Sprintf("%5.2fs ", w.now.Sub(w.start).Seconds()) + fmt.Sprintf(format, args...))
	}
}

func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// post puts a parcel on the wire, unless its fate is to be lost.
func (w *world) post(p parcel) {
	delay := 10 * time.Millisecond
	if w.fate != nil {
		d, lost := w.fate(p.from, p.to)
		if lost {
			return
		}
		delay = d
	}
	p.at = w.now.Add(delay)
	w.seq++
	p.seq = w.seq
	heap.Push(&w.wire, p)
}

// step does the next thing that is due before the deadline, and reports whether there was one.
func (w *world) step(until time.Time) bool {
	var due *node
	at := until
	for _, n := range w.nodes {
		if n.state != nil && !n.wake.IsZero() && n.wake.Before(at) {
			due, at = n, n.wake
		}
	}
	if len(w.wire) > 0 && !w.wire[0].at.After(at) && w.wire[0].at.Before(until) {
		p := heap.Pop(&w.wire).(parcel)
		w.advance(p.at)
		w.deliver(p)
		return true
	}
	if due == nil {
		w.now = until
		return false
	}
	w.advance(at)
	due.handle(Tick{})
	return true
}

func (w *world) advance(to time.Time) {
	if to.After(w.now) {
		w.now = to
	}
}

// run lets time pass until done, and reports whether it came to that in time.
func (w *world) run(d time.Duration, done func() bool) bool {
	until := w.now.Add(d)
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

func (w *world) deliver(p parcel) {
	n := w.nodes[p.to]
	switch {
	case p.wakeOf > 0:
		if n.state == nil && n.life == p.wakeOf {
			n.restart()
		}
	case n.evil:
		if w.onEvil != nil {
			w.onEvil(p.to, p)
		}
	case n.state != nil:
		n.receive(p)
	}
}

// receive is the driver's door: what travels becomes events, certificates first.
func (n *node) receive(p parcel) {
	w := n.w
	switch {
	case n.disk.decision != nil:
		n.help(p.from)
	case p.decision != nil:
		n.store[p.decision.ID] = true
		n.handle(CertificateSeen{p.decision.QC})
		n.handle(ValueReady{p.decision.ID, w.fine(p.decision.ID)})
	case p.ask != nil:
		if n.store[*p.ask] {
			w.post(parcel{from: n.i, to: p.from, give: p.ask})
		}
	case p.give != nil:
		n.store[*p.give] = true
		n.handle(ValueReady{*p.give, w.fine(*p.give)})
	case p.send != nil:
		n.handle(n.events(*p.send)...)
	}
}

func (n *node) events(s Send) []Event {
	var evs []Event
	if !s.Beside.Zero() {
		evs = append(evs, CertificateSeen{s.Beside})
	}
	lost := func(from common.Address, kind quorum.Kind) bool {
		return n.w.lose != nil && n.w.lose(indexOf(n.w.ring.ids, from), kind)
	}
	if b := s.Proposal.Body(); b.Height != 0 && !lost(s.Proposal.Signer(), b.Kind()) {
		n.store[b.ID] = true
		evs = append(evs, ProposalSeen{Proposal: s.Proposal, Valid: n.w.fine(b.ID), Refrain: n.halted, Pol: s.Pol})
	}
	for _, v := range s.Votes {
		if !lost(v.Signer(), v.Body().Kind()) {
			evs = append(evs, VoteSeen{v})
		}
	}
	return evs
}

// help is R7.
func (n *node) help(to int) {
	if last, ok := n.answered[to]; ok && n.w.now.Sub(last) < time.Second {
		return
	}
	n.answered[to] = n.w.now
	n.w.post(parcel{from: n.i, to: to, decision: n.disk.decision})
}

func (n *node) begin() {
	n.begun = true
	n.handle(Begin{})
}

// handle is the driver's loop: step, commit in one transaction, feed what was signed back in, then act. A crash may come
// between any two of these.
func (n *node) handle(evs ...Event) {
	for len(evs) > 0 && n.state != nil {
		before := snapshot(n.state)
		fx := n.state.Step(evs[0], n.w.now)
		evs = evs[1:]
		n.wake = fx.Wake
		n.w.checkStep(n, before, fx)

		if n.crashes() {
			return
		}
		evs = append(n.commit(fx.Commit), evs...)
		if n.disk.decision != nil {
			n.state, n.wake = nil, time.Time{}
			n.state = must(New(n.w.ring.config(n.i))) // never stepped again: receive answers with the decision
			return
		}
		if n.crashes() {
			return
		}
		evs = append(evs, n.act(fx)...)
	}
}

// commit is the transaction. VOTE-ONCE lives here too: what is signed for a place is what counts there.
func (n *node) commit(c Commit) []Event {
	var own []Event
	if c.Save != nil {
		n.disk.record = c.Save.Encode()
	}
	if c.Proposal != nil {
		p, ok := n.disk.proposals[c.Proposal.Round]
		if !ok {
			p = n.w.ring.propose(n.i, c.Proposal.Round, c.Proposal.ID, c.Proposal.ValidRound)
			n.disk.proposals[c.Proposal.Round] = p
		}
		n.disk.values[c.Proposal.ID] = true
		own = append(own, ProposalSeen{Proposal: p, Valid: true})
	}
	for _, v := range c.Votes {
		key := onceKey{n.i, v.Round, v.Kind()}
		s, ok := n.disk.votes[key]
		if !ok {
			s = n.w.ring.say(n.i, v.Phase, v.Round, v.ID)
			n.disk.votes[key] = s
			n.w.noteVote(n.i, v)
		}
		if v.ID != (common.Hash{}) {
			n.disk.values[v.ID] = true
		}
		own = append(own, VoteSeen{s})
	}
	if c.Decide != nil {
		n.disk.decision = c.Decide
		n.w.decided[c.Decide.ID] = true
		n.w.trace("n%d decides %s in round %d", n.i, n.w.names[c.Decide.ID], c.Decide.QC.Round())
	}
	return own
}

func (w *world) noteVote(who int, v quorum.Vote) {
	if v.Phase != quorum.Prevote {
		return
	}
	key := voteKey{v.Round, v.ID}
	if w.shared[key] == nil {
		w.shared[key] = map[int]bool{}
	}
	w.shared[key][who] = true
}

// act does what follows the transaction, in order, and returns answers that come at once.
func (n *node) act(fx Effects) []Event {
	var answers []Event
	for _, s := range fx.Send {
		if n.crashes() {
			return nil
		}
		n.w.checkSend(n, s)
		n.traceSend(s)
		for to := range n.w.nodes {
			if to != n.i && (s.To == (common.Address{}) || s.To == n.w.ring.ids[to]) {
				n.w.post(parcel{from: n.i, to: to, send: &s})
			}
		}
	}
	for _, f := range fx.Fetch {
		if n.store[f.ID] {
			answers = append(answers, ValueReady{f.ID, n.w.fine(f.ID)})
			continue
		}
		n.w.trace("n%d fetches %s", n.i, n.w.names[f.ID])
		for _, from := range f.From {
			n.w.post(parcel{from: n.i, to: indexOf(n.w.ring.ids, from), ask: &f.ID})
		}
	}
	if fx.Build != nil {
		answers = append(answers, n.build(fx.Build.Round))
	}
	for _, e := range fx.Evidence {
		n.w.trace("n%d has evidence against n%d", n.i, indexOf(n.w.ring.ids, e.Offender))
	}
	return answers
}

func (n *node) build(round uint64) Event {
	if n.idle || n.halted {
		return NothingToPropose{round}
	}
	name := n.builds
	if name == "" {
		name = fmt.Sprintf("v%d.%d", n.i, round)
	}
	id := n.w.name(name)
	n.store[id] = true
	return Built{round, id}
}

// traceSend shows statements when they leave for the first time.
func (n *node) traceSend(s Send) {
	if n.w.onTrace == nil {
		return
	}
	if s.To != (common.Address{}) {
		to, round := indexOf(n.w.ring.ids, s.To), s.Votes[0].Body().Round
		if n.w.first(n.i, round, quorum.Kind(fmt.Sprint("help", to))) {
			n.w.trace("n%d helps n%d with the %d precommits of round %d", n.i, to, len(s.Votes), round)
		}
		return
	}
	if b := s.Proposal.Body(); b.Height != 0 && n.w.first(n.i, b.Round, b.Kind()) {
		proof := ""
		if b.ValidRound != quorum.NoRound {
			proof = fmt.Sprintf(" valid in round %d", b.ValidRound-1)
		}
		n.w.trace("n%d proposes %s in round %d%s", n.i, n.w.names[b.ID], b.Round, proof)
	}
	for _, v := range s.Votes {
		if b := v.Body(); n.w.first(n.i, b.Round, b.Kind()) {
			n.w.trace("n%d %ss %s in round %d", n.i, b.Phase, n.w.names[b.ID], b.Round)
		}
	}
}

func (w *world) first(who int, round uint64, kind quorum.Kind) bool {
	key := onceKey{who, round, "traced " + kind}
	seen := w.ever[key] != ""
	w.ever[key] = "yes"
	return !seen
}

func (n *node) crashes() bool {
	if n.w.crash == 0 || n.w.rng.Float64() >= n.w.crash {
		return false
	}
	n.down()
	n.w.seq++
	heap.Push(&n.w.wire, parcel{at: n.w.now.Add(n.w.rest()), seq: n.w.seq, to: n.i, wakeOf: n.life})
	return true
}

func (n *node) down() {
	n.state, n.wake = nil, time.Time{}
	n.life++
	n.store = map[common.Hash]bool{}
}

// restart is the driver's start: the record if there is one, and everything signed at this height.
func (n *node) restart() {
	for id := range n.disk.values {
		n.store[id] = true
	}
	cfg := n.w.ring.config(n.i)
	if n.disk.record == nil || n.disk.decision != nil {
		n.state = must(New(cfg))
		if n.disk.decision == nil && n.begun {
			n.handle(Begin{})
		}
		return
	}
	var own Own
	for _, p := range n.disk.proposals {
		own.Proposals = append(own.Proposals, p)
	}
	for _, v := range n.disk.votes {
		own.Votes = append(own.Votes, v)
	}
	s, err := Resume(cfg, must(DecodeDurable(n.disk.record)), own)
	if err != nil {
		n.w.breaks("n%d cannot resume: %v", n.i, err)
		return
	}
	n.state = s
	n.handle(Begin{})
}
