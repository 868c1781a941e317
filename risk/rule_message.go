package risk

import (
	"fmt"

	"conclave/quorum"
)

// messageFirst: a signed text is one wish. It belongs to the request whose type-6 row comes first in the account's chain; the
// Relay lists it under as many ids as it was posted.
func messageFirst(c file) Explanation {
	const rule, threshold = "message", "no earlier request carries the same signed text"
	if !c.bound() {
		return unasked(rule, threshold)
	}
	if c.s.MessageOwner == 0 {
		return pass(rule, threshold, "none does")
	}
	return refuse(rule, quorum.ReasonMessageUsed, threshold, fmt.Sprintf("withdrawal %d does", c.s.MessageOwner),
		"nothing: the first request is the one that counts", c.s.MessageOwner)
}

// earlierRequests: while an earlier type-6 row lacks its request, that request may turn out to own the message.
func earlierRequests(c file) Explanation {
	const rule, threshold = "earlier-requests", "every earlier type-6 row of the account has its request"
	if !c.bound() {
		return unasked(rule, threshold)
	}
	if c.s.Unbound == 0 {
		return pass(rule, threshold, "each has")
	}
	return wait(rule, WaitRequests, threshold, fmt.Sprintf("event %d has none", c.s.Unbound),
		"wait for the next reading of the Relay's list", c.s.Unbound)
}
