package chain

import (
	"errors"
	"fmt"

	"github.com/holiman/uint256"
)

// maxPercent bounds the policy's multipliers: a hundredfold is far beyond any use and keeps products in 256 bits.
const maxPercent = 10_000

// maxPerGas bounds a price for one unit of gas, in wei: 2^96 is eighty billion ether, and what is multiplied with it
// stays far below 2^256.
var maxPerGas = new(uint256.Int).Lsh(uint256.NewInt(1), 96)

// ErrTooDear means that the formula's offer is above the policy's bound. The batch waits for a calmer chain.
var ErrTooDear = errors.New("chain: the offer is above the policy's bound")

// FeeRule is the policy's fee formula. With the median base fee b of the VIEWs, in wei for one unit of gas:
//
//	tip    = max(MinTip, ⌊b × TipPercent / 100⌋)
//	offer  = ⌊b × OfferPercent / 100⌋ + tip
//	feeCap = min(MaxFee, ⌊offer × CapPercent / 100⌋)
//
// An offer above MaxFee is no offer at all. Integers only: every node must compute the same bytes.
type FeeRule struct {
	MinTip       uint256.Int // wei; at least 1, because a tip of 0 is refused by common mempools
	TipPercent   uint64      // of the base fee; 0 leaves MinTip alone
	OfferPercent uint64      // of the base fee; at least 100, or no block would include the offer
	CapPercent   uint64      // of the offer; at least 100
	MaxFee       uint256.Int // wei; the most that one unit of gas may ever cost
}

// Fees are what one unit of gas may cost, in wei: Offer is maxFeePerGas of the first transaction, Tip its
// maxPriorityFeePerGas, FeeCap what no replacement exceeds.
type Fees struct {
	Offer, Tip, FeeCap uint256.Int
}

// Validate names the first thing that is wrong with the rule.
func (r FeeRule) Validate() error {
	switch {
	case r.MinTip.IsZero():
		return errors.New("fee rule: the least tip is 0")
	case r.TipPercent > maxPercent || r.OfferPercent > maxPercent || r.CapPercent > maxPercent:
		return fmt.Errorf("fee rule: a multiplier is above %d %%", maxPercent)
	case r.OfferPercent < 100:
		return fmt.Errorf("fee rule: an offer of %d %% is below the base fee", r.OfferPercent)
	case r.CapPercent < 100:
		return fmt.Errorf("fee rule: a cap of %d %% is below the offer", r.CapPercent)
	case r.MaxFee.Lt(&r.MinTip):
		return errors.New("fee rule: the bound is below the least tip")
	case r.MaxFee.Gt(maxPerGas):
		return errors.New("fee rule: the bound is above 2^96 wei")
	}
	return nil
}

// Quote applies the formula to a base fee in wei. It is a pure function: equal rules and base fees give equal fees.
func (r FeeRule) Quote(base uint256.Int) (Fees, error) {
	if err := r.Validate(); err != nil {
		return Fees{}, err
	}
	if base.Gt(&r.MaxFee) {
		return Fees{}, fmt.Errorf("%w: base fee %s, bound %s", ErrTooDear, base.Dec(), r.MaxFee.Dec())
	}

	var f Fees
	f.Tip = percent(base, r.TipPercent)
	if f.Tip.Lt(&r.MinTip) {
		f.Tip = r.MinTip
	}
	f.Offer = percent(base, r.OfferPercent)
	f.Offer.Add(&f.Offer, &f.Tip)
	if f.Offer.Gt(&r.MaxFee) {
		return Fees{}, fmt.Errorf("%w: offer %s, bound %s", ErrTooDear, f.Offer.Dec(), r.MaxFee.Dec())
	}

	f.FeeCap = percent(f.Offer, r.CapPercent)
	if f.FeeCap.Gt(&r.MaxFee) {
		f.FeeCap = r.MaxFee
	}
	return f, nil
}

// percent is ⌊v × p / 100⌋. The callers keep v ≤ 2^96 and p ≤ maxPercent, so that nothing overflows.
func percent(v uint256.Int, p uint64) uint256.Int {
	var out uint256.Int
	out.Mul(&v, uint256.NewInt(p))
	out.Div(&out, uint256.NewInt(100))
	return out
}
