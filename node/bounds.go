package node

import (
	"context"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
)

// refusedKinds is how many names a refused message may be counted under.
const refusedKinds = 7

// maxPeers is who may ever be a key of what is kept by member: those of the epoch in force, and of the one before or after it.
const maxPeers = 2 * quorum.MaxMembers

// Bounds says how much this process holds in every list, map and queue that members, users or the Relay can fill, and the most
// that it may hold, whatever they do. What follows from decisions and from the books alone is not among it: it is as long as they are.
func (n *Node) Bounds(ctx context.Context) (out []quorum.Bound, err error) {
	err = n.core.ask(ctx, func() { out = n.core.bounds() })
	out = append(out, n.alerts.bounds()...)
	out = append(out, n.judge.bounds(len(n.genesis.Lanes))...)
	return append(out, n.refusals.bounds(maxPeers)), err
}

// bounds is for the core's own goroutine.
func (c *core) bounds() []quorum.Bound {
	n := maxPeers
	by := func(name string, held int) quorum.Bound { return quorum.Bound{Name: name, Held: held, Most: n} }
	// One value per round that is near, what agreement still works with, and one that was just fetched.
	values := roundsBehind + 1 + roundsAhead + agreement.MaxHeld(len(c.state.Roster.Members)) + 1
	out := []quorum.Bound{
		{Name: "core.tasks", Held: len(c.tasks), Most: taskQueue},
		{Name: "core.values", Held: len(c.values), Most: max(values, ledger.MaxValues)}, // a restart brings what was stored
		{Name: "core.valueOf", Held: len(c.valueOf), Most: max(values, ledger.MaxValues)},
		{Name: "core.roundOf", Held: len(c.roundOf), Most: roundsBehind + 1 + roundsAhead},
		{Name: "core.fetching", Held: len(c.fetching), Most: maxFetching},
		{Name: "core.proposals", Held: len(c.proposals), Most: maxProposed * n},
		{Name: "syncs.live", Held: len(c.syncs.live), Most: maxSyncs},
		by("core.overheard", len(c.overheard)), by("core.shown", len(c.shown)), by("core.answered", len(c.answered)),
		by("core.behind", len(c.behind)), by("core.heard", len(c.heard)), by("syncs.slow", len(c.syncs.slow)), by("syncs.barred", len(c.syncs.barred)),
		by("question.answers", len(c.question.answers)), by("question.pending", len(c.question.pending)), by("question.next", len(c.question.next)),
		{Name: "core.lanes", Held: len(c.lanes), Most: len(c.genesis.Lanes)}, c.inbox.bound(),
	}
	out = append(out, c.said.bounds(n)...)
	out = append(append(out, c.shownEvidence.bound(n)), c.known.bounds()...)
	out = append(out, c.overheard.bounds()...)
	if c.pool != nil {
		out = append(out, c.pool.bounds()...)
	}
	if c.agree != nil {
		out = append(out, c.agree.Bounds()...)
	}
	out = append(out, c.marks.bounds(n)...)
	calls, standings, canaries, joined := 0, 0, 0, 0
	if f := c.ceremony; f != nil {
		calls, standings, canaries, joined = len(f.calls), len(f.standings), len(f.canaries), len(f.joined)
	}
	out = append(out, by("ceremony.calls", calls), by("ceremony.standings", standings), by("ceremony.canaries", canaries), by("attempted.joined", joined), by("membership.linked", len(c.members.linked)),
		quorum.Bound{Name: "membership.made", Held: len(c.members.made), Most: maxMade})
	if c.signer != nil {
		out = append(append(out, by("signer.convicted", len(c.signer.convicted))), c.signer.attempts.Bounds()...)
	}
	return out
}

func (s *said) bounds(n int) []quorum.Bound {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []quorum.Bound{{Name: "said.of", Held: len(s.of), Most: n}, {Name: "said.new", Held: len(s.new), Most: n},
		{Name: "said.votes", Held: len(s.votes), Most: n}}
}

func (t *evidenceTurns) bound(n int) quorum.Bound {
	t.mu.Lock()
	defer t.mu.Unlock()
	return quorum.Bound{Name: "evidenceTurns.at", Held: len(t.at), Most: n}
}

// bounds is that of the fullest window.
func (o overheard) bounds() []quorum.Bound {
	var order, seen, counters, places int
	for _, w := range o {
		order, seen, counters, places = max(order, len(w.order)), max(seen, len(w.seen)), max(counters, len(w.byCounter)), max(places, len(w.byPlace))
	}
	return []quorum.Bound{
		{Name: "window.order", Held: order, Most: maxOverheard}, {Name: "window.seen", Held: seen, Most: maxOverheard},
		{Name: "window.byCounter", Held: counters, Most: maxOverheard}, {Name: "window.byPlace", Held: places, Most: maxOverheard},
	}
}

func (p *pool) bounds() []quorum.Bound {
	n, fullest := len(p.roster.Members), 0
	for _, held := range p.held {
		fullest = max(fullest, held)
	}
	all := n * maxOpenPerMember
	return []quorum.Bound{
		{Name: "pool.held", Held: len(p.held), Most: n}, {Name: "pool.held of a member", Held: fullest, Most: maxOpenPerMember},
		{Name: "pool.approvals", Held: len(p.approvals), Most: all}, {Name: "pool.refusals", Held: len(p.refusals), Most: all},
		// Each certificate stands on q verdicts that are held.
		{Name: "pool.pay", Held: len(p.pay), Most: all / p.roster.Q()}, {Name: "pool.refuse", Held: len(p.refuse), Most: all / p.roster.Q()},
		{Name: "pool.views", Held: len(p.views), Most: n}, {Name: "pool.raws", Held: len(p.raws), Most: all},
		{Name: "pool.books", Held: len(p.books), Most: 2 * all / p.roster.Q()},
	}
}

func (m *marks) bounds(n int) []quorum.Bound {
	return []quorum.Bound{
		{Name: "marks.since", Held: len(m.since), Most: maxRemembered}, {Name: "marks.tried", Held: len(m.tried), Most: maxRemembered},
		{Name: "marks.heard", Held: len(m.heard), Most: n}, {Name: "marks.odd", Held: len(m.odd), Most: n},
	}
}

func (a *alerts) bounds() []quorum.Bound {
	a.mu.Lock()
	defer a.mu.Unlock()
	codes := len(a.kinds)
	return []quorum.Bound{
		{Name: "alerts.all", Held: len(a.all), Most: maxAlerts}, {Name: "alerts.extra", Held: len(a.extra), Most: maxExtra},
		{Name: "alerts.ever", Held: len(a.ever), Most: int(ledger.Critical+1) * codes},
		{Name: "gate.seen", Held: len(a.gate.seen), Most: codes}, {Name: "gate.held", Held: len(a.gate.held), Most: codes},
	}
}

func (j *judge) bounds(lanes int) []quorum.Bound {
	j.mu.Lock()
	defer j.mu.Unlock()
	headers := 0
	for _, e := range j.ends {
		e.mu.Lock()
		headers = max(headers, len(e.headers))
		e.mu.Unlock()
	}
	return []quorum.Bound{
		{Name: "judge.last", Held: len(j.last), Most: maxVerdicts}, {Name: "judge.heard", Held: len(j.heard), Most: maxVerdicts},
		{Name: "judge.dests", Held: len(j.dests), Most: maxDestinations}, {Name: "judge.ends", Held: len(j.ends), Most: lanes},
		{Name: "judge.failed", Held: len(j.failed), Most: lanes}, {Name: "judge.early", Held: len(j.early), Most: lanes}, {Name: "passEnd.headers", Held: headers, Most: passHeaders},
	}
}

func (r *refusals) bounds(n int) quorum.Bound {
	r.mu.Lock()
	defer r.mu.Unlock()
	return quorum.Bound{Name: "refusals.counts", Held: len(r.counts), Most: n * refusedKinds}
}
