package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"conclave/ledger"
)

// beatEvery is how often the parts are looked at when no heartbeat is asked for.
const beatEvery = 10 * time.Minute

// pulse holds when each part of the node last ended a pass of its work. The heartbeat is made of it, so that it can say
// nothing that the work does not say: while one part stands still there is none.
type pulse struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time

	// Of the one goroutine that looks.
	every time.Duration // between two heartbeats
	since time.Time     // the last look
	begun bool          // every part moved since the start
}

// expect names the parts before any runs. A part that is never heard of is missed like one that stopped.
func (p *pulse) expect(parts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = map[string]time.Time{}
	for _, part := range parts {
		p.last[part] = time.Time{}
	}
}

// moved is what a part says at the end of each pass that went well.
func (p *pulse) moved(part string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.last[part]; known {
		p.last[part] = at
	}
}

// standing returns the parts that did not move since a time, and all parts with their ages.
func (p *pulse) standing(since, now time.Time) (quiet []string, ages string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for part, at := range p.last {
		age := "never"
		if !at.IsZero() {
			age = now.Sub(at).Round(time.Second).String()
		}
		all = append(all, part+" "+age)
		if !at.After(since) {
			quiet = append(quiet, part)
		}
	}
	slices.Sort(all)
	slices.Sort(quiet)
	return quiet, strings.Join(all, ", ")
}

// movedSince reports whether a part moved after a time.
func (p *pulse) movedSince(part string, since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[part].After(since)
}

// moved is the pulse of the parts that run in this process.
func (a *alerts) moved(part string) { a.pulse.moved(part, a.now()) }

// beat sends the heartbeat when it is due and every part moved since the last one, and calls for people when one did not.
// The first one comes as soon as every part moved once.
func (a *alerts) beat() {
	a.walkAgain()
	now, p := a.now(), &a.pulse
	if p.since.IsZero() {
		p.since = now
	}
	every := p.every
	if every == 0 {
		every = beatEvery
	}
	quiet, ages := p.standing(p.since, now)
	first := !p.begun && len(quiet) == 0
	if !first && now.Sub(p.since) < every {
		return
	}
	since := p.since
	p.since, p.begun = now, p.begun || first
	if len(quiet) > 0 {
		for _, part := range quiet {
			a.raise(Alert{Key: codeStalled + " " + part, Code: codeStalled,
				Text: fmt.Sprintf("%s did not move for %s; last passes: %s", part, now.Sub(since).Round(time.Second), ages)})
		}
		return
	}
	if p.every == 0 {
		return
	}
	text := "every part moved; last passes: " + ages
	a.log.Info("heartbeat", zap.String("text", text))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.also(Notice{Kind: NoticeHeartbeat, Code: codeHeartbeat, Severity: ledger.Info.String(), Key: codeHeartbeat, Text: text, Since: since, Time: now, Count: 1})
}

// walkAgain ends the alerts about parts that moved since.
func (a *alerts) walkAgain() {
	for _, al := range a.list() {
		part, ok := strings.CutPrefix(al.Key, codeStalled+" ")
		if ok && !al.Over && a.pulse.movedSince(part, al.Last) {
			a.recover(al.Key)
		}
	}
}
