package risk

import (
	"conclave/quorum"
)

// destinationRight: a destination that the final chain contradicts can never become right, for the block is fixed by the
// time that the requester signed.
func destinationRight(c file) Explanation {
	const rule, threshold = "destination", "the address that the chain bound when the request was signed, else the account"
	d := c.f.Destination
	if d.State != Known || d.Address == c.w.To {
		return pass(rule, threshold, "not contradicted")
	}
	return refuse(rule, quorum.ReasonDestination, threshold, c.w.To.Hex()+" instead of "+d.Address.Hex(),
		"ask the owner to withdraw to the bound address", c.w.ID)
}

// destinationKnown: failing to know is no answer.
func destinationKnown(c file) Explanation {
	const rule, threshold = "destination-known", "the lane's endpoints agree on it at a final block"
	if c.f.Destination.State == Known {
		return pass(rule, threshold, "they do")
	}
	return wait(rule, WaitDestination, threshold, c.f.Destination.State.String(), "look at this node's endpoints when it lasts")
}
