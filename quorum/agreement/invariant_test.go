package agreement

import (
	"bytes"
	"reflect"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// shot is what the invariants compare across one Step.
type shot struct {
	round, locked uint64
	lockedID      common.Hash
	step          Step
	validRound    uint64
	record        []byte
}

func snapshot(s *State) shot {
	sh := shot{round: s.round, locked: s.lockedRound, lockedID: s.lockedID, step: s.step, record: s.Durable().Encode()}
	if !s.valid.Zero() {
		sh.validRound = s.valid.Round() + 1
	}
	return sh
}

// checkStep looks at everything that one Step must never do.
func (w *world) checkStep(n *node, before shot, fx Effects) {
	s := n.state
	after := snapshot(s)
	switch {
	case after.round < before.round || (after.round == before.round && after.step < before.step):
		w.breaks("I12: n%d went back from %d %s to %d %s", n.i, before.round, before.step, after.round, after.step)
	case after.locked < before.locked || after.validRound < before.validRound:
		w.breaks("I12: n%d: the lock or the valid round went back", n.i)
	case len(s.rounds) > keepRounds+1 || len(s.held) > len(s.ids)+keepRounds+6:
		w.breaks("I18: n%d keeps %d rounds, %d values", n.i, len(s.rounds), len(s.held))
	case fx.Commit.Decide == nil && s.step != StepWaiting && !bytes.Equal(before.record, after.record) && fx.Commit.Save == nil:
		w.breaks("n%d changed without saving", n.i)
	case fx.Commit.Save != nil && !reflect.DeepEqual(*fx.Commit.Save, s.Durable()):
		w.breaks("n%d saves what it is not", n.i)
	}
	w.checkCasts(n, before, after, fx)
	if len(fx.Foreign) > 0 || !fx.Contradiction.Zero() {
		w.breaks("n%d: %d foreign statements, contradiction %v", n.i, len(fx.Foreign), !fx.Contradiction.Zero())
	}
	if d := fx.Commit.Decide; d != nil {
		w.checkDecision(n, d)
	}
}

// checkCasts is I2's first half and I3.
func (w *world) checkCasts(n *node, before, after shot, fx Effects) {
	for _, v := range fx.Commit.Votes {
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
	if !w.fine(d.ID) || d.QC.Phase() != quorum.Precommit || d.QC.ID() != d.ID || d.QC.Height() != testHeight {
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
		if old, ok := w.ever[key]; ok && old != string(raw) {
			w.breaks("I2: n%d sent two %ss in round %d", n.i, kind, round)
		}
		w.ever[key] = string(raw)
	}
	if b := s.Proposal.Body(); b.Height != 0 {
		once(b.Round, b.Kind(), s.Proposal.Bytes(), n.disk.proposals[b.Round].Bytes())
		if b.ValidRound != quorum.NoRound && !fitsProposal(s.Pol, b) {
			w.breaks("R0: n%d proposes in round %d without the proof it names", n.i, b.Round)
		}
	}
	for _, v := range s.Votes {
		if b := v.Body(); v.Signer() == w.ring.ids[n.i] {
			once(b.Round, b.Kind(), v.Bytes(), n.disk.votes[onceKey{n.i, b.Round, b.Kind()}].Bytes())
		}
	}
}
