package risk

import (
	"strings"

	"conclave/quorum"
)

// withinHours: verdicts on payments are given while people are awake. By this node's own clock, so it only delays.
func withinHours(c file) Explanation {
	const rule = "hours"
	if len(c.l.Hours) == 0 {
		return off(rule, "any time of day")
	}
	var names []string
	for _, h := range c.l.Hours {
		names = append(names, h.String())
	}
	threshold, minute := strings.Join(names, ", ")+" UTC", quorum.MinuteOfDay(c.f.Now)
	if quorum.Within(c.l.Hours, minute) {
		return pass(rule, threshold, clockMS(c.f.Now))
	}
	return wait(rule, WaitHours, threshold, clockMS(c.f.Now), "wait until the next of these hours")
}
