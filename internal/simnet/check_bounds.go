package simnet

import (
	"context"
	"time"

	"conclave/quorum"
)

// boundsWithin is how long a custodian may take to say what it holds; one that is on its way out says nothing.
const boundsWithin = 10 * time.Second

// checkBounds is I18: no list, map or queue of a running custodian, or in front of it, holds more than it may. Members that a test
// made misbehave run the same code, if they run any.
func (w *World) checkBounds() error {
	for _, c := range w.Custodians {
		if !c.Running() || c.crash.dead() {
			continue
		}
		ctx, cancel := context.WithTimeout(w.bare(), boundsWithin)
		all, err := c.Node.Bounds(ctx)
		cancel()
		if err != nil {
			continue
		}
		for _, b := range c.Net.Bounds() {
			all = append(all, quorum.Bound(b))
		}
		if err := quorum.Exceeded(all); err != nil {
			return broken("I18", "%s: %v", c.Name, err)
		}
		w.bounded += len(all)
	}
	return nil
}
