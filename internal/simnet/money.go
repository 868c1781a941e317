package simnet

import (
	"fmt"
	"math/big"

	"github.com/holiman/uint256"
)

// Governor writes one token bucket of the policy. Amounts are coins.
func Governor(scope, capacity, refill, per string) (string, error) {
	full, err := Coins(capacity)
	if err != nil {
		return "", err
	}
	gain, err := Coins(refill)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("[[governor]]\nscope = %q\ncapacity = %q\nrefill = %q\nper = %q\n", scope, full.String(), gain.String(), per), nil
}

// TopUp sends coins to the payer from nobody.
func (w *World) TopUp(wei *big.Int) {
	amount := uint256.MustFromBig(wei)
	w.Chain.Fund(w.payer, *amount)
	w.funded.Add(&w.funded, amount)
}

// Steal takes coins from the payer without a transaction of its own. What is left must still be accounted for in the end.
func (w *World) Steal(wei *big.Int) error {
	amount := uint256.MustFromBig(wei)
	if err := w.Chain.Drain(w.payer, *amount); err != nil {
		return err
	}
	w.funded.Sub(&w.funded, amount)
	return nil
}
