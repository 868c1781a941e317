package batch_test

import (
	"testing"
	"time"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// One account may be paid four coins a minute, the native lane ten.
const testGovernors = `
[[governor]]
scope = "account"
capacity = "4000000000000000000"
refill = "4000000000000000000"
per = "1m"
[[governor]]
scope = "lane"
network = "native"
capacity = "10000000000000000000"
refill = "10000000000000000000"
per = "1m"
`

// ruled is a founded world whose policy says more.
func ruled(t tb, more string) *world {
	t.Helper()
	return foundedAs(t, 4, func(g *quorum.Genesis) { g.Policy = testPolicy + more })
}

// at is what members see at a time, nothing in flight.
func at(w *world, ms uint64) func(int, *quorum.View) {
	return func(_ int, v *quorum.View) {
		v.Time = now + ms
		for i, l := range v.Lanes {
			v.Lanes[i].Nonce = w.s.NextNonce(l.Lane.Nonces())
		}
	}
}

// asks is withdrawal wid of an account, certified at a time.
func asks(t tb, w *world, wid uint64, account byte, amount, ms uint64) batch.Candidate {
	t.Helper()
	c := w.content(wid, "native")
	c.Account, c.Amount = common.Address{0xac, account}, coins(amount)
	return w.pay(t, c, func(a *quorum.Approve) { a.Time = now + ms })
}

// paid decides what can be decided at a time, and says which withdrawal that was.
func (w *world) paid(t tb, ms uint64, candidates ...batch.Candidate) (wid uint64) {
	t.Helper()
	b, ok := w.s.Build(candidates, w.views(t, 0, at(w, ms)))
	if !ok {
		return 0
	}
	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	return b.Items[0].Content.WID
}

func TestGovernorQueuesAnAccountAndPaysOthers(t *testing.T) {
	w := ruled(t, testGovernors)
	first, second, other := asks(t, w, 1, 1, 3, 0), asks(t, w, 2, 1, 3, 1), asks(t, w, 3, 2, 3, 2)
	require.EqualValues(t, 1, w.paid(t, 0, first, second, other))
	require.EqualValues(t, 3, w.paid(t, 0, second, other), "the queued one does not hold up another account's")
	require.Zero(t, w.paid(t, 29_999, second))
	why := w.s.WhyNot(second, w.views(t, 0, at(w, 29_999)))
	require.EqualError(t, why, "queued by governor account 1m: level 2999933333333333333 of 4000000000000000000, "+
		"3000000000000000000 asked, free at 2026-05-28T20:27:10Z")
	var q *batch.Queued
	require.ErrorAs(t, why, &q)
	require.Equal(t, uint64(now+30_000), q.Free)
	levels, ok := w.s.Levels(second.Content, w.views(t, 0, at(w, 29_999)))
	require.True(t, ok)
	require.Equal(t, []uint64{now + 30_000, 0}, []uint64{levels[0].Free, levels[1].Free}, "the account's refuses, the lane's does not")
	require.Equal(t, q.Level, levels[0].Left)
	_, ok = w.s.Levels(second.Content, nil)
	require.False(t, ok, "nobody knows the time")
	require.EqualValues(t, 2, w.paid(t, 30_000, second))
}

func TestGovernorItemAboveCapacityWaitsForAFullBucket(t *testing.T) {
	w := ruled(t, testGovernors)
	require.EqualValues(t, 1, w.paid(t, 0, asks(t, w, 1, 1, 1, 0)))
	large := asks(t, w, 2, 1, 7, 0)
	require.Zero(t, w.paid(t, 14_999, large))
	require.ErrorContains(t, w.s.WhyNot(large, w.views(t, 0, at(w, 14_999))), "above the capacity and passes when the bucket is full")
	require.EqualValues(t, 2, w.paid(t, 15_000, large))
	require.Zero(t, w.paid(t, 29_000, asks(t, w, 3, 1, 1, 15_000)), "it emptied the bucket")
	require.EqualValues(t, 3, w.paid(t, 30_000, asks(t, w, 3, 1, 1, 15_000)))
}

// A large withdrawal would starve behind a stream of small ones of others: from one fill of the bucket on it is kept free.
func TestAnOldWithdrawalIsNotStarved(t *testing.T) {
	w := ruled(t, `
[[governor]]
scope = "lane"
capacity = "10000000000000000000"
refill = "10000000000000000000"
per = "1m"
`)
	large := asks(t, w, 1, 1, 10, 0)
	require.EqualValues(t, 2, w.paid(t, 0, asks(t, w, 2, 2, 2, 0)))
	for i := range uint64(9) {
		small := asks(t, w, 10+i, 2, 1, 6_000*i)
		require.EqualValues(t, 10+i, w.paid(t, 6_000*(i+1), large, small), "in the first minute others pass")
	}
	small := asks(t, w, 99, 2, 1, 60_000)
	require.Zero(t, w.paid(t, 60_000, large, small))
	wid, behind := w.s.Behind(small, []batch.Candidate{small, large}, w.views(t, 0, at(w, 60_000)))
	require.True(t, behind)
	require.EqualValues(t, 1, wid)
	_, behind = w.s.Behind(small, []batch.Candidate{small, large}, w.views(t, 0, at(w, 59_999)))
	require.False(t, behind)
	require.EqualValues(t, 99, w.paid(t, 60_000, small), "alone it would pass")

	// What its own account's bucket refuses is kept nothing of the lane's.
	w = ruled(t, testGovernors)
	require.EqualValues(t, 1, w.paid(t, 0, asks(t, w, 1, 1, 9, 0)))
	require.EqualValues(t, 2, w.paid(t, 60_000, asks(t, w, 2, 1, 4, 0)))
	both := asks(t, w, 3, 1, 9, 0)
	require.EqualValues(t, 4, w.paid(t, 62_000, both, asks(t, w, 4, 2, 3, 62_000)))
}

// Nodes that hold the same decisions hold the same buckets, whether they followed them or replayed them; Build gives what
// Valid takes, and Valid takes a batch if, and only if, every bucket had enough.
func TestGovernorsAreEqualAfterARestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := ruled(t, testGovernors)
		type entry struct {
			ms, amount uint64
			account    byte
		}
		var history []entry
		var decided [][]byte
		ms := uint64(0)
		// fits is the naive reference: the rule over every window that ends now, for a rule that refills its capacity a minute.
		fits := func(capacity, amount uint64, mine func(entry) bool) bool {
			sum := amount
			for i := len(history) - 1; i >= 0; i-- {
				if !mine(history[i]) {
					continue
				}
				sum += history[i].amount
				if sum*60_000 > capacity*60_000+capacity*(ms-history[i].ms) {
					return false
				}
			}
			return true
		}
		for wid := uint64(1); wid <= uint64(rapid.IntRange(1, 12).Draw(t, "requests")); wid++ {
			ms += rapid.Uint64Range(0, 40).Draw(t, "seconds later") * 1500
			e := entry{ms, rapid.Uint64Range(1, 4).Draw(t, "amount"), byte(rapid.IntRange(1, 3).Draw(t, "account"))}
			c := asks(t, w, wid, e.account, e.amount, ms)
			b, ok := w.s.Build([]batch.Candidate{c}, w.views(t, 0, at(w, ms)))
			want := fits(4, e.amount, func(o entry) bool { return o.account == e.account }) && fits(10, e.amount, func(entry) bool { return true })
			require.Equal(t, want, ok, "%d coins after %d ms", e.amount, ms)
			if !ok {
				continue
			}
			require.NoError(t, w.s.Valid(b))
			history = append(history, e)
			decided = append(decided, b.Encode())
			_, err := w.s.Apply(w.commit(t, b.Encode()))
			require.NoError(t, err)
		}

		again := ruled(t, testGovernors)
		for _, value := range decided {
			_, err := again.s.Apply(again.commit(t, value))
			require.NoError(t, err)
		}
		probe := asks(t, w, 1000, byte(rapid.IntRange(1, 3).Draw(t, "probe")), 4, ms)
		later := ms + rapid.Uint64Range(0, 60_000).Draw(t, "probed after")
		require.Equal(t, w.s.WhyNot(probe, w.views(t, 0, at(w, later))), again.s.WhyNot(probe, again.views(t, 0, at(again, later))))
	})
}

// The time of decisions, not anybody's clock, fills buckets: it never goes back, and views that lag behind it do not help.
func TestGovernorsRunOnDecidedTime(t *testing.T) {
	w := ruled(t, testGovernors)
	require.EqualValues(t, 1, w.paid(t, 60_000, asks(t, w, 1, 1, 4, 60_000)))
	next := asks(t, w, 2, 1, 1, 60_000)
	require.Zero(t, w.paid(t, 55_000, next))
	require.Equal(t, time.UnixMilli(now+75_000).UTC(), time.UnixMilli(int64(free(t, w, next, 55_000))).UTC())
	require.EqualValues(t, 2, w.paid(t, 75_000, next))
}

func free(t *testing.T, w *world, c batch.Candidate, ms uint64) uint64 {
	t.Helper()
	var q *batch.Queued
	require.ErrorAs(t, w.s.WhyNot(c, w.views(t, 0, at(w, ms))), &q)
	require.ErrorIs(t, q, batch.ErrInvalid)
	return q.Free
}

// A decided policy changes the governors from the next height on, what was paid before counts, and a node that replays the
// decisions says the same.
func TestGovernorsFollowADecidedPolicy(t *testing.T) {
	w, again := ruled(t, testGovernors), ruled(t, testGovernors)
	both := func(b batch.Batch) {
		for _, o := range []*world{w, again} {
			_, err := o.s.Apply(o.commit(t, b.Encode()))
			require.NoError(t, err)
		}
	}
	b, ok := w.s.Build([]batch.Candidate{asks(t, w, 1, 1, 3, 0)}, w.views(t, 0, at(w, 0)))
	require.True(t, ok)
	both(b)
	wider := `
[[governor]]
scope = "account"
capacity = "5000000000000000000"
refill = "1000000000000000000"
per = "1m"
`
	both(w.actionBatch(t, w.acts(t, 3, quorum.PolicyChange{File: append(policyFile("2"), wider...)})))
	w.policy = w.s.Policy.Ref()

	for _, o := range []*world{w, again} {
		o.policy = o.s.Policy.Ref()
		require.ErrorContains(t, o.s.WhyNot(asks(t, o, 2, 1, 3, 0), o.views(t, 0, at(o, 0))),
			"governor account 1m: level 2000000000000000000 of 5000000000000000000")
		require.NoError(t, o.s.WhyNot(asks(t, o, 3, 1, 2, 0), o.views(t, 0, at(o, 0))))
		require.NoError(t, o.s.WhyNot(asks(t, o, 4, 2, 5, 0), o.views(t, 0, at(o, 0))), "the lane's governor has gone")
	}
}
