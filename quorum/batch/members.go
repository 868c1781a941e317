package batch

import (
	"errors"
	"fmt"

	"conclave/quorum"
)

// members decodes and verifies what a MEMBERS batch at the next height carries: the ceremony's proofs and, but for the founding
// decision, the operators' word that allows them.
func (s *State) members(b Batch) (quorum.MembersAction, quorum.Roster, error) {
	action, err := quorum.DecodeMembersAction(b.Action)
	if err != nil {
		return action, quorum.Roster{}, invalid("action: %v", err)
	}
	roster, err := action.Verify(s.Network)
	if err != nil {
		return action, roster, invalid("action: %v", err)
	}
	if roster.Epoch != s.Roster.Epoch+1 {
		return action, roster, invalid("epoch %d does not follow %d", roster.Epoch, s.Roster.Epoch)
	}
	if !s.Founded() {
		return action, roster, s.founds(action, roster)
	}
	if s.rekeying(action) {
		return action, roster, s.rekeys(action, roster)
	}
	return action, roster, s.succeeds(action, roster, b.Time)
}

// founds: the committee of the genesis document, which all its operators signed, and nobody else's word.
func (s *State) founds(action quorum.MembersAction, roster quorum.Roster) error {
	if len(action.Change) != 0 {
		return invalid("the founding decision carries a change of members")
	}
	if err := sameMembers(roster.Members, s.Roster.Members); err != nil {
		return invalid("founding members: %v", err)
	}
	return nil
}

// succeeds: the same key, and exactly the committee that q operators of the epoch in force signed for.
func (s *State) succeeds(action quorum.MembersAction, roster quorum.Roster, at uint64) error {
	signed, ok, err := action.Proposal()
	if err != nil || !ok {
		return invalid("a change of members without the operators' proposal: %v", err)
	}
	v, err := signed.Verify(s.Network, s.Roster)
	if err != nil {
		return invalid("proposal: %v", err)
	}
	if err := s.CheckAction(v); err != nil {
		return err
	}
	change, ok := v.Body().(quorum.MemberChange)
	if !ok {
		return invalid("the proposal is a %s", v.Action().Kind)
	}
	if err := sameMembers(roster.Members, change.Members); err != nil {
		return invalid("proposed members: %v", err)
	}
	if action.Transcript.PublicKey != s.Key {
		return invalid("the ceremony made another key than the one that pays")
	}
	return timely(v, at)
}

func sameMembers(a, b []quorum.Member) error {
	if len(a) != len(b) {
		return errors.New("others, or not so many")
	}
	for i := range a {
		if quorum.MemberDigest(a[i]) != quorum.MemberDigest(b[i]) {
			return fmt.Errorf("%s is another, or another's record", a[i].Address)
		}
	}
	return nil
}

// changes says what is wrong with a proposed committee, as seen from the one in force.
func (s *State) changes(m quorum.MemberChange) error {
	if _, err := m.Roster(s.Roster.Epoch); err != nil {
		return invalid("%v", err)
	}
	if s.Old != nil {
		return invalid("the old payer %s is not empty yet: a change of members would lose its key", s.Old.Payer)
	}
	return nil
}

// ActiveChange is the change of members that is carried out: of those that q operators signed in time, the one with the
// highest serial. ok is false when there is none.
func (s *State) ActiveChange(open []quorum.VerifiedAction, now uint64) (active quorum.VerifiedAction, ok bool) {
	for _, v := range open {
		if v.Action().Kind != quorum.ActionMembers || s.CheckAction(v) != nil {
			continue
		}
		if v = v.Within(Timeliness(now)); len(v.Operators()) < s.Roster.Q() {
			continue
		}
		// Two with one serial: each member must take the same one, whatever it heard first.
		if a, b := active.Action(), v.Action(); !ok || b.Serial > a.Serial ||
			(b.Serial == a.Serial && b.Hash(s.Network).Cmp(a.Hash(s.Network)) > 0) {
			active, ok = v, true
		}
	}
	return active, ok
}
