package batch

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Funds is what a lane's payer has for its queue, by one member's look at the chain, and what the queue would take at
// worst. On a lane of the chain's coin both payouts and gas come out of the coin, and the token's half is zero.
type Funds struct {
	Queue     int         // certified withdrawals that the lane pays
	Token     uint256.Int // of the lane's token, less what slots that are not final may take
	TokenNeed uint256.Int
	Coin      uint256.Int
	CoinNeed  uint256.Int // of every lane of the chain: their payouts share one purse
}

// Low reports whether the queue is not covered.
func (f Funds) Low() bool { return f.TokenNeed.Gt(&f.Token) || f.CoinNeed.Gt(&f.Coin) }

// FundsFor compares what a view of a lane shows with the queue. Withdrawals that a governor holds back count: they are owed.
func (s *State) FundsFor(candidates []Candidate, view quorum.LaneView) (f Funds) {
	native := view.Lane.Token == (common.Address{})
	token, coin := s.left(view.Lane, view)
	f.Coin = coin
	if !native {
		f.Token = token
	}
	waiting := map[quorum.LaneKey]int{}
	for _, c := range s.withResolved(candidates) {
		lane, ok := s.laneFor(c.Content)
		if !ok || !c.pays() || lane.Nonces() != view.Lane.Nonces() {
			continue
		}
		waiting[lane]++
		if lane.Token == (common.Address{}) {
			saturate(&f.CoinNeed, &c.Content.Amount)
		}
		if lane == view.Lane {
			f.Queue++
			if !native {
				saturate(&f.TokenNeed, &c.Content.Amount)
			}
		}
	}
	for _, lane := range s.LaneKeys() {
		gas := s.gasOf(lane, waiting[lane], view)
		saturate(&f.CoinNeed, &gas)
	}
	return f
}

// gasOf is the most that the gas of n payouts may cost at the base fee of a view, in as few transactions as the lane needs.
// While no offer is within the policy's ceiling, it is what the ceiling allows.
func (s *State) gasOf(key quorum.LaneKey, n int, view quorum.LaneView) (wei uint256.Int) {
	lane, ok := s.LaneOf(key)
	if n == 0 || !ok {
		return wei
	}
	most := s.mostItems(lane)
	gas := uint64(n/most) * s.gasLimit(key, most)
	if rest := n % most; rest > 0 {
		gas += s.gasLimit(key, rest)
	}
	terms, ok := s.terms(key, []quorum.LaneView{view})
	if !ok {
		terms.FeeCap = s.Policy.Fees.FeeCeiling
	}
	if _, over := wei.MulOverflow(&terms.FeeCap, uint256.NewInt(gas)); over {
		wei.SetAllOne()
	}
	return wei
}

// saturate adds up to the largest amount.
func saturate(sum, v *uint256.Int) {
	if _, over := sum.AddOverflow(sum, v); over {
		sum.SetAllOne()
	}
}
