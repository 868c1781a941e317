package campaign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Size of a schedule.
const (
	members   = 4 // that found it
	minSteps  = 6
	moreSteps = 14
	// tariffCoins is more than any fee of a withdrawal of this size.
	tariffCoins = 10
)

// Generate writes the schedule of a seed, in the language of package scenario: people who earn and withdraw, everything that may
// go wrong between and around custodians, and then the day after, when all is mended and what is owed must be paid. At most
// f members turn, and whoever the Relay lies about, or lost a deposit to a reorg, is owed nothing by the last line.
func Generate(seed uint64) string { return generate(seed, moreSteps, false) }

// GenerateChanges is [Generate] with operators who ask for other committees now and then.
func GenerateChanges(seed uint64) string { return generate(seed, moreSteps, true) }

func generate(seed uint64, more int, changes bool) string {
	g := &generator{dice: rand.New(rand.NewPCG(seed, 0)), left: map[string]int{}, asked: map[string]bool{}, owed: []string{"alice", "bob", "carol"},
		wanted: []int{0, 1, 2, 3}, next: members, changes: changes}
	g.line("# Seed %d.", seed)
	g.line("turns %d", seed%(1<<31))
	if seed%2 == 1 {
		// Custodians pay several by one transaction, which a member that does not agree must not tear apart.
		g.line("lane pays batches")
	}
	g.line("nodes %d", members)
	if g.one(3) {
		// Another history of one account, from its first row on: one that changed later would stop who sees both.
		g.line("relay lies %s about mallory to %s", g.pick("forked", "odd-amounts", "inflating"), g.some())
	}
	for _, name := range []string{"alice", "bob", "carol", "mallory"} {
		g.earn(name)
	}
	if g.one(3) {
		g.turn()
	}
	for range minSteps + g.dice.IntN(more) {
		g.step()
	}
	g.dayAfter()
	return g.text.String()
}

// generator is a schedule being written. It knows what must not be said twice, not what comes of anything.
type generator struct {
	dice *rand.Rand
	text strings.Builder

	left      map[string]int // coins that the Relay surely lets a user withdraw
	asked     map[string]bool
	owed      []string // who must be paid in the end
	requests  int
	turned    int   // the member that is not honest; 0: none, else its index and one
	saved     int   // the member with a backup; likewise
	late      int   // the member with a clock that is minutes wrong; likewise
	restored  bool  // the backup was put back
	changes   bool  // operators ask for other committees
	wanted    []int // the committee that operators asked for last
	next      int   // the custodian that may join
	joined    []int // those that were asked to
	cancelled bool  // operators took a nonce back
	down      bool  // the Relay answers nobody
	dear      bool  // nobody can afford a transaction
}

func (g *generator) line(format string, args ...any) { fmt.Fprintf(&g.text, format+"\n", args...) }

// one is true once in n.
func (g *generator) one(n int) bool { return g.dice.IntN(n) == 0 }

func (g *generator) pick(words ...string) string { return words[g.dice.IntN(len(words))] }

// member is any member, honest an honest one.
func (g *generator) member() int { return g.dice.IntN(members) }

func (g *generator) honest() int {
	if len(g.joined) > 0 && g.one(4) {
		return g.joined[g.dice.IntN(len(g.joined))]
	}
	for {
		if i := g.member(); i+1 != g.turned {
			return i
		}
	}
}

// some is a list of members, at least one and not all.
func (g *generator) some() string {
	all := g.dice.Perm(members)[:1+g.dice.IntN(members-1)]
	slices.Sort(all)
	return list(all)
}

func list(members []int) string {
	return strings.Trim(fmt.Sprint(members), "[]")
}

func (g *generator) earn(name string) {
	coins := 20 + g.dice.IntN(80)
	g.left[name] += coins
	g.line("user %s earns %d", name, coins)
}

// turn makes one member break the rules.
func (g *generator) turn() {
	who := g.member()
	g.turned = who + 1
	if g.one(2) {
		g.line("twin of %d whose proposals reach only %s", who, g.some())
		g.next++
		return
	}
	g.line("puppet %d", who)
	g.line("puppet %d prevotes to %s", who, g.some())
}

// step is one thing that happens, and a while.
func (g *generator) step() {
	switch n := g.dice.IntN(100); {
	case n < 10:
		g.lock()
	case n < 13 && g.changes:
		g.committee()
	case n < 40:
		g.people()
	case n < 60:
		g.network()
	case n < 80:
		g.machines()
	case n < 90:
		g.relay()
	case n < 95:
		g.chain()
	default:
		g.operators()
	}
	if !g.one(3) {
		g.line("wait %dms", 100+g.dice.IntN(4000))
	}
}

func (g *generator) people() {
	name := g.pick("alice", "bob", "carol", "mallory")
	switch {
	case g.one(6):
		g.earn(name)
	case name == "carol" && !g.down && !g.dear && g.one(2):
		coins := 5 + g.dice.IntN(20)
		g.left[name] += coins
		g.line("user carol deposits %d", coins)
	case !g.down && g.left[name] > 2 && g.one(8):
		g.left[name] -= 2
		g.line("user %s pays 2 for a task", name)
	default:
		g.withdraw(name)
	}
}

// withdraw asks for some of what a user has, or lets it earn when that is too little.
func (g *generator) withdraw(name string) {
	most := g.left[name] - tariffCoins
	if g.down || most < 5 {
		g.earn(name)
		return
	}
	// Never twice the same amount: within one second that would be one message, and the second request is refused.
	coins := 5 + g.dice.IntN(most-4)
	if g.asked[fmt.Sprint(name, coins)] {
		g.earn(name)
		return
	}
	g.asked[fmt.Sprint(name, coins)] = true
	g.left[name] -= coins + tariffCoins
	g.requests++
	g.line("user %s withdraws %d as w%d", name, coins, g.requests)
	g.cancel()
}

// cancel lets operators take a nonce back, once: what is released twice is paid by their word alone. The nonce may be decided, signed, in a
// block or final when they do, or nothing at all.
func (g *generator) cancel() {
	if g.cancelled || !g.one(8) {
		return
	}
	g.cancelled = true
	g.line("wait %dms", 1+g.dice.IntN(8000))
	g.line("try operators cancel nonce %d by 0 1 2", g.dice.IntN(g.requests))
}

func (g *generator) network() {
	switch g.dice.IntN(5) {
	case 0:
		g.line("storm ends")
	case 1:
		all := g.dice.Perm(members)
		at := 1 + g.dice.IntN(members-1)
		g.line("partition %s | %s", list(append(all[:at:at], g.joined...)), list(all[at:]))
	case 2:
		g.line("heal")
	case 3:
		kind := g.pick("precommits", "prevotes", "proposals", "sessions", "nothing")
		if kind == "nothing" {
			g.line("lose nothing")
			return
		}
		g.line("lose %s %s %s", kind, g.pick("from", "to"), g.some())
	default:
		g.line("storm %d loses %d percent and doubles %d percent and delays up to %dms",
			g.dice.IntN(1<<20), g.dice.IntN(25), g.dice.IntN(25), 1+g.dice.IntN(3000))
	}
}

// effects are what a custodian can be made to die before.
func effects() []string {
	return []string{"gossip of approve", "gossip of view", "prevote", "precommit", "proposal", "ready", "outcome", "signing", "session frame", "broadcast",
		"report: fulfill", "log: "}
}

func (g *generator) machines() {
	who := g.honest()
	switch g.dice.IntN(9) {
	case 7, 8:
		g.disks(who)
	case 0:
		g.line("kill %d", who)
	case 1:
		g.line("restart %d", who)
	case 2:
		g.line("crash %d before its next %s", who, g.pick(effects()...))
	case 3:
		g.line("power cut of %d with seed %d", who, g.dice.IntN(1<<20))
	case 4:
		g.line("disk of %d fails at its next %s", who, g.pick("commit", "mark", "replace"))
	case 5:
		g.line("clock of %d is %dms %s", who, 1+g.dice.IntN(4000), g.pick("ahead", "behind"))
	default:
		g.line("whoever is dead starts")
	}
}

// disks saves a disk, and later puts it back. Who comes back with an older disk is one of the f until the operators say so.
func (g *generator) disks(who int) {
	switch {
	case g.turned > 0 || g.restored || g.late > 0:
		g.line("restart %d", who)
	case g.saved == 0:
		g.saved = who + 1
		g.line("back up %d", who)
	default:
		g.restored = true
		g.line("put the %s of %d back", g.pick("database", "whole disk"), g.saved-1)
	}
}

func (g *generator) relay() {
	switch g.dice.IntN(6) {
	case 0, 1:
		g.line("relay lies %s about mallory to %s", g.pick("hidden", "late"), g.some())
	case 2:
		g.line("relay lies %s to %s", g.pick("page-500", "empty-500", "content-type", "tls-errors", "slow-drip"), g.some())
	case 3:
		g.line("relay lies %s to %s", g.pick("fulfil-nothing", "outcome-500", "outcome-silence"), g.some())
	case 4:
		g.line("relay answers all as it should")
	default:
		if g.down = !g.down; g.down {
			g.line("relay %s", g.pick("is silent", "fails"))
			return
		}
		g.line("relay is back")
	}
}

func (g *generator) chain() {
	switch g.dice.IntN(5) {
	case 0:
		g.line("chain loses %d blocks and what was in them", 1+g.dice.IntN(2))
		g.owed = slices.DeleteFunc(g.owed, func(name string) bool { return name == "carol" })
	case 1:
		g.line("chain is down for %s", g.some())
	case 2:
		g.line("broadcasts seem to fail for %s", g.some())
	case 3:
		g.line("chain forgets what waits")
	default:
		if g.dear = !g.dear; g.dear {
			g.line("chain is too dear for any payment")
			return
		}
		g.line("chain is cheap again")
	}
}

func (g *generator) operators() {
	switch g.dice.IntN(3) {
	case 0:
		g.line("operator of %d halts it", g.honest())
	case 1:
		g.wrongClock()
	default:
		g.line("whoever is dead starts")
	}
}

// lock brings one member alone into a lock: one member is not shown what is proposed and so wants nothing, and nothing gets through of
// another one, so that only the latter counts a quorum of prevotes. Its round ends without a decision, and what the next ones propose
// meets the lock. Sometimes a third one then counts a quorum alone.
func (g *generator) lock() {
	who, name := g.dice.Perm(members), g.pick("alice", "bob")
	g.earn(name)
	g.line("lose proposals to %d", who[0])
	for _, kind := range []string{"proposals", "prevotes", "precommits"} {
		g.line("lose %s from %d", kind, who[1])
	}
	g.withdraw(name)
	g.line("wait %dms", 7000+g.dice.IntN(7000))
	g.line("lose nothing")
	if g.one(3) {
		g.line("lose prevotes from %d", who[2])
		g.line("wait %dms", 1000+g.dice.IntN(4000))
		g.line("lose nothing")
	}
}

// committee is what operators ask for: the same members with fresh shares, one more, or one less of five. Who turned, or came back
// from a backup, may keep a change waiting for ever, but no payment.
func (g *generator) committee() {
	switch {
	case len(g.wanted) > members && g.one(2):
		at := g.dice.IntN(len(g.wanted))
		g.wanted = slices.Delete(slices.Clone(g.wanted), at, at+1)
	case len(g.wanted) == members && g.next < members+3 && g.one(2):
		g.wanted, g.joined = append(slices.Clone(g.wanted), g.next), append(g.joined, g.next)
		g.next++
	}
	g.line("operators would have members %s", strings.ReplaceAll(list(g.wanted), " ", ","))
	g.line("wait %dms", 1000+g.dice.IntN(9000))
}

// wrongClock puts one member's clock wrong by minutes, always the same one's: it is one of the f. With more than f of them
// ahead a certificate's median time is of the future, and what it certifies waits until then.
func (g *generator) wrongClock() {
	if g.turned > 0 || g.restored {
		g.line("whoever is dead starts")
		return
	}
	if g.late == 0 {
		g.late = g.member() + 1
	}
	g.line("clock of %d is %dm %s", g.late-1, 1+g.dice.IntN(50), g.pick("ahead", "behind"))
}

// dayAfter mends everything, and then asks for what is owed.
func (g *generator) dayAfter() {
	g.line("everything is healed")
	g.line("wait 5s")
	g.line("operators end every halt within 5m")
	if !g.down {
		coins := 4
		if g.left["alice"] >= coins+tariffCoins {
			g.line("user alice withdraws %d as last", coins)
		}
	}
	g.line("wait within 5m until all is paid that was asked for by %s", strings.Join(g.owed, " "))
}
