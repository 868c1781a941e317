package agreement

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// adversary plays all liars at once: it hears what each of them hears, signs as any of them, and shows different things to
// different members, as fast or as late as it wants. What it may say is a grammar, see moves; a strategy weighs it.
type adversary struct {
	w    *world
	rng  *rand.Rand
	evil []int
	strategy

	heard map[poolKey][]int // who said it
	order []poolKey         // in order of arrival: maps are not iterated
	names []string          // values
	round uint64            // the highest that someone honest spoke in
	acted map[uint64]bool   // own rounds in which we proposed as planned
}

type poolKey struct {
	phase quorum.Phase
	round uint64
	id    common.Hash
}

// newAdversary gives the liars a strategy. Its clock ticks by itself, so that it acts where nobody speaks.
func newAdversary(w *world, s strategy, evil []int, rng *rand.Rand) *adversary {
	a := &adversary{w: w, rng: rng, evil: evil, strategy: s, heard: map[poolKey][]int{}, acted: map[uint64]bool{}}
	for _, i := range evil {
		n := w.nodes[i]
		n.evil, n.liar, n.state = true, true, nil
	}
	w.onEvil = a.hear
	a.names = []string{"nil", "evil-a", "evil-b", "bad"}
	if len(s.alarm) > 0 {
		a.tick()
	}
	return a
}

func (a *adversary) tick() {
	a.w.in(time.Duration(100+a.rng.IntN(600))*time.Millisecond, &parcel{do: func() {
		if !a.w.allDecided() {
			a.move(a.alarm)
			a.tick()
		}
	}})
}

// hear takes what reaches a liar, and answers.
func (a *adversary) hear(to int, p *parcel) {
	if a.w.nodes[p.from].evil {
		return
	}
	switch {
	case p.ask != nil:
		if a.rng.Float64() < a.answers {
			a.w.forge(forgery{verb: "give", as: to, name: a.w.names[*p.ask], to: []int{p.from}, in: a.soon()})
		}
	case p.send != nil:
		if b := p.send.Proposal.Body(); b.Height != 0 {
			a.learn(b.ID)
		}
		for _, v := range p.send.Votes {
			a.pool(v)
		}
		if len(a.heed) > 0 && a.rng.Float64() < a.eager {
			if m := a.heed[a.rng.IntN(len(a.heed))]; m.answer != nil {
				m.answer(a, to, p)
			} else {
				m.act(a)
			}
		}
	}
}

func (a *adversary) move(from []move) {
	if len(from) > 0 {
		if m := from[a.rng.IntN(len(from))]; m.act != nil {
			m.act(a)
		}
	}
}

func (a *adversary) learn(id common.Hash) {
	if name := a.w.names[id]; !slices.Contains(a.names, name) {
		a.names = append(a.names, name)
	}
}

func (a *adversary) pool(v quorum.Signed[quorum.Vote]) {
	b := v.Body()
	a.learn(b.ID)
	key := poolKey{b.Phase, b.Round, b.ID}
	who := indexOf(a.w.ring.ids, v.Signer())
	if _, ok := a.heard[key]; !ok {
		a.order = append(a.order, key)
	}
	if !slices.Contains(a.heard[key], who) {
		a.heard[key] = append(a.heard[key], who)
	}
	if a.w.honest(v.Signer()) {
		a.round = max(a.round, b.Round)
	}
}

// soon is how long a forged message takes. Its odd microseconds keep two things from happening at once.
func (a *adversary) soon() time.Duration {
	return time.Duration(1+a.rng.IntN(100))*time.Millisecond + time.Duration(a.rng.IntN(1000))*time.Microsecond
}

// anyone is a member to lie to.
func (a *adversary) anyone() int {
	to := a.w.others()
	return to[a.rng.IntN(len(to))]
}

// some are a few members to lie to, seldom all.
func (a *adversary) some() []int {
	to := a.w.others()
	a.rng.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	return to[:1+a.rng.IntN(len(to))]
}

func (a *adversary) me() int { return a.evil[a.rng.IntN(len(a.evil))] }

// near is a round in which something goes on, seldom one far ahead.
func (a *adversary) near() uint64 {
	if a.rng.IntN(20) == 0 {
		return a.round + uint64(a.rng.IntN(1000))
	}
	r := a.round + uint64(a.rng.IntN(4))
	return r - min(r, uint64(a.rng.IntN(3)))
}

func (a *adversary) anyName() string { return a.names[a.rng.IntN(len(a.names))] }

// turn is the next round from 'from' on that belongs to a liar, and whose.
func (a *adversary) turn(from uint64) (round uint64, as int) {
	for round = from; ; round++ {
		as = indexOf(a.w.ring.ids, a.w.ring.ids.Proposer(testHeight, round))
		if slices.Contains(a.evil, as) {
			return round, as
		}
	}
}

// say signs a vote and shows it.
func (a *adversary) say(as int, phase quorum.Phase, round uint64, name string, in time.Duration, to ...int) {
	a.w.forge(forgery{verb: "forge", as: as, what: phase.String(), round: round, name: name, to: to, in: in})
	a.pool(a.w.ring.say(as, phase, round, a.w.idOf(name)))
}

func (w *world) idOf(name string) common.Hash {
	if name == "nil" {
		return common.Hash{}
	}
	return w.name(name)
}

// certificate is one that the liars can make of what they heard and what they sign themselves: of the latest things, or,
// when old, of the oldest.
func (a *adversary) certificate(old bool, fits func(poolKey) bool) (key poolKey, by []int, ok bool) {
	at := len(a.order) - 1 - a.rng.IntN(12)
	if old {
		at = a.rng.IntN(12)
	}
	if at < 0 || at >= len(a.order) {
		return poolKey{}, nil, false
	}
	key = a.order[at]
	if key.id == (common.Hash{}) || !fits(key) {
		return key, nil, false
	}
	by = slices.Clone(a.heard[key])
	for _, as := range a.evil {
		if !slices.Contains(by, as) {
			by = append(by, as)
		}
	}
	slices.Sort(by)
	return key, by, len(by) >= a.w.ring.ids.Q()
}

func anyKey(poolKey) bool { return true }
