package quorum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// checkWay checks that a lane has what its way of paying needs, and nothing else.
func (l Lane) checkWay() error {
	none := l.Contract == (common.Address{})
	switch {
	case l.Way != WaySingle && l.Way != WayBatch:
		return fmt.Errorf("way %q is not supported by this version, want %q or %q", l.Way, WaySingle, WayBatch)
	case l.Way == WaySingle && !none:
		return fmt.Errorf("a payout contract has no use with way %q", l.Way)
	case l.Way == WayBatch && none:
		return fmt.Errorf("way %q needs the payout contract's address", l.Way)
	case !none && (l.Contract == l.Token || l.Contract == l.DepositAddress || l.Contract == l.BenefitContract):
		return errors.New("the payout contract is an address of its own")
	}
	return nil
}
