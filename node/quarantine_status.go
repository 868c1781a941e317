package node

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
)

// reasonAsking is the code of the reason that a node which just started gives.
const reasonAsking = "asking"

// SilenceStatus is what a node may not sign because it may have said more than it knows, and what ends that.
type SilenceStatus struct {
	Asking      bool             `json:"asking"`      // nothing new is signed: fewer than Needed others have answered since the start
	Quarantined bool             `json:"quarantined"` // what was said may be missing here
	Reason      string           `json:"reason,omitempty"`
	Since       time.Time        `json:"since"`
	Answers     int              `json:"answers"`
	Needed      int              `json:"needed"`
	Silent      []common.Address `json:"silent"` // whose answer is missing, or proves no height yet
	VotesFrom   *uint64          `json:"votes_from"`
	Named       bool             `json:"named"`   // by operators, in place of the heights of others
	Counter     uint64           `json:"counter"` // with since, names the quarantine to the operators; 0 outside one
	Votes       bool             `json:"votes"`
	Verdicts    bool             `json:"verdicts"`
	Sessions    bool             `json:"sessions"`
	Operator    bool             `json:"operator"` // its operator has to mend the fuse first
}

// describeSilence is nil when nothing is barred.
func (c *core) describeSilence() *SilenceStatus {
	q := &c.question
	quarantined := q.quarantined(c.state.Height + 1)
	if !q.closed && !quarantined {
		return nil
	}
	s := &SilenceStatus{
		Asking: q.closed && len(q.answers) < c.needed(), Quarantined: quarantined, Since: q.since.UTC(), Answers: len(q.answers), Needed: c.needed(), Silent: []common.Address{},
		Votes: c.votes(), Verdicts: !q.closed && !q.noVerdicts, Sessions: c.joins(), Operator: quarantined && q.twinOfRecord,
	}
	if quarantined {
		s.Reason, s.Since = q.record.Reason, time.UnixMilli(int64(q.record.Since)).UTC()
		s.Named, s.Counter = q.record.Named != 0, q.record.Floor
		if back := q.record.Back(); q.record.Known {
			s.VotesFrom = &back
		}
	}
	if !q.closed && q.wantsHeights() {
		s.Needed, s.Answers = c.state.Roster.Q(), 0
		for _, a := range q.answers {
			if a.proven {
				s.Answers++
			}
		}
	}
	for _, id := range c.state.Roster.IDs() {
		if id != c.self && q.lacks(id) && s.waits() {
			s.Silent = append(s.Silent, id)
		}
	}
	return s
}

// waits reports whether answers are waited for.
func (s *SilenceStatus) waits() bool { return s.Asking || (s.VotesFrom == nil && !s.Operator) }

// reasons says why this node is silent, and what ends it.
func (s *SilenceStatus) reasons(of Status) (out []Reason) {
	if s == nil {
		return nil
	}
	if s.Asking && !of.Removed { // who is out says that, and is answered by nobody
		out = append(out, Reason{Code: reasonAsking, Since: &s.Since,
			Text: fmt.Sprintf("nothing new is signed: %d of %d other members have said how far this node has spoken", s.Answers, s.Needed),
			Hint: "it goes on by itself when they are online; " + memberNames(s.Silent, of.Members)})
	}
	if !s.Quarantined {
		return out
	}
	return append(out, Reason{Code: codeQuarantined, Since: &s.Since, Text: s.text(of.Height), Hint: s.hint(of)})
}

func (s *SilenceStatus) text(height uint64) string {
	text := s.Reason + ": it follows the others, and "
	switch {
	case s.VotesFrom == nil:
		return text + "does not vote, judge or join signing sessions"
	case *s.VotesFrom > height+1:
		return text + fmt.Sprintf("votes again from height %d; it gives no verdict and joins no signing session", *s.VotesFrom)
	case !s.Verdicts:
		return text + "votes; it gives no verdict and joins no signing session"
	}
	return text + "votes and judges; it joins no signing session"
}

// hint says what ends it.
func (s *SilenceStatus) hint(of Status) string {
	n := len(of.Members)
	switch {
	case s.Operator:
		return "make sure that no other process has this node's key, then: conclave resume --local"
	case s.VotesFrom == nil && n-1 < of.Quorum:
		return fmt.Sprintf("%d others would have to show their height, and there are %d: %s", of.Quorum, n-1, wordHint(of))
	case s.VotesFrom == nil:
		return fmt.Sprintf("%d of %d others have shown their height; %s; where one never comes back: %s", s.Answers, s.Needed,
			memberNames(s.Silent, of.Members), wordHint(of))
	case !s.Verdicts:
		return "verdicts: the operators decide a new policy version, which may be the same rules (conclave policy propose); signing sessions: a newer key, which this version cannot make"
	}
	return "a newer key ends it, which this version cannot make"
}

// wordHint is what operators can do for a member that too few others answer.
func wordHint(of Status) string {
	return fmt.Sprintf("%d operators can name the height, if nobody holds a vote of this node in it: conclave governance readmit --from %d", of.Quorum, of.Height+1)
}

// memberNames lists members for people.
func memberNames(who []common.Address, members []MemberStatus) string {
	text := "missing:"
	for _, id := range who {
		for _, m := range members {
			if m.Address == id {
				text += " " + m.Name
			}
		}
	}
	if len(who) == 0 {
		return "all have answered"
	}
	return text
}

func alertQuarantined(q ledger.Quarantine) Alert {
	return Alert{Code: codeQuarantined, Text: q.Reason + ": this node says nothing that might contradict what it said before",
		Hint: "conclave status says what ends it"}
}

func alertUnanswered(answers, needed int) Alert {
	return Alert{Code: codeUnanswered, Text: fmt.Sprintf("nothing is signed: %d of %d other members have said how far this node has spoken", answers, needed),
		Hint: "conclave status names who is silent"}
}
