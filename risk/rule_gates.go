package risk

import (
	"fmt"
	"slices"

	"conclave/ledger"
)

// undecided: what a decision disposed of gets no further verdict.
func undecided(c file) Explanation {
	const rule = "undecided"
	if c.s.Fate == 0 {
		return pass(rule, "no decision holds it", "none does")
	}
	return wait(rule, WaitDecided, "no decision holds it", "one does", "look at the batch that holds it", c.w.ID)
}

// notHalted: a halted node signs no verdict.
func notHalted(c file) Explanation {
	const rule = "halt"
	if c.f.Halted == "" {
		return pass(rule, "nothing is halted", "nothing is")
	}
	return wait(rule, WaitHalted, "nothing is halted", c.f.Halted, "find the cause, then resume")
}

// inForce: nothing is said before every decision is known up to the one that put epoch and policy in force. Without it a new
// committee forgets what the old one paid.
func inForce(c file) Explanation {
	const rule = "decisions"
	if c.f.InForce {
		return pass(rule, "every decision is known", "yes")
	}
	return wait(rule, WaitDecisions, "every decision is known", "no", "wait until this node has caught up with its peers")
}

// afterCutover: what the Relay's old wallet handled is history.
func afterCutover(c file) Explanation {
	const rule = "cut-over"
	threshold := fmt.Sprintf("event above %d, or carried", c.f.Cutover)
	if c.s.HistoryOpen != "" {
		return wait(rule, WaitHistoryOpen, "the log up to the cut-over is that of the genesis document", c.s.HistoryOpen,
			"wait for the replay; if it stays, compare this node's Relay with the other operators'")
	}
	if c.w.EventID > c.f.Cutover || slices.Contains(c.f.Carried, c.w.ID) {
		return pass(rule, threshold, fmt.Sprint("event ", c.w.EventID))
	}
	return wait(rule, WaitHistory, threshold, fmt.Sprint("event ", c.w.EventID),
		"nothing: it belongs to the time before this network, which does not pay it", c.w.EventID)
}

// boundEvent: the type-6 row that reserved the amount is settled, debited, of the same account and amount, and no other
// request names it.
func boundEvent(c file) Explanation {
	const threshold = "a settled type-6 row of this account and amount + fee that no other request names"
	if c.s.Binding == ledger.Bound {
		return pass(ruleBound, threshold, fmt.Sprintf("event %d is debit %d of the account", c.w.EventID, c.s.Seq))
	}
	do := "compare the request with its event; ask the Relay's operator"
	if c.s.Binding == ledger.EventMissing {
		do = "wait: the log settles after the list"
	}
	return wait(ruleBound, WaitEvent, threshold, string(c.s.Binding), do, c.w.EventID)
}

// spentBooked: the books hold and have debited everything that was decided for the account.
func spentBooked(c file) Explanation {
	const rule, threshold = "decided-and-booked", "the books hold every decided withdrawal of the account"
	if c.s.SpentMissing == 0 {
		return pass(rule, threshold, "they do")
	}
	return wait(rule, WaitSpent, threshold, fmt.Sprintf("withdrawal %d is missing or differs", c.s.SpentMissing),
		"wait for the log; if it stays, compare the Relay's answer with another custodian's", c.s.SpentMissing)
}

// notFrozen: a frozen account gets no verdict. The request's own overdraft is judged by the balance, which also ends it.
func notFrozen(c file) Explanation {
	const rule, threshold = "frozen", "the account is not frozen"
	for _, f := range c.s.Freezes {
		if !ownOverdraft(c, f) {
			do := "RESOLVE by the operators settles it"
			if f.Code == ledger.FreezeOverdraft {
				do = fmt.Sprintf("it ends when withdrawal %d is covered", f.Ref)
			}
			return wait(rule, WaitFrozen, threshold, fmt.Sprintf("%s: %s", f.Code, f.Text), do, f.Evidence...)
		}
	}
	return pass(rule, threshold, "it is not")
}
