package batch

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// Candidate is a certified withdrawal that no decision holds yet. Exactly one of the certificates is set.
type Candidate struct {
	Content quorum.Content
	Pay     *quorum.Certificate
	Refuse  *quorum.RefusalCertificate
}

// certified is when the candidate was certified, by its signers' clocks.
func (c Candidate) certified() uint64 {
	if c.Pay != nil {
		return c.Pay.MedianTime()
	}
	return c.Refuse.Unchecked().MedianTime()
}

// Build makes the batch of the next height from what a proposer holds: the oldest certified withdrawal that can be paid
// now, and every reject. ok is false when there is nothing to decide. The result is valid by construction and by check.
func (s *State) Build(candidates []Candidate, views []quorum.Signed[quorum.View]) (Batch, bool) {
	if !s.Founded() {
		return Batch{}, false
	}
	sorted := slices.Clone(candidates)
	sort.SliceStable(sorted, func(i, j int) bool {
		if a, b := sorted[i].certified(), sorted[j].certified(); a != b {
			return a < b
		}
		return sorted[i].Content.WID < sorted[j].Content.WID
	})
	for _, c := range sorted {
		if c.Pay == nil {
			continue
		}
		// Views without this lane's data are passed over here: one member whose endpoints are down must not stop payouts.
		lane, _ := s.laneFor(c.Content)
		if chosen := s.freshest(views, &lane); chosen != nil {
			if b, err := s.withItem(s.withRejects(chosen, sorted), c, lane, chosen); err == nil {
				return b, true
			}
		}
	}
	chosen := s.freshest(views, nil)
	if chosen == nil {
		return Batch{}, false
	}
	b := s.withRejects(chosen, sorted)
	return b, len(b.Rejects) > 0
}

// WhyNot says why a candidate cannot be decided now, for people; nil when it can. The answer is that of this moment.
func (s *State) WhyNot(c Candidate, views []quorum.Signed[quorum.View]) error {
	if !s.Founded() {
		return errors.New("the committee has no key yet")
	}
	if c.Pay == nil {
		return nil
	}
	lane, ok := s.laneFor(c.Content)
	if !ok {
		return fmt.Errorf("no lane pays on %q", c.Content.Network)
	}
	chosen := s.freshest(views, &lane)
	if chosen == nil {
		return fmt.Errorf("fewer than %d members show a view of %q", s.Roster.Q(), c.Content.Network)
	}
	_, err := s.withItem(s.frame(Payout, chosen), c, lane, chosen)
	return err
}

// BuildMembers makes the founding batch from the ceremony's proofs.
func (s *State) BuildMembers(action quorum.MembersAction, views []quorum.Signed[quorum.View]) (Batch, error) {
	chosen := s.freshest(views, nil)
	if chosen == nil {
		return Batch{}, invalid("fewer than %d views", s.Roster.Q())
	}
	raw, err := rlp.EncodeToBytes(action)
	if err != nil {
		return Batch{}, err
	}
	b := s.frame(Members, chosen)
	b.Action = raw
	return b, s.Valid(b)
}

// frame fills what every batch of the next height has.
func (s *State) frame(kind Kind, views []quorum.Signed[quorum.View]) Batch {
	b := Batch{Epoch: s.Roster.Epoch, Height: s.Height + 1, Previous: s.Previous, Kind: kind}
	times := make([]uint64, len(views))
	for i, v := range views {
		b.Views = append(b.Views, v.Bytes())
		times[i] = v.Body().Time
	}
	b.Time = max(s.Time, quorum.LowerMedian(times))
	return b
}

// freshest returns the q most recent views of distinct members of the epoch, with data for lane unless it is nil,
// ascending by signer; nil when there are fewer.
func (s *State) freshest(views []quorum.Signed[quorum.View], lane *quorum.LaneKey) []quorum.Signed[quorum.View] {
	latest := map[common.Address]quorum.Signed[quorum.View]{}
	for _, v := range views {
		if v.Body().Epoch != s.Roster.Epoch || !s.Roster.IDs().Has(v.Signer()) {
			continue
		}
		if lane != nil {
			if _, ok := v.Body().Lane(*lane); !ok {
				continue
			}
		}
		if old, ok := latest[v.Signer()]; !ok || old.Body().Time < v.Body().Time {
			latest[v.Signer()] = v
		}
	}
	var out []quorum.Signed[quorum.View]
	for _, id := range s.Roster.IDs() {
		if v, ok := latest[id]; ok {
			out = append(out, v)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Body().Time > out[j].Body().Time })
	if len(out) < s.Roster.Q() {
		return nil
	}
	out = out[:s.Roster.Q()]
	slices.SortFunc(out, func(a, b quorum.Signed[quorum.View]) int {
		x, y := a.Signer(), b.Signer()
		return bytes.Compare(x[:], y[:])
	})
	return out
}

// withRejects is a frame with as many certified rejects as fit and are valid.
func (s *State) withRejects(views []quorum.Signed[quorum.View], sorted []Candidate) Batch {
	b := s.frame(Payout, views)
	for _, c := range sorted {
		if c.Refuse == nil || len(b.Rejects) == MaxRejects {
			continue
		}
		next := b
		next.Rejects = append(slices.Clone(b.Rejects), Reject{c.Content, c.Refuse.Unchecked()})
		slices.SortFunc(next.Rejects, func(x, y Reject) int { return cmp.Compare(x.Content.WID, y.Content.WID) })
		if s.Valid(next) == nil {
			b = next
		}
	}
	return b
}

// withItem adds the item and its transaction; it fails with the rule that the result would break.
func (s *State) withItem(b Batch, c Candidate, lane quorum.LaneKey, views []quorum.Signed[quorum.View]) (Batch, error) {
	seen := make([]quorum.LaneView, len(views))
	for i, v := range views {
		seen[i], _ = v.Body().Lane(lane)
	}
	terms, _ := s.terms(lane, seen) // Valid names a fee above the ceiling
	b.Offer, b.Tip, b.FeeCap, b.GasLimit = terms.Offer, terms.Tip, terms.FeeCap, terms.GasLimit
	b.Lane, b.Nonce = lane, s.next[lane.Nonces()]
	b.Items = []Item{{c.Content, c.Pay.Unchecked()}}
	return b, s.Valid(b)
}

// laneFor returns the lane that pays a content.
func (s *State) laneFor(c quorum.Content) (quorum.LaneKey, bool) {
	for _, l := range s.Lanes {
		if l.Network == c.Network && l.Token == c.Token {
			return l.Key(s.Payer), true
		}
	}
	return quorum.LaneKey{}, false
}
