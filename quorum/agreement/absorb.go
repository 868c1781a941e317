package agreement

import (
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// turn is one call of Step: the state, the time, and the effects so far.
type turn struct {
	*State
	now   time.Time
	fx    Effects
	dirty bool // the record on disk is no longer right
}

// absorb writes an event down. Nothing follows from it here; the rules follow in settle.
func (t *turn) absorb(ev Event) {
	switch ev := ev.(type) {
	case Begin:
		if t.step == StepWaiting {
			t.enter(0)
		}
	case ProposalSeen:
		t.absorbCertificate(ev.Pol)
		t.absorbProposal(ev)
	case VoteSeen:
		t.absorbVote(ev.Vote)
	case CertificateSeen:
		t.absorbCertificate(ev.QC)
	case ValueReady:
		t.absorbValue(ev)
	case Built:
		if t.step == StepPropose && ev.Round == t.round && t.asked.build && ev.ID != (common.Hash{}) {
			t.built = ev.ID
			t.hold(ev.ID)
		}
	case NothingToPropose:
		if ev.Round == t.round && t.asked.build {
			t.asked.nothing = true
		}
	}
}

// author returns the member's index, or false for whoever has no say at this height.
func (t *turn) author(signer common.Address, epoch, height, round uint64) (int, bool) {
	i := indexOf(t.ids, signer)
	return i, i >= 0 && epoch == t.cfg.Roster.Epoch && height == t.cfg.Height && round <= maxRound
}

func (t *turn) absorbProposal(ev ProposalSeen) {
	b := ev.Proposal.Body()
	i, ok := t.author(ev.Proposal.Signer(), b.Epoch, b.Height, b.Round)
	if !ok || i != t.proposer(b.Round) {
		return
	}
	own := i == t.self
	if own && t.foreign(b.Round, t.asked.proposal, ev.Proposal.Bytes()) {
		return
	}
	p := &proposal{signed: ev.Proposal, valid: ev.Valid || own, refrain: ev.Refrain && !own}
	if fitsProposal(ev.Pol, b) {
		p.pol = ev.Pol
	}
	if own && p.pol.Zero() && fitsProposal(t.proof, b) {
		p.pol = t.proof
	}
	if p.valid {
		t.hold(b.ID)
	}
	t.hear(i, b.Round)
	if w := t.word(i, b.Round); w != nil {
		t.noteProposal(w, p, own)
	}
}

// noteProposal keeps the first proposal, renews its judgement, and gives out evidence on a second one.
func (t *turn) noteProposal(w *word, p *proposal, own bool) {
	switch {
	case w.proposal == nil:
		w.proposal = p
		if own {
			t.fx.Send = append(t.fx.Send, Send{Proposal: p.signed, Pol: p.pol, Beside: t.high})
		}
	case w.proposal.signed.Body() == p.signed.Body():
		w.proposal.valid, w.proposal.refrain = p.valid, p.refrain
		if w.proposal.pol.Zero() {
			w.proposal.pol = p.pol
		}
	case !w.caught[caughtProposal]:
		w.caught[caughtProposal] = true
		t.evidence(p.signed.Signer(), w.proposal.signed.Bytes(), p.signed.Bytes())
	}
}

func (t *turn) absorbVote(v quorum.Signed[quorum.Vote]) {
	b := v.Body()
	i, ok := t.author(v.Signer(), b.Epoch, b.Height, b.Round)
	if !ok {
		return
	}
	if i == t.self && t.foreign(b.Round, t.asked.votes[slot(b.Phase)], v.Bytes()) {
		return
	}
	t.hear(i, b.Round)
	w := t.word(i, b.Round)
	if w == nil {
		return
	}
	switch first := w.votes[slot(b.Phase)]; {
	case !spoken(first):
		w.votes[slot(b.Phase)] = v
		if i == t.self {
			t.fx.Send = append(t.fx.Send, Send{Votes: []quorum.Signed[quorum.Vote]{v}, Beside: t.high})
		}
		t.tally(b.Round, b.Phase, b.ID)
	case first.Body() != b && !w.caught[slot(b.Phase)]:
		w.caught[slot(b.Phase)] = true
		t.evidence(v.Signer(), first.Bytes(), v.Bytes())
	}
}

func (t *turn) evidence(who common.Address, first, second []byte) {
	t.fx.Evidence = append(t.fx.Evidence, Evidence{Offender: who, First: first, Second: second})
}

// foreign catches statements under our own key that we did not ask for. Of rounds behind us they may be our own, from
// before a restart; from the current round on we know all of ours.
func (t *turn) foreign(round uint64, asked bool, raw []byte) bool {
	if round < t.round || (round == t.round && asked) {
		return false
	}
	t.fx.Foreign = append(t.fx.Foreign, raw)
	return true
}

// hear notes how far a member has come, by its own signed word.
func (t *turn) hear(i int, round uint64) { t.heard[i] = max(t.heard[i], round+1) }

// word returns where a member's word in a round is kept, or nil when that round is not.
func (t *turn) word(i int, round uint64) *word {
	if t.keeps(round) {
		return &t.at(round).words[i]
	}
	a := &t.ahead[i]
	if round <= t.round || round < a.round {
		return nil
	}
	if round > a.round {
		*a = ahead{round: round}
	}
	return &a.word
}

// at returns a round that is kept.
func (t *turn) at(round uint64) *round {
	r, ok := t.rounds[round]
	if !ok {
		r = newRound(len(t.ids))
		t.rounds[round] = r
	}
	return r
}

// tally looks whether the votes of a kept round add up to a certificate.
func (t *turn) tally(round uint64, phase quorum.Phase, id common.Hash) {
	if !t.keeps(round) || id == (common.Hash{}) {
		return
	}
	r := t.at(round)
	if (phase == quorum.Prevote && !r.qc.Zero()) || (phase == quorum.Precommit && !t.commit.Zero()) {
		return // there is one, and one is enough
	}
	if r.count(phase, exactly(id)) < t.ids.Q() {
		return
	}
	if qc, ok := quorum.NewQC(t.cfg.Roster, t.cfg.Height, round, phase, id, r.votes(phase)); ok {
		t.noteCertificate(qc)
	}
}

// absorbCertificate takes a certificate for a value. One for nil proves nothing that its votes do not, and is never sent.
func (t *turn) absorbCertificate(qc quorum.QC) {
	if qc.Zero() || qc.ID() == (common.Hash{}) || qc.Height() != t.cfg.Height ||
		qc.Unchecked().Epoch != t.cfg.Roster.Epoch || qc.Round() > maxRound {
		return
	}
	for _, signer := range qc.Signers() {
		if i := indexOf(t.ids, signer); i >= 0 {
			t.hear(i, qc.Round())
		}
	}
	t.noteCertificate(qc)
}

func (t *turn) noteCertificate(qc quorum.QC) {
	if qc.Phase() == quorum.Precommit {
		if t.commit.Zero() {
			t.commit = qc
		}
		return
	}
	if t.high.Zero() || qc.Round() > t.high.Round() {
		t.high = qc
	}
	if t.keeps(qc.Round()) && t.at(qc.Round()).qc.Zero() {
		t.at(qc.Round()).qc = qc
	}
}

func (t *turn) absorbValue(ev ValueReady) {
	if ev.Valid {
		t.hold(ev.ID)
		return
	}
	for _, qc := range []quorum.QC{t.commit, t.high} {
		if !qc.Zero() && qc.ID() == ev.ID && t.absurd != ev.ID {
			t.absurd = ev.ID
			t.fx.Contradiction = qc
		}
	}
}

// fitsProposal reports whether a certificate is the one that a proposal with a valid round needs.
func fitsProposal(qc quorum.QC, p quorum.Proposal) bool {
	return !qc.Zero() && p.ValidRound != quorum.NoRound && qc.Phase() == quorum.Prevote &&
		qc.Height() == p.Height && qc.Round()+1 == p.ValidRound && qc.ID() == p.ID
}
