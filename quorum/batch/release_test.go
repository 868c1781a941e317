package batch_test

import (
	"math"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
	"conclave/quorum/batch"
)

// failed is the word of the members from first on that the transaction of a slot is final and reverted.
func (w *world) failed(t tb, fx batch.Effects, id common.Hash, change ...func(*quorum.Outcome)) quorum.OutcomeCertificate {
	t.Helper()
	o := quorum.Outcome{Epoch: w.s.Roster.Epoch, Lane: fx.Slot.Lane, Nonce: fx.Slot.Nonce, Batch: id, TxHash: common.Hash{1}, BlockHash: common.Hash{2}}
	for _, c := range change {
		c(&o)
	}
	var said []quorum.Signed[quorum.Outcome]
	for i := range w.q() {
		o.Counter = uint64(100 + i)
		said = append(said, sign(t, w, i, o))
	}
	cert, ok := quorum.CertifyOutcome(w.s.Roster, said)
	require.True(t, ok)
	return cert
}

// settled is one decided item, and the id of its batch.
func (w *world) settled(t tb, candidates ...batch.Candidate) (batch.Effects, common.Hash) {
	fx := w.decide(t, candidates...)
	return fx, w.s.Previous
}

func (w *world) release(t tb, certs ...quorum.OutcomeCertificate) batch.Effects {
	t.Helper()
	b, ok := w.s.BuildReleases(certs, w.views(t, 0))
	require.True(t, ok)
	fx, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	return fx
}

// carrying is a batch of outcome certificates, whatever they are worth.
func (w *world) carrying(t tb, us ...quorum.UncheckedOutcome) batch.Batch {
	t.Helper()
	views := w.views(t, 0)
	b := batch.Batch{Epoch: w.s.Roster.Epoch, Height: w.s.Height + 1, Previous: w.s.Previous, Kind: batch.Payout, Releases: us}
	times := []uint64{}
	for _, v := range views {
		if len(b.Views) < w.q() {
			b.Views, times = append(b.Views, v.Bytes()), append(times, v.Body().Time)
		}
	}
	b.Time = max(w.s.Time, quorum.LowerMedian(times))
	return b
}

// A released item is free once: to be paid by the very certificate that it had, at another nonce.
func TestAReleasedItemIsDecidedAgain(t *testing.T) {
	w := founded(t, 4)
	c := w.content(1, "native")
	again := w.pay(t, c)
	fx, id := w.settled(t, again)
	_, ok := w.s.Build([]batch.Candidate{again}, w.views(t, 0))
	require.False(t, ok, "decided")
	got := w.release(t, w.failed(t, fx, id))
	require.Equal(t, []batch.Released{{Lane: fx.Slot.Lane, Nonce: fx.Slot.Nonce, WIDs: []uint64{1}}}, got.Released)
	require.Nil(t, got.Slot, "a release takes no nonce")
	require.Equal(t, 1, w.s.Freed(1))
	require.False(t, w.s.Decided(1))
	second, id2 := w.settled(t, again)
	require.Equal(t, fx.Slot.Nonce+1, second.Slot.Nonce)
	_, ok = w.s.Build([]batch.Candidate{again}, w.views(t, 0))
	require.False(t, ok)

	// The second time the members' word alone is not enough any more.
	w.release(t, w.failed(t, second, id2))
	require.ErrorContains(t, w.s.WhyNot(again, w.views(t, 0)), "the operators must resolve it")
	_, ok = w.s.Build([]batch.Candidate{again}, w.views(t, 0))
	require.False(t, ok)
	_, ok = w.s.Build([]batch.Candidate{w.refuse(t, c)}, w.views(t, 0))
	require.False(t, ok, "nor is it for a reject")
}

// What releases a slot, each line with one thing wrong.
func TestReleaseRules(t *testing.T) {
	w := founded(t, 4)
	fx, id := w.settled(t, w.pay(t, w.content(1, "native")))
	other, otherID := w.settled(t, w.pay(t, w.content(2, "native")))
	w.decide(t, w.refuse(t, w.content(3, "native")))
	good := w.failed(t, fx, id).Unchecked()
	require.NoError(t, w.s.Valid(w.carrying(t, good)))
	outcome := func(change func(*quorum.Outcome)) quorum.UncheckedOutcome {
		return w.failed(t, fx, id, change).Unchecked()
	}
	few := good
	few.Votes = few.Votes[:len(few.Votes)-1]
	twice := good
	twice.Votes = append(slices.Clone(good.Votes[:len(good.Votes)-1]), good.Votes[0])
	forged := good
	forged.Outcome.K = 1
	later := outcome(func(o *quorum.Outcome) { o.Nonce = other.Slot.Nonce; o.Batch = otherID })
	for name, r := range map[string]struct {
		us   []quorum.UncheckedOutcome
		says string
	}{
		"it paid":                      {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Status = 1 })}, "paid its items"},
		"another slot's batch":         {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Batch = otherID })}, "another batch"},
		"another nonce":                {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Nonce = other.Slot.Nonce })}, "another batch"},
		"a nonce that nobody took":     {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Nonce = math.MaxUint64 })}, "holds no items"},
		"another chain":                {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Lane.ChainID++ })}, "holds no items"},
		"another payer":                {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Lane.Payer = common.Address{9} })}, "holds no items"},
		"another token":                {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Lane.Token = common.Address{9} })}, "another lane"},
		"a batch of nobody":            {[]quorum.UncheckedOutcome{outcome(func(o *quorum.Outcome) { o.Batch = common.Hash{7} })}, "another batch"},
		"fewer than q":                 {[]quorum.UncheckedOutcome{few}, "votes"},
		"one member twice":             {[]quorum.UncheckedOutcome{twice}, "ascending"},
		"signatures of another word":   {[]quorum.UncheckedOutcome{forged}, "release of nonce"},
		"one slot twice at once":       {[]quorum.UncheckedOutcome{good, good}, "not ascending"},
		"two slots in the wrong order": {[]quorum.UncheckedOutcome{later, good}, "not ascending"},
		"another epoch": {[]quorum.UncheckedOutcome{func() quorum.UncheckedOutcome {
			u := good
			u.Outcome.Epoch++
			return u
		}()}, "is of epoch"},
		"more than fit": {slices.Repeat([]quorum.UncheckedOutcome{good}, batch.MaxReleases+1), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.s.Valid(w.carrying(t, r.us...))
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, r.says)
			if proven := w.carrying(t, r.us...); name == "fewer than q" || name == "one member twice" || name == "signatures of another word" {
				_, err := batch.Prove(w.network, w.s.Roster, proven.Encode())
				require.ErrorIs(t, err, batch.ErrInvalid, "who catches up proves releases, too")
			}
		})
	}
	t.Run("the items of its own release", func(t *testing.T) {
		c := w.content(1, "native")
		b := w.carrying(t, good)
		b.Items = []batch.Item{{Content: c, Cert: w.pay(t, c).Pay.Unchecked()}}
		require.ErrorContains(t, w.s.Valid(b), "withdrawal 1 was")
	})
	t.Run("once", func(t *testing.T) {
		w.release(t, w.failed(t, fx, id))
		require.ErrorContains(t, w.s.Valid(w.carrying(t, good)), "released before")
		require.False(t, w.s.Decided(1))
		require.True(t, w.s.Decided(2) && w.s.Decided(3), "others stay where they are")
	})
	t.Run("another content", func(t *testing.T) {
		c := w.content(1, "native")
		c.To = common.Address{8}
		require.ErrorContains(t, w.s.WhyNot(w.pay(t, c), w.views(t, 0)), "another content")
	})
}

// However outcomes, releases and payments follow each other, a withdrawal stands in at most one slot that was not released, and comes
// by certificates alone twice at most.
func TestReleasesNeverFreeTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := founded(rt, 4)
		type slot struct {
			fx   batch.Effects
			id   common.Hash
			wid  uint64
			free bool
		}
		var slots []slot
		uses := map[uint64]int{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			wid := rapid.Uint64Range(1, 3).Draw(rt, "wid")
			if rapid.Bool().Draw(rt, "pay") {
				if b, ok := w.s.Build([]batch.Candidate{w.pay(rt, w.content(wid, "native"))}, w.views(rt, 0)); ok {
					for _, s := range slots {
						require.False(rt, s.wid == wid && !s.free, "paid while its slot stands")
					}
					fx, err := w.s.Apply(w.commit(rt, b.Encode()))
					require.NoError(rt, err)
					slots = append(slots, slot{fx, w.s.Previous, wid, false})
					uses[wid]++
				}
				continue
			}
			if len(slots) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(slots)-1).Draw(rt, "slot")
			b, ok := w.s.BuildReleases([]quorum.OutcomeCertificate{w.failed(rt, slots[i].fx, slots[i].id)}, w.views(rt, 0))
			require.Equal(rt, !slots[i].free, ok)
			if ok {
				_, err := w.s.Apply(w.commit(rt, b.Encode()))
				require.NoError(rt, err)
				slots[i].free = true
			}
		}
		for wid, n := range uses {
			require.LessOrEqual(rt, n, 2, "withdrawal %d", wid)
		}
	})
}
