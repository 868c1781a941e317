package agreement

import (
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// disk is what survives a crash.
type disk struct {
	record    []byte
	proposals map[uint64]quorum.Signed[quorum.Proposal]
	votes     map[onceKey]quorum.Signed[quorum.Vote]
	values    map[common.Hash]bool
	decision  *Decision
}

// node is a machine that runs the core as the real driver does.
type node struct {
	i, who    int // its place in the world, and the member whose key it has
	w         *world
	evil      bool // one of the f: nothing is promised about it
	liar      bool // runs no core; the adversary speaks for it
	state     *State
	shadows   []*State
	disk      disk
	store     map[common.Hash]bool // values in memory
	skew      time.Duration        // its clock against the world's
	due       time.Duration        // of the next Tick, by the world's clock
	last      shot
	begun     bool
	decidedAt time.Duration
	halted    bool
	idle      bool // has nothing to propose
	builds    string
	answered  map[int]time.Duration // R7, by place
	heard     map[heardKey][]byte   // of the faulty, in this life: the first
	caught    map[heardKey]bool     // in this life
}

func (n *node) clock() time.Time { return n.w.start.Add(n.w.now + n.skew) }

// jump moves the node's clock: no more when the network has healed, for then clocks run.
func (n *node) jump(d time.Duration) {
	if n.w.healed {
		return
	}
	n.skew += d
	if n.due != never {
		n.due -= d
	}
	if d > 0 {
		n.w.cover[clockForward]++
	} else {
		n.w.cover[clockBack]++
	}
}

// open starts the core, and beside it the states that must do the same.
func (n *node) open(start func() (*State, error)) {
	s, err := start()
	if err != nil {
		n.w.breaks("n%d cannot resume: %v", n.i, err)
		return
	}
	n.state, n.last = s, snapshot(s)
	n.heard, n.caught = map[heardKey][]byte{}, map[heardKey]bool{}
	n.shadows = nil
	for range n.w.shadows {
		n.shadows = append(n.shadows, must(start()))
	}
}

// receive is the driver's door: what travels becomes events, certificates first.
func (n *node) receive(p *parcel) {
	w := n.w
	var evs []Event
	switch {
	case p.send != nil:
		if evs = n.events(p); len(evs) == 0 {
			return
		}
	case p.decision != nil && w.apart(p.from, n.i, p.decision.QC.Round(), quorum.KindPrecommit):
		return
	case p.ask != nil && w.nodes[p.from].state != nil && w.apart(p.from, n.i, w.nodes[p.from].state.round, quorum.KindPrevote):
		return
	}
	switch {
	case n.disk.decision != nil:
		n.help(p.from)
	case p.ask != nil:
		if n.store[*p.ask] {
			w.post(&parcel{from: n.i, to: p.from, give: p.ask})
		}
	case p.decision != nil:
		w.cover[learnedDecision]++
		n.store[p.decision.ID] = true
		n.handle(CertificateSeen{p.decision.QC})
		n.handle(ValueReady{p.decision.ID, w.fine(p.decision.ID)})
	case p.give != nil:
		w.cover[valuesFetched]++
		n.store[*p.give] = true
		n.handle(ValueReady{*p.give, w.fine(*p.give)})
	default:
		n.handle(evs...)
	}
}

// events are the statements that arrive of a message. Of one whose statements are all lost nothing arrives.
func (n *node) events(p *parcel) []Event {
	s := p.send
	var evs []Event
	lost := 0
	gone := func(signer common.Address, round uint64, kind quorum.Kind) bool {
		from := indexOf(n.w.ring.ids, signer)
		if n.w.apart(p.from, n.i, round, kind) || (n.w.lose != nil && n.w.lose(p, from, kind)) {
			lost++
			return true
		}
		return false
	}
	if b := s.Proposal.Body(); b.Height != 0 && !gone(s.Proposal.Signer(), b.Round, b.Kind()) {
		n.store[b.ID] = true
		if n.halted {
			n.w.cover[refrained]++
		}
		evs = append(evs, ProposalSeen{Proposal: s.Proposal, Valid: n.w.fine(b.ID), Refrain: n.halted, Pol: s.Pol})
	}
	for _, v := range s.Votes {
		if b := v.Body(); !gone(v.Signer(), b.Round, b.Kind()) {
			evs = append(evs, VoteSeen{v})
		}
	}
	if !s.Beside.Zero() && (lost == 0 || len(evs) > 0) {
		evs = append([]Event{CertificateSeen{s.Beside}}, evs...)
	}
	return evs
}

// apart reports whether two places are on different sides in what is said of a round.
func (w *world) apart(from, to int, round uint64, kind quorum.Kind) bool {
	if len(w.parts) == 0 {
		return false
	}
	sides := w.parts[partKey{round, kind}]
	return sides != nil && sides[from] != sides[to]
}

// help is R7.
func (n *node) help(to int) {
	if last, ok := n.answered[to]; ok && n.w.now-last < time.Second {
		return
	}
	n.answered[to] = n.w.now
	n.w.cover[helpedDecided]++
	n.w.post(&parcel{from: n.i, to: to, decision: n.disk.decision})
}

func (n *node) begin() {
	n.begun = true
	n.handle(Begin{})
}

// handle is the driver's loop: step, commit in one transaction, feed what was signed back in, then act. A crash may come
// between any two of these.
func (n *node) handle(evs ...Event) {
	for len(evs) > 0 && n.state != nil {
		fx := n.step(evs[0])
		evs = evs[1:]

		if n.crashes(crashBeforeCommit) {
			return
		}
		evs = append(n.commit(fx.Commit), evs...)
		if n.disk.decision != nil {
			n.due = never
			return
		}
		if n.crashes(crashBeforeSend) {
			return
		}
		evs = append(evs, n.act(fx)...)
	}
}

func (n *node) step(ev Event) Effects {
	now := n.clock()
	step := func() Effects { return n.state.Step(ev, now) }
	var fx Effects
	if n.w.around != nil {
		fx = n.w.around(n, ev, step)
	} else {
		fx = step()
	}
	n.due = never
	if !fx.Wake.IsZero() {
		n.due = fx.Wake.Sub(n.w.start) - n.skew
	}
	before, after := n.last, snapshot(n.state)
	n.last = after
	n.w.checkStep(n, before, after, fx)
	n.w.cover.stepped(n, before, after, fx)
	n.found(fx.Evidence)
	n.w.heardTwice(n, ev)
	for _, s := range n.shadows {
		n.w.checkShadow(n, ev, fx, s.Step(ev, now))
	}
	return fx
}

// commit is the transaction. VOTE-ONCE lives here too: what is signed for a place is what counts there.
func (n *node) commit(c Commit) []Event {
	var own []Event
	if c.Save != nil {
		n.disk.record = c.Save.Encode()
		if c.Save.Valid != nil {
			n.disk.values[c.Save.Valid.ID] = true
		}
	}
	if c.Proposal != nil {
		p, ok := n.disk.proposals[c.Proposal.Round]
		if !ok {
			p = n.w.ring.propose(n.who, c.Proposal.Round, c.Proposal.ID, c.Proposal.ValidRound)
			n.disk.proposals[c.Proposal.Round] = p
		}
		n.disk.values[c.Proposal.ID] = true
		own = append(own, ProposalSeen{Proposal: p, Valid: true})
	}
	for _, v := range c.Votes {
		key := onceKey{n.i, v.Round, v.Kind()}
		s, ok := n.disk.votes[key]
		if !ok {
			s = n.w.ring.say(n.who, v.Phase, v.Round, v.ID)
			n.disk.votes[key] = s
			n.w.noteVote(n.who, v)
		}
		if v.ID != (common.Hash{}) {
			n.disk.values[v.ID] = true
		}
		own = append(own, VoteSeen{s})
	}
	if c.Decide != nil {
		n.disk.decision, n.decidedAt = c.Decide, n.w.now
		n.w.decided[c.Decide.ID] = true
		n.w.trace("n%d decides %s in round %d", n.i, n.w.names[c.Decide.ID], c.Decide.QC.Round())
	}
	return own
}

func (w *world) noteVote(who int, v quorum.Vote) {
	if v.Phase != quorum.Prevote || v.ID == (common.Hash{}) {
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
		if n.crashes(crashAmongSends) {
			return nil
		}
		n.w.checkSend(n, s)
		n.traceSend(s)
		for to, other := range n.w.nodes {
			if to != n.i && (s.To == (common.Address{}) || s.To == n.w.ring.ids[other.who]) {
				n.w.post(&parcel{from: n.i, to: to, send: &s})
			}
		}
	}
	for _, f := range fx.Fetch {
		if n.store[f.ID] {
			answers = append(answers, ValueReady{f.ID, n.w.fine(f.ID)})
			continue
		}
		n.w.cover[valuesAsked]++
		n.w.trace("n%d fetches %s", n.i, n.w.names[f.ID])
		for to, other := range n.w.nodes {
			if slices.Contains(f.From, n.w.ring.ids[other.who]) {
				n.w.post(&parcel{from: n.i, to: to, ask: &f.ID})
			}
		}
	}
	if fx.Build != nil {
		answers = append(answers, n.build(fx.Build.Round))
	}
	return answers
}

// found looks at proofs against others: they must convict, and nobody honest.
func (n *node) found(proofs []Evidence) {
	for _, e := range proofs {
		who := indexOf(n.w.ring.ids, e.Offender)
		n.w.trace("n%d has evidence against n%d", n.i, who)
		kind, round, err := n.w.ring.convict(e)
		switch {
		case err != nil:
			n.w.breaks("n%d keeps evidence that proves nothing: %v", n.i, err)
		case !n.w.nodes[who].evil:
			n.w.breaks("n%d has evidence against the honest n%d", n.i, who)
		}
		n.w.cover[evidenceOf[kind]]++
		n.caught[heardKey{e.Offender, round, kind}] = true
	}
}

func (n *node) build(round uint64) Event {
	if n.idle || n.halted {
		return NothingToPropose{round}
	}
	name := n.builds
	if name == "" {
		name = n.w.ring.valueName(n.i, round)
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

func (w *world) first(place int, round uint64, kind quorum.Kind) bool {
	key := onceKey{place, round, kind}
	seen := w.traced[key]
	w.traced[key] = true
	return !seen
}

// crashes asks at a boundary whether the machine dies here; it is back after a rest.
func (n *node) crashes(where counter) bool {
	if n.w.crash == nil {
		return false
	}
	rest, down := n.w.crash(n.i)
	if !down {
		return false
	}
	n.w.cover[where]++
	n.w.cover[crashInStep+counter(n.state.step)]++
	n.w.trace("n%d crashes in %s", n.i, n.state.step)
	n.down()
	n.w.in(rest, &parcel{do: func() {
		if n.state == nil {
			n.restart()
		}
	}})
	return true
}

func (n *node) down() {
	n.state, n.shadows, n.due = nil, nil, never
	n.store = map[common.Hash]bool{}
}

// restart is the driver's start: the record if there is one, and everything signed at this height.
func (n *node) restart() {
	for id := range n.disk.values {
		n.store[id] = true
	}
	cfg := n.w.ring.config(n.who)
	if n.disk.record == nil || n.disk.decision != nil {
		n.open(func() (*State, error) { return New(cfg) })
		if n.disk.decision == nil && n.begun {
			n.handle(Begin{})
		}
		return
	}
	n.w.cover[resumed]++
	n.open(func() (*State, error) { return Resume(cfg, must(DecodeDurable(n.disk.record)), n.own()) })
	n.handle(Begin{})
}

// own reads what the disk holds of our own word, in no order: that of a map.
func (n *node) own() Own {
	var own Own
	for _, p := range n.disk.proposals {
		own.Proposals = append(own.Proposals, p)
	}
	for _, v := range n.disk.votes {
		own.Votes = append(own.Votes, v)
	}
	return own
}
