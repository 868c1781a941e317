package agreement

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// adversary plays all Byzantine members at once: it sees what each of them hears, signs as any of them, and shows
// different things to different members.
type adversary struct {
	w     *world
	rng   *rand.Rand
	evil  []int
	style string // "silent", "echo", "random"

	heard map[poolKey][]quorum.Signed[quorum.Vote]
	order []poolKey // in order of arrival: maps are not iterated
	ids   []common.Hash
	round uint64 // the highest that it heard of
}

type poolKey struct {
	phase quorum.Phase
	round uint64
	id    common.Hash
}

func newAdversary(w *world, style string, evil []int, rng *rand.Rand) *adversary {
	a := &adversary{w: w, rng: rng, evil: evil, style: style, heard: map[poolKey][]quorum.Signed[quorum.Vote]{}}
	for _, i := range evil {
		w.nodes[i].evil = true
		w.nodes[i].state = nil
	}
	w.onEvil = a.hear
	a.ids = []common.Hash{{}, w.name("evil-a"), w.name("evil-b"), w.name("bad")}
	return a
}

func (a *adversary) hear(to int, p parcel) {
	if p.send == nil || a.style == "silent" || slices.Contains(a.evil, p.from) {
		return
	}
	if b := p.send.Proposal.Body(); b.Height != 0 && !slices.Contains(a.ids, b.ID) {
		a.ids = append(a.ids, b.ID)
	}
	for _, v := range p.send.Votes {
		a.pool(v)
	}
	switch {
	case a.style == "echo" || a.rng.IntN(2) == 0:
		a.echo(to, p)
	default:
		a.improvise()
	}
	if a.rng.IntN(4) == 0 {
		a.propose()
	}
	if a.rng.IntN(4) == 0 {
		a.showCertificate()
	}
}

func (a *adversary) pool(v quorum.Signed[quorum.Vote]) {
	b := v.Body()
	key := poolKey{b.Phase, b.Round, b.ID}
	if _, ok := a.heard[key]; !ok {
		a.order = append(a.order, key)
	}
	for _, old := range a.heard[key] {
		if old.Signer() == v.Signer() {
			return
		}
	}
	a.heard[key] = append(a.heard[key], v)
	if a.w.honest(v.Signer()) {
		a.round = max(a.round, b.Round)
	}
}

// say signs a vote as an evil member and shows it to one member.
func (a *adversary) say(as int, phase quorum.Phase, round uint64, id common.Hash, to int) {
	v := a.w.ring.say(as, phase, round, id)
	a.w.noteVote(as, v.Body())
	a.pool(v)
	a.w.post(parcel{from: as, to: to, send: &Send{Votes: []quorum.Signed[quorum.Vote]{v}}})
}

// echo agrees with everyone, whatever they say: the twin that keeps two sides apart.
func (a *adversary) echo(as int, p parcel) {
	if b := p.send.Proposal.Body(); b.Height != 0 {
		a.say(as, quorum.Prevote, b.Round, b.ID, p.from)
	}
	for _, v := range p.send.Votes {
		b := v.Body()
		a.say(as, b.Phase, b.Round, b.ID, p.from)
		if a.rng.IntN(3) == 0 {
			a.say(as, quorum.Precommit, b.Round, b.ID, a.anyone())
		}
	}
}

// anyone is an honest member: evil ones know all of this already.
func (a *adversary) anyone() int {
	for {
		if i := a.rng.IntN(len(a.w.nodes)); !a.w.nodes[i].evil {
			return i
		}
	}
}

func (a *adversary) me() int { return a.evil[a.rng.IntN(len(a.evil))] }

func (a *adversary) near() uint64 {
	r := a.round + uint64(a.rng.IntN(4))
	return r - min(r, uint64(a.rng.IntN(3)))
}

func (a *adversary) improvise() {
	round := a.near()
	if a.rng.IntN(20) == 0 {
		round = a.round + uint64(a.rng.IntN(1000))
	}
	phase := quorum.Prevote + quorum.Phase(a.rng.IntN(2))
	a.say(a.me(), phase, round, a.ids[a.rng.IntN(len(a.ids))], a.anyone())
}

// propose proposes something in a round that belongs to an evil member: something new, something old, with a proof if it
// has one, to one member at a time.
func (a *adversary) propose() {
	round := a.near()
	as := indexOf(a.w.ring.ids, a.w.ring.ids.Proposer(testHeight, round))
	if !slices.Contains(a.evil, as) {
		return
	}
	id := a.ids[1+a.rng.IntN(len(a.ids)-1)]
	s := Send{}
	validRound := uint64(quorum.NoRound)
	if qc := a.certificate(); !qc.Zero() && qc.Phase() == quorum.Prevote && qc.Round() < round && a.rng.IntN(2) == 0 {
		id, validRound, s.Pol = qc.ID(), qc.Round()+1, qc
	}
	s.Proposal = a.w.ring.propose(as, round, id, validRound)
	a.w.post(parcel{from: as, to: a.anyone(), send: &s})
}

// certificate makes a certificate of what it heard and what it signs itself.
func (a *adversary) certificate() quorum.QC {
	if len(a.order) == 0 {
		return quorum.QC{}
	}
	key := a.order[len(a.order)-1-a.rng.IntN(min(len(a.order), 12))]
	if key.id == (common.Hash{}) {
		return quorum.QC{}
	}
	votes := slices.Clone(a.heard[key])
	for _, as := range a.evil {
		v := a.w.ring.say(as, key.phase, key.round, key.id)
		a.w.noteVote(as, v.Body())
		votes = append(votes, v)
	}
	qc, _ := quorum.NewQC(a.w.ring.roster, testHeight, key.round, key.phase, key.id, votes)
	return qc
}

// showCertificate gives a certificate that others may not know to one member alone.
func (a *adversary) showCertificate() {
	if qc := a.certificate(); !qc.Zero() {
		a.w.post(parcel{from: a.me(), to: a.anyone(), send: &Send{Beside: qc}})
	}
}

func (w *world) honest(id common.Address) bool { return !w.nodes[indexOf(w.ring.ids, id)].evil }

// describe makes a failing schedule readable.
func (w *world) describe() string {
	out := ""
	for _, n := range w.nodes {
		switch {
		case n.evil:
			out += fmt.Sprintf("n%d evil; ", n.i)
		case n.disk.decision != nil:
			out += fmt.Sprintf("n%d decided %s; ", n.i, w.names[n.disk.decision.ID])
		case n.state == nil:
			out += fmt.Sprintf("n%d down; ", n.i)
		default:
			s := n.state
			out += fmt.Sprintf("n%d %d %s lock %d:%s valid %s; ", n.i, s.round, s.step, int(s.lockedRound)-1, w.names[s.lockedID], w.names[s.valid.ID()])
		}
	}
	return out
}
