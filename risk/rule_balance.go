package risk

import (
	"fmt"

	"conclave/ledger"
)

const (
	ruleBalance = "balance"
	ruleBound   = "event"
)

const balanceThreshold = "credits ≥ debits up to the request + decided ones beyond"

// covered: a request that not even the pending credits cover freezes its account. Somebody withdraws what the books never
// saw: potentially an attack.
func covered(c file) Explanation {
	if !c.bound() {
		return unasked(ruleBalance, balanceThreshold)
	}
	_, short := c.s.Prospect()
	if short.IsZero() {
		return pass(ruleBalance, balanceThreshold, "covered, pending credits included")
	}
	return wait(ruleBalance, WaitOverdraft, balanceThreshold, fmt.Sprintf("short by %s wei, pending credits included", short.Dec()),
		"see where the Relay thinks the money came from; the account is freed when it is covered", c.w.EventID)
}

// pendingCounted: what only pending credits cover waits until they count.
func pendingCounted(c file) Explanation {
	const rule = "counted"
	if !c.bound() {
		return unasked(rule, balanceThreshold)
	}
	balance, short := c.s.Balance()
	if short.IsZero() {
		return pass(rule, balanceThreshold, fmt.Sprintf("%s wei remain", balance.Dec()))
	}
	return wait(rule, WaitPending, balanceThreshold, fmt.Sprintf("short by %s wei until pending credits count", short.Dec()),
		"wait until the deposit is final")
}

// ownOverdraft tells the freeze that this very request caused.
func ownOverdraft(c file, f ledger.Freeze) bool {
	return f.Code == ledger.FreezeOverdraft && f.Ref == c.w.ID
}

// overdraft says which freeze the balance asks for, and which it ends.
func overdraft(c file) (freeze, thaw *ledger.Freeze) {
	var standing *ledger.Freeze
	for _, f := range c.s.Freezes {
		if ownOverdraft(c, f) {
			standing = &f
		}
	}
	_, short := c.s.Prospect()
	switch {
	case short.IsZero():
		return nil, standing
	case standing != nil:
		return nil, nil
	}
	return &ledger.Freeze{Code: ledger.FreezeOverdraft, Ref: c.w.ID, Evidence: []uint64{c.w.EventID},
		Text: fmt.Sprintf("withdrawal %d exceeds the local balance by %s wei: potentially an attack", c.w.ID, short.Dec())}, nil
}
