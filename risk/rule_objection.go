package risk

import (
	"fmt"
)

// unopposed: while this node's operator objects, this node says nothing on the request, for or against. f+1 such nodes leave
// too few for a certificate, and RESOLVE decides.
func unopposed(c file) Explanation {
	const rule, threshold = "objection", "this node's operator does not object"
	if c.r.Objection == nil {
		return pass(rule, threshold, "no")
	}
	return wait(rule, WaitObjection, threshold, fmt.Sprintf("objects since %s: %s", clockMS(c.r.Objection.Since), c.r.Objection.Reason),
		"`conclave objections remove` ends it; RESOLVE by the operators settles it", c.w.ID)
}
