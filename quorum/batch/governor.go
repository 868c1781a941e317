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
// Amounts are whole: a payout forfeits the fraction of a unit that had refilled. A bucket that has refilled to the brim is
// as good as one that was never touched, and is forgotten; what is kept is at most what was paid within one fill.
type governors struct {
	rules  []quorum.Bucket
	levels []map[subject]level // beside rules; absent is full
	swept  int                 // levels that were kept when full ones were last forgotten

	paid destinations
}

// subject is what shares one bucket of a rule. Fields that the scope does not ask for are zero.
type subject struct {
	account common.Address
	network string
	chain   uint64
	token   common.Address
}

// level is what a bucket held right after a payout.
type level struct {
	left uint256.Int
	at   uint64 // decided time, unix ms
}

// bucketKey names one bucket.
type bucketKey struct {
	rule int
	of   subject
}

// sweepLevels is below how many levels nobody looks for full buckets.
const sweepLevels = 1024

func newGovernors(rules []quorum.Bucket) governors {
	g := governors{rules: slices.Clone(rules), paid: newDestinations()}
	for range rules {
		g.levels = append(g.levels, map[subject]level{})
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
	l, ok := g.levels[k.rule][k.of]
	if !ok {
		return g.rules[k.rule].Capacity
	}
	return refilled(g.rules[k.rule], l, now)
}

func refilled(rule quorum.Bucket, l level, now uint64) uint256.Int {
	gained, over := mulDiv(rule.Refill, now-min(now, l.at), perMS(rule))
	if sum, over2 := new(uint256.Int).AddOverflow(&l.left, &gained); !over && !over2 && sum.Lt(&rule.Capacity) {
		return *sum
	}
	return rule.Capacity
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

// draft is what buckets hold while the items of one batch draw on them.
type draft struct {
	g    *governors
	now  uint64
	left map[bucketKey]uint256.Int
}

func (g *governors) draft(now uint64) draft { return draft{g, now, map[bucketKey]uint256.Int{}} }

func (d draft) has(k bucketKey) uint256.Int {
	if left, ok := d.left[k]; ok {
		return left
	}
	return d.g.has(k, d.now)
}

// take draws an item's amount from every bucket that covers it, or from none. More than a bucket can ever hold passes when
// the bucket is full, and empties it: nothing that is owed waits for ever.
func (d draft) take(keys []bucketKey, amount uint256.Int) error {
	var queued *Queued
	for _, k := range keys {
		rule, left := d.g.rules[k.rule], d.has(k)
		need := amount
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
	if queued != nil {
		return queued
	}
	for _, k := range keys {
		left := d.has(k)
		take(&left, &amount)
		d.left[k] = left
	}
	return nil
}

// free is when a bucket will hold what is needed.
func (d draft) free(k bucketKey, need uint256.Int) uint64 {
	from, left := d.now, d.has(k)
	if _, touched := d.left[k]; !touched {
		l := d.g.levels[k.rule][k.of] // there is one, or the bucket would be full
		from, left = l.at, l.left
	}
	var missing uint256.Int
	missing.Sub(&need, &left)
	ms := filling(d.g.rules[k.rule], missing)
	if ms > math.MaxUint64-from {
		return math.MaxUint64
	}
	return from + ms
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
	for k, left := range d.left {
		g.levels[k.rule][k.of] = level{left, b.Time}
	}
	if !slices.Equal(g.rules, s.Policy.Governors) {
		g.follow(s.Policy.Governors, b.Time)
	}
	g.sweep(b.Time)
}

// sweep forgets buckets that are full. What is left is bounded by what was paid within one fill of a bucket.
func (g *governors) sweep(now uint64) {
	if n := g.count(); n < max(sweepLevels, 2*g.swept) {
		return
	}
	for i, rule := range g.rules {
		maps.DeleteFunc(g.levels[i], func(_ subject, l level) bool {
			left := refilled(rule, l, now)
			return left == rule.Capacity
		})
	}
	g.swept = g.count()
}

func (g *governors) count() (n int) {
	for _, l := range g.levels {
		n += len(l)
	}
	return n
}

// follow changes the rules at a decided time. What a bucket has paid and not refilled is its debt. A rule that stands
// unchanged keeps every bucket as it is; a bucket of another rule starts with the debt of its predecessor, so that a
// change can never pay two capacities in a row: over any time the sum stays below the larger capacity and what both
// refill. The predecessor is the old rule of the same scope and time; without one, the deepest debt of the scope counts.
// Only a scope that had no rule for a subject starts it full: nothing limited it before.
func (g *governors) follow(next []quorum.Bucket, now uint64) {
	was := *g
	g.rules, g.levels = slices.Clone(next), nil
	for _, rule := range next {
		levels := map[subject]level{}
		for _, i := range was.predecessors(rule) {
			for of, l := range was.levels[i] {
				if of.network != "" && !covers(rule, of.network) {
					continue
				}
				levels[of] = inherit(levels, rule, was.rules[i], of, l, now)
			}
		}
		g.levels = append(g.levels, levels)
	}
}

// inherit is the level of one bucket under its new rule, the lowest of what its predecessors leave.
func inherit(levels map[subject]level, rule, old quorum.Bucket, of subject, l level, now uint64) level {
	if rule == old {
		return l // to the fraction
	}
	left, debt := rule.Capacity, old.Capacity
	had := refilled(old, l, now)
	debt.Sub(&debt, &had)
	take(&left, &debt)
	if other, ok := levels[of]; ok && other.left.Lt(&left) {
		left = other.left
	}
	return level{left, now}
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
