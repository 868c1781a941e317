package quorum

import "github.com/holiman/uint256"

// MaxBumps bounds the fee steps of one decided transaction: 1.125^64 is more than a thousandfold.
const MaxBumps = 64

// FeeStep raises a price by 12.5 %, rounded up, so that the smallest prices rise too. Mempools ask for 10 % of both prices before they
// let a transaction replace another.
func FeeStep(v uint256.Int) uint256.Int {
	var eighth uint256.Int
	eighth.AddUint64(&v, 7)
	eighth.Rsh(&eighth, 3)
	eighth.Add(&eighth, &v)
	return eighth
}

// LastStep is the highest fee step within a cap, and its tip.
func LastStep(offer, tip, feeCap uint256.Int) (k uint, lastTip uint256.Int) {
	for k < MaxBumps {
		if offer = FeeStep(offer); offer.Gt(&feeCap) {
			break
		}
		k, tip = k+1, FeeStep(tip)
	}
	return k, tip
}
