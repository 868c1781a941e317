package node

import (
	"context"
	"time"
)

// glanceEvery divides watchEvery: one question between two looks, for endpoints may be rate-limited.
const glanceEvery = 500 * time.Millisecond

// glance asks, between two looks, whether a block became final that the last look did not see, if somebody waits for it: a payment
// that is out, or a withdrawal whose destination is the one of its own time. It is one question where a look asks ten, and nothing
// is concluded from the answer but that it is time to look; one block asks for one look, so that looks which fail are not repeated
// the faster for it.
func (w *watcher) glance(ctx context.Context) bool {
	if w.out == 0 && !w.n.judge.awaits(w.lane.Network) {
		return false
	}
	ask, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	final, err := w.end.Final(ask)
	if err != nil || final.Number <= max(w.anchor.number, w.newest) {
		return false
	}
	w.newest = final.Number
	return true
}
