package batch

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// mostItems is how many withdrawals one transaction of a lane pays, by the policy in force.
func (s *State) mostItems(lane quorum.Lane) int {
	if lane.Way != quorum.WayBatch {
		return 1
	}
	return int(s.Policy.Batches.Items(lane.Token != (common.Address{})))
}

// Full reports whether a batch holds as many items as one transaction of its lane pays.
func (s *State) Full(b Batch) bool {
	lane, ok := s.LaneOf(b.Lane)
	return ok && len(b.Items) >= s.mostItems(lane)
}

// gasLimit is what the policy gives a transaction that pays n items. One alone is a plain transfer on every lane.
func (s *State) gasLimit(lane quorum.LaneKey, n int) uint64 {
	token := lane.Token != (common.Address{})
	switch {
	case n > 1:
		return s.Policy.Batches.Gas(token, uint64(n))
	case token:
		return s.Policy.Fees.TokenGasLimit
	}
	return s.Policy.Fees.GasLimit
}

// payable checks that an item can stand in a lane's transaction.
func (s *State) payable(c quorum.Content, lane quorum.Lane) error {
	if c.Network != lane.Network || c.Token != lane.Token {
		return invalid("withdrawal %d is of another lane", c.WID)
	}
	// A payout to the payer or to nobody would break the books' conservation in silence.
	if c.To == (common.Address{}) || s.ownAddress(c.To) || c.Amount.IsZero() {
		return invalid("withdrawal %d has no payable destination or amount", c.WID)
	}
	return nil
}
