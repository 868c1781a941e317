package risk

import (
	"github.com/ethereum/go-ethereum/common"
)

// Bounds of what is remembered of requests.
const (
	daySeconds = 24 * 3600
	// maxPairs bounds the pairs of destination and account of one day, some 8 MB; the oldest are forgotten first.
	maxPairs = 1 << 16
)

// destinations counts the accounts whose requests of the last day go to one destination.
type destinations struct {
	queue []request
	last  map[pair]uint64 // when the pair was seen last
	of    map[common.Address]uint64
}

type pair struct{ to, account common.Address }

type request struct {
	at uint64
	pair
}

func newDestinations() *destinations {
	return &destinations{last: map[pair]uint64{}, of: map[common.Address]uint64{}}
}

// add counts a request at a time in unix seconds and returns how many accounts its destination has.
func (d *destinations) add(at uint64, to, account common.Address) uint64 {
	p := pair{to, account}
	if _, known := d.last[p]; !known {
		d.of[to]++
	}
	d.last[p] = max(d.last[p], at)
	d.queue = append(d.queue, request{at, p})
	if len(d.queue) > maxPairs {
		d.drop()
	}
	return d.of[to]
}

// advance forgets what is older than a day.
func (d *destinations) advance(now uint64) {
	for len(d.queue) > 0 && d.queue[0].at+daySeconds <= now {
		d.drop()
	}
}

func (d *destinations) drop() {
	r := d.queue[0]
	d.queue = d.queue[1:]
	if d.last[r.pair] > r.at {
		return // seen again since
	}
	if _, known := d.last[r.pair]; !known {
		return
	}
	delete(d.last, r.pair)
	if d.of[r.to]--; d.of[r.to] == 0 {
		delete(d.of, r.to)
	}
}
