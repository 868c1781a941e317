package node

import (
	"fmt"
	"strings"
	"time"

	"conclave/quorum/batch"
	"conclave/risk"
)

// queues is the outcome of a governor that holds a withdrawal back; no hard rule says it.
const queues = "queues"

// whyLater says what a certified withdrawal waits for that could be paid now.
func (c *core) whyLater(next batch.Candidate) string {
	if wid, behind := c.state.Behind(next, c.pool.candidates(c.network, c.content), c.pool.viewList()); behind {
		return fmt.Sprintf("a governor's bucket is kept free for withdrawal %d, which has waited longer than the bucket takes to fill", wid)
	}
	return "certified; it waits for its height"
}

// explainGovernors adds how the policy's buckets stand towards a withdrawal that no decision holds.
func (c *core) explainGovernors(out *WithdrawalView) {
	content, ok := c.content(out.ID)
	if out.Height != nil || !ok {
		return
	}
	levels, _ := c.state.Levels(content, c.pool.viewList())
	for _, l := range levels {
		e := ExplanationView{Rule: "governor-" + strings.ReplaceAll(batch.GovernorName(l.Governor), " ", "-"), Outcome: string(risk.Passed),
			Threshold: fmt.Sprintf("%s wei in a bucket of %s", l.Need.Dec(), l.Governor.Capacity.Dec()), Observed: l.Left.Dec() + " wei are left"}
		if l.Free != 0 {
			e.Outcome, e.Do = queues, "wait until it has refilled, or vote a policy with a larger bucket"
			if l.Free < 1<<52 {
				e.Observed += ", enough at " + time.UnixMilli(int64(l.Free)).UTC().Format(time.RFC3339) + " if nothing else is paid from it"
			}
		}
		out.Explanation = append(out.Explanation, e)
	}
}
