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

// Candidate is a certified withdrawal that no decision holds yet. Exactly one of the certificates is set, or neither when
// the operators resolved it.
type Candidate struct {
	Content quorum.Content
	Pay     *quorum.Certificate
	Refuse  *quorum.RefusalCertificate

	resolved *resolution
}

// pays reports whether the candidate asks for a payment.
func (c Candidate) pays() bool { return c.Pay != nil || (c.resolved != nil && c.resolved.Pay) }

// item is the candidate as a batch carries it.
func (c Candidate) item() Item {
	if c.resolved != nil {
		return Item{Content: c.Content}
	}
	return Item{c.Content, c.Pay.Unchecked()}
}

// reject is item for one that is never paid; ok is false for a payment.
func (c Candidate) reject() (r Reject, ok bool) {
	switch {
	case c.resolved != nil:
		return Reject{Content: c.Content}, !c.resolved.Pay
	case c.Refuse != nil:
		return Reject{c.Content, c.Refuse.Unchecked()}, true
	}
	return Reject{}, false
}

// certified is when the candidate was certified, by its signers' clocks.
func (c Candidate) certified() uint64 {
	if c.resolved != nil {
		return c.resolved.at
	}
	if c.Pay != nil {
		return c.Pay.MedianTime()
	}
	return c.Refuse.Unchecked().MedianTime()
}

// Build makes the batch of the next height from what a proposer holds: the oldest certified withdrawal that can be paid
// now, as many of its lane with it as one transaction pays, the oldest first, and every reject. ok is false when there is
// nothing to decide. The result is valid by construction and by check; its signatures were verified when they were heard, and are again
// by whoever is asked to decide it, the proposer too.
// What stopped names is left out: a proposer that may not sign it does not ask for it.
func (s *State) Build(candidates []Candidate, views []quorum.Signed[quorum.View], stopped ...func(quorum.Content) bool) (Batch, bool) {
	if !s.Founded() {
		return Batch{}, false
	}
	sorted := slices.DeleteFunc(oldestFirst(s.withResolved(candidates)), func(c Candidate) bool {
		return slices.ContainsFunc(stopped, func(f func(quorum.Content) bool) bool { return f(c.Content) })
	})
	if chosen := s.fill(sorted, views); chosen != nil {
		if b := chosen.batch(); s.inTurn(b) == nil && s.rules(b, chosen.views, false) == nil {
			return b, true
		}
	}
	f := s.frame(Payout, s.freshest(views, nil))
	f.addRejects(s, sorted)
	if f == nil || len(f.Rejects) == 0 {
		return Batch{}, false
	}
	return f.Batch, s.Valid(f.Batch) == nil
}

// fill gathers the items of the next transaction, on the lane of the oldest candidate that can be paid; nil when none can.
func (s *State) fill(sorted []Candidate, views []quorum.Signed[quorum.View]) (chosen *filler) {
	fillers, kept := map[quorum.LaneKey]*filler{}, queue{}
	for _, c := range sorted {
		lane, ok := s.laneFor(c.Content)
		if !c.pays() || !ok || (chosen != nil && chosen.key != lane) {
			continue
		}
		f, known := fillers[lane]
		if !known {
			// Views without this lane's data are passed over: one member whose endpoints are down must not stop payouts.
			fr := s.frame(Payout, s.freshest(views, &lane))
			fr.addRejects(s, sorted)
			f = s.filler(lane, fr)
			fillers[lane] = f
		}
		if f.add(c, kept) == nil {
			chosen = f
		}
		if f.full {
			break
		}
	}
	return chosen
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
	f := s.frame(Payout, s.freshest(views, &lane))
	if f == nil {
		return fmt.Errorf("fewer than %d members show a view of %q", s.Roster.Q(), c.Content.Network)
	}
	_, err := f.withItem(s, c, lane)
	return err
}

// BuildMembers makes the founding batch from the ceremony's proofs.
func (s *State) BuildMembers(action quorum.MembersAction, views []quorum.Signed[quorum.View]) (Batch, error) {
	f := s.frame(Members, s.freshest(views, nil))
	if f == nil {
		return Batch{}, invalid("fewer than %d views", s.Roster.Q())
	}
	raw, err := rlp.EncodeToBytes(action)
	if err != nil {
		return Batch{}, err
	}
	f.Action = raw
	return f.Batch, s.Valid(f.Batch)
}

// frame is what every batch of the next height has, with the views that it carries.
type frame struct {
	Batch
	views []quorum.View
}

// frame begins a batch on q views; nil without them.
func (s *State) frame(kind Kind, views []quorum.Signed[quorum.View]) *frame {
	if views == nil {
		return nil
	}
	f := &frame{Batch: Batch{Epoch: s.Roster.Epoch, Height: s.Height + 1, Previous: s.Previous, Kind: kind}}
	for _, v := range views {
		f.Views, f.views = append(f.Views, v.Bytes()), append(f.views, v.Body())
	}
	f.Time = max(s.Time, medianTime(f.views))
	return f
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

// addRejects adds as many certified rejects as fit and are valid. Each is tried alone, so that trying costs no square.
func (f *frame) addRejects(s *State, sorted []Candidate) {
	if f == nil {
		return
	}
	wids, events := map[uint64]bool{}, map[uint64]bool{}
	for _, c := range sorted {
		r, ok := c.reject()
		if !ok || wids[c.Content.WID] || events[c.Content.EventID] || len(f.Rejects) == MaxRejects {
			continue
		}
		alone := f.Batch
		alone.Rejects = []Reject{r}
		if s.rules(alone, f.views, false) != nil {
			continue
		}
		wids[c.Content.WID], events[c.Content.EventID] = true, true
		f.Rejects = append(f.Rejects, alone.Rejects[0])
	}
	slices.SortFunc(f.Rejects, func(x, y Reject) int { return cmp.Compare(x.Content.WID, y.Content.WID) })
}

// withItem is the frame with an item and its transaction; it fails with the rule that the result would break.
func (f *frame) withItem(s *State, c Candidate, lane quorum.LaneKey) (Batch, error) {
	if f == nil {
		return Batch{}, invalid("fewer than %d views of the lane", s.Roster.Q())
	}
	seen := make([]quorum.LaneView, len(f.views))
	for i, v := range f.views {
		seen[i], _ = v.Lane(lane)
	}
	b := f.Batch
	terms, _ := s.terms(lane, seen) // the rules name a fee above the ceiling
	b.Offer, b.Tip, b.FeeCap, b.GasLimit = terms.Offer, terms.Tip, terms.FeeCap, terms.GasLimit
	b.Lane, b.Nonce = lane, s.next[lane.Nonces()]
	b.Items = []Item{c.item()}
	return b, s.rules(b, f.views, false)
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
