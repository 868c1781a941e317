package risk

import (
	"fmt"

	"conclave/ledger"
)

// rowsUsual: a row above the maximum for its kind freezes its account, or stops the node, when it comes.
func rowsUsual(c file) Explanation {
	const rule = "event-maximum"
	if len(c.p.MaxPerEvent) == 0 {
		return off(rule, "no maximum")
	}
	threshold := fmt.Sprintf("no row of the account above the maximum of its kind, for %d kinds", len(c.p.MaxPerEvent))
	for _, f := range c.s.Freezes {
		if f.Code == ledger.FreezeMaximum {
			return wait(rule, WaitFrozen, threshold, f.Text, "RESOLVE by the operators settles it", f.Evidence...)
		}
	}
	return pass(rule, threshold, "none that froze the account")
}
