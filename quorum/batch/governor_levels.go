package batch

import (
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Level is how one governor's bucket stands towards a payout.
type Level struct {
	Governor quorum.Bucket
	Left     uint256.Int // what the bucket holds
	Need     uint256.Int // what the payout takes from it: its amount, or the capacity if that is less
	Free     uint64      // unix ms of decided time at which it will hold enough; 0 when it does
}

// Levels are the buckets that a payout draws on, as they stand at the time that a batch of these views would have. ok is
// false when there are too few views, or no lane pays the content.
func (s *State) Levels(c quorum.Content, views []quorum.Signed[quorum.View]) (out []Level, ok bool) {
	lane, known := s.laneFor(c)
	f := s.frame(Payout, s.freshest(views, &lane))
	if !s.Founded() || !known || f == nil {
		return nil, false
	}
	d := s.governors.draft(f.Time)
	for _, k := range s.governors.bucketsOf(c, lane) {
		rule := s.governors.rules[k.rule]
		l := Level{Governor: rule, Left: s.governors.has(k, f.Time), Need: c.Amount}
		if l.Need.Gt(&rule.Capacity) {
			l.Need = rule.Capacity
		}
		if l.Left.Lt(&l.Need) {
			l.Free = d.free(k, l.Need)
		}
		out = append(out, l)
	}
	return out, true
}
