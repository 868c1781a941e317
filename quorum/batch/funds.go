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
	for _, c := range s.withResolved(candidates) {
		lane, ok := s.laneFor(c.Content)
		if !ok || !c.pays() || lane.Nonces() != view.Lane.Nonces() {
			continue
		}
		gas := s.gasOf(lane, view)
		saturate(&f.CoinNeed, &gas)
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
	return f
}

// gasOf is the most that one payout's gas may cost at the base fee of a view. While no offer is within the policy's
// ceiling, it is what the ceiling allows.
func (s *State) gasOf(lane quorum.LaneKey, view quorum.LaneView) (wei uint256.Int) {
	terms, ok := s.terms(lane, []quorum.LaneView{view})
	if !ok {
		terms.FeeCap = s.Policy.Fees.FeeCeiling
	}
	if _, over := wei.MulOverflow(&terms.FeeCap, uint256.NewInt(terms.GasLimit)); over {
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
