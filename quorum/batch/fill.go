package batch

import (
	"cmp"
	"errors"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// filler gathers the items of one transaction. What every item of a lane has in common is looked at once, and an item is
// weighed against sums: a thousand that wait cost a thousand looks, not a thousand judgements of a whole batch.
//
// What the payer cannot cover lets younger and smaller ones pass, as what a governor holds back does. An amount that waits
// for funds is in the alert about them; nothing else would help it.
type filler struct {
	s    *State
	lane quorum.Lane
	key  quorum.LaneKey
	*frame

	wall   error // why the lane pays nothing now
	median uint64
	most   int
	full   bool
	token  uint256.Int // what the payer has left
	coin   uint256.Int
	may    uint256.Int // that the lane's contract may take of the tokens
	value  uint256.Int // of the items
	seen   *State      // what the batch holds
	draft  draft
}

// errFull: what fits is in.
var errFull = errors.New("the transaction is full")

func (s *State) filler(key quorum.LaneKey, f *frame) *filler {
	out := &filler{s: s, key: key, frame: f}
	var ok bool
	if out.lane, ok = s.LaneOf(key); !ok {
		out.wall = invalid("no lane has this chain, token and payer")
		return out
	}
	if f == nil {
		out.wall = invalid("fewer than %d members show a view of %q", s.Roster.Q(), out.lane.Network)
		return out
	}
	lanes := make([]quorum.LaneView, len(f.views))
	for i, v := range f.views {
		lanes[i], _ = v.Lane(key)
	}
	terms, ok := s.terms(key, lanes)
	if !ok {
		out.wall = invalid("the chain's fees are above the policy's ceiling")
	}
	f.Offer, f.Tip, f.FeeCap = terms.Offer, terms.Tip, terms.FeeCap
	f.Lane, f.Nonce = key, s.next[key.Nonces()]
	if err := s.turn(f.Nonce, lanes); err != nil && out.wall == nil {
		out.wall = err
	}
	out.median, out.most, out.draft = medianTime(f.views), s.mostItems(out.lane), s.governors.draft(f.Time)
	out.token, out.coin = s.purse(key, lanes)
	if out.may = s.mayTake(key, lanes); needsAllowance(out.lane) && out.may.IsZero() {
		out.most = 1 // until it is allowed
	}
	out.seen = &State{wids: map[uint64]bool{}, events: map[uint64]bool{}, messages: map[common.Hash]bool{}}
	for _, r := range f.Rejects {
		out.seen.use(r.Content)
	}
	return out
}

// add takes a candidate in, unless a rule or an older one's governor forbids it.
func (f *filler) add(c Candidate, kept queue) error {
	if f.wall != nil {
		return f.wall
	}
	if len(f.Items) == f.most {
		f.full = true
		return errFull
	}
	it, value := c.item(), f.value
	if err := f.s.validItem(it, f.seen, f.median, false); err != nil {
		return err
	}
	if err := f.s.payable(c.Content, f.lane); err != nil {
		return err
	}
	if _, over := value.AddOverflow(&value, &c.Content.Amount); over || !f.affords(value, len(f.Items)+1) {
		return invalid("the payer's balance does not cover the batch")
	}
	buckets := f.s.governors.bucketsOf(c.Content, f.key)
	if queued := f.draft.refuses(buckets, c.Content.Amount); queued != nil {
		kept.keep(f.s, c, queued)
		return queued
	}
	if wid, behind := kept.behind(f.s, c, f.key); behind {
		return invalid("a governor's bucket is kept free for withdrawal %d", wid)
	}
	f.draft.draw(buckets, c.Content.Amount)
	f.seen.use(c.Content)
	f.seen.messages[c.Content.Message] = true
	f.Items, f.value = append(f.Items, it), value
	f.full = len(f.Items) == f.most
	return nil
}

// affords reports whether the payer has what a transaction of n items may cost.
func (f *filler) affords(value uint256.Int, n int) bool {
	var need uint256.Int
	_, over := need.MulOverflow(&f.FeeCap, uint256.NewInt(f.s.gasLimit(f.key, n)))
	if f.key.Token != (common.Address{}) {
		return !over && !value.Gt(&f.token) && !need.Gt(&f.coin) && (n < 2 || !value.Gt(&f.may))
	}
	_, over2 := need.AddOverflow(&need, &value)
	return !over && !over2 && !need.Gt(&f.coin)
}

// batch is the gathered one. Items came in the oldest first: where shares of the whole are too large, the youngest of what is
// too much leaves it.
func (f *filler) batch() Batch {
	b := f.Batch
	b.Items = slices.Clone(f.Items)
	for {
		over := f.s.overShare(b)
		if over < 0 {
			break
		}
		b.Items = slices.Delete(b.Items, over, over+1)
	}
	b.GasLimit = f.s.gasLimit(f.key, len(b.Items))
	slices.SortFunc(b.Items, func(x, y Item) int { return cmp.Compare(x.Content.WID, y.Content.WID) })
	return b
}
