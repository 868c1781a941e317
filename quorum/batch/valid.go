package batch

import (
	"bytes"
	"math"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Valid says whether b may be decided at the next height: nil, or [ErrInvalid] with the rule that it breaks.
func (s *State) Valid(b Batch) error {
	if err := s.inTurn(b); err != nil {
		return err
	}
	views, err := openViews(s.Network, s.Roster, b)
	if err != nil {
		return err
	}
	return s.rules(b, views, true)
}

// inTurn checks that b is of this epoch and follows the last decision.
func (s *State) inTurn(b Batch) error {
	switch {
	case b.Epoch != s.Roster.Epoch:
		return invalid("epoch %d, in force is %d", b.Epoch, s.Roster.Epoch)
	case b.Height != s.Height+1:
		return invalid("height %d, next is %d", b.Height, s.Height+1)
	case b.Previous != s.Previous:
		return invalid("previous is not the decision of height %d", s.Height)
	case len(b.Releases) != 0 && b.Kind != Payout:
		return invalid("a %s releases nothing", b.Kind)
	}
	return nil
}

// rules are Valid without the frame and the views' signatures. prove says whether certificates must still be proven: a
// proposer looks for what fits among certificates that it verified before, and recovers no signature a thousand times.
func (s *State) rules(b Batch, views []quorum.View, prove bool) error {
	median := medianTime(views)
	if b.Time != max(s.Time, median) {
		return invalid("time %d is not the larger of the previous time and the views' median", b.Time)
	}
	switch b.Kind {
	case Payout:
		return s.validPayout(b, views, median, prove)
	case Members:
		return s.validMembers(b)
	case Policy, Resume, Resolve:
		return s.validAction(b)
	case Sweep:
		return s.validSweep(b, views, median)
	case Cancel:
		return s.validCancel(b, views, median)
	case Allow:
		return s.validAllow(b, views, median)
	}
	return invalid("unknown %s", b.Kind)
}

// openViews opens the carried VIEWs: exactly q, of distinct members of the epoch in force, ascending.
func openViews(network common.Hash, roster quorum.Roster, b Batch) ([]quorum.View, error) {
	if len(b.Views) != roster.Q() {
		return nil, invalid("%d views, want exactly %d", len(b.Views), roster.Q())
	}
	out := make([]quorum.View, len(b.Views))
	var last common.Address
	for i, raw := range b.Views {
		v, err := quorum.Open[quorum.View](network, roster.IDs(), raw)
		if err != nil {
			return nil, invalid("view %d: %v", i, err)
		}
		if v.Body().Epoch != roster.Epoch {
			return nil, invalid("view %d: of epoch %d", i, v.Body().Epoch)
		}
		signer := v.Signer()
		if i > 0 && bytes.Compare(last[:], signer[:]) >= 0 {
			return nil, invalid("view %d: signers are not ascending", i)
		}
		out[i], last = v.Body(), signer
	}
	return out, nil
}

func medianTime(views []quorum.View) uint64 {
	times := make([]uint64, len(views))
	for i, v := range views {
		times[i] = v.Time
	}
	return quorum.LowerMedian(times)
}

func (s *State) validMembers(b Batch) error {
	if len(b.Items)+len(b.Rejects) != 0 || !b.noTransaction() {
		return invalid("a MEMBERS batch pays nothing")
	}
	_, _, err := s.members(b)
	return err
}

// noTransaction reports whether every field of a transaction is zero.
func (b Batch) noTransaction() bool {
	return b.Lane == (quorum.LaneKey{}) && b.Nonce == 0 && b.GasLimit == 0 &&
		b.Offer.IsZero() && b.Tip.IsZero() && b.FeeCap.IsZero()
}

func (s *State) validPayout(b Batch, views []quorum.View, median uint64, prove bool) error {
	switch {
	case !s.Founded():
		return invalid("a PAYOUT before the committee has a key")
	case len(b.Action) != 0:
		return invalid("a PAYOUT with an action")
	case len(b.Items)+len(b.Rejects)+len(b.Releases) == 0:
		return invalid("a PAYOUT of nothing")
	case len(b.Items) > quorum.MaxItems:
		return invalid("%d items, at most %d", len(b.Items), quorum.MaxItems)
	case len(b.Rejects) > MaxRejects:
		return invalid("%d rejects, at most %d", len(b.Rejects), MaxRejects)
	}
	if err := s.validReleases(b, prove); err != nil {
		return err
	}
	if err := s.validEntries(b, median, prove); err != nil {
		return err
	}
	if len(b.Items) == 0 {
		if !b.noTransaction() {
			return invalid("a PAYOUT without items takes no nonce and offers no fee")
		}
		return nil
	}
	lane, ok := s.LaneOf(b.Lane)
	if !ok {
		return invalid("no lane has this chain, token and payer")
	}
	if most := s.mostItems(lane); len(b.Items) > most {
		return invalid("%d items, a transaction of %q pays at most %d", len(b.Items), lane.Network, most)
	}
	for _, it := range b.Items {
		if err := s.payable(it.Content, lane); err != nil {
			return err
		}
	}
	if err := s.validTransaction(b, views); err != nil {
		return err
	}
	return s.governed(b) // last: what it says of a withdrawal is then all that it waits for
}

// validEntries checks each item and reject against its certificate and against every decision below.
func (s *State) validEntries(b Batch, median uint64, prove bool) error {
	seen := &State{wids: map[uint64]bool{}, events: map[uint64]bool{}, messages: map[common.Hash]bool{}}
	for i, it := range b.Items {
		if i > 0 && b.Items[i-1].Content.WID >= it.Content.WID {
			return invalid("items are not ascending")
		}
		if err := s.validItem(it, seen, median, prove); err != nil {
			return err
		}
		seen.use(it.Content)
		seen.messages[it.Content.Message] = true
	}
	for i, r := range b.Rejects {
		if i > 0 && b.Rejects[i-1].Content.WID >= r.Content.WID {
			return invalid("rejects are not ascending")
		}
		c := r.Content
		if err := s.rejectDue(r, prove); err != nil {
			return err
		}
		if err := s.fresh(c, seen, r.Cert.MedianTime(), median); err != nil {
			return err
		}
		seen.use(c)
	}
	return nil
}

// validItem checks an item against its certificate, against the decisions below, and against what its batch holds already.
func (s *State) validItem(it Item, seen *State, median uint64, prove bool) error {
	c := it.Content
	if err := s.itemOwed(it, prove); err != nil {
		return err
	}
	if s.messages[c.Message] || seen.messages[c.Message] {
		return invalid("the message of withdrawal %d was paid before", c.WID)
	}
	return s.fresh(c, seen, it.Cert.MedianTime(), median)
}

// fresh checks that neither the withdrawal nor its event stands in any item or reject, below or in this batch, and that
// the views are not older than the certificate allows.
func (s *State) fresh(c quorum.Content, seen *State, certified, median uint64) error {
	if err := c.Check(); err != nil {
		return invalid("withdrawal %d: %v", c.WID, err)
	}
	switch {
	case s.history.Past(c.EventID, c.WID):
		return invalid("withdrawal %d is from before the cut-over and not carried: another wallet answered for it", c.WID)
	case s.wids[c.WID] || seen.wids[c.WID]:
		return invalid("withdrawal %d was decided before", c.WID)
	case s.events[c.EventID] || seen.events[c.EventID]:
		return invalid("event %d of withdrawal %d was decided before", c.EventID, c.WID)
	case certified > staleViews && median < certified-staleViews:
		return invalid("the views are more than %d s older than the certificate of withdrawal %d", staleViews/1000, c.WID)
	}
	return s.onceMore(c)
}

// validTransaction checks nonce, fees and funds against what q members saw.
func (s *State) validTransaction(b Batch, views []quorum.View) error {
	k := b.Lane.Nonces()
	if b.Nonce != s.next[k] {
		return invalid("nonce %d, next is %d", b.Nonce, s.next[k])
	}
	lanes := make([]quorum.LaneView, len(views))
	for i, v := range views {
		lv, ok := v.Lane(b.Lane)
		if !ok {
			return invalid("view %d has no data for the lane", i)
		}
		lanes[i] = lv
	}
	want, ok := s.terms(b.Lane, lanes)
	want.GasLimit = s.gasLimit(b.Lane, len(b.Items))
	if !ok {
		return invalid("the chain's fees are above the policy's ceiling")
	}
	if b.Offer != want.Offer || b.Tip != want.Tip || b.FeeCap != want.FeeCap || b.GasLimit != want.GasLimit {
		return invalid("fees or gas limit are not what the policy's formula gives")
	}
	if err := s.turn(b.Nonce, lanes); err != nil {
		return err
	}
	return s.covered(b, lanes)
}

// turn checks that a nonce may be taken now.
func (s *State) turn(next uint64, lanes []quorum.LaneView) error {
	nonce := medianNonce(lanes)
	if nonce > next {
		return invalid("the members saw nonce %d final, which no decision took", nonce)
	}
	if next-nonce >= s.Policy.InFlight {
		return invalid("%d slots are in flight already", next-nonce)
	}
	return nil
}

// covered checks that the batch's worst cost fits what the lower median of the members saw left over.
func (s *State) covered(b Batch, lanes []quorum.LaneView) error {
	value, ok := b.Value()
	if !ok {
		return invalid("amounts overflow")
	}
	var gas uint256.Int
	if _, over := gas.MulOverflow(&b.FeeCap, uint256.NewInt(b.GasLimit)); over {
		return invalid("gas cost overflows")
	}
	haveToken, haveGas := s.purse(b.Lane, lanes)
	need := gas
	if b.Lane.Token == (common.Address{}) {
		if _, over := need.AddOverflow(&gas, &value); over {
			return invalid("cost overflows")
		}
	} else if value.Gt(&haveToken) {
		return invalid("the payer's tokens do not cover the batch")
	}
	if need.Gt(&haveGas) {
		return invalid("the payer's balance does not cover the batch")
	}
	return s.within(b, lanes, value)
}

// purse is the lower median of what the members saw left over.
func (s *State) purse(lane quorum.LaneKey, lanes []quorum.LaneView) (token, native uint256.Int) {
	tokens, natives := make([]uint256.Int, len(lanes)), make([]uint256.Int, len(lanes))
	for i, lv := range lanes {
		tokens[i], natives[i] = s.left(lane, lv)
	}
	return medianAmount(tokens), medianAmount(natives)
}

// left is what one member saw of token and of native coin, less the worst cost of every slot that was not final there.
// Costs above the balance leave zero.
func (s *State) left(lane quorum.LaneKey, lv quorum.LaneView) (token, native uint256.Int) {
	return s.leftBeside(lane, lv, math.MaxUint64)
}

// leftBeside is left, where the slot of one nonce takes nothing.
func (s *State) leftBeside(lane quorum.LaneKey, lv quorum.LaneView, nonce uint64) (token, native uint256.Int) {
	token, native = lv.Balance, lv.Gas
	k := lane.Nonces()
	// From the first slot that was not final there: a network has paid many before.
	final := min(lv.Nonce-min(lv.Nonce, s.first[k]), uint64(len(s.slots[k])))
	for i, c := range s.slots[k][final:] {
		if s.first[k]+final+uint64(i) == nonce {
			continue
		}
		take(&native, &c.Gas)
		if c.Token == (common.Address{}) {
			take(&native, &c.Value)
		}
		if c.Token == lane.Token {
			take(&token, &c.Value)
		}
	}
	return token, native
}

// take subtracts down to zero.
func take(from, v *uint256.Int) {
	if _, under := from.SubOverflow(from, v); under {
		from.Clear()
	}
}

// terms is what the policy asks of a transaction that pays one item on a lane, from the lower median of the base fees seen. ok is false when
// that is above the policy's ceiling.
func (s *State) terms(lane quorum.LaneKey, lanes []quorum.LaneView) (b Batch, ok bool) {
	fees := make([]uint256.Int, len(lanes))
	for i, lv := range lanes {
		fees[i] = lv.BaseFee
	}
	b.Tip, b.Offer, b.FeeCap, ok = s.Policy.Fees.Offer(medianAmount(fees))
	b.GasLimit = s.gasLimit(lane, 1)
	return b, ok
}

func medianNonce(lanes []quorum.LaneView) uint64 {
	nonces := make([]uint64, len(lanes))
	for i, lv := range lanes {
		nonces[i] = lv.Nonce
	}
	return quorum.LowerMedian(nonces)
}

// medianAmount is the lower median of amounts.
func medianAmount(in []uint256.Int) uint256.Int {
	s := slices.Clone(in)
	slices.SortFunc(s, func(a, b uint256.Int) int { return a.Cmp(&b) })
	return s[(len(s)-1)/2]
}
