package node

import (
	"fmt"

	"conclave/quorum/batch"
)

// whyLater says what a certified withdrawal waits for that could be paid now.
func (c *core) whyLater(next batch.Candidate) string {
	if wid, behind := c.state.Behind(next, c.pool.candidates(c.network, c.content), c.pool.viewList()); behind {
		return fmt.Sprintf("a governor's bucket is kept free for withdrawal %d, which has waited longer than the bucket takes to fill", wid)
	}
	return "certified; it waits for its height"
}
