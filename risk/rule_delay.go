package risk

import (
	"fmt"
	"time"
)

// coolDown: an account's first request to a destination where no decision ever paid it waits, so that an owner whose key was
// stolen, or an operator, has time to notice. What others were paid there does not count: a thief would have his own
// withdrawal paid there first.
func coolDown(c file) Explanation {
	const rule = "cool-down"
	if c.l.CoolDown == 0 {
		return off(rule, "any destination at once")
	}
	threshold := fmt.Sprintf("a destination where the account was paid before, or %s since the row settled here", c.l.CoolDown)
	if c.r.PaidBefore != 0 {
		return pass(rule, threshold, fmt.Sprintf("withdrawal %d was paid there", c.r.PaidBefore), c.r.PaidBefore)
	}
	return settledFor(c, rule, WaitCoolDown, c.l.CoolDown, threshold)
}

// largeSettled: a large withdrawal waits, so that operators have time to object.
func largeSettled(c file) Explanation {
	const rule = "large-withdrawal"
	if c.l.LargeDelay == 0 {
		return off(rule, "any amount at once")
	}
	threshold := fmt.Sprintf("at most %s wei, or %s since the row settled here", c.l.LargeAbove.Dec(), c.l.LargeDelay)
	if !c.w.Amount.Gt(&c.l.LargeAbove) {
		return pass(rule, threshold, c.w.Amount.Dec()+" wei")
	}
	return settledFor(c, rule, WaitLarge, c.l.LargeDelay, threshold)
}

// settledFor waits until the request's row has been settled here for a time, by this node's own clock.
func settledFor(c file, rule string, code Code, delay time.Duration, threshold string) Explanation {
	const do = "wait; `conclave objections add` holds it back for longer on this node"
	if !c.bound() {
		return unasked(rule, threshold)
	}
	if c.r.Settled == 0 {
		return wait(rule, code, threshold, "this node just learns of the row", do, c.w.EventID)
	}
	due := c.r.Settled + uint64(delay.Milliseconds())
	observed := fmt.Sprintf("event %d settled here at %s", c.w.EventID, clockMS(c.r.Settled))
	if c.f.Now >= due {
		return pass(rule, threshold, observed)
	}
	return wait(rule, code, threshold, observed+", due "+clockMS(due), do, c.w.EventID)
}

func clockMS(ms uint64) string {
	return time.UnixMilli(int64(min(ms, 1<<52))).UTC().Format(time.RFC3339)
}

const observedOff = "the rule is off"

// off is the word of a rule that the policy does not use.
func off(rule, threshold string) Explanation { return pass(rule, threshold, observedOff) }
