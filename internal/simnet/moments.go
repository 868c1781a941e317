package simnet

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"conclave/node"
)

// How long a goroutine takes from being woken to acting: a microsecond or two, doubled up to so many times. A core has many
// tasks and takes each soon; whoever else was woken by one of them acts before the next of them, or long after.
const (
	coreDoubles  = 2
	otherDoubles = 9
	maxTaken     = 1 << 12 // moments that are remembered before those that have passed are forgotten
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

// random is what a process draws: other numbers in each of its lives, and the same in each play of a seed.
func (w *World) random(process string) io.Reader {
	seed := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", w.cfg.Turns, process, time.Now().UnixNano()))
	return rand.NewChaCha8(seed)
}

// turns gives each goroutine of a process its own way from being woken to acting, another one each time: by Config.Turns, its name
// and the time.
func (w *World) turns(process string) node.Turns {
	return func(who string) func() {
		doubles := uint64(otherDoubles)
		if who == "core" {
			doubles = coreDoubles
		}
		now := time.Now()
		h := fnv.New64a()
		_, _ = h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, w.cfg.Turns), uint64(now.UnixNano())))
		_, _ = h.Write([]byte(process + "/" + who))
		dice := stir(h.Sum64())
		at := w.moments.take(now.Add(time.Duration(1000+dice%1000) << ((dice >> 32) % (doubles + 1))))
		return func() { time.Sleep(time.Until(at)) }
	}
}
