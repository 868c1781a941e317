package risk

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// notDenied: what the policy denies can never become right under that policy, and a refusal names the policy that it was
// made by: another list is another policy, with verdicts of its own. This node's own list is in no verdict's name, so it
// waits.
func notDenied(c file) Explanation {
	const rule = "deny-list"
	threshold := fmt.Sprintf("neither account nor destination is one of %d denied addresses", len(c.l.Deny))
	for _, a := range []common.Address{c.w.Account, c.w.To} {
		switch {
		case slices.Contains(c.f.Policy.Limits.Deny, a):
			return refuse(rule, quorum.ReasonDenied, threshold, a.Hex()+" is denied by the policy",
				"nothing: a policy without the address can judge later requests otherwise", c.w.ID)
		case slices.Contains(c.l.Deny, a):
			return wait(rule, WaitDenied, threshold, a.Hex()+" is denied by this node's overlay",
				"take the address off the overlay, or propose it for the policy's list", c.w.ID)
		}
	}
	return pass(rule, threshold, "neither is")
}
