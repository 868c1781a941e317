package agreement

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// resend is R8: every second, the own messages of the current round to all, and to whoever is known to be behind, the
// precommits that ended an earlier round. Without it one lost packet could stop a height for ever.
func (t *turn) resend() {
	if t.resendAt.IsZero() {
		t.revive()
	}
	if !t.passed(t.resendAt) {
		return
	}
	t.resendAt = t.now.Add(t.cfg.Timeouts.Resend)
	t.fetched = nil

	own := t.at(t.round).words[t.self]
	s := Send{Beside: t.high}
	if own.proposal != nil {
		s.Proposal, s.Pol = own.proposal.signed, own.proposal.pol
	}
	for _, v := range own.votes {
		if spoken(v) {
			s.Votes = append(s.Votes, v)
		}
	}
	if own.proposal != nil || len(s.Votes) > 0 {
		t.fx.Send = append(t.fx.Send, s)
	}
	t.help()
}

// revive starts the clocks of a state that came from disk: its own messages go out at once, for nobody knows whether they
// ever did.
func (t *turn) revive() {
	t.resendAt = t.now
	if t.step == StepPropose && t.proposeBy.IsZero() {
		t.proposeBy = t.now.Add(t.cfg.Timeouts.propose(t.round))
	}
}

func (t *turn) help() {
	if len(t.ended) == 0 {
		return
	}
	ended := t.ended[0].Body().Round
	for i, at := range t.heard {
		if i != t.self && at != 0 && at <= t.round && at <= ended+1 {
			t.fx.Send = append(t.fx.Send, Send{To: t.ids[i], Votes: t.ended, Beside: t.high})
		}
	}
}

// fetch asks for the values of certificates that would change something if their value were here.
func (t *turn) fetch() {
	var want []common.Hash
	for _, qc := range []quorum.QC{t.commit, t.high} {
		id := qc.ID()
		if qc.Zero() || t.held[id] || id == t.absurd || slices.Contains(want, id) {
			continue
		}
		want = append(want, id)
		if !slices.Contains(t.fetched, id) {
			t.fx.Fetch = append(t.fx.Fetch, Fetch{ID: id, From: t.others(qc)})
		}
	}
	t.fetched = want
}

func (t *turn) others(qc quorum.QC) []common.Address {
	return slices.DeleteFunc(qc.Signers(), func(a common.Address) bool { return a == t.cfg.Self })
}
