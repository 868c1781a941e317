package batch

import (
	"math"

	"conclave/quorum"
)

// MaxAhead bounds how far above the running height operators may name the one in which a member votes again: two above is what
// q others would show, and a slip of a digit must not keep a member away for good.
const MaxAhead = 2

// readmits: the member is one, and the height is not decided and near. What was voted in it, decisions do not say.
func (s *State) readmits(r quorum.Readmit) error {
	switch {
	case !s.Roster.IDs().Has(r.Member):
		return invalid("%s is no member", r.Member)
	case r.Height <= s.Height:
		return invalid("height %d is decided", r.Height)
	case r.Height > s.Height+1+MaxAhead:
		return invalid("height %d is more than %d above the running one", r.Height, MaxAhead)
	}
	return nil
}

// readmitRipe is the time from which the operators' median counts: resume_delay after the quarantine began.
func (s *State) readmitRipe(r quorum.Readmit) uint64 {
	delay := uint64(s.Policy.ResumeDelay.Milliseconds())
	return r.Since + min(delay, math.MaxUint64-r.Since)
}

// Readmits checks the operators' word on a member's return at a time, unix ms by the clock of the member that would follow it:
// nothing else than that clock can bound the age of signatures that no decision carries. It returns the word with exactly q
// signatures, the last ones given.
func (s *State) Readmits(v quorum.VerifiedAction, at uint64) (quorum.VerifiedAction, error) {
	word, ok := v.Body().(quorum.Readmit)
	if !ok {
		return v, invalid("a %s readmits nobody", v.Action().Kind)
	}
	if _, err := s.acts(v); err != nil {
		return v, err
	}
	in := v.Within(Timeliness(at))
	signed, ok := in.Quorum(s.Roster.Q())
	if !ok {
		return v, invalid("%d operators signed in the last 7 days, %d are needed", len(in.Operators()), s.Roster.Q())
	}
	last, err := signed.Verify(s.Network, s.Roster)
	if err != nil {
		return v, err
	}
	if ripe := s.readmitRipe(word); last.Time() < ripe {
		return v, invalid("the operators signed at %s, the policy allows it from %s", timeText(last.Time()), timeText(ripe))
	}
	return last, nil
}
