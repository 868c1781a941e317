package risk

import (
	"fmt"

	"github.com/holiman/uint256"

	"conclave/quorum"
)

// laneKnown: without a lane the content that a verdict signs has no token, so there is nothing to say yet.
func laneKnown(c file) Explanation {
	const rule, threshold = "network", "a lane of that name"
	if c.f.LaneKnown {
		return pass(rule, threshold, c.w.Network)
	}
	return wait(rule, WaitLane, threshold, fmt.Sprintf("%.64q has none", c.w.Network), "nothing, unless the network should be paid")
}

// tariffKnown: a network without a tariff today may have one in the next policy.
func tariffKnown(c file) Explanation {
	const rule, threshold = "tariff", "a tariff for the network"
	if _, ok := c.f.Policy.Tariffs[c.w.Network]; ok {
		return pass(rule, threshold, c.w.Network)
	}
	return wait(rule, WaitLane, threshold, fmt.Sprintf("%.64q has none", c.w.Network), "a new policy version can name its tariff")
}

// minimumKept: the Relay refuses less than the minimum, so an honest one never lists it.
func minimumKept(c file) Explanation {
	const rule = "minimum"
	t, ok := c.f.Policy.Tariffs[c.w.Network]
	threshold := t.Minimum.Dec() + " wei"
	if !ok {
		return pass(rule, "the network's", "no tariff to judge by")
	}
	if !c.w.Amount.Lt(&t.Minimum) {
		return pass(rule, threshold, c.w.Amount.Dec()+" wei")
	}
	return refuse(rule, quorum.ReasonMinimum, threshold, c.w.Amount.Dec()+" wei", "ask the owner to withdraw more", c.w.ID)
}

// feeRight: the requester signed no fee, so only the tariff can say that it is right. Another tariff of the Relay is a
// matter for the committee: a new policy version, not a refusal.
func feeRight(c file) Explanation {
	const rule = ruleFee
	want, ok := feeOf(c)
	if !ok {
		return wait(rule, WaitFee, "the policy's tariff", "the tariff gives no fee for this amount", "see the policy's tariff")
	}
	threshold := want.Dec() + " wei"
	if c.w.Fee == want {
		return pass(rule, threshold, c.w.Fee.Dec()+" wei")
	}
	return wait(rule, WaitFee, threshold, c.w.Fee.Dec()+" wei",
		"the Relay's tariff changed or it lies: compare its published tariff, and vote a new policy if it is right", c.w.ID)
}

const ruleFee = "fee"

// feeOf is the fee as the Relay computes it; it charges its own two addresses nothing.
func feeOf(c file) (fee uint256.Int, ok bool) {
	if c.w.Account == c.f.FeeAddress || c.w.Account == c.f.DaoAddress {
		return fee, true
	}
	t, ok := c.f.Policy.Tariffs[c.w.Network]
	if !ok {
		return fee, false
	}
	return t.Fee(c.w.Amount)
}
