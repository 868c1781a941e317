package agreement

import (
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// settle applies the rules until none has anything left to do. The order matters in two places: deciding comes before
// anything is cast, and catching up comes before speaking in a round that is over. Each rule reports whether it did
// something; each moves the round, the step, a certificate or a flag forward, so this ends.
//
// Beside each rule stands the test that fails without it.
func (t *turn) settle() {
	rules := []func() bool{
		t.ruleBegin,     // TestBeginsWhenOthersSpeak
		t.ruleDecide,    // R6: TestR6Decide
		t.ruleSkip,      // R5: TestR5Skip
		t.ruleLearn,     // R3: TestR3Learn
		t.ruleEnded,     // R8: TestR8HelpsPeerBehind
		t.rulePropose,   // R0: TestR0Propose
		t.rulePrevote,   // R1: TestR1Prevote
		t.ruleSilence,   // R1: TestR1ProposeTimeout
		t.ruleLock,      // R2: TestR2Lock
		t.ruleNil,       // R4: TestR4Nil
		t.ruleDivided,   // R4: TestR4PrevoteTimeout
		t.ruleNextRound, // R5: TestR5PrecommitTimeout
	}
	for i := 0; i < len(rules); i++ {
		if rules[i]() {
			i = -1
		}
		if t.step == StepDecided {
			return
		}
	}
}

// enter starts a round.
func (t *turn) enter(round uint64) {
	if t.resendAt.IsZero() {
		t.resendAt = t.now.Add(t.cfg.Timeouts.Resend)
	}
	t.round, t.step = round, StepPropose
	t.asked, t.built, t.proof, t.fx.Build = asked{}, common.Hash{}, quorum.QC{}, nil
	t.proposeBy = t.now.Add(t.cfg.Timeouts.propose(round))
	t.prevoteBy, t.precommitBy = time.Time{}, time.Time{}
	t.dirty = true

	r := t.at(round)
	if !t.high.Zero() && t.high.Round() == round {
		r.qc = t.high
	}
	for i := range t.ahead {
		t.catchUp(i)
	}
}

// catchUp moves a member's word out of the future when the round has come.
func (t *turn) catchUp(i int) {
	a := t.ahead[i]
	if a.round > t.round || a.round == 0 {
		return
	}
	t.ahead[i] = ahead{}
	if !t.keeps(a.round) {
		return
	}
	t.at(a.round).words[i] = a.word
	for _, v := range a.word.votes {
		if spoken(v) {
			t.tally(a.round, v.Body().Phase, v.Body().ID)
		}
	}
}

// ruleBegin: a height begins when f+1 members speak in it, for one of them is honest and had a reason.
func (t *turn) ruleBegin() bool {
	if t.step != StepWaiting || t.nthRound(t.ids.F()+1) == 0 {
		return false
	}
	t.enter(0)
	return true
}

// ruleDecide is R6: q precommits of any one round for v decide v, as soon as v is here.
func (t *turn) ruleDecide() bool {
	if t.step == StepWaiting || t.commit.Zero() || !t.held[t.commit.ID()] {
		return false
	}
	t.step = StepDecided
	t.fx.Commit.Decide = &Decision{ID: t.commit.ID(), QC: t.commit}
	return true
}

// ruleSkip is the second half of R5: f+1 senders at rounds ≥ r' > r → r'.
func (t *turn) ruleSkip() bool {
	if t.step == StepWaiting {
		return false
	}
	// heard counts from 1, so what is ahead of us is at least round + 2.
	to := t.nthRound(t.ids.F() + 1)
	if to < t.round+2 {
		return false
	}
	t.enter(to - 1)
	return true
}

// nthRound returns the highest round + 1 that at least n other members have reached, zero when fewer spoke at all.
func (t *turn) nthRound(n int) uint64 {
	var at []uint64
	for i, r := range t.heard {
		if i != t.self {
			at = append(at, r)
		}
	}
	slices.Sort(at)
	return at[len(at)-n]
}

// ruleLearn is R3: a prevote certificate of a round above the valid round updates valid, never the lock, once v is here.
func (t *turn) ruleLearn() bool {
	if t.step == StepWaiting {
		return false
	}
	best := t.valid
	consider := func(qc quorum.QC) {
		if !qc.Zero() && t.held[qc.ID()] && (best.Zero() || qc.Round() > best.Round()) {
			best = qc
		}
	}
	consider(t.high)
	for _, r := range t.rounds { // a maximum: map order does not show
		consider(r.qc)
	}
	if best.Zero() || (!t.valid.Zero() && best.Round() == t.valid.Round()) {
		return false
	}
	t.valid = best
	t.dirty = true
	return true
}

// ruleEnded keeps the q precommits that ended the round before this one, to show them to who is still in it (R8). They are
// part of the record: after a restart nobody else may be able to show them.
func (t *turn) ruleEnded() bool {
	if t.step == StepWaiting || t.round == 0 {
		return false
	}
	last, ok := t.rounds[t.round-1]
	if !ok || (len(t.ended) > 0 && t.ended[0].Body().Round == t.round-1) {
		return false
	}
	votes := last.votes(quorum.Precommit)
	if len(votes) < t.ids.Q() {
		return false
	}
	t.ended = votes[:t.ids.Q()]
	t.dirty = true
	return true
}

// rulePropose is R0: the proposer sends the valid value if it has one, else a new one.
func (t *turn) rulePropose() bool {
	if t.step != StepPropose || t.proposer(t.round) != t.self || t.asked.proposal {
		return false
	}
	switch {
	case !t.valid.Zero() && t.valid.Round() < t.round:
		t.proof = t.valid
		t.castProposal(t.valid.ID(), t.valid.Round()+1)
	case t.built != (common.Hash{}):
		t.castProposal(t.built, quorum.NoRound)
	case !t.asked.build:
		t.asked.build = true
		t.fx.Build = &Build{Round: t.round}
	default:
		return false
	}
	return true
}

func (t *turn) castProposal(id common.Hash, validRound uint64) {
	t.asked.proposal = true
	t.dirty = true
	t.fx.Build = nil
	t.fx.Commit.Proposal = &quorum.Proposal{
		Epoch: t.cfg.Roster.Epoch, Height: t.cfg.Height, Round: t.round, ID: id, ValidRound: validRound,
	}
}

// rulePrevote is R1, for a proposal that is here.
func (t *turn) rulePrevote() bool {
	p := t.at(t.round).words[t.proposer(t.round)].proposal
	if t.step != StepPropose || p == nil {
		return false
	}
	id, known := t.judge(p)
	if !known {
		return false
	}
	t.castVote(quorum.Prevote, id)
	return true
}

// judge returns what to prevote on a proposal. known is false while the certificate that it needs is missing.
func (t *turn) judge(p *proposal) (id common.Hash, known bool) {
	b := p.signed.Body()
	onIt := t.lockedRound != 0 && t.lockedID == b.ID
	var free bool
	if b.ValidRound == quorum.NoRound {
		free = t.lockedRound == 0 && !p.refrain
	} else {
		if !t.proven(p) {
			return common.Hash{}, !p.valid
		}
		free = t.lockedRound <= b.ValidRound
	}
	if p.valid && (free || onIt) {
		return b.ID, true
	}
	return common.Hash{}, true
}

// proven reports whether the prevote certificate of a proposal's valid round is known, from wherever it came.
func (t *turn) proven(p *proposal) bool {
	b := p.signed.Body()
	if fitsProposal(p.pol, b) || fitsProposal(t.high, b) || fitsProposal(t.valid, b) {
		return true
	}
	r, ok := t.rounds[b.ValidRound-1]
	return ok && fitsProposal(r.qc, b)
}

// ruleSilence is the end of R1: no proposal that could be voted on came in time.
func (t *turn) ruleSilence() bool {
	if t.step != StepPropose || (!t.passed(t.proposeBy) && !t.asked.nothing) {
		return false
	}
	t.castVote(quorum.Prevote, common.Hash{})
	return true
}

// ruleLock is R2: a prevote certificate of this round, while prevoting, locks. Lock, valid value and precommit are one
// transaction because they are one Step.
func (t *turn) ruleLock() bool {
	qc := t.at(t.round).qc
	if t.step != StepPrevote || qc.Zero() || !t.held[qc.ID()] {
		return false
	}
	t.lockedRound, t.lockedID, t.valid = t.round+1, qc.ID(), qc
	t.castVote(quorum.Precommit, qc.ID())
	return true
}

// ruleNil is the first half of R4: q nil prevotes.
func (t *turn) ruleNil() bool {
	if t.step != StepPrevote || t.at(t.round).count(quorum.Prevote, exactly(common.Hash{})) < t.ids.Q() {
		return false
	}
	t.castVote(quorum.Precommit, common.Hash{})
	return true
}

// ruleDivided is the second half of R4: q prevotes are in, of any value, and no certificate came of it in time. The
// time starts no earlier than the own prevote, which may be the one that completes a certificate.
func (t *turn) ruleDivided() bool {
	if t.step != StepPrevote {
		return false
	}
	r := t.at(t.round)
	if t.prevoteBy.IsZero() && (r.count(quorum.Prevote, anyValue) >= t.ids.Q() || !r.qc.Zero()) {
		t.prevoteBy = t.now.Add(t.cfg.Timeouts.vote(t.round))
	}
	if !t.passed(t.prevoteBy) {
		return false
	}
	t.castVote(quorum.Precommit, common.Hash{})
	return true
}

// ruleNextRound is the first half of R5: q precommits are in, of any value, and they decided nothing in time.
func (t *turn) ruleNextRound() bool {
	if t.step == StepWaiting {
		return false
	}
	if t.precommitBy.IsZero() && t.at(t.round).count(quorum.Precommit, anyValue) >= t.ids.Q() {
		t.precommitBy = t.now.Add(t.cfg.Timeouts.vote(t.round))
	}
	if !t.passed(t.precommitBy) {
		return false
	}
	t.enter(t.round + 1)
	return true
}

func (t *turn) castVote(phase quorum.Phase, id common.Hash) {
	t.step = StepPrevote
	if phase == quorum.Precommit {
		t.step = StepPrecommit
	}
	t.asked.votes[slot(phase)] = true
	t.dirty = true
	t.fx.Commit.Votes = append(t.fx.Commit.Votes, quorum.Vote{
		Epoch: t.cfg.Roster.Epoch, Height: t.cfg.Height, Round: t.round, Phase: phase, ID: id,
	})
}

func (t *turn) passed(deadline time.Time) bool { return !deadline.IsZero() && !t.now.Before(deadline) }
