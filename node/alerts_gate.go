package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"conclave/ledger"
)

// gateWindow is the time in which messages are counted.
const gateWindow = time.Minute

// gate bounds the messages of a minute, so that a storm of one kind cannot drown another: the first message of each code
// always passes, half of the bound is kept for what is critical, and what does not pass is counted for one summary.
type gate struct {
	per    int
	began  time.Time
	passed int
	seen   map[string]bool
	held   map[string]uint64
	worst  ledger.Severity
}

func newGate(per int) gate {
	return gate{per: per, seen: map[string]bool{}, held: map[string]uint64{}}
}

// pass reports whether a message may leave now, and counts it.
func (g *gate) pass(code string, s ledger.Severity, now time.Time) bool {
	if len(g.held) == 0 && now.Sub(g.began) >= gateWindow {
		g.restart(now)
	}
	most := g.per
	if s != ledger.Critical {
		most = (g.per + 1) / 2
	}
	if g.seen[code] && g.passed >= most {
		g.held[code]++
		g.worst = max(g.worst, s)
		return false
	}
	g.seen[code] = true
	g.passed++
	return true
}

func (g *gate) restart(now time.Time) {
	g.began, g.passed, g.worst = now, 0, 0
	clear(g.seen)
	clear(g.held)
}

// storm is what did not pass in a minute.
type storm struct {
	text  string
	since time.Time
	count uint64
	worst ledger.Severity
}

// summary ends a minute in which something was held back.
func (g *gate) summary(now time.Time) (storm, bool) {
	if len(g.held) == 0 || now.Sub(g.began) < gateWindow {
		return storm{}, false
	}
	out := storm{since: g.began, worst: g.worst}
	var codes []string
	for code, n := range g.held {
		out.count += n
		codes = append(codes, fmt.Sprintf("%s %d", code, n))
	}
	slices.Sort(codes)
	out.text = fmt.Sprintf("%d more messages since %s: %s", out.count, g.began.UTC().Format(time.RFC3339), strings.Join(codes, ", "))
	g.restart(now)
	return out, true
}
