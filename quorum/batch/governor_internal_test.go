package batch

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// payout is one that a governor let pass.
type payout struct {
	at     uint64
	amount uint64
}

func bucketOf(scope quorum.BucketScope, capacity, refill uint64, per time.Duration) quorum.Bucket {
	return quorum.Bucket{Scope: scope, Capacity: *uint256.NewInt(capacity), Refill: *uint256.NewInt(refill), Per: per}
}

var one = quorum.Content{Account: common.Address{1}, Network: "native", To: common.Address{2}}

// try pays if the governors allow it.
func (g *governors) try(amount, now uint64) error {
	d := g.draft(now)
	if err := d.take(g.bucketsOf(one, quorum.LaneKey{ChainID: 1}), *uint256.NewInt(amount)); err != nil {
		return err
	}
	g.keep(d)
	return nil
}

// refill is what a rule refills in a time, exactly.
func refill(rule quorum.Bucket, ms uint64) *big.Rat {
	n := new(big.Int).Mul(rule.Refill.ToBig(), new(big.Int).SetUint64(ms))
	return new(big.Rat).SetFrac(n, new(big.Int).SetUint64(perMS(rule)))
}

func drawRule(t *rapid.T, label string) quorum.Bucket {
	return bucketOf(quorum.BucketAccount, rapid.Uint64Range(1, 200).Draw(t, label+" capacity"), rapid.Uint64Range(1, 100).Draw(t, label+" refill"),
		rapid.SampledFrom([]time.Duration{time.Second, 7 * time.Second, time.Minute}).Draw(t, label+" per"))
}

// Over any time, a bucket never pays more than its capacity and what it refills; and it pays all of that, but for less than
// one unit a payout.
func TestBucketAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t, "rule")
		capacity := rule.Capacity.Uint64()
		g := newGovernors([]quorum.Bucket{rule})
		now, last := uint64(1_000_000), uint64(1_000_000)
		full := new(big.Rat).SetInt(rule.Capacity.ToBig())
		held := new(big.Rat).Set(full) // exact, where the bucket is rounded down
		var paid []payout
		for range rapid.IntRange(1, 40).Draw(t, "payouts") {
			now += rapid.Uint64Range(0, 20_000).Draw(t, "ms later")
			amount := rapid.Uint64Range(1, 2*capacity).Draw(t, "amount")
			held.Add(held, refill(rule, now-last))
			if held.Cmp(full) > 0 {
				held.Set(full)
			}
			last = now
			counts := new(big.Rat).SetInt(new(big.Int).SetUint64(min(amount, capacity)))
			err := g.try(amount, now)
			if err == nil {
				require.LessOrEqual(t, counts.Cmp(held), 0, "paid %d of %s", amount, held)
				held.Sub(held, counts)
				paid = append(paid, payout{now, min(amount, capacity)})
				continue
			}
			rounded := new(big.Rat).Sub(held, new(big.Rat).SetInt64(int64(len(paid))))
			require.Positive(t, counts.Cmp(rounded), "%d was refused with %s held: %v", amount, held, err)
			require.ErrorIs(t, err, ErrInvalid)
		}
		for i := range paid {
			sum := new(big.Rat)
			for _, p := range paid[i:] {
				sum.Add(sum, new(big.Rat).SetInt(new(big.Int).SetUint64(p.amount)))
				limit := new(big.Rat).Add(full, refill(rule, p.at-paid[i].at))
				require.LessOrEqual(t, sum.Cmp(limit), 0, "from %d to %d", paid[i].at, p.at)
			}
		}
	})
}

// What the message calls free is the first millisecond at which the payout passes.
func TestFreeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGovernors([]quorum.Bucket{drawRule(t, "rule")})
		now := uint64(1_000_000)
		for range 10 {
			amount := rapid.Uint64Range(1, 300).Draw(t, "amount")
			now += rapid.Uint64Range(0, 5_000).Draw(t, "ms later")
			err := g.try(amount, now)
			if err == nil {
				continue
			}
			var q *Queued
			require.ErrorAs(t, err, &q)
			require.Greater(t, q.Free, now)
			require.Error(t, g.try(amount, q.Free-1))
			require.NoError(t, g.try(amount, q.Free))
			now = q.Free
		}
	})
}

// However often the policy changes, over any time that ends with a payout the sum stays below the capacity in force then
// and what was refilled.
func TestPolicyChangesNeverPayTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type step struct {
			at, paid uint64
			rule     quorum.Bucket
		}
		rule := drawRule(t, "first")
		per := rule.Per
		g := newGovernors([]quorum.Bucket{rule})
		now := uint64(1_000_000)
		var steps []step
		for range rapid.IntRange(2, 30).Draw(t, "steps") {
			now += rapid.Uint64Range(0, 10_000).Draw(t, "ms later")
			if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
				rule = drawRule(t, "next")
				rule.Per = per
				g.follow([]quorum.Bucket{rule}, now)
			}
			amount := rapid.Uint64Range(1, rule.Capacity.Uint64()).Draw(t, "amount")
			if g.try(amount, now) != nil {
				amount = 0
			}
			steps = append(steps, step{now, amount, rule})
		}
		for i := range steps {
			sum, gained := new(big.Rat), new(big.Rat)
			for j, s := range steps[i:] {
				if j > 0 {
					was := steps[i+j-1]
					gained.Add(gained, refill(was.rule, s.at-was.at))
				}
				if s.paid == 0 {
					continue
				}
				sum.Add(sum, new(big.Rat).SetInt(new(big.Int).SetUint64(s.paid)))
				limit := new(big.Rat).Add(gained, new(big.Rat).SetInt(new(big.Int).SetUint64(s.rule.Capacity.Uint64())))
				require.LessOrEqual(t, sum.Cmp(limit), 0, "steps %d to %d", i, i+j)
			}
		}
	})
}

// An unchanged rule keeps its level when another one comes, changes or goes.
func TestUnchangedRuleKeepsItsLevel(t *testing.T) {
	day, hour := bucketOf(quorum.BucketAccount, 100, 100, 24*time.Hour), bucketOf(quorum.BucketAccount, 10, 10, time.Hour)
	lane := bucketOf(quorum.BucketLane, 500, 1, time.Second)
	g := newGovernors([]quorum.Bucket{day, hour})
	require.NoError(t, g.try(8, 1000))
	levels := func() (out []uint64) {
		for _, k := range g.bucketsOf(one, quorum.LaneKey{}) {
			left := g.has(k, 1000)
			out = append(out, left.Uint64())
		}
		return out
	}
	require.Equal(t, []uint64{92, 2}, levels())

	g.follow([]quorum.Bucket{lane, day, hour}, 1000)
	require.Equal(t, []uint64{500, 92, 2}, levels(), "a scope without a predecessor starts full")

	wider := hour
	wider.Capacity = *uint256.NewInt(20)
	g.follow([]quorum.Bucket{day, wider}, 1000)
	require.Equal(t, []uint64{92, 12}, levels(), "a wider bucket starts with the debt of its own predecessor")

	week := bucketOf(quorum.BucketAccount, 50, 50, 7*24*time.Hour)
	g.follow([]quorum.Bucket{day, wider, week}, 1000)
	require.Equal(t, []uint64{92, 12, 42}, levels(), "a new time starts with the deepest debt of the scope")

	narrow := bucketOf(quorum.BucketAccount, 3, 3, time.Minute)
	g.follow([]quorum.Bucket{day, narrow}, 1000)
	require.Equal(t, []uint64{92, 0}, levels(), "and empty at worst")
	left := g.has(g.bucketsOf(one, quorum.LaneKey{})[1], 61_000)
	require.Equal(t, uint64(3), left.Uint64(), "so that it is full after its own time")

	slim := day
	slim.Capacity = *uint256.NewInt(5)
	g.follow([]quorum.Bucket{slim}, 1000)
	require.Equal(t, []uint64{0}, levels())
	g.follow([]quorum.Bucket{day}, 1000)
	require.Equal(t, []uint64{92}, levels(), "a debt above the capacity is not forgiven")

	elsewhere := week
	elsewhere.Network = "elsewhere"
	g.follow([]quorum.Bucket{day, elsewhere}, 1000)
	require.Equal(t, []uint64{92}, levels())
	require.Zero(t, len(g.debts[1]), "another network's rule takes nothing of this one's debt")

	g.follow(nil, 1000)
	require.Empty(t, levels())
}

// Full buckets are forgotten: what is kept is what was paid within one fill.
func TestFullBucketsAreForgotten(t *testing.T) {
	g := newGovernors([]quorum.Bucket{bucketOf(quorum.BucketAccount, 10, 10, time.Second)})
	for i := range uint64(20 * sweepDebts) {
		c, now := one, 1_000_000+10*i
		c.Account = common.BigToAddress(new(big.Int).SetUint64(i + 1))
		d := g.draft(now)
		require.NoError(t, d.take(g.bucketsOf(c, quorum.LaneKey{}), *uint256.NewInt(10)))
		g.keep(d)
		g.sweep(now)
		require.LessOrEqual(t, g.count(), sweepDebts)
	}
}

// Amounts near the end of the range neither overflow nor refuse for ever.
func TestHugeBuckets(t *testing.T) {
	var most uint256.Int
	most.SetAllOne()
	g := newGovernors([]quorum.Bucket{{Scope: quorum.BucketLane, Capacity: most, Refill: most, Per: 90 * 24 * time.Hour}})
	keys := g.bucketsOf(one, quorum.LaneKey{})
	d := g.draft(1000)
	require.NoError(t, d.take(keys, most))
	g.keep(d)
	quarter := perMS(g.rules[0]) / 4
	left := g.has(keys[0], 1000+quarter)
	require.Equal(t, new(uint256.Int).Rsh(&most, 2).Hex(), left.Hex())
	require.Equal(t, most, g.has(keys[0], 1000+4*quarter))

	slow := g.rules[0]
	slow.Refill = *uint256.NewInt(1)
	require.Equal(t, ^uint64(0), filling(slow, most))
	require.Equal(t, uint64(3), filling(bucketOf(quorum.BucketLane, 10, 10, 28*time.Millisecond), *uint256.NewInt(1)))
}

func TestGovernorName(t *testing.T) {
	for want, b := range map[string]quorum.Bucket{
		"account 24h":      {Scope: quorum.BucketAccount, Per: 24 * time.Hour},
		"lane polygon 10m": {Scope: quorum.BucketLane, Network: "polygon", Per: 10 * time.Minute},
		"asset 1m30s":      {Scope: quorum.BucketAsset, Per: 90 * time.Second},
		"asset 1h30m":      {Scope: quorum.BucketAsset, Per: 90 * time.Minute},
		"lane 10s":         {Scope: quorum.BucketLane, Per: 10 * time.Second},
	} {
		require.Equal(t, want, GovernorName(b))
	}
}

// The destinations of the last payouts are known, those before them are not.
func TestDestinationsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, all := newDestinations(), []uint64{}
		bound := rapid.IntRange(1, 8).Draw(t, "bound")
		for range rapid.IntRange(0, 40).Draw(t, "payouts") {
			key := rapid.Uint64Range(0, 10).Draw(t, "key")
			d.push(key, bound)
			all = append(all, key)
			last := all[max(0, len(all)-bound):]
			want := map[uint64]uint32{}
			for _, k := range last {
				want[k]++
			}
			require.Equal(t, want, d.times)
			require.LessOrEqual(t, len(d.ring), bound)
		}
	})
}

// Shares count destinations that were never paid and items that go to one, from the policy's size of batch on.
func TestShares(t *testing.T) {
	s := &State{governors: newGovernors(nil)}
	s.Policy.Shares = quorum.Shares{MinItems: 4, NewPercent: 50, DestinationPercent: 50}
	old := func(i int) quorum.Content { return quorum.Content{Network: "native", To: common.Address{1, byte(i)}} }
	fresh := func(i int) quorum.Content { return quorum.Content{Network: "native", To: common.Address{2, byte(i)}} }
	for i := range 4 {
		s.governors.paid.add(old(i))
	}
	batchOf := func(all ...quorum.Content) (b Batch) {
		for _, c := range all {
			b.Items = append(b.Items, Item{Content: c})
		}
		return b
	}
	require.NoError(t, s.shared(batchOf(old(0), old(1), fresh(0), fresh(1))))
	require.ErrorContains(t, s.shared(batchOf(old(0), fresh(2), fresh(0), fresh(1))), "3 of 4 items go to destinations that were never paid")
	require.NoError(t, s.shared(batchOf(fresh(2), fresh(0), fresh(1))), "too few to be judged")
	require.NoError(t, s.shared(batchOf(old(0), old(0), old(1), old(2))))
	require.ErrorContains(t, s.shared(batchOf(old(0), old(0), old(0), old(2))), "3 of 4 items go to one destination")
	elsewhere := old(0)
	elsewhere.Network = "elsewhere"
	require.False(t, s.governors.paid.has(elsewhere), fmt.Sprintf("%s is known on %s only", elsewhere.To, "native"))
}
