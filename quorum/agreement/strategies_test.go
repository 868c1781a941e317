package agreement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// strategy is how the liars lie: what they do when they hear something, what they do when their own clock ticks, and
// whether they hand values out that they are asked for.
type strategy struct {
	name    string
	heed    []move
	eager   float64 // how often they answer at all
	alarm   []move
	answers float64
	turns   bool // the liars propose in rounds 0, 2, 4
}

// move is one production of the grammar: an answer to what was heard, or an act of its own.
type move struct {
	answer func(a *adversary, as int, p *parcel)
	act    func(a *adversary)
}

// The moves.
var (
	echo       = move{answer: (*adversary).echo}
	babble     = move{act: (*adversary).babble}
	divide     = move{act: (*adversary).divide}
	propose    = move{act: (*adversary).propose}
	repropose  = move{act: (*adversary).repropose}
	showOne    = move{act: func(a *adversary) { a.show(false, a.soon()) }}
	showLate   = move{act: func(a *adversary) { a.show(true, 2*time.Second+a.soon()) }}
	tellOne    = move{act: (*adversary).tell}
	stale      = move{act: (*adversary).stale}
	withhold   = move{act: (*adversary).withhold}
	atDeadline = move{act: (*adversary).atDeadline}
	lastMoment = move{act: (*adversary).lastMoment}
	flood      = move{act: (*adversary).flood}
	tempt      = move{act: (*adversary).tempt}
	halfway    = move{answer: (*adversary).halfway}
	relapse    = move{act: (*adversary).relapse}
)

// strategies are all of them; a schedule's seed chooses.
var strategies = []strategy{
	{name: "none"},
	{name: "silent"},
	// Agrees with everyone, whatever they say.
	{name: "echo", heed: []move{echo}, eager: 1, answers: 1},
	{name: "random", heed: []move{echo, babble, propose, showOne}, eager: 1, alarm: []move{propose}, answers: 0.5},
	// Anything that can be signed.
	{
		name: "grammar", heed: []move{echo, babble, divide, showOne, stale}, eager: 0.5, answers: 0.5,
		alarm: []move{babble, divide, propose, repropose, showOne, showLate, tellOne, stale, withhold, atDeadline, lastMoment, flood},
	},
	// A proposal to as many as a certificate needs, its value to nobody else.
	{name: "withhold", heed: []move{echo}, eager: 0.3, alarm: []move{withhold, withhold, showOne}},
	// Certificates that nobody else knows, to one member alone, just before it gives up; decisions likewise.
	{name: "selective", heed: []move{echo}, eager: 0.4, alarm: []move{withhold, lastMoment, lastMoment, tellOne}, answers: 0.2},
	// Certificates long after their round, and values proposed again with them.
	{name: "late", heed: []move{echo}, eager: 0.3, alarm: []move{showLate, repropose, propose}, answers: 0.2},
	// Words of other epochs and heights, by keys that ruled once.
	{name: "stale", heed: []move{stale, echo}, eager: 0.5, alarm: []move{stale, propose}, answers: 1},
	// Everything exactly when someone's time is up.
	{name: "timing", heed: []move{echo}, eager: 0.2, alarm: []move{atDeadline, atDeadline, lastMoment, propose}, answers: 0.5},
	// Old words again and again, questions for what everybody has: help costs those who give it.
	{name: "flood", heed: []move{flood}, eager: 0.5, alarm: []move{flood, flood, propose}, answers: 1},
	// One member locks and is alone with it; the others go on, as far as another lock, and meet it again.
	{name: "unlock", heed: []move{halfway}, eager: 1, alarm: []move{tempt}, answers: 1},
	// A certificate is kept back until others have locked on another value, and then shown as if it were news.
	{name: "relapse", heed: []move{halfway}, eager: 1, alarm: []move{relapse}, answers: 1, turns: true},
	// Two values to two halves, then each half the votes that it likes.
	{name: "divide", heed: []move{echo, divide}, eager: 0.7, alarm: []move{propose, divide, repropose}, answers: 0.5},
}

// echo agrees with whoever speaks.
func (a *adversary) echo(as int, p *parcel) {
	if b := p.send.Proposal.Body(); b.Height != 0 {
		a.say(as, quorum.Prevote, b.Round, a.w.names[b.ID], a.soon(), p.from)
	}
	for _, v := range p.send.Votes {
		b := v.Body()
		a.say(as, b.Phase, b.Round, a.w.names[b.ID], a.soon(), p.from)
		if a.rng.IntN(3) == 0 {
			a.say(as, quorum.Precommit, b.Round, a.w.names[b.ID], a.soon(), a.anyone())
		}
	}
}

func (a *adversary) babble() {
	a.say(a.me(), quorum.Prevote+quorum.Phase(a.rng.IntN(2)), a.near(), a.anyName(), a.soon(), a.some()...)
}

// divide tells each member another thing.
func (a *adversary) divide() {
	as, round, phase := a.me(), a.round, quorum.Prevote+quorum.Phase(a.rng.IntN(2))
	names := [2]string{a.anyName(), a.anyName()}
	for _, to := range a.w.others() {
		a.say(as, phase, round, names[a.rng.IntN(2)], a.soon(), to)
	}
}

// propose proposes something in a liar's round: new or old, with or without a valid round, proven or not.
func (a *adversary) propose() {
	round, as := a.turn(a.near())
	f := forgery{verb: "forge", as: as, what: "propose", round: round, name: a.names[1+a.rng.IntN(len(a.names)-1)], to: a.some(), in: a.soon()}
	if a.rng.IntN(3) == 0 && round > 0 {
		f.valid = 1 + a.rng.Uint64N(round) // a lie, unless it happens to be true
	}
	a.w.forge(f)
}

// repropose proposes an old value with its proof.
func (a *adversary) repropose() {
	key, by, ok := a.certificate(a.rng.IntN(2) == 0, func(k poolKey) bool { return k.phase == quorum.Prevote })
	if !ok {
		return
	}
	round, as := a.turn(max(a.round, key.round+1))
	a.w.forge(forgery{
		verb: "forge", as: as, what: "propose", round: round, name: a.w.names[key.id], valid: key.round + 1, by: by, to: a.some(), in: a.soon(),
	})
}

// show shows one member a certificate that others may not know.
func (a *adversary) show(old bool, in time.Duration) {
	if key, by, ok := a.certificate(old, anyKey); ok {
		a.w.forge(forgery{verb: "show", as: a.me(), what: key.phase.String(), round: key.round, name: a.w.names[key.id], by: by, to: []int{a.anyone()}, in: in})
	}
}

// tell shows one member a decision that nobody else may know of.
func (a *adversary) tell() {
	if key, by, ok := a.certificate(false, func(k poolKey) bool { return k.phase == quorum.Precommit }); ok {
		a.w.forge(forgery{verb: "tell", as: a.me(), what: "precommit", round: key.round, name: a.w.names[key.id], by: by, to: []int{a.anyone()}, in: a.soon()})
	}
}

// stale speaks of another epoch, with keys that ruled there or with those of today, or of another height.
func (a *adversary) stale() {
	f := forgery{verb: "forge", as: a.me(), round: a.near(), name: a.names[1+a.rng.IntN(len(a.names)-1)], to: a.some(), in: a.soon()}
	f.what = [...]string{"prevote", "precommit", "propose"}[a.rng.IntN(3)]
	switch a.rng.IntN(3) {
	case 0:
		f.epoch = [...]uint64{elderEpoch, 2}[a.rng.IntN(2)]
	case 1:
		f.height = testHeight - 1 + 2*a.rng.Uint64N(2)
	case 2:
		f.verb, f.what, f.epoch = "show", [...]string{"prevote", "precommit"}[a.rng.IntN(2)], elderEpoch
		for i := range a.w.ring.ids.Q() {
			f.by = append(f.by, i)
		}
	}
	a.w.forge(f)
}

// withhold proposes, once in each liar's round, a value to just as many as a certificate needs beside the liars, and helps
// it to one. The others hear of the certificate, if at all, and have to fetch the value.
func (a *adversary) withhold() {
	round, as := a.turn(a.round)
	if a.acted[round] || round > a.round+1 {
		return
	}
	a.acted[round] = true
	name := a.w.ring.valueName(as, round)
	to := a.w.others()
	a.rng.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	to = to[:min(len(to), max(1, a.w.ring.ids.Q()-len(a.evil)))]
	a.w.forge(forgery{verb: "forge", as: as, what: "propose", round: round, name: name, to: to, in: a.soon()})
	for _, liar := range a.evil {
		a.say(liar, quorum.Prevote, round, name, a.soon(), to[:1+a.rng.IntN(len(to))]...)
	}
}

// tempt lets one member lock on a liar's value that no other can lock on, and cuts it off as long as the network is ours.
func (a *adversary) tempt() {
	round, as := a.turn(a.round)
	if a.acted[round] || round > a.round+1 || a.w.healed {
		return
	}
	a.acted[round] = true
	name := a.w.ring.valueName(as, round)
	to := a.w.others()
	a.rng.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	to = to[:max(1, a.w.ring.ids.Q()-len(a.evil))]
	a.w.forge(forgery{verb: "forge", as: as, what: "propose", round: round, name: name, to: to, in: 20 * time.Millisecond})
	for _, liar := range a.evil {
		a.say(liar, quorum.Prevote, round, name, 30*time.Millisecond, to[0])
	}
	until := a.w.now + time.Duration(6+a.rng.IntN(8))*time.Second
	a.w.mutedUntil[to[0]] = until
	a.w.in(400*time.Millisecond, &parcel{do: func() { a.w.deafUntil[to[0]] = until }})
}

// relapse proposes a value to just as many as a certificate needs, in the first of the liars' rounds, and cuts one member off, so
// that the others can lock and not decide. In later rounds of theirs the liars propose the old value with its certificate.
func (a *adversary) relapse() {
	round, as := a.turn(a.round)
	if a.acted[round] || round > a.round+1 {
		return
	}
	a.acted[round] = true
	to := a.w.others()
	for _, key := range a.order {
		if key.phase != quorum.Prevote || key.round >= round || !a.isOwn(key.id) {
			continue
		}
		if by := append(slices.Clone(a.heard[key]), a.evil...); len(by) >= a.w.ring.ids.Q() {
			a.w.forge(forgery{
				verb: "forge", as: as, what: "propose", round: round, name: a.w.names[key.id], valid: key.round + 1, by: by, to: to, in: a.soon(),
			})
			return
		}
	}
	if a.w.healed {
		return
	}
	a.rng.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	until := a.w.now + time.Duration(8+a.rng.IntN(8))*time.Second
	a.w.mutedUntil[to[0]], a.w.deafUntil[to[0]] = until, until
	in := to[1:max(2, 1+a.w.ring.ids.Q()-len(a.evil))]
	a.w.forge(forgery{verb: "forge", as: as, what: "propose", round: round, name: a.w.ring.valueName(as, round), to: in, in: 20 * time.Millisecond})
}

// halfway prevotes with whoever prevotes, and precommits nil: locks, and no decision.
func (a *adversary) halfway(as int, p *parcel) {
	for _, v := range p.send.Votes {
		b := v.Body()
		name := "nil"
		if b.Phase == quorum.Prevote && !a.isOwn(b.ID) {
			name = a.w.names[b.ID]
		}
		a.say(as, b.Phase, b.Round, name, a.soon(), p.from)
	}
}

// isOwn reports whether a value is a liar's.
func (a *adversary) isOwn(id common.Hash) bool {
	for _, as := range a.evil {
		if strings.HasPrefix(a.w.names[id], fmt.Sprintf("v%d.", as)) {
			return true
		}
	}
	return false
}

// victim is a member, and how long until its time is up: its own clock tells.
func (a *adversary) victim() (n *node, left time.Duration, ok bool) {
	n = a.w.nodes[a.anyone()]
	if n.state == nil || n.disk.decision != nil {
		return n, 0, false
	}
	s := n.state
	deadline := map[Step]time.Time{StepPropose: s.proposeBy, StepPrevote: s.prevoteBy}[s.step]
	if deadline.IsZero() {
		deadline = s.precommitBy
	}
	left = deadline.Sub(n.clock())
	return n, left, !deadline.IsZero() && left > time.Millisecond
}

// atDeadline votes exactly when a member's time is up, or a moment before or after.
func (a *adversary) atDeadline() {
	n, left, ok := a.victim()
	if !ok {
		return
	}
	phase := quorum.Prevote
	if n.state.step == StepPrecommit {
		phase = quorum.Precommit
	}
	name := a.anyName()
	if r := n.state.rounds[n.state.round]; r != nil && a.rng.IntN(2) == 0 {
		if said := r.words[n.state.proposer(n.state.round)].proposal; said != nil {
			name = a.w.names[said.signed.Body().ID]
		}
	}
	a.say(a.me(), phase, n.state.round, name, left+time.Duration(a.rng.IntN(3)-1)*time.Microsecond, n.i)
}

// lastMoment shows a member a certificate just before its time is up, so that it alone locks.
func (a *adversary) lastMoment() {
	n, left, ok := a.victim()
	if !ok {
		return
	}
	round := n.state.round
	key, by, ok := a.certificate(false, func(k poolKey) bool { return k.phase == quorum.Prevote && k.round <= round })
	if ok {
		a.w.forge(forgery{verb: "show", as: a.me(), what: "prevote", round: key.round, name: a.w.names[key.id], by: by, to: []int{n.i}, in: left - time.Microsecond})
	}
}

// flood says old things again and asks for what everybody has.
func (a *adversary) flood() {
	for range 1 + a.rng.IntN(4) {
		as, to := a.me(), []int{a.anyone()}
		if a.rng.IntN(3) == 0 {
			a.w.forge(forgery{verb: "ask", as: as, name: a.anyName(), to: to, in: a.soon()})
		} else {
			a.say(as, quorum.Prevote, a.round-min(a.round, a.rng.Uint64N(12)), "nil", a.soon(), to...)
		}
	}
}
