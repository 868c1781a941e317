package risk

import (
	"fmt"
	"slices"
)

// allowed: with an allow list, other destinations wait until a policy lists them.
func allowed(c file) Explanation {
	const rule = "allow-list"
	if len(c.l.Allow) == 0 {
		return off(rule, "any destination")
	}
	threshold := fmt.Sprintf("the destination is one of %d allowed addresses", len(c.l.Allow))
	if slices.Contains(c.l.Allow, c.w.To) {
		return pass(rule, threshold, "it is")
	}
	return wait(rule, WaitAllow, threshold, c.w.To.Hex()+" is not on the list", "vote a policy that lists the address", c.w.ID)
}
