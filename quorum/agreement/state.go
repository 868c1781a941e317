package agreement

import (
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Step is where in a round this node stands; doc.go says what an operator should make of each.
type Step uint8

// The steps.
const (
	StepWaiting Step = iota
	StepPropose
	StepPrevote
	StepPrecommit
	StepDecided
)

func (s Step) String() string {
	names := [...]string{"waiting", "propose", "prevote", "precommit", "decided"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("step(%d)", uint8(s))
}

// State is one height as this node sees it. It belongs to one goroutine.
type State struct {
	cfg  Config
	ids  quorum.Members
	self int

	// What Durable holds.
	round       uint64
	step        Step
	lockedRound uint64 // round + 1, zero when unlocked
	lockedID    common.Hash
	valid       quorum.QC
	proof       quorum.QC
	ended       []quorum.Signed[quorum.Vote]

	// What the others tell again.
	rounds map[uint64]*round    // the current one and up to keepRounds before it
	ahead  []ahead              // by member
	heard  []uint64             // by member: round + 1 of its highest signed word, zero for none
	high   quorum.QC            // the highest prevote certificate known, its value held or not
	commit quorum.QC            // precommits that decide, its value held or not
	held   map[common.Hash]bool // valid values that the driver holds; never iterated for effect
	absurd common.Hash          // certified, yet judged invalid: not fetched again

	// What this round and this life of the process asked for.
	asked   asked
	built   common.Hash
	fetched []common.Hash

	proposeBy, prevoteBy, precommitBy, resendAt time.Time
}

// asked is what was asked of the driver in the current round, so that nothing is asked twice.
type asked struct {
	build    bool
	nothing  bool
	proposal bool
	votes    [2]bool
}

// Status is what an operator wants to know of a running height.
type Status struct {
	Height, Round        uint64
	Step                 Step
	Proposer             common.Address
	Locked, Valid        common.Hash // zero for none
	Prevotes, Precommits int         // of Round, of any value
	Silent               quorum.Members
}

// Status describes the state. Silent are the members who have said nothing in this round or beyond.
func (s *State) Status() Status {
	r := s.rounds[s.round]
	st := Status{
		Height: s.cfg.Height, Round: s.round, Step: s.step, Proposer: s.ids.Proposer(s.cfg.Height, s.round),
		Locked: s.lockedID, Valid: s.valid.ID(),
		Prevotes: r.count(quorum.Prevote, anyValue), Precommits: r.count(quorum.Precommit, anyValue),
	}
	for i, id := range s.ids {
		if i != s.self && s.heard[i] <= s.round {
			st.Silent = append(st.Silent, id)
		}
	}
	return st
}

// Step takes one event and returns what the driver must do. The time may stand still, but must not be another clock's.
func (s *State) Step(ev Event, now time.Time) Effects {
	t := &turn{State: s, now: now}
	if s.step == StepDecided {
		return t.fx
	}
	t.absorb(ev)
	t.settle()
	t.forget()
	if t.step == StepWaiting {
		return t.fx
	}
	if t.step == StepDecided {
		// Whatever else this turn wanted to say is overtaken: the decision answers everyone.
		t.fx.Commit, t.fx.Build = Commit{Decide: t.fx.Commit.Decide}, nil
		return t.fx
	}
	t.resend()
	t.fetch()
	if t.dirty {
		d := s.Durable()
		t.fx.Commit.Save = &d
	}
	t.fx.Wake = t.wake()
	return t.fx
}

// wake is the earliest deadline that can still do something.
func (s *State) wake() time.Time {
	at := s.resendAt
	for _, d := range []struct {
		by   time.Time
		live bool
	}{{s.proposeBy, s.step == StepPropose}, {s.prevoteBy, s.step == StepPrevote}, {s.precommitBy, true}} {
		if d.live && !d.by.IsZero() && d.by.Before(at) {
			at = d.by
		}
	}
	return at
}

func (s *State) hold(id common.Hash) {
	if id != (common.Hash{}) {
		s.held[id] = true
	}
}

func (s *State) proposer(r uint64) int { return indexOf(s.ids, s.ids.Proposer(s.cfg.Height, r)) }

func indexOf(ids quorum.Members, a common.Address) int { return slices.Index(ids, a) }

// keeps reports whether votes of a round are kept: not of one long past, and not of one that is still ahead.
func (s *State) keeps(r uint64) bool { return r <= s.round && r+keepRounds >= s.round }

// forget drops what can no longer matter, so that memory is bounded by members and keepRounds, not by what is sent.
func (t *turn) forget() {
	for r := range t.rounds {
		if !t.keeps(r) {
			delete(t.rounds, r)
		}
	}
	for id := range t.held {
		if !t.wants(id) {
			delete(t.held, id)
		}
	}
}

// wants reports whether a value can still be voted on, proposed or decided.
func (t *turn) wants(id common.Hash) bool {
	switch id {
	case t.lockedID, t.valid.ID(), t.high.ID(), t.commit.ID(), t.built:
		return true
	}
	proposed := func(w *word) bool { return w.proposal != nil && w.proposal.signed.Body().ID == id }
	for _, r := range t.rounds {
		for i := range r.words {
			if proposed(&r.words[i]) {
				return true
			}
		}
	}
	for i := range t.ahead {
		if proposed(&t.ahead[i].word) {
			return true
		}
	}
	return false
}
