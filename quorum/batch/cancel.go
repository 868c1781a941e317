package batch

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

const (
	// MaxCancels bounds the CANCELs of one slot. Each is dearer than the one before; what eight do not free is not a matter of fees.
	MaxCancels = 8

	// cancelSteps is how many fee steps a CANCEL has above its offer at least: it is decided where fees were too low before.
	cancelSteps = 3

	// maxFeeBits bounds a fee in bits, as rendering does.
	maxFeeBits = 96
)

// Cancelled is a slot for which a CANCEL was decided: from then on nothing else is signed for it.
type Cancelled struct {
	Lane  quorum.LaneKey
	Nonce uint64
}

// signable is the highest price that may be signed for a decided transaction, whichever of its steps was.
type signable struct{ feeCap, tip uint256.Int }

func signableOf(b Batch) signable {
	_, tip := quorum.LastStep(b.Offer, b.Tip, b.FeeCap)
	return signable{b.FeeCap, tip}
}

// last is what was decided for the slot last.
func (p placed) last() common.Hash {
	if n := len(p.cancels); n > 0 {
		return p.cancels[n-1]
	}
	return p.batch
}

// viewedAs is the lane under which members' VIEWs show a lane's payer: its own, and for a coin that no lane pays in another of its chain.
func (s *State) viewedAs(lane quorum.LaneKey) *quorum.LaneKey {
	if shown, ok := s.ShownBy(lane); ok {
		lane = shown.Key(lane.Payer)
	}
	return &lane
}

// cancels: the slot was not released, somebody can sign for it, and the operators mean what was decided for it last.
func (s *State) cancels(c quorum.CancelSlot) error {
	p, ok := s.placed[slotAt{c.Lane.Nonces(), c.Nonce}]
	switch {
	case !ok:
		return invalid("nonce %d is no decided slot, or was released", c.Nonce)
	case c.Lane != p.lane:
		return invalid("nonce %d is of another lane", c.Nonce)
	case c.Batch != p.last():
		return invalid("nonce %d was given to batch %s", c.Nonce, p.last())
	case len(p.cancels) >= MaxCancels:
		return invalid("nonce %d has %d CANCELs already", c.Nonce, MaxCancels)
	}
	if _, _, ok := s.Paying(c.Lane.Payer); !ok {
		return invalid("nobody signs for payer %s any more", c.Lane.Payer)
	}
	return nil
}

// validCancel checks a CANCEL: the operators' word on this very slot, members that do not see its nonce final, and the one price that
// replaces whatever was signed for it. A proposer chooses nothing but the VIEWs, which are not older than the operators' word.
func (s *State) validCancel(b Batch, views []quorum.View, median uint64) error {
	if len(b.Items)+len(b.Rejects) != 0 {
		return invalid("a CANCEL pays nobody")
	}
	v, _, err := s.signedAction(b)
	if err != nil {
		return err
	}
	if word, ok := v.Body().(quorum.CancelSlot); !ok || word.Lane != b.Lane || word.Nonce != b.Nonce {
		return invalid("the operators cancel another slot")
	}
	if median+staleViews < max(s.Time, v.Time()) {
		return invalid("the views are more than %d s older than the last decision, or than the operators' word", staleViews/1000)
	}
	lanes := make([]quorum.LaneView, len(views))
	for i, v := range views {
		lv, ok := v.Lane(*s.viewedAs(b.Lane))
		if !ok {
			return invalid("view %d has no data for the lane", i)
		}
		lanes[i] = lv
	}
	if nonce := medianNonce(lanes); nonce > b.Nonce {
		return invalid("nonce %d is final already, the members saw %d", b.Nonce, nonce)
	}
	want := s.cancelTerms(b.Lane, b.Nonce, lanes)
	if b.Offer != want.Offer || b.Tip != want.Tip || b.FeeCap != want.FeeCap || b.GasLimit != want.GasLimit {
		return invalid("fees or gas limit are not those of a CANCEL of this slot")
	}
	if b.FeeCap.BitLen() > maxFeeBits {
		return invalid("a fee above 2^%d wei", maxFeeBits)
	}
	return s.coversCancel(b, lanes)
}

// cancelTerms is what a CANCEL offers: what the policy's formula gives, as far as its ceiling, and in any case a step above all that
// may have been signed for the slot, both prices, with [cancelSteps] more up to its cap. Only these steps pass the policy's ceiling:
// a slot that the ceiling itself holds up could not be freed otherwise, and each CANCEL takes q operators.
func (s *State) cancelTerms(lane quorum.LaneKey, nonce uint64, lanes []quorum.LaneView) Batch {
	p := s.placed[slotAt{lane.Nonces(), nonce}]
	b, ok := s.terms(lane, lanes)
	if !ok {
		b.Offer, b.FeeCap = s.Policy.Fees.FeeCeiling, s.Policy.Fees.FeeCeiling
	}
	b.GasLimit = s.Policy.Fees.GasLimit // it moves no token
	b.Offer = larger(b.Offer, quorum.FeeStep(p.fees.feeCap))
	b.Tip = larger(b.Tip, quorum.FeeStep(p.fees.tip))
	top := b.Offer
	for range cancelSteps {
		top = quorum.FeeStep(top)
	}
	b.FeeCap = larger(b.FeeCap, top)
	return b
}

// coversCancel checks that the payer can pay the CANCEL's gas beside what every other slot may take: it takes the nonce of what it replaces.
func (s *State) coversCancel(b Batch, lanes []quorum.LaneView) error {
	var gas uint256.Int
	if _, over := gas.MulOverflow(&b.FeeCap, uint256.NewInt(b.GasLimit)); over {
		return invalid("gas cost overflows")
	}
	native := make([]uint256.Int, len(lanes))
	for i, lv := range lanes {
		_, native[i] = s.leftBeside(b.Lane, lv, b.Nonce)
	}
	if have := medianAmount(native); gas.Gt(&have) {
		return invalid("the payer's coin does not cover the CANCEL's gas: %s wei, %s are left", gas.Dec(), have.Dec())
	}
	return nil
}

// applyCancel adds a CANCEL to its slot. Whichever of its transactions is mined, the slot takes at most the larger gas and its value.
func (s *State) applyCancel(b Batch, id common.Hash) *Cancelled {
	at, k := slotAt{b.Lane.Nonces(), b.Nonce}, b.Lane.Nonces()
	p := s.placed[at]
	if len(p.cancels) == 0 {
		s.another(p)
	}
	p.cancels, p.fees = append(slices.Clone(p.cancels), id), signableOf(b)
	s.placed[at] = p
	cost := &s.slots[k][b.Nonce-s.first[k]]
	cost.Gas = larger(cost.Gas, costOf(b).Gas)
	return &Cancelled{Lane: b.Lane, Nonce: b.Nonce}
}

// another takes back that a slot was one of few: what never left the payer may be decided once more.
func (s *State) another(p placed) {
	switch {
	case p.kind == Sweep && s.Old != nil && p.lane.Payer == s.Old.Payer:
		s.Old.swept[p.lane]--
	case p.kind == Allow:
		was := s.allows[p.lane]
		was.times = max(0, was.times-1) // a new policy may have begun to count anew
		s.allows[p.lane] = was
	}
}

// cancel fills in what a CANCEL of a slot offers, by the views of its frame.
func (f *frame) cancel(s *State, word quorum.CancelSlot) error {
	lanes := make([]quorum.LaneView, len(f.views))
	for i, v := range f.views {
		lanes[i], _ = v.Lane(*s.viewedAs(word.Lane))
	}
	if err := s.cancels(word); err != nil {
		return err
	}
	terms := s.cancelTerms(word.Lane, word.Nonce, lanes)
	f.Offer, f.Tip, f.FeeCap, f.GasLimit = terms.Offer, terms.Tip, terms.FeeCap, terms.GasLimit
	f.Lane, f.Nonce = word.Lane, word.Nonce
	return nil
}

func larger(a, b uint256.Int) uint256.Int {
	if a.Lt(&b) {
		return b
	}
	return a
}
