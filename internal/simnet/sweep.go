package simnet

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/node"
)

// dustWei is what may stay behind in a swept payer: less than the gas of a handful of payments.
const dustWei = 5_000_000_000_000_000

// Swept checks that a custodian pays with another key than the founding one, that nothing of a sweep goes on, and that the first payer
// holds no more than dust on any chain.
func (w *World) Swept(s node.Status) error {
	for _, l := range s.Lanes {
		if l.Payer == nil || *l.Payer == w.payer {
			return fmt.Errorf("%s is paid by the first payer", l.Network)
		}
	}
	return w.dust(w.payer)
}

func (w *World) dust(payer common.Address) error {
	left := []uint256.Int{w.Chain.Balance(payer), w.Chain.TokenBalance(payer)}
	if w.other != nil {
		left = append(left, w.other.chain.Balance(payer))
	}
	for _, v := range left {
		if v.GtUint64(dustWei) {
			return fmt.Errorf("the first payer holds %s wei", v.Dec())
		}
	}
	return nil
}
