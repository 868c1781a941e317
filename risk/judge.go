package risk

import (
	"conclave/ledger"
	"conclave/quorum"
)

// file is one request with all that is known about it.
type file struct {
	w ledger.Withdrawal
	s ledger.Standing
	r ledger.RiskFacts
	f Facts
	p quorum.Policy // the facts' policy under the overlay
	l quorum.Limits // of p
}

// bound reports whether the request's row is in the books: before, most of what the books say of it is zero.
func (c file) bound() bool { return c.s.Binding == ledger.Bound }

// rule is one idea: it looks at a file and says one thing.
type rule func(file) Explanation

// gates come first, in this order: while one waits there is no verdict of any kind. A refusal of what was never debited
// would mint a refund, and a halted node says nothing.
func gates() []rule {
	return []rule{undecided, notHalted, inForce, afterCutover, laneKnown, boundEvent, spentBooked, notFrozen, covered, unopposed}
}

// merits come after the gates; a refusal outweighs whatever waits. The first refusal in this order names the reason.
func merits() []rule {
	return []rule{
		signed, messageFirst, destinationRight, minimumKept, notDenied,
		tariffKnown, pendingCounted, earlierRequests, destinationKnown, feeRight,
		rowsUsual, accrualCounted, allowed, coolDown, largeSettled, withinHours,
	}
}

// Judge says whether a withdrawal may be paid. Its error is the books' own: nothing is judged then.
func Judge(view View, w ledger.Withdrawal, f Facts) (Verdict, error) { return judge(view, w, f, false) }

// Explain is Judge for people: where a gate waits, the rules behind it are asked as well and explained. The verdict is the
// same, for the gate alone makes it.
func Explain(view View, w ledger.Withdrawal, f Facts) (Verdict, error) {
	return judge(view, w, f, true)
}

func judge(view View, w ledger.Withdrawal, f Facts, all bool) (Verdict, error) {
	s, err := view.Standing(w)
	if err != nil {
		return Verdict{}, err
	}
	r, err := view.RiskFacts(w)
	if err != nil {
		return Verdict{}, err
	}
	p := f.Overlay.Over(f.Policy)
	c := file{w, s, r, f, p, p.Limits}
	v := Verdict{Content: w.Content(f.Token), Seq: s.Seq, Head: s.Head, Bound: c.bound(), Noted: r.Settled != 0}
	for i, r := range gates() {
		e := r(c)
		v.add(c, e)
		if e.Outcome != Passed {
			v.Code = e.code
			if all {
				v.rest(c, gates()[i+1:], merits())
			}
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

// rest explains the rules behind a gate that waits: people see all of them, the verdict is made without.
func (v *Verdict) rest(c file, all ...[]rule) {
	for _, rules := range all {
		for _, r := range rules {
			v.Explanations = append(v.Explanations, c.mark(r(c)))
		}
	}
}

// mark notes that a rule is stricter here than the policy.
func (c file) mark(e Explanation) Explanation {
	if !c.f.Overlay.Empty() {
		plain := c
		plain.p, plain.l, plain.f.Overlay = c.f.Policy, c.f.Policy.Limits, quorum.Overlay{}
		e.Local = stricter(e.Rule, c, plain)
	}
	return e
}

// add records what a rule said, and what must be done about it at once.
func (v *Verdict) add(c file, e Explanation) {
	v.Explanations = append(v.Explanations, c.mark(e))
	if e.Rule == ruleBalance {
		v.Freeze, v.Thaw = overdraft(c)
	}
	if a, ok := alertFor(c, e); ok {
		v.Alerts = append(v.Alerts, a)
	}
}

func pass(rule, threshold, observed string, evidence ...uint64) Explanation {
	return Explanation{Rule: rule, Outcome: Passed, Threshold: threshold, Observed: observed, Evidence: evidence}
}

// unasked is the word of a rule that needs the request's row in the books.
func unasked(rule, threshold string) Explanation {
	return Explanation{Rule: rule, Outcome: Unasked, Threshold: threshold, Observed: "asked when its row is in the books"}
}

func wait(rule string, code Code, threshold, observed, do string, evidence ...uint64) Explanation {
	return Explanation{Rule: rule, Outcome: Waits, Threshold: threshold, Observed: observed, Do: do, Evidence: evidence, code: code}
}
