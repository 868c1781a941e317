package risk

import (
	"conclave/ledger"
)

// file is one request with all that is known about it.
type file struct {
	w ledger.Withdrawal
	s ledger.Standing
	f Facts
}

// rule is one idea: it looks at a file and says one thing.
type rule func(file) Explanation

// gates come first, in this order: while one waits there is no verdict of any kind. A refusal of what was never debited
// would mint a refund, and a halted node says nothing.
func gates() []rule {
	return []rule{undecided, notHalted, inForce, afterCutover, laneKnown, boundEvent, spentBooked, notFrozen, covered}
}

// merits come after the gates; a refusal outweighs whatever waits. The first refusal in this order names the reason.
func merits() []rule {
	return []rule{signed, messageFirst, destinationRight, minimumKept, tariffKnown, pendingCounted, earlierRequests, destinationKnown, feeRight}
}

// Judge says whether a withdrawal may be paid. Its error is the books' own: nothing is judged then.
func Judge(view View, w ledger.Withdrawal, f Facts) (Verdict, error) {
	s, err := view.Standing(w)
	if err != nil {
		return Verdict{}, err
	}
	c := file{w, s, f}
	v := Verdict{Content: w.Content(f.Token), Seq: s.Seq, Head: s.Head}
	for _, r := range gates() {
		e := r(c)
		v.add(c, e)
		if e.Outcome != Passed {
			v.Code = e.code
			return v, nil
		}
	}
	v.Kind = Approve
	for _, r := range merits() {
		e := r(c)
		v.add(c, e)
		switch {
		case e.Outcome == Refuses && v.Kind != Refuse:
			v.Kind, v.Reason, v.Code = Refuse, e.reason, ""
		case e.Outcome == Waits && v.Kind == Approve:
			v.Kind, v.Code = Wait, e.code
		}
	}
	return v, nil
}

// add records what a rule said, and what must be done about it at once.
func (v *Verdict) add(c file, e Explanation) {
	v.Explanations = append(v.Explanations, e)
	if e.Rule == ruleBalance {
		v.Freeze, v.Thaw = overdraft(c)
	}
	if a, ok := alertFor(c, e); ok {
		v.Alerts = append(v.Alerts, a)
	}
}

func pass(rule, threshold, observed string) Explanation {
	return Explanation{Rule: rule, Outcome: Passed, Threshold: threshold, Observed: observed}
}

func wait(rule string, code Code, threshold, observed, do string, evidence ...uint64) Explanation {
	return Explanation{Rule: rule, Outcome: Waits, Threshold: threshold, Observed: observed, Do: do, Evidence: evidence, code: code}
}
