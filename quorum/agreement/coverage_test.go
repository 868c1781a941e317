package agreement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// counter is something that a campaign must have seen, so that its number of schedules is not empty.
type counter int

// The counters. Those up to the twins' belong to every campaign.
const (
	decidedLater counter = iota // an honest decision in a round above 0
	locksTaken
	locksChanged  // a lock on another value
	polProposals  // a valid value proposed again with its proof
	locksLeft     // a prevote for another value than the locked one, by proof
	roundsSkipped // R5: f+1 members were ahead
	valuesLearned // R3
	nilPrecommits
	valuesAsked
	valuesFetched
	learnedDecision // R7, taken
	helpedDecided   // R7, given
	helpedBehind    // R8
	partsHealed     // a partition that ended
	openAtHeal      // schedules that the healing found undecided
	msgLost
	msgTwice
	evidenceProposal
	evidencePrevote
	evidencePrecommit
	crashBeforeCommit
	crashBeforeSend
	crashAmongSends
	crashInStep // by step: five of them
	crashInPropose
	crashInPrevote
	crashInPrecommit
	crashInDecided
	resumed
	sizeFour
	sizeSeven
	sizeTen

	clockForward // random schedules alone, from here
	clockBack
	refrained

	twinPrevotes // twins alone, from here: two copies said different things
	twinPrecommits
	twinProposals
	twinForeign // a copy heard the other
	twinThirds  // schedules with a third copy
	counters
)

var counterNames = [counters]string{
	"decided-later", "locks", "locks-changed", "pol-proposals", "locks-left", "rounds-skipped", "values-learned", "nil-precommits",
	"values-asked", "values-fetched", "decisions-learned", "help-decided", "help-behind", "partitions-healed", "open-at-heal", "lost",
	"twice", "evidence-proposal", "evidence-prevote", "evidence-precommit", "crash-before-commit", "crash-before-send",
	"crash-among-sends", "crash-in-waiting", "crash-in-propose", "crash-in-prevote", "crash-in-precommit", "crash-in-decided",
	"resumed", "n4", "n7", "n10", "clock-forward", "clock-back", "refrained", "twin-prevotes", "twin-precommits", "twin-proposals",
	"twin-foreign", "twin-thirds",
}

var evidenceOf = map[quorum.Kind]counter{
	quorum.KindProposal: evidenceProposal, quorum.KindPrevote: evidencePrevote, quorum.KindPrecommit: evidencePrecommit,
}

// coverage is what one schedule, or a campaign, exercised.
type coverage [counters]int

// stepped looks at one Step.
func (c *coverage) stepped(n *node, before, after shot, fx Effects) {
	count := func(what counter, happened bool) {
		if happened {
			c[what]++
		}
	}
	count(locksTaken, before.locked == 0 && after.locked != 0)
	count(locksChanged, before.locked != 0 && before.lockedID != after.lockedID)
	count(roundsSkipped, after.round > before.round && before.step != StepWaiting && (before.endsBy.IsZero() || n.clock().Before(before.endsBy)))
	count(valuesLearned, after.validRound > before.validRound && after.validRound != after.locked)
	count(twinForeign, len(fx.Foreign) > 0)
	if p := fx.Commit.Proposal; p != nil {
		count(polProposals, p.ValidRound != quorum.NoRound)
	}
	for _, v := range fx.Commit.Votes {
		count(nilPrecommits, v.Phase == quorum.Precommit && v.ID == (common.Hash{}))
		count(locksLeft, v.Phase == quorum.Prevote && v.ID != (common.Hash{}) && before.locked != 0 && v.ID != before.lockedID)
	}
	if d := fx.Commit.Decide; d != nil {
		count(decidedLater, !n.evil && d.QC.Round() > 0)
	}
	for i := range fx.Send {
		count(helpedBehind, fx.Send[i].To != (common.Address{}))
	}
}

// settled looks at a schedule that has come to its end.
func (c *coverage) settled(w *world) {
	c[map[int]counter{4: sizeFour, 7: sizeSeven, 10: sizeTen}[len(w.ring.ids)]]++
	for i, n := range w.nodes[len(w.ring.ids):] {
		first := w.nodes[n.who]
		if slices.ContainsFunc(w.nodes[len(w.ring.ids):][:i], func(o *node) bool { return o.who == n.who }) {
			c[twinThirds]++
		}
		for key, v := range n.disk.votes {
			if o, ok := first.disk.votes[onceKey{first.i, key.round, key.kind}]; ok && o.Body() != v.Body() {
				c[twinPrevotes+counter(slot(v.Body().Phase))]++
			}
		}
		for round, p := range n.disk.proposals {
			if o, ok := first.disk.proposals[round]; ok && o.Body() != p.Body() {
				c[twinProposals]++
			}
		}
	}
}

func (c *coverage) add(o *coverage) {
	for i := range c {
		c[i] += o[i]
	}
}

func (c *coverage) String() string {
	var out []string
	for i, v := range c {
		if v > 0 {
			out = append(out, fmt.Sprintf("%s=%d", counterNames[i], v))
		}
	}
	return strings.Join(out, " ")
}

// missing names the counters that stayed zero.
func (c *coverage) missing(wanted func(counter) bool) []string {
	var out []string
	for i, v := range c {
		if v == 0 && wanted(counter(i)) {
			out = append(out, counterNames[i])
		}
	}
	return out
}

// liveness is the distribution of what it took to decide after the network healed: rounds, by the committee's f, and time.
type liveness struct {
	rounds [4][8]int // [f][rounds]: 0 for decided before, 1 for the round that was running, at most f+3
	times  [600]int  // by tenths of a second
}

// note takes every honest member of a schedule that ended well.
func (l *liveness) note(w *world) {
	f := w.ring.ids.F()
	for _, n := range w.nodes {
		if n.evil {
			continue
		}
		rounds := 0
		if took := n.decidedAt - w.healedAt; took > 0 {
			l.times[min(int(took/(100*time.Millisecond)), len(l.times)-1)]++
			if r := n.disk.decision.QC.Round(); r >= w.healedIn {
				rounds = int(r - w.healedIn + 1)
			}
		}
		l.rounds[f][rounds]++
	}
}

func (l *liveness) add(o *liveness) {
	for f := range l.rounds {
		for r := range l.rounds[f] {
			l.rounds[f][r] += o.rounds[f][r]
		}
	}
	for i := range l.times {
		l.times[i] += o.times[i]
	}
}

func (l *liveness) String() string {
	var out []string
	for f, rounds := range l.rounds {
		if sum(rounds[:]) > 0 {
			out = append(out, fmt.Sprintf("rounds-f%d=%s", f, strings.ReplaceAll(strings.Trim(fmt.Sprint(rounds[:f+4]), "[]"), " ", "/")))
		}
	}
	return strings.Join(out, " ") + fmt.Sprintf(" heal-p50=%s heal-p99=%s heal-max=%s", l.quantile(50), l.quantile(99), l.quantile(100))
}

// quantile is the time after healing within which so many of a hundred members decided.
func (l *liveness) quantile(percent int) time.Duration {
	all, seen := sum(l.times[:]), 0
	for i, v := range l.times {
		seen += v
		if seen*100 >= all*percent {
			return time.Duration(i+1) * 100 * time.Millisecond
		}
	}
	return 0
}

func sum(of []int) int {
	total := 0
	for _, v := range of {
		total += v
	}
	return total
}
