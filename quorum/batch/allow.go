package batch

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// The contract of a lane takes the tokens of a batch out of the payer's allowance, which only a transaction of the payer can give. An
// ALLOW is the decision of that transaction: approve(the lane's contract, 2^256 − 1) on the lane's token. It carries nothing to choose:
// chain, token and payer are its lane's, the contract is the genesis document's. Nobody signs for it, for the operators signed that
// document; members show a lane in their VIEWs only where its contract has the code that they know.
//
// Whether it did what it should is not asked of its receipt, for a token may answer anything: members see the allowance itself, at
// their final blocks. Until q of them show enough of it, the lane pays one by one.

// MaxAllows bounds the ALLOWs of a lane under one policy: a token that refuses three times does not take a fourth one, and each costs
// gas. Operators who know better reissue the policy.
const MaxAllows = 3

// allowed is what was decided about a lane's allowance.
type allowed struct {
	times int    // under the policy in force
	last  uint64 // nonce of the last one
}

// errAllowed means that a lane has its allowance, needs none, or is about to get it.
var errAllowed = fmt.Errorf("%w: the lane needs no ALLOW now", ErrInvalid)

// needsAllowance reports whether a lane's contract takes what it pays out of the payer's allowance.
func needsAllowance(l quorum.Lane) bool {
	return l.Way == quorum.WayBatch && l.Token != (common.Address{})
}

// validAllow: the lane needs it, and it is the one transaction that gives it.
func (s *State) validAllow(b Batch, views []quorum.View, median uint64) error {
	lane, ok := s.LaneOf(b.Lane)
	switch {
	case len(b.Items)+len(b.Rejects) != 0:
		return invalid("an ALLOW pays nobody")
	case len(b.Action) != 0:
		return invalid("an ALLOW with an action")
	case median+staleViews < s.Time:
		return invalid("the views are more than %d s older than the last decision", staleViews/1000)
	case !ok || !needsAllowance(lane):
		return invalid("no lane of this chain, token and payer needs an allowance")
	}
	want, err := s.allowOf(b.Lane, views)
	switch {
	case err != nil:
		return err
	case b.Nonce != want.Nonce:
		return invalid("nonce %d, next is %d", b.Nonce, want.Nonce)
	case b.Offer != want.Offer || b.Tip != want.Tip || b.FeeCap != want.FeeCap || b.GasLimit != want.GasLimit:
		return invalid("fees or gas limit are not what the policy's formula gives")
	}
	return nil
}

// allowOf is the ALLOW that may be decided for a lane now, by what q members see, in the fields of its batch. It fails with
// [errAllowed] where none is wanted.
func (s *State) allowOf(key quorum.LaneKey, views []quorum.View) (b Batch, err error) {
	lanes := make([]quorum.LaneView, len(views))
	for i, v := range views {
		lv, ok := v.Lane(key)
		if !ok {
			return b, invalid("view %d has no data for the lane", i)
		}
		lanes[i] = lv
	}
	if !s.lacksAllowance(key, lanes) {
		return b, errAllowed
	}
	if was := s.allows[key]; was.times >= MaxAllows {
		return b, invalid("%d ALLOWs under this policy gave no allowance: the token refuses them", was.times)
	}
	b, ok := s.terms(key, lanes)
	if !ok {
		return b, invalid("the chain's fees are above the policy's ceiling")
	}
	b.Nonce = s.next[key.Nonces()]
	if err := s.turn(b.Nonce, lanes); err != nil {
		return b, err
	}
	var gas uint256.Int
	if _, over := gas.MulOverflow(&b.FeeCap, uint256.NewInt(b.GasLimit)); over {
		return b, invalid("gas cost overflows")
	}
	if _, have := s.purse(key, lanes); gas.Gt(&have) {
		return b, invalid("the payer's coin does not cover the gas of an ALLOW: %s wei, %s are left", gas.Dec(), have.Dec())
	}
	return b, nil
}

// lacksAllowance reports whether the contract may take nothing at all, in the lower median of what members saw. Where the last ALLOW was
// not final yet, it counts as given: nobody's lag makes another one. It is never asked for while something is allowed: some
// tokens want zero in between.
func (s *State) lacksAllowance(key quorum.LaneKey, lanes []quorum.LaneView) bool {
	seen := make([]uint256.Int, len(lanes))
	was, ever := s.allows[key]
	for i, lv := range lanes {
		if seen[i] = lv.Allowance; ever && lv.Nonce <= was.last {
			seen[i].SetAllOne()
		}
	}
	median := medianAmount(seen)
	return median.IsZero()
}

// mayTake is what the lane's contract may take for another batch: the lower median of what members saw, less the value of every slot of
// the token that was not final there.
func (s *State) mayTake(key quorum.LaneKey, lanes []quorum.LaneView) uint256.Int {
	all := make([]uint256.Int, len(lanes))
	for i, lv := range lanes {
		all[i] = lv.Allowance
		for _, c := range s.open(key, lv) {
			if c.Token == key.Token {
				take(&all[i], &c.Value)
			}
		}
	}
	return medianAmount(all)
}

// open are the slots of a lane's sequence that were not final in a view.
func (s *State) open(key quorum.LaneKey, lv quorum.LaneView) []Cost {
	k := key.Nonces()
	return s.slots[k][min(lv.Nonce-min(lv.Nonce, s.first[k]), uint64(len(s.slots[k]))):]
}

// within checks that the lane's contract may take what a batch pays. One item is paid without it.
func (s *State) within(b Batch, lanes []quorum.LaneView, value uint256.Int) error {
	if len(b.Items) < 2 || b.Lane.Token == (common.Address{}) {
		return nil
	}
	if may := s.mayTake(b.Lane, lanes); value.Gt(&may) {
		return invalid("the lane's contract may take %s of the payer's tokens, the batch pays %s", may.Dec(), value.Dec())
	}
	return nil
}

// applyAllow takes over an ALLOW: its slot moves nothing.
func (s *State) applyAllow(b Batch) *Slot {
	slot := &Slot{Lane: b.Lane, Nonce: b.Nonce, Cost: costOf(b)}
	k := b.Lane.Nonces()
	s.slots[k], s.next[k] = append(s.slots[k], slot.Cost), b.Nonce+1
	s.allows[b.Lane] = allowed{s.allows[b.Lane].times + 1, b.Nonce}
	return slot
}

// allowAnew: under a new policy a lane is tried again.
func (s *State) allowAnew() {
	for key, was := range s.allows {
		s.allows[key] = allowed{0, was.last}
	}
}

// BuildAllow makes the ALLOW of the first lane that needs one and can have it. The error says what stands in its way.
func (s *State) BuildAllow(views []quorum.Signed[quorum.View]) (Batch, error) {
	why := errAllowed
	for _, key := range s.LaneKeys() {
		lane, _ := s.LaneOf(key)
		if !needsAllowance(lane) {
			continue
		}
		b, err := s.buildAllow(key, views)
		switch {
		case err == nil:
			return b, nil
		case !errors.Is(err, errAllowed):
			why = fmt.Errorf("%q: %w", lane.Network, err)
		}
	}
	return Batch{}, why
}

func (s *State) buildAllow(key quorum.LaneKey, views []quorum.Signed[quorum.View]) (Batch, error) {
	f := s.frame(Allow, s.freshest(views, &key))
	if f == nil {
		return Batch{}, invalid("fewer than %d members show a view of the lane", s.Roster.Q())
	}
	b, err := s.allowOf(key, f.views)
	if err != nil {
		return Batch{}, err
	}
	f.Lane, f.Nonce, f.Offer, f.Tip, f.FeeCap, f.GasLimit = key, b.Nonce, b.Offer, b.Tip, b.FeeCap, b.GasLimit
	return f.Batch, s.Valid(f.Batch)
}

// AllowRefused says why a lane of which a member saw so much gets no ALLOW although its contract may take nothing: the last ones
// changed nothing. Nil while there is hope.
func (s *State) AllowRefused(view quorum.LaneView) error {
	lane, ok := s.LaneOf(view.Lane)
	was, ever := s.allows[view.Lane]
	if !ok || !needsAllowance(lane) || !ever || !s.lacksAllowance(view.Lane, []quorum.LaneView{view}) {
		return nil
	}
	return fmt.Errorf("the ALLOW at nonce %d is final and gave none; %d of at most %d were decided under this policy", was.last, was.times, MaxAllows)
}
