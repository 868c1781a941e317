package risk

import (
	"slices"

	"conclave/ledger"
	"conclave/quorum"
)

// Rule is a hard rule as it stands under a policy.
type Rule struct {
	Name      string
	On        bool
	Threshold string
	Effect    string // what a breach does at worst: "refuse", "fuse", "freeze" or "wait"
	Local     bool   // the overlay makes it stricter than the policy
}

// effectOf names what the rules do that do more than wait.
func effectOf(rule string, p quorum.Policy) string {
	switch rule {
	case "signature", "message", "destination", "minimum", "deny-list":
		return "refuse"
	case ruleBalance, "accrual":
		return "freeze"
	case "event-maximum":
		for kind := range p.MaxPerEvent {
			if !slices.Contains(p.Limits.FreezeAboveMax, kind) {
				return "fuse"
			}
		}
		return "freeze"
	}
	return "wait"
}

// Rules lists the hard rules in the order in which they are asked, with their thresholds under a policy and an overlay.
func Rules(p quorum.Policy, o quorum.Overlay) []Rule {
	merged := o.Over(p)
	c := file{s: ledger.Standing{Binding: ledger.Bound}, f: Facts{Policy: p, Overlay: o}, p: merged, l: merged.Limits}
	var out []Rule
	for _, rules := range [][]rule{gates(), merits()} {
		for _, r := range rules {
			e := c.mark(r(c))
			out = append(out, Rule{Name: e.Rule, On: e.Observed != observedOff, Threshold: thresholdOf(e), Effect: effectOf(e.Rule, merged), Local: e.Local})
		}
	}
	return out
}

// thresholdOf says in general what depends on a request.
func thresholdOf(e Explanation) string {
	switch e.Rule {
	case "minimum":
		return "the tariff's minimum for the network"
	case ruleFee:
		return "the tariff's fee for the amount"
	}
	return e.Threshold
}
