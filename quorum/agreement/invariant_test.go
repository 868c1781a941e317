package agreement

import (
	"bytes"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// shot is what the invariants compare across one Step.
type shot struct {
	record
	validRound uint64
	endsBy     time.Time // of the precommits
}

// record names what the disk must hold of a state; certificates by the place in memory of their first vote.
type record struct {
	round, locked uint64
	lockedID      common.Hash
	step          Step
	valid, proof  *quorum.Ballot
	ended         *quorum.Signed[quorum.Vote]
}

func snapshot(s *State) shot {
	sh := shot{endsBy: s.precommitBy, record: record{round: s.round, locked: s.lockedRound, lockedID: s.lockedID, step: s.step}}
	if !s.valid.Zero() {
		sh.valid, sh.validRound = &s.valid.Unchecked().Votes[0], s.valid.Round()+1
	}
	if !s.proof.Zero() {
		sh.proof = &s.proof.Unchecked().Votes[0]
	}
	if len(s.ended) > 0 {
		sh.ended = &s.ended[0]
	}
	return sh
}

// saves reports whether a record to be written is that of the state.
func (r record) saves(d Durable, s *State) bool {
	first := func(u *quorum.UncheckedQC) *quorum.Ballot {
		if u == nil {
			return nil
		}
		return &u.Votes[0]
	}
	return d.Height == testHeight && d.Round == r.round && d.Step == r.step && d.LockedRound == r.locked && d.LockedID == r.lockedID &&
		first(d.Valid) == r.valid && first(d.Proof) == r.proof && len(d.Ended) == len(s.ended) &&
		(len(s.ended) == 0 || bytes.Equal(d.Ended[0], s.ended[0].Bytes()))
}

// checkStep looks at everything that one Step must never do.
func (w *world) checkStep(n *node, before, after shot, fx Effects) {
	s := n.state
	switch {
	case after.round < before.round || (after.round == before.round && after.step < before.step):
		w.breaks("I12: n%d went back from %d %s to %d %s", n.i, before.round, before.step, after.round, after.step)
	case after.locked < before.locked || after.validRound < before.validRound:
		w.breaks("I12: n%d: the lock or the valid round went back", n.i)
	case quorum.Exceeded(s.Bounds()) != nil || len(fx.Send) > len(s.ids)+3 || len(fx.Fetch) > maxFetched:
		w.breaks("I18: n%d: %v; sends %d and fetches %d at once", n.i, quorum.Exceeded(s.Bounds()), len(fx.Send), len(fx.Fetch))
	case fx.Commit.Decide == nil && s.step != StepWaiting && before.record != after.record && fx.Commit.Save == nil:
		w.breaks("I2: n%d changed without saving", n.i)
	case fx.Commit.Save != nil && !after.saves(*fx.Commit.Save, s):
		w.breaks("I2: n%d saves what it is not", n.i)
	}
	if v := fx.Commit.Save; v != nil && v.Valid != nil && !n.store[v.Valid.ID] {
		w.breaks("R3: n%d learns %s and does not hold it", n.i, w.names[v.Valid.ID])
	}
	w.checkCasts(n, before, after, fx)
	if (len(fx.Foreign) > 0 && !n.evil) || !fx.Contradiction.Zero() {
		w.breaks("n%d: %d foreign statements, contradiction %v", n.i, len(fx.Foreign), !fx.Contradiction.Zero())
	}
	if d := fx.Commit.Decide; d != nil {
		w.checkDecision(n, d)
	}
}

// checkCasts is I2's first half and I3.
func (w *world) checkCasts(n *node, before, after shot, fx Effects) {
	for _, v := range fx.Commit.Votes {
		if v.ID != (common.Hash{}) && !n.store[v.ID] {
			w.breaks("R2: n%d %ss %s in round %d and does not hold it", n.i, v.Phase, w.names[v.ID], v.Round)
		}
		if old, ok := n.disk.votes[onceKey{n.i, v.Round, v.Kind()}]; ok && old.Body().ID != v.ID {
			w.breaks("I2: n%d %ss twice in round %d", n.i, v.Phase, v.Round)
		}
		if v.Phase == quorum.Precommit && v.ID != (common.Hash{}) && (after.locked <= v.Round || (after.locked == v.Round+1 && after.lockedID != v.ID)) {
			w.breaks("R2: n%d precommits in round %d without the lock", n.i, v.Round)
		}
		against := before.locked != 0 && v.Phase == quorum.Prevote && v.ID != (common.Hash{}) && v.ID != before.lockedID
		if against && !w.certifiedAfter(before.locked, v.Round, v.ID) {
			w.breaks("I3: n%d prevotes %s in round %d against its lock of round %d", n.i, w.names[v.ID], v.Round, before.locked-1)
		}
	}
	if p := fx.Commit.Proposal; p != nil {
		if old, ok := n.disk.proposals[p.Round]; ok && old.Body().ID != p.ID {
			w.breaks("I2: n%d proposes twice in round %d", n.i, p.Round)
		}
	}
}

// certifiedAfter reports whether q members ever prevoted id in one round from 'from' on and before 'before'.
func (w *world) certifiedAfter(from, before uint64, id common.Hash) bool {
	for r := from; r < before; r++ {
		if len(w.shared[voteKey{r, id}]) >= w.ring.ids.Q() {
			return true
		}
	}
	return false
}

// checkDecision is I1, and that only what is valid is decided, by a certificate that verifies.
func (w *world) checkDecision(n *node, d *Decision) {
	for id := range w.decided {
		if id != d.ID {
			w.breaks("I1: n%d decides %s, others %s", n.i, w.names[d.ID], w.names[id])
		}
	}
	if !w.fine(d.ID) || !n.store[d.ID] || d.QC.Phase() != quorum.Precommit || d.QC.ID() != d.ID || d.QC.Height() != testHeight {
		w.breaks("n%d decides %s by a certificate for something else", n.i, w.names[d.ID])
	}
}

// checkSend is I2's second half: one statement per place, for ever, and the disk holds it before it leaves.
func (w *world) checkSend(n *node, s Send) {
	once := func(round uint64, kind quorum.Kind, raw []byte, onDisk []byte) {
		if !bytes.Equal(raw, onDisk) {
			w.breaks("I2: n%d sends a %s of round %d that its disk does not hold", n.i, kind, round)
		}
		key := onceKey{n.i, round, kind}
		if old, ok := w.sent[key]; !ok {
			w.sent[key] = raw
		} else if !bytes.Equal(old, raw) {
			w.breaks("I2: n%d sent two %ss in round %d", n.i, kind, round)
		}
	}
	if n.evil {
		return // a copy takes what the other signed in an earlier round for its own, from before a restart
	}
	if b := s.Proposal.Body(); b.Height != 0 {
		once(b.Round, b.Kind(), s.Proposal.Bytes(), n.disk.proposals[b.Round].Bytes())
		if b.ValidRound != quorum.NoRound && !fitsProposal(s.Pol, b) {
			w.breaks("R0: n%d proposes in round %d without the proof it names", n.i, b.Round)
		}
	}
	for _, v := range s.Votes {
		if b := v.Body(); v.Signer() == w.ring.ids[n.who] {
			once(b.Round, b.Kind(), v.Bytes(), n.disk.votes[onceKey{n.i, b.Round, b.Kind()}].Bytes())
		}
	}
}

// checkShadow is the purity of Step: states that were given the same do the same, to the byte.
func (w *world) checkShadow(n *node, ev Event, ours, theirs Effects) {
	if a, b := render(ours), render(theirs); a != b {
		w.breaks("purity: n%d does two things on %T\n%s\n%s", n.i, ev, a, b)
	}
}

// heardKey is a place at which a member may speak once.
type heardKey struct {
	who   common.Address
	round uint64
	kind  quorum.Kind
}

// heardTwice is the duty to keep evidence: whoever hears two different statements of one member for a round that it keeps,
// in one life, must have said so by the end of that step.
func (w *world) heardTwice(n *node, ev Event) {
	var key heardKey
	var raw []byte
	switch ev := ev.(type) {
	case VoteSeen:
		b := ev.Vote.Body()
		if b.Height != testHeight || b.Epoch != w.ring.roster.Epoch {
			return
		}
		key, raw = heardKey{ev.Vote.Signer(), b.Round, b.Kind()}, ev.Vote.Bytes()
	case ProposalSeen:
		b := ev.Proposal.Body()
		if b.Height != testHeight || b.Epoch != w.ring.roster.Epoch || ev.Proposal.Signer() != w.ring.ids.Proposer(testHeight, b.Round) {
			return
		}
		key, raw = heardKey{ev.Proposal.Signer(), b.Round, b.Kind()}, ev.Proposal.Bytes()
	default:
		return
	}
	if key.who == w.ring.ids[n.who] || !n.state.keeps(key.round) || w.honest(key.who) {
		return
	}
	first, ok := n.heard[key]
	switch {
	case !ok:
		n.heard[key] = raw
	case !bytes.Equal(first, raw) && !n.caught[key]:
		w.breaks("evidence: n%d hears two %ss of one member in round %d and keeps no proof", n.i, key.kind, key.round)
	}
}
