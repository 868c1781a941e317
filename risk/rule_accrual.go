package risk

import (
	"fmt"

	"conclave/ledger"
)

// accrualCounted: an account's credits within a window of log time have a ceiling; a row that passes it freezes the account
// as it is booked, whoever withdraws or not. What is left to a verdict is to wait while the sums are counted anew, after a
// policy changed them.
func accrualCounted(c file) Explanation {
	const rule = "accrual"
	if c.l.AccrualWindow == 0 {
		return off(rule, "no ceiling")
	}
	threshold := fmt.Sprintf("at most %s wei of credits within %s of log time", c.l.AccrualCeiling.Dec(), c.l.AccrualWindow)
	if !c.r.Accrual.Of(c.l, c.f.Cutover) || !c.r.Accrual.Complete() {
		return wait(rule, WaitAccrual, threshold, "this node counts the log anew for the policy in force", "wait; it takes seconds")
	}
	observed := fmt.Sprintf("at most %s wei", c.r.Accrued.Dec())
	for _, f := range c.s.Freezes {
		if f.Code == ledger.FreezeAccrual {
			return wait(rule, WaitFrozen, threshold, observed+": the account is frozen", "RESOLVE by the operators settles it", f.Evidence...)
		}
	}
	if c.r.Accrued.Gt(&c.l.AccrualCeiling) {
		observed += ", and operators have freed the account"
	}
	return pass(rule, threshold, observed)
}
