package batch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var payoutContract = common.HexToAddress("0xc000000000000000000000000000000000000001")

// batched is a founded world whose native lane pays batches, under a policy that says more.
func batched(t tb, n int, more string) *world {
	t.Helper()
	return foundedAs(t, n, func(g *quorum.Genesis) {
		g.Lanes[0].Way, g.Lanes[0].Contract = quorum.WayBatch, payoutContract
		g.Policy = testPolicy + more
		require.NoError(t, g.Check())
	})
}

// has is what members see of a payer with so many coins, nothing in flight.
func has(w *world, funds uint256.Int) func(int, *quorum.View) {
	return func(_ int, v *quorum.View) {
		for i, l := range v.Lanes {
			v.Lanes[i].Gas, v.Lanes[i].Nonce = funds, w.s.NextNonce(l.Lane.Nonces())
			if l.Lane.Token == (common.Address{}) {
				v.Lanes[i].Balance = funds
			}
		}
	}
}

// wids are a batch's items.
func wids(b batch.Batch) (out []uint64) {
	for _, it := range b.Items {
		out = append(out, it.Content.WID)
	}
	return out
}

// queue is n certified withdrawals of two coins, from wid first on, the highest wid the oldest.
func queue(t tb, w *world, first, n uint64, network string) (out []batch.Candidate) {
	t.Helper()
	for i := range n {
		out = append(out, w.pay(t, w.content(first+i, network), func(a *quorum.Approve) { a.Time = now - i }))
	}
	return out
}

// count is n numbers from first on.
func count(first, n uint64) (out []uint64) {
	for i := range n {
		out = append(out, first+i)
	}
	return out
}

const smallBatches = "[batch]\nmax_items = 5\nbase_gas = 200000\nitem_gas = 100000\ntoken_item_gas = 110000\n"

func TestABatchIsFilledOldestFirst(t *testing.T) {
	w := batched(t, 4, smallBatches)
	all := queue(t, w, 10, 7, "native")
	b := w.build(t, w.views(t, 0, has(w, coins(100))), all...)
	require.Equal(t, count(12, 5), wids(b), "the oldest five, by wid")
	require.True(t, w.s.Full(b))
	require.EqualValues(t, 200_000+5*100_000, b.GasLimit)
	value, _ := b.Value()
	require.Equal(t, coins(10), value)
	fx, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	require.Equal(t, coins(10), fx.Slot.Cost.Value)
	require.Equal(t, gas(700_000), fx.Slot.Cost.Gas)

	b = w.build(t, w.views(t, 0, has(w, coins(100))), all...)
	require.Equal(t, []uint64{10, 11}, wids(b), "the rest")
	require.False(t, w.s.Full(b))
	require.EqualValues(t, 400_000, b.GasLimit)
	require.EqualValues(t, 6, b.Nonce)
}

// One alone is a plain transfer: it costs less, and needs no contract.
func TestOneItemOnABatchLaneIsATransfer(t *testing.T) {
	w := batched(t, 4, "")
	b := w.build(t, w.views(t, 0), w.pay(t, w.content(1, "native")))
	require.Len(t, b.Items, 1)
	require.EqualValues(t, 60_000, b.GasLimit)
	b.GasLimit = w.s.Policy.Batches.Gas(false, 1)
	require.ErrorContains(t, w.s.Valid(b), "not what the policy's formula gives")
}

// Every rule of a PAYOUT with many items that one of a single item cannot break.
func TestBatchRules(t *testing.T) {
	w := batched(t, 4, smallBatches)
	b := w.build(t, w.views(t, 0, has(w, coins(100))), queue(t, w, 10, 5, "native")...)
	require.Len(t, b.Items, 5)
	add := func(t tb, w *world, b *batch.Batch, c quorum.Content) {
		b.Items = append(b.Items, batch.Item{Content: c, Cert: w.pay(t, c).Pay.Unchecked()})
	}
	last := func(change func(first quorum.Content, c *quorum.Content)) func(tb, *world, *batch.Batch) {
		return func(t tb, w *world, b *batch.Batch) {
			c := b.Items[4].Content
			change(b.Items[0].Content, &c)
			b.Items[4] = batch.Item{Content: c, Cert: w.pay(t, c).Pay.Unchecked()}
		}
	}
	for _, r := range []rule{
		{"an item too many", func(t tb, w *world, b *batch.Batch) {
			add(t, w, b, w.content(20, "native"))
			b.GasLimit += 100_000
		}, "pays at most 5"},
		{"more than the contract takes", func(_ tb, _ *world, b *batch.Batch) {
			b.Items = make([]batch.Item, quorum.MaxItems+1)
		}, "items, at most 150"},
		{"out of order", func(_ tb, _ *world, b *batch.Batch) { b.Items[0], b.Items[1] = b.Items[1], b.Items[0] }, "not ascending"},
		{"one twice", func(_ tb, _ *world, b *batch.Batch) { b.Items[1] = b.Items[0] }, "not ascending"},
		{"one left out of the gas", func(_ tb, _ *world, b *batch.Batch) { b.Items = b.Items[:4] }, "not what the policy's formula"},
		{"another lane's", last(func(_ quorum.Content, c *quorum.Content) { c.Network = "elsewhere" }), "of another lane"},
		{"to nobody", last(func(_ quorum.Content, c *quorum.Content) { c.To = common.Address{} }), "no payable destination"},
		{"to the lane's contract", last(func(_ quorum.Content, c *quorum.Content) { c.To = payoutContract }), "no payable destination"},
		{"of nothing", last(func(_ quorum.Content, c *quorum.Content) { c.Amount.Clear() }), "no payable destination"},
		{"one message twice", last(func(f quorum.Content, c *quorum.Content) { c.Message = f.Message }), "the message of withdrawal 14"},
		{"one event twice", last(func(f quorum.Content, c *quorum.Content) { c.EventID = f.EventID }), "event 10010"},
		{"the last one's certificate", func(_ tb, _ *world, b *batch.Batch) { b.Items[4].Cert.Votes[0].Time++ }, "not a certificate"},
		{"more than the payer has", last(func(_ quorum.Content, c *quorum.Content) { c.Amount = coins(92) }), "does not cover"},
		{"amounts that overflow", last(func(_ quorum.Content, c *quorum.Content) { c.Amount.SetAllOne() }), "overflow"},
	} {
		t.Run(r.name, func(t *testing.T) { breakOne(t, w, b, r) })
	}
}

// What the payer has not got waits, the youngest of it, and goes on when there is more.
func TestABatchShrinksToWhatIsCovered(t *testing.T) {
	w := batched(t, 4, "")
	all := queue(t, w, 10, 8, "native")
	funds := sum(coins(6), gas(500_000))
	b := w.build(t, w.views(t, 0, has(w, funds)), all...)
	require.Equal(t, count(15, 3), wids(b), "three of the oldest, to the wei")
	short := funds
	short.SubUint64(&short, 1)
	require.Equal(t, count(16, 2), wids(w.build(t, w.views(t, 0, has(w, short)), all...)))
	// Whoever asks for more than there is waits alone.
	whale := w.content(1, "native")
	whale.Amount = coins(50)
	b = w.build(t, w.views(t, 0, has(w, funds)), append(all, w.pay(t, whale, func(a *quorum.Approve) { a.Time = now - 99 }))...)
	require.Equal(t, count(15, 3), wids(b))

	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	_, ok := w.s.Build(all, w.views(t, 0, has(w, gas(1))))
	require.False(t, ok)
	require.Equal(t, count(10, 5), wids(w.build(t, w.views(t, 0, has(w, coins(100))), all...)), "topped up")
}

func TestFundsForABatchLane(t *testing.T) {
	w := batched(t, 4, smallBatches)
	f := w.s.FundsFor(queue(t, w, 10, 11, "native"), w.laneView("native"))
	require.Equal(t, 11, f.Queue)
	require.Equal(t, sum(coins(22), gas(2*700_000+60_000)), f.CoinNeed, "two full batches and one transfer")
	f = w.s.FundsFor(append(queue(t, w, 10, 2, "native"), queue(t, w, 20, 2, "tokens")...), w.laneView("tokens"))
	require.Equal(t, sum(coins(4), gas(400_000+2*120_000)), f.CoinNeed)
	require.Equal(t, coins(4), f.TokenNeed)
}

// A lane that pays batches and one that pays singly go on beside each other, the one with the oldest first.
func TestTwoWaysAtOnce(t *testing.T) {
	w := batched(t, 4, "")
	single := w.pay(t, w.content(5, "elsewhere"), func(a *quorum.Approve) { a.Time = now - 1 })
	all := append(queue(t, w, 10, 4, "native"), single)
	rich := func() []quorum.Signed[quorum.View] { return w.views(t, 0, has(w, coins(100))) }
	b := w.build(t, rich(), all...)
	require.Equal(t, count(10, 4), wids(b), "the oldest of all is one of these")
	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	require.Equal(t, []uint64{5}, wids(w.build(t, rich(), all...)))

	// Whose slots are all in flight does not hold up the other.
	busy := w.views(t, 0, has(w, coins(100)), func(_ int, v *quorum.View) { v.Lanes[0].Nonce = 4 })
	require.Equal(t, []uint64{5}, wids(w.build(t, busy, append(queue(t, w, 20, 3, "native"), single)...)))
}

// A governor draws for the items of a batch one after the other.
func TestGovernorsWithinABatch(t *testing.T) {
	w := batched(t, 4, testGovernors)
	var all []batch.Candidate
	for i, c := range []struct{ account, amount uint64 }{{1, 3}, {1, 3}, {2, 3}, {1, 1}, {3, 4}, {4, 2}} {
		all = append(all, asks(t, w, uint64(10+i), byte(c.account), c.amount, 0))
	}
	// Account 1 has four coins: 3 and 1 of its three. The lane has ten: account 3's four are too much, account 4's two are not.
	b := w.build(t, w.views(t, 0, at(w, 0)), all...)
	require.Equal(t, []uint64{10, 12, 13, 15}, wids(b))
	c := w.content(16, "native")
	c.Account, c.Amount = common.Address{0xac, 9}, coins(2)
	breakOne(t, w, b, rule{"the lane's bucket", func(t tb, w *world, b *batch.Batch) {
		b.Items = append(b.Items, batch.Item{Content: c, Cert: w.pay(t, c).Pay.Unchecked()})
		b.GasLimit += 100_000
	}, "queued by governor lane native 1m"})
	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	require.Equal(t, []uint64{11, 14}, wids(w.build(t, w.views(t, 0, at(w, 60_000)), all...)))
}

const testShares = "[shares]\nmin_items = 4\nnew_percent = 50\ndestination_percent = 60\n"

// Too many new destinations, or too many items to one, leave the batch from the youngest on, and go with later ones.
func TestSharesTrimABatch(t *testing.T) {
	w := batched(t, 4, testShares)
	var all []batch.Candidate
	add := func(wid uint64, to byte) {
		c := w.content(wid, "native")
		c.To = common.Address{0x70, to}
		all = append(all, w.pay(t, c, func(a *quorum.Approve) { a.Time = now - 100 + wid }))
	}
	for wid := range uint64(6) {
		add(10+wid, byte(wid))
	}
	rich := func() []quorum.Signed[quorum.View] { return w.views(t, 0, has(w, coins(100))) }
	b := w.build(t, rich(), all...)
	require.Equal(t, count(10, 3), wids(b), "all are new: as many as are not judged")
	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)

	all = all[3:] // 13, 14, 15 are new
	for wid := range uint64(5) {
		add(20+wid, 0)
	}
	add(30, 1)
	b = w.build(t, rich(), all...)
	require.Equal(t, []uint64{13, 14, 15, 20, 21, 22, 23, 24, 30}, wids(b), "three of nine are new, five go to one")
	breakOne(t, w, b, rule{"one more to the same", func(t tb, w *world, b *batch.Batch) {
		for _, i := range []int{0, 1} {
			c := b.Items[i].Content
			c.To = common.Address{0x70, 0}
			b.Items[i] = batch.Item{Content: c, Cert: w.pay(t, c).Pay.Unchecked()}
		}
	}, "7 of 9 items go to one destination"})
}

// The fullest batch of the largest committee fits its bounds, in bytes, in gas and in call data.
func TestFullestBatchOfItemsFits(t *testing.T) {
	w := newWorld(t, quorum.MaxMembers)
	long := strings.Repeat("n", quorum.MaxNetworkName)
	w.genesis.Policy = strings.Replace(testPolicy, `"native"`, fmt.Sprintf("%q", long), 1)
	w.genesis.Lanes[0].Network, w.genesis.Lanes[0].Way, w.genesis.Lanes[0].Contract = long, quorum.WayBatch, payoutContract
	w.network = w.genesis.ID()
	w.s = w.state(t)
	w.policy = w.s.Policy.Ref()
	b, err := w.s.BuildMembers(w.action(t), w.views(t, 0))
	require.NoError(t, err)
	_, err = w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)

	// Any certificate will do: its size is what counts.
	cert := w.pay(t, w.content(1, long), func(a *quorum.Approve) { a.Counter, a.Seq = 1<<62, 1<<62 }).Pay.Unchecked()
	refusal := w.refuse(t, w.content(2, long), func(r *quorum.Refuse) { r.Counter = 1 << 62 }).Refuse.Unchecked()
	full := batch.Batch{Kind: batch.Payout, Views: raws(w.views(t, 0)[:w.q()])}
	c := w.content(1<<62, long)
	c.EventID, c.Amount, c.Fee = 1<<62, *new(uint256.Int).SetAllOne(), *new(uint256.Int).SetAllOne()
	for range quorum.MaxItems {
		full.Items = append(full.Items, batch.Item{Content: c, Cert: cert})
	}
	for range batch.MaxRejects {
		full.Rejects = append(full.Rejects, batch.Reject{Content: c, Cert: refusal})
	}
	require.Less(t, len(full.Encode()), batch.MaxBytes)
}

// A thousand that wait cost four times what a quarter of them does: what is judged of one does not grow with the others.
func TestBuildIsLinear(t *testing.T) {
	w := batched(t, 4, "")
	views := w.views(t, 0, has(w, coins(10_000)))
	cost := func(n uint64) float64 {
		all := queue(t, w, 1, n, "native")
		return testing.AllocsPerRun(1, func() {
			b, ok := w.s.Build(all, views)
			require.True(t, ok)
			require.Len(t, b.Items, int(min(n, 150)))
		})
	}
	quarter, whole := cost(250), cost(1000)
	require.Less(t, whole, 5*quarter)
}

// Whatever waits, Build gives what Valid takes; it takes whom it could, the oldest first: of each that it left out, something
// else than its place says why.
func TestBatchesAreValidAndGreedy(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := batched(rt, 4, testGovernors+testShares+smallBatches)
		for range rapid.IntRange(1, 3).Draw(rt, "heights") {
			var all []batch.Candidate
			for range rapid.IntRange(0, 9).Draw(rt, "candidates") {
				c := w.content(rapid.Uint64Range(1, 20).Draw(rt, "wid"), "native")
				c.Account = common.Address{0xac, rapid.Byte().Draw(rt, "account") % 4}
				c.To = common.Address{0x70, rapid.Byte().Draw(rt, "to") % 4}
				c.Amount = coins(rapid.Uint64Range(0, 4).Draw(rt, "coins"))
				all = append(all, w.pay(rt, c))
			}
			funds := sum(coins(rapid.Uint64Range(0, 12).Draw(rt, "funds")), gas(700_000))
			b, ok := w.s.Build(all, w.views(rt, 0, has(w, funds)))
			if !ok {
				continue
			}
			require.NoError(rt, w.s.Valid(b))
			again, err := batch.Decode(b.Encode())
			require.NoError(rt, err)
			require.Equal(rt, b.Encode(), again.Encode())
			requireGreedy(rt, w, b, all)
			_, err = w.s.Apply(w.commit(rt, b.Encode()))
			require.NoError(rt, err)
		}
	})
}

// requireGreedy adds each candidate that was left out to the batch: none may fit, but for shares, which trim.
func requireGreedy(t tb, w *world, b batch.Batch, all []batch.Candidate) {
	t.Helper()
	for _, c := range all {
		if slices.Contains(wids(b), c.Content.WID) {
			continue
		}
		more := b
		more.Items = append(slices.Clone(b.Items), batch.Item{Content: c.Content, Cert: c.Pay.Unchecked()})
		slices.SortFunc(more.Items, func(x, y batch.Item) int { return int(x.Content.WID) - int(y.Content.WID) })
		more.GasLimit = w.s.Policy.Batches.Gas(false, uint64(len(more.Items)))
		require.Error(t, w.s.Valid(more), "withdrawal %d would have fitted", c.Content.WID)
	}
}
