package batch

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Governors are the policy's token buckets over payouts. What a bucket holds follows from the decisions below and from
// the batch's own time, nothing else, so that every node says the same of a batch. A payout takes its amount from each
// bucket that covers it when it is decided; what reverts later gives nothing back.
//
// A bucket is remembered by its debt: what was paid from it and has not refilled. Amounts are whole: a payout forfeits the
// fraction of a unit that had refilled. A bucket without debt is as good as one that was never touched, and is forgotten;
// what is kept is at most what was paid within one fill.
type governors struct {
	rules []quorum.Bucket
	debts []map[subject]debt // beside rules; absent is a full bucket
	swept int                // debts that were kept when full buckets were last forgotten

	paid destinations
}

// subject is what shares one bucket of a rule. Fields that the scope does not ask for are zero.
type subject struct {
	account common.Address
	network string
	chain   uint64
	token   common.Address
}

// debt is what a bucket owed right after a payout. It passes the capacity when a policy lowers that.
type debt struct {
	owed uint256.Int
	at   uint64 // decided time, unix ms
}

// bucketKey names one bucket.
type bucketKey struct {
	rule int
	of   subject
}

// sweepDebts is below how many debts nobody looks for full buckets.
const sweepDebts = 1024

func newGovernors(rules []quorum.Bucket) governors {
	g := governors{rules: slices.Clone(rules), paid: newDestinations()}
	for range rules {
		g.debts = append(g.debts, map[subject]debt{})
	}
	return g
}

// covers reports whether a rule draws on payouts of a network.
func covers(rule quorum.Bucket, network string) bool {
	return rule.Network == "" || rule.Network == network
}

// bucketsOf are the buckets that a payout draws on.
func (g *governors) bucketsOf(c quorum.Content, lane quorum.LaneKey) (out []bucketKey) {
	for i, rule := range g.rules {
		if !covers(rule, c.Network) {
			continue
		}
		switch rule.Scope {
		case quorum.BucketAccount:
			out = append(out, bucketKey{i, subject{account: c.Account, network: c.Network}})
		case quorum.BucketLane:
			out = append(out, bucketKey{i, subject{network: c.Network}})
		case quorum.BucketAsset:
			out = append(out, bucketKey{i, subject{chain: lane.ChainID, token: lane.Token}})
		}
	}
	return out
}

// has is what a bucket holds at a decided time.
func (g *governors) has(k bucketKey, now uint64) uint256.Int {
	left, owed := g.rules[k.rule].Capacity, g.debts[k.rule][k.of].after(g.rules[k.rule], now)
	take(&left, &owed)
	return left
}

// after is what is still owed at a decided time.
func (d debt) after(rule quorum.Bucket, now uint64) uint256.Int {
	gained, over := mulDiv(rule.Refill, now-min(now, d.at), perMS(rule))
	if over {
		gained.SetAllOne()
	}
	take(&d.owed, &gained)
	return d.owed
}

func perMS(rule quorum.Bucket) uint64 { return uint64(rule.Per / time.Millisecond) }

// mulDiv is ⌊v × n / d⌋.
func mulDiv(v uint256.Int, n, d uint64) (out uint256.Int, over bool) {
	_, over = out.MulDivOverflow(&v, uint256.NewInt(n), uint256.NewInt(d))
	return out, over
}

// filling is how long a bucket takes to gain an amount, in ms, rounded up. An age that no clock reaches is the maximum.
func filling(rule quorum.Bucket, amount uint256.Int) uint64 {
	var ms, rest uint256.Int
	per := uint256.NewInt(perMS(rule))
	if _, over := ms.MulDivOverflow(&amount, per, &rule.Refill); over || !ms.IsUint64() {
		return math.MaxUint64
	}
	if rest.MulMod(&amount, per, &rule.Refill); !rest.IsZero() {
		ms.AddUint64(&ms, 1)
	}
	if !ms.IsUint64() {
		return math.MaxUint64
	}
	return ms.Uint64()
}

// Queued is why a certified withdrawal waits: a governor of the policy has too little left. It is an [ErrInvalid] of the
// batch that would pay it now.
type Queued struct {
	Governor quorum.Bucket
	Level    uint256.Int // what the bucket holds
	Amount   uint256.Int // what is asked of it
	Free     uint64      // unix ms of decided time at which it will hold enough, if nothing else is paid from it

	now     uint64
	waiting []bucketKey // every bucket that refuses
}

// Error says it for people.
func (q *Queued) Error() string {
	text := fmt.Sprintf("queued by governor %s: level %s of %s, %s asked, free at %s", GovernorName(q.Governor), q.Level.Dec(),
		q.Governor.Capacity.Dec(), q.Amount.Dec(), timeText(q.Free))
	if q.Amount.Gt(&q.Governor.Capacity) {
		text += ": it is above the capacity and passes when the bucket is full"
	}
	return text
}

// Is makes it an [ErrInvalid].
func (q *Queued) Is(target error) bool { return target == ErrInvalid }

// GovernorName is how people read a governor: its scope, its network if it has one, and its time.
func GovernorName(b quorum.Bucket) string {
	per := b.Per.String()
	if strings.HasSuffix(per, "m0s") {
		per = strings.TrimSuffix(per, "0s")
	}
	if strings.HasSuffix(per, "h0m") {
		per = strings.TrimSuffix(per, "0m")
	}
	if b.Network != "" {
		return string(b.Scope) + " " + b.Network + " " + per
	}
	return string(b.Scope) + " " + per
}

func timeText(ms uint64) string {
	if ms > math.MaxInt64/1_000_000 {
		return "no time"
	}
	return time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339)
}

// draft is what buckets owe while the items of one batch draw on them.
type draft struct {
	g    *governors
	now  uint64
	owed map[bucketKey]uint256.Int
}

func (g *governors) draft(now uint64) draft { return draft{g, now, map[bucketKey]uint256.Int{}} }

// debt is what a bucket owes, and since when.
func (d draft) debt(k bucketKey) debt {
	if owed, ok := d.owed[k]; ok {
		return debt{owed, d.now}
	}
	return d.g.debts[k.rule][k.of]
}

// take draws an item's amount from every bucket that covers it, or from none.
func (d draft) take(keys []bucketKey, amount uint256.Int) error {
	if queued := d.refuses(keys, amount); queued != nil {
		return queued
	}
	d.draw(keys, amount)
	return nil
}

// refuses says why an item must wait; nil when every bucket has enough. More than a bucket can ever hold passes when the
// bucket is full, and empties it: nothing that is owed waits for ever.
func (d draft) refuses(keys []bucketKey, amount uint256.Int) (queued *Queued) {
	for _, k := range keys {
		rule, need := d.g.rules[k.rule], amount
		left, owed := rule.Capacity, d.debt(k).after(rule, d.now)
		take(&left, &owed)
		if need.Gt(&rule.Capacity) {
			need = rule.Capacity
		}
		if !left.Lt(&need) {
			continue
		}
		free := d.free(k, need)
		switch {
		case queued == nil:
			queued = &Queued{Governor: rule, Level: left, Amount: amount, Free: free, now: d.now}
		case free > queued.Free:
			queued.Governor, queued.Level, queued.Free = rule, left, free
		}
		queued.waiting = append(queued.waiting, k)
	}
	return queued
}

// draw takes an amount that no bucket refuses.
func (d draft) draw(keys []bucketKey, amount uint256.Int) {
	for _, k := range keys {
		rule, drawn := d.g.rules[k.rule], amount
		if drawn.Gt(&rule.Capacity) {
			drawn = rule.Capacity
		}
		owed := d.debt(k).after(rule, d.now)
		d.owed[k] = *owed.Add(&owed, &drawn) // within the capacity
	}
}

// free is when a bucket will hold what is needed.
func (d draft) free(k bucketKey, need uint256.Int) uint64 {
	rule, was := d.g.rules[k.rule], d.debt(k)
	missing, spare := was.owed, rule.Capacity
	spare.Sub(&spare, &need)
	missing.Sub(&missing, &spare) // the bucket refuses, so more is owed
	ms := filling(rule, missing)
	if ms > math.MaxUint64-was.at {
		return math.MaxUint64
	}
	return was.at + ms
}

// governed checks a batch's items against the governors, in their order.
func (s *State) governed(b Batch) error {
	d := s.governors.draft(b.Time)
	for _, it := range b.Items {
		if err := d.take(s.governors.bucketsOf(it.Content, b.Lane), it.Content.Amount); err != nil {
			return err
		}
	}
	return s.shared(b)
}

// govern books what a decision drew, and then follows the policy that it put in force.
func (s *State) govern(b Batch) {
	g := &s.governors
	d := g.draft(b.Time)
	for _, it := range b.Items {
		// Valid has found the same a moment ago.
		if err := d.take(g.bucketsOf(it.Content, b.Lane), it.Content.Amount); err != nil {
			panic(fmt.Sprintf("batch: height %d: %v", b.Height, err))
		}
		g.paid.add(it.Content)
	}
	g.keep(d)
	if !slices.Equal(g.rules, s.Policy.Governors) {
		g.follow(s.Policy.Governors, b.Time)
	}
	g.sweep(b.Time)
}

// keep takes over what a draft drew.
func (g *governors) keep(d draft) {
	for k, owed := range d.owed {
		g.debts[k.rule][k.of] = debt{owed, d.now}
	}
}

// sweep forgets buckets that are full. What is left is bounded by what was paid within one fill of a bucket.
func (g *governors) sweep(now uint64) {
	if n := g.count(); n < max(sweepDebts, 2*g.swept) {
		return
	}
	for i, rule := range g.rules {
		maps.DeleteFunc(g.debts[i], func(_ subject, d debt) bool {
			owed := d.after(rule, now)
			return owed.IsZero()
		})
	}
	g.swept = g.count()
}

func (g *governors) count() (n int) {
	for _, d := range g.debts {
		n += len(d)
	}
	return n
}

// follow changes the rules at a decided time. A rule that stands unchanged keeps every bucket as it is; a bucket of
// another rule starts with the debt of its predecessor, so that a change never pays two capacities in a row: what is paid
// after it is within the new rule, the payouts before it counted. The predecessor is the old rule of the same scope and
// time. Without one, the deepest debt of the scope counts, up to the new capacity: a rule with another time starts empty
// at worst, and refills. Only a scope that had no rule starts full: nothing limited it before.
func (g *governors) follow(next []quorum.Bucket, now uint64) {
	was := *g
	g.rules, g.debts = slices.Clone(next), nil
	for _, rule := range next {
		debts := map[subject]debt{}
		for _, i := range was.predecessors(rule) {
			for of, d := range was.debts[i] {
				if of.network == "" || covers(rule, of.network) {
					debts[of] = deeper(debts[of], inherited(rule, was.rules[i], d, now))
				}
			}
		}
		g.debts = append(g.debts, debts)
	}
}

// inherited is a bucket's debt under its new rule.
func inherited(rule, old quorum.Bucket, d debt, now uint64) debt {
	if rule == old {
		return d // to the fraction
	}
	owed := d.after(old, now)
	if rule.Per != old.Per && owed.Gt(&rule.Capacity) {
		owed = rule.Capacity
	}
	return debt{owed, now}
}

func deeper(a, b debt) debt {
	if a.owed.Gt(&b.owed) {
		return a
	}
	return b
}

// predecessors are the old rules whose debts a new one takes over.
func (g *governors) predecessors(rule quorum.Bucket) []int {
	if i := slices.Index(g.rules, rule); i >= 0 {
		return []int{i}
	}
	var same, scope []int
	for i, old := range g.rules {
		if old.Scope != rule.Scope || (old.Network != "" && rule.Network != "" && old.Network != rule.Network) {
			continue
		}
		scope = append(scope, i)
		if old.Per == rule.Per {
			same = append(same, i)
		}
	}
	if len(same) > 0 {
		return same
	}
	return scope
}
