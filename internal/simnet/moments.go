package simnet

import (
	"hash/fnv"
	"maps"
	"sync"
	"time"

	"conclave/node"
)

// How long a goroutine takes from being woken to acting: at least so long, and at most twice as long, by its name. A core's tasks
// are many.
const (
	coreTurn  = 2 * time.Microsecond
	otherTurn = 300 * time.Microsecond
	maxTaken  = 1 << 12 // moments that are remembered before those that have passed are forgotten
)

// moments hands out moments of virtual time, each of them once. Time passes in a synctest bubble only when everybody waits; so
// what begins at a moment of its own has ended before anything else begins, and its order with all the rest is the clock's,
// not that of a scheduler which is free to run what is due at one moment in any order.
type moments struct {
	mu    sync.Mutex // guards taken
	taken map[int64]bool
}

// take is the first free moment from the wanted one on.
func (m *moments) take(wanted time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := wanted.UnixNano()
	for m.taken[at] {
		at++
	}
	if len(m.taken) >= maxTaken {
		now := time.Now().UnixNano()
		maps.DeleteFunc(m.taken, func(at int64, _ bool) bool { return at < now })
	}
	m.taken[at] = true
	return time.Unix(0, at)
}

// turns gives each goroutine of a process its own way from being woken to acting.
func (w *World) turns(process string) node.Turns {
	return func(who string) func() {
		base := otherTurn
		if who == "core" {
			base = coreTurn
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(process + "/" + who))
		at := w.moments.take(time.Now().Add(base + time.Duration(h.Sum32())%base))
		return func() { time.Sleep(time.Until(at)) }
	}
}
