package batch_test

import (
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// cancelOf is what operators sign to cancel a slot.
func cancelOf(slot batch.Slot, last common.Hash) quorum.CancelSlot {
	return quorum.CancelSlot{Lane: slot.Lane, Nonce: slot.Nonce, Batch: last, Reason: "it sits at its cap"}
}

// buildCancel is the batch that a proposer makes of q operators' word, or why it makes none.
func (w *world) buildCancel(t tb, c quorum.CancelSlot, views []quorum.Signed[quorum.View]) (batch.Batch, error) {
	t.Helper()
	v, err := w.actsAt(t, w.q(), now, c).Open(w.network, w.s.Roster)
	require.NoError(t, err)
	return w.s.BuildAction(v, views)
}

// cancel decides a CANCEL of a slot.
func (w *world) cancel(t tb, slot batch.Slot, last common.Hash, change ...func(int, *quorum.View)) (batch.Batch, batch.Effects) {
	t.Helper()
	b, err := w.buildCancel(t, cancelOf(slot, last), w.views(t, 0, change...))
	require.NoError(t, err)
	fx, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	return b, fx
}

// highest are the highest prices that a batch's transaction may be signed with.
func highest(b batch.Batch) (fee, tip uint256.Int) {
	fee, tip = b.Offer, b.Tip
	for next := quorum.FeeStep(fee); !next.Gt(&b.FeeCap); next = quorum.FeeStep(fee) {
		fee, tip = next, quorum.FeeStep(tip)
	}
	return fee, tip
}

// replaces reports whether a mempool takes b in place of a: both prices are a tenth higher.
func replaces(b, a batch.Batch) bool {
	fee, tip := highest(a)
	ten, eleven := uint256.NewInt(10), uint256.NewInt(11)
	return !new(uint256.Int).Mul(&b.Offer, ten).Lt(fee.Mul(&fee, eleven)) && !new(uint256.Int).Mul(&b.Tip, ten).Lt(tip.Mul(&tip, eleven))
}

func TestGoldenCancel(t *testing.T) {
	w := founded(t, 4)
	fx, id := w.settled(t, w.pay(t, w.content(1, "native")))
	b, err := w.buildCancel(t, cancelOf(*fx.Slot, id), w.views(t, 0))
	require.NoError(t, err)
	own := b.ID(w.network)
	golden.Fields(t, "testdata/golden/cancel.txt", golden.Field{Name: "batch", Bytes: b.Encode()}, golden.Field{Name: "id", Bytes: own[:]})
}

// A CANCEL takes the nonce of a slot and no other, at prices that replace whatever was signed, and it can step up itself.
func TestACancelTakesTheSlotsNonce(t *testing.T) {
	w := founded(t, 4)
	for i, lane := range []string{"native", "tokens"} {
		wid := uint64(i + 1)
		fx, id := w.settled(t, w.pay(t, w.content(wid, lane)))
		next, serial := w.s.NextNonce(fx.Slot.Lane.Nonces()), w.s.Serial
		b, did := w.cancel(t, *fx.Slot, id)
		require.Equal(t, batch.Cancel, b.Kind)
		require.Equal(t, &batch.Cancelled{Lane: fx.Slot.Lane, Nonce: fx.Slot.Nonce}, did.Cancelled)
		require.Nil(t, did.Slot, "it takes no nonce of its own")
		require.Equal(t, next, w.s.NextNonce(fx.Slot.Lane.Nonces()))
		require.Equal(t, serial+1, w.s.Serial)
		require.Equal(t, serial+1, did.Acted.Action.Serial)
		require.True(t, replaces(b, fx.Batch))
		require.EqualValues(t, 60_000, b.GasLimit, "it moves no token")
		steps, _ := quorum.LastStep(b.Offer, b.Tip, b.FeeCap)
		require.GreaterOrEqual(t, steps, uint(3))
		require.True(t, w.s.Decided(wid), "its items are not free: the payout may be mined yet")

		// One that sits at its own cap is replaced by the next, which names it.
		second, _ := w.cancel(t, *fx.Slot, w.s.Previous)
		require.True(t, replaces(second, b))
	}
}

// What makes a CANCEL invalid, each line with one thing wrong.
func TestCancelRules(t *testing.T) {
	w := founded(t, 4)
	fx, id := w.settled(t, w.pay(t, w.content(1, "native")))
	other, _ := w.settled(t, w.pay(t, w.content(2, "native")))
	word := cancelOf(*fx.Slot, id)
	good, err := w.buildCancel(t, word, w.views(t, 0))
	require.NoError(t, err)
	one := uint256.NewInt(1)
	for name, r := range map[string]struct {
		break_ func(*batch.Batch)
		says   string
	}{
		"another slot than the operators'": {func(b *batch.Batch) { b.Nonce = other.Slot.Nonce }, "another slot"},
		"another lane":                     {func(b *batch.Batch) { b.Lane = w.lane("tokens") }, "another slot"},
		"a nonce of its own":               {func(b *batch.Batch) { b.Nonce = w.s.NextNonce(b.Lane.Nonces()) }, "another slot"},
		"an item":                          {func(b *batch.Batch) { b.Items = other.Batch.Items }, "pays nobody"},
		"a reject":                         {func(b *batch.Batch) { b.Rejects = []batch.Reject{{}} }, "pays nobody"},
		"a release":                        {func(b *batch.Batch) { b.Releases = []quorum.UncheckedOutcome{{}} }, "releases nothing"},
		"a lower offer":                    {func(b *batch.Batch) { b.Offer.Sub(&b.Offer, one) }, "fees"},
		"a higher offer":                   {func(b *batch.Batch) { b.Offer.Add(&b.Offer, one) }, "fees"},
		"the payout's tip":                 {func(b *batch.Batch) { b.Tip = fx.Batch.Tip }, "fees"},
		"a higher cap":                     {func(b *batch.Batch) { b.FeeCap.Add(&b.FeeCap, one) }, "fees"},
		"another gas limit":                {func(b *batch.Batch) { b.GasLimit++ }, "gas limit"},
		"nobody's word":                    {func(b *batch.Batch) { b.Action = nil }, "action"},
		"too few operators":                {func(b *batch.Batch) { b.Action = w.actsAt(t, 2, now, word).Encode() }, "signatures"},
		"old signatures":                   {func(b *batch.Batch) { b.Action = w.actsAt(t, 3, now-8*86_400_000, word).Encode() }, "in the 7 days before"},
		"another kind of word":             {func(b *batch.Batch) { b.Action = w.acts(t, 3, quorum.PolicyChange{File: policyFile("2")}).Encode() }, "the action is a POLICY"},
		"a word that is younger than the views": {func(b *batch.Batch) {
			b.Action = w.actsAt(t, 3, now+10_001, word).Encode()
		}, "older than"},
		"views that show it final": {func(b *batch.Batch) {
			reseen(t, w, b, func(_ int, v *quorum.View) { v.Lanes[0].Nonce = fx.Slot.Nonce + 1 })
		}, "final already"},
		"views without the lane": {func(b *batch.Batch) {
			reseen(t, w, b, func(_ int, v *quorum.View) { v.Lanes = v.Lanes[1:] })
		}, "no data for the lane"},
		"a payer without coin": {func(b *batch.Batch) {
			reseen(t, w, b, func(_ int, v *quorum.View) { v.Lanes[0].Gas = *uint256.NewInt(1) })
		}, "does not cover"},
	} {
		t.Run(name, func(t *testing.T) {
			b := good
			r.break_(&b)
			err := w.s.Valid(b)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, r.says)
		})
	}
	require.NoError(t, w.s.Valid(good))
}

// Operators' words that cancel nothing.
func TestWordsThatCancelNothing(t *testing.T) {
	w := founded(t, 4)
	fx, id := w.settled(t, w.pay(t, w.content(1, "native")))
	good := cancelOf(*fx.Slot, id)
	check := func(c quorum.CancelSlot) error {
		v, err := w.actsAt(t, w.q(), now, c).Open(w.network, w.s.Roster)
		require.NoError(t, err)
		return w.s.CheckAction(v)
	}
	require.NoError(t, check(good))
	for name, r := range map[string]struct {
		c    quorum.CancelSlot
		says string
	}{
		"a nonce that nobody took": {func() quorum.CancelSlot { c := good; c.Nonce++; return c }(), "no decided slot"},
		"another token":            {func() quorum.CancelSlot { c := good; c.Lane = w.lane("tokens"); return c }(), "another lane"},
		"a stranger's payer":       {func() quorum.CancelSlot { c := good; c.Lane.Payer = common.Address{9}; return c }(), "no decided slot"},
		"another batch":            {func() quorum.CancelSlot { c := good; c.Batch = common.Hash{7}; return c }(), "was given to batch"},
	} {
		require.ErrorContains(t, check(r.c), r.says, name)
	}
	w.cancel(t, *fx.Slot, id)
	require.ErrorContains(t, check(good), "was given to batch", "a word counts for what it names alone")
	for range batch.MaxCancels - 1 {
		w.cancel(t, *fx.Slot, w.s.Previous)
	}
	require.ErrorContains(t, check(cancelOf(*fx.Slot, w.s.Previous)), "has 8 CANCELs already")

	second, id2 := w.settled(t, w.pay(t, w.content(2, "native")))
	w.release(t, w.failed(t, second, id2))
	require.ErrorContains(t, check(cancelOf(*second.Slot, id2)), "or was released")
}

// The certificate of what became final decides: a CANCEL frees the items once, the payout that won pays them, and from the second time on
// the operators resolve.
func TestACancelReleasesByItsOutcomeAlone(t *testing.T) {
	w := founded(t, 4)
	again := w.pay(t, w.content(1, "native"))
	fx, id := w.settled(t, again)
	w.cancel(t, *fx.Slot, id)
	first := w.s.Previous
	w.cancel(t, *fx.Slot, first)
	second := w.s.Previous
	won := func(by common.Hash) quorum.OutcomeCertificate {
		return w.failed(t, fx, id, func(o *quorum.Outcome) { o.Batch, o.Status = by, 1 })
	}
	_, ok := w.s.BuildReleases([]quorum.OutcomeCertificate{won(id)}, w.views(t, 0))
	require.False(t, ok, "the payout won: it paid")
	_, ok = w.s.BuildReleases([]quorum.OutcomeCertificate{won(common.Hash{7})}, w.views(t, 0))
	require.False(t, ok, "nobody decided that")
	for _, by := range []common.Hash{id, first, second} { // a payout that won the race and reverted frees, too
		cert := w.failed(t, fx, id, func(o *quorum.Outcome) { o.Batch = by })
		require.NoError(t, w.s.Valid(w.carrying(t, cert.Unchecked())))
	}
	got := w.release(t, won(second))
	require.Equal(t, []batch.Released{{Lane: fx.Slot.Lane, Nonce: fx.Slot.Nonce, WIDs: []uint64{1}}}, got.Released)
	require.Error(t, w.s.Valid(w.carrying(t, won(first).Unchecked())), "once")

	next, id2 := w.settled(t, again)
	require.Equal(t, fx.Slot.Nonce+1, next.Slot.Nonce)
	w.cancel(t, *next.Slot, id2)
	w.release(t, w.failed(t, next, w.s.Previous, func(o *quorum.Outcome) { o.Status = 1 }))
	require.ErrorContains(t, w.s.WhyNot(again, w.views(t, 0)), "the operators must resolve it")
}

// What a payer may still lose at a cancelled nonce is the payout's value and the dearer gas: nothing of it is spent on others meanwhile.
func TestACancelledSlotKeepsItsCost(t *testing.T) {
	w := founded(t, 4)
	fx, id := w.settled(t, w.pay(t, w.content(1, "native")))
	b, _ := w.cancel(t, *fx.Slot, id)
	var gas uint256.Int
	gas.Mul(&b.FeeCap, uint256.NewInt(b.GasLimit))
	require.True(t, fx.Slot.Cost.Gas.Lt(&gas))
	view := w.laneView("native")
	have := w.s.FundsFor(nil, view).Coin
	want := view.Gas
	for _, v := range []uint256.Int{fx.Slot.Cost.Value, gas} {
		want.Sub(&want, &v)
	}
	require.Equal(t, want, have)
}

// A chain above the policy's ceiling, whatever was decided before: the CANCEL replaces it, and only by the steps that this takes.
func TestCancelPrices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := founded(rt, 4)
		base := func(name string, most uint64) func(int, *quorum.View) {
			fee := rapid.Uint64Range(1, most).Draw(rt, name) * gwei
			return func(_ int, v *quorum.View) {
				for i := range v.Lanes {
					v.Lanes[i].BaseFee = *uint256.NewInt(fee)
				}
			}
		}
		b, ok := w.s.Build([]batch.Candidate{w.pay(rt, w.content(1, "native"))}, w.views(rt, 0, base("then", 200)))
		require.True(rt, ok)
		fx, err := w.s.Apply(w.commit(rt, b.Encode()))
		require.NoError(rt, err)
		last := fx.Batch
		for range rapid.IntRange(1, 4).Draw(rt, "cancels") {
			c, _ := w.cancel(rt, *fx.Slot, w.s.Previous, base("now", 2000))
			require.True(rt, replaces(c, last))
			require.False(rt, c.Offer.Lt(&c.Tip))
			ceiling := w.s.Policy.Fees.FeeCeiling
			most := quorum.FeeStep(larger(ceiling, last.FeeCap))
			for range 3 {
				most = quorum.FeeStep(most)
			}
			require.False(rt, c.FeeCap.Gt(&most))
			last = c
		}
	})
}

func larger(a, b uint256.Int) uint256.Int {
	if a.Lt(&b) {
		return b
	}
	return a
}

// A SWEEP's slot pays nobody who could be released; what it was to move is swept by the next one, as often as any.
func TestACancelledSweepIsSweptAgain(t *testing.T) {
	s := rekeyed(t)
	s.purses = map[uint64]*purse{1337: {nonce: 6, coin: coins(1)}, 1338: {}}
	for range batch.MaxSweeps + 1 {
		b := s.sweep(t)
		id := s.s.Previous
		slot := batch.Slot{Lane: b.Lane, Nonce: b.Nonce}
		c, err := s.buildCancel(t, cancelOf(slot, id), s.seen(t))
		require.NoError(t, err)
		fx, err := s.s.Apply(s.commit(t, c.Encode()))
		require.NoError(t, err)
		_, ok := s.s.BuildReleases([]quorum.OutcomeCertificate{s.failed(t, batch.Effects{Slot: &slot}, s.s.Previous)}, s.seen(t))
		require.False(t, ok, "nobody waits for it")
		require.NotNil(t, fx.Cancelled)
		_, err = s.s.BuildSweep(s.seen(t))
		require.ErrorContains(t, err, "not final")
		s.purses[1337].nonce++ // the CANCEL is mined
	}
	s.mine(t, s.sweep(t), false)
	require.Empty(t, s.sweep(t).Action)
	require.Nil(t, s.s.Old)
	v, err := s.actsAt(t, s.q(), now, cancelOf(batch.Slot{Lane: s.oldLane("native"), Nonce: 6}, common.Hash{1})).Open(s.network, s.s.Roster)
	require.NoError(t, err)
	require.Error(t, s.s.CheckAction(v))
	require.NotEqual(t, s.old, crypto.PubkeyToAddress(s.payer.PublicKey))
}

// Nor is an ALLOW that was cancelled one of the few that a token may refuse.
func TestACancelledAllowIsDecidedAgain(t *testing.T) {
	w := tokenBatches(t)
	for n := range uint64(batch.MaxAllows + 2) {
		final := seeing(5+n, uint256.Int{})
		b := w.allow(t, final)
		_, fx := w.cancel(t, batch.Slot{Lane: b.Lane, Nonce: b.Nonce}, w.s.Previous, final)
		require.NotNil(t, fx.Cancelled)
	}
	w.allow(t, seeing(5+batch.MaxAllows+2, uint256.Int{}))
}
