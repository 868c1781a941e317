package batch_test

import (
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var unlimited = *new(uint256.Int).SetAllOne()

// tokenBatches is a founded world whose token lane pays batches.
func tokenBatches(t tb) *world {
	t.Helper()
	return foundedAs(t, 4, func(g *quorum.Genesis) {
		g.Lanes[1].Way, g.Lanes[1].Contract = quorum.WayBatch, payoutContract
		require.NoError(t, g.Check())
	})
}

// seeing is what all members see of the token lane's sequence: so many transactions final, and so much allowed.
func seeing(nonce uint64, allowance uint256.Int) func(int, *quorum.View) {
	return func(_ int, v *quorum.View) { sees(v, nonce, allowance) }
}

// sees sets what one member sees, on both lanes of the chain.
func sees(v *quorum.View, nonce uint64, allowance uint256.Int) {
	for i := range v.Lanes {
		if l := &v.Lanes[i]; l.Lane.ChainID == 1337 {
			if l.Nonce = nonce; l.Lane.Token == token {
				l.Allowance = allowance
			}
		}
	}
}

// allow builds and decides an ALLOW.
func (w *world) allow(t tb, change ...func(int, *quorum.View)) batch.Batch {
	t.Helper()
	b, err := w.s.BuildAllow(w.views(t, 0, change...))
	require.NoError(t, err)
	fx, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	require.Equal(t, b.Nonce, fx.Slot.Nonce)
	require.True(t, fx.Slot.Cost.Value.IsZero())
	return b
}

func (w *world) noAllow(t tb, why string, change ...func(int, *quorum.View)) {
	t.Helper()
	_, err := w.s.BuildAllow(w.views(t, 0, change...))
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, why)
}

func TestGoldenAllow(t *testing.T) {
	w := tokenBatches(t)
	b, err := w.s.BuildAllow(w.views(t, 0))
	require.NoError(t, err)
	id := b.ID(w.network)
	golden.Fields(t, "testdata/golden/allow.txt", golden.Field{Name: "batch", Bytes: b.Encode()}, golden.Field{Name: "id", Bytes: id[:]})
}

// TestTokensArePaidOneByOneUntilTheyAreAllowed: not when the ALLOW is decided, nor when it is mined, but when q members see what it gave.
func TestTokensArePaidOneByOneUntilTheyAreAllowed(t *testing.T) {
	w := tokenBatches(t)
	all := queue(t, w, 1, 3, "tokens")
	pays := func(n int, change ...func(int, *quorum.View)) {
		t.Helper()
		require.Len(t, w.build(t, w.views(t, 0, change...), all...).Items, n)
	}
	pays(1)
	b := w.allow(t)
	require.Equal(t, batch.Allow, b.Kind)
	require.Equal(t, w.lane("tokens"), b.Lane)
	require.EqualValues(t, 5, b.Nonce)
	require.EqualValues(t, 120_000, b.GasLimit)
	require.Empty(t, b.Action)
	pays(1)
	pays(1, seeing(6, uint256.Int{})) // it is final and gave nothing
	pays(3, seeing(6, unlimited))

	// Nobody else makes a batch of three valid before.
	three := w.build(t, w.views(t, 0, seeing(6, unlimited)), all...)
	reseen(t, w, &three, seeing(6, uint256.Int{}))
	require.ErrorContains(t, w.s.Valid(three), "may take 0 of the payer's tokens")
}

// TestAnAllowanceBoundsABatch: its sum, beside what is in flight; one alone needs none.
func TestAnAllowanceBoundsABatch(t *testing.T) {
	w := tokenBatches(t)
	all := queue(t, w, 1, 5, "tokens") // of two tokens each
	b := w.build(t, w.views(t, 0, seeing(5, coins(7))), all...)
	require.Len(t, b.Items, 3)
	reseen(t, w, &b, seeing(5, coins(6)))
	require.NoError(t, w.s.Valid(b))
	less := coins(6)
	less.SubUint64(&less, 1)
	reseen(t, w, &b, seeing(5, less))
	require.ErrorContains(t, w.s.Valid(b), "the batch pays 6000000000000000000")

	reseen(t, w, &b, seeing(5, coins(7)))
	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	rest := all[:2] // the highest wid is the oldest
	require.Len(t, w.build(t, w.views(t, 0, seeing(5, coins(7))), rest...).Items, 1, "one token is left beside what is in flight")
	require.Len(t, w.build(t, w.views(t, 0, seeing(6, coins(7))), rest...).Items, 2)
}

// TestAllowRules: what makes an ALLOW invalid, each line with one thing wrong.
func TestAllowRules(t *testing.T) {
	w := tokenBatches(t)
	good, err := w.s.BuildAllow(w.views(t, 0))
	require.NoError(t, err)
	one := uint256.NewInt(1)
	paid := w.build(t, w.views(t, 0), w.pay(t, w.content(1, "tokens")))
	for name, r := range map[string]struct {
		break_ func(*batch.Batch)
		says   string
	}{
		"an item":              {func(b *batch.Batch) { b.Items = paid.Items }, "pays nobody"},
		"a reject":             {func(b *batch.Batch) { b.Rejects = []batch.Reject{{}} }, "pays nobody"},
		"a release":            {func(b *batch.Batch) { b.Releases = []quorum.UncheckedOutcome{{}} }, "releases nothing"},
		"an action":            {func(b *batch.Batch) { b.Action = []byte{0xc0} }, "with an action"},
		"a lane of coins":      {func(b *batch.Batch) { b.Lane = w.lane("native") }, "needs an allowance"},
		"another chain":        {func(b *batch.Batch) { b.Lane.ChainID++ }, "needs an allowance"},
		"another token":        {func(b *batch.Batch) { b.Lane.Token[0]++ }, "needs an allowance"},
		"another payer":        {func(b *batch.Batch) { b.Lane.Payer[0]++ }, "needs an allowance"},
		"another nonce":        {func(b *batch.Batch) { b.Nonce++ }, "next is 5"},
		"another offer":        {func(b *batch.Batch) { b.Offer.Add(&b.Offer, one) }, "fees"},
		"another tip":          {func(b *batch.Batch) { b.Tip.Add(&b.Tip, one) }, "fees"},
		"another cap":          {func(b *batch.Batch) { b.FeeCap.Add(&b.FeeCap, one) }, "fees"},
		"more gas":             {func(b *batch.Batch) { b.GasLimit++ }, "fees"},
		"views without it":     {func(b *batch.Batch) { reseen(t, w, b, onlyFirst) }, "no data for the lane"},
		"something is allowed": {func(b *batch.Batch) { reseen(t, w, b, seeing(5, *one)) }, "needs no ALLOW"},
		"no coin for its gas": {func(b *batch.Batch) {
			reseen(t, w, b, has(w, *uint256.NewInt(120_000*60*gwei - 1)))
		}, "cover the gas"},
		"fees above the ceiling": {func(b *batch.Batch) {
			reseen(t, w, b, func(_ int, v *quorum.View) { v.Lanes[1].BaseFee = *uint256.NewInt(1_000 * gwei) })
		}, "above the policy's ceiling"},
		"nonces that nobody decided": {func(b *batch.Batch) { reseen(t, w, b, seeing(6, uint256.Int{})) }, "which no decision took"},
	} {
		b := good
		r.break_(&b)
		require.ErrorIs(t, w.s.Valid(b), batch.ErrInvalid, name)
		require.ErrorContains(t, w.s.Valid(b), r.says, name)
	}
	require.NoError(t, w.s.Valid(good))
	reseen(t, w, &good, has(w, *uint256.NewInt(120_000 * 60 * gwei)))
	require.NoError(t, w.s.Valid(good))
}

// TestAllowOfStaleViews: fees follow the views, so they are not older than what was decided last.
func TestAllowOfStaleViews(t *testing.T) {
	w := tokenBatches(t)
	w.decide(t, w.pay(t, w.content(1, "native")))
	good, err := w.s.BuildAllow(w.views(t, 0))
	require.NoError(t, err)
	old := func(by uint64) func(int, *quorum.View) { return func(_ int, v *quorum.View) { v.Time = now - by } }
	reseen(t, w, &good, old(10_000))
	require.NoError(t, w.s.Valid(good))
	reseen(t, w, &good, old(10_001))
	require.ErrorContains(t, w.s.Valid(good), "views are more than 10 s older")
}

// TestAnAllowIsDecidedOnce while it is under way, again while it changes nothing, and no more than three times under one policy.
func TestAnAllowIsDecidedOnce(t *testing.T) {
	w := tokenBatches(t)
	nothing := uint256.Int{}
	for n := uint64(5); n < 8; n++ {
		require.Equal(t, n > 5, w.s.AllowRefused(w.token(n, nothing)) != nil, "the last one changed nothing")
		require.Equal(t, n, w.allow(t, seeing(n, nothing)).Nonce)
		w.noAllow(t, "needs no ALLOW", seeing(n, nothing))
		require.NoError(t, w.s.AllowRefused(w.token(n, nothing)), "it is not final yet")
		require.Error(t, w.s.AllowRefused(w.token(n+1, nothing)))
		require.NoError(t, w.s.AllowRefused(w.token(n+1, coins(1))))
	}
	w.noAllow(t, "3 ALLOWs under this policy gave no allowance", seeing(8, nothing))
	require.Len(t, w.build(t, w.views(t, 0, seeing(8, nothing)), queue(t, w, 1, 3, "tokens")...).Items, 1, "people are paid all the same")

	w.decree(t, quorum.PolicyChange{File: policyFile("2")})
	require.EqualValues(t, 8, w.allow(t, seeing(8, nothing)).Nonce, "operators try it anew")
	w.noAllow(t, "needs no ALLOW", seeing(8, nothing))
	w.noAllow(t, "needs no ALLOW", seeing(9, *uint256.NewInt(1)))
}

// token is what one member sees of the token lane.
func (w *world) token(nonce uint64, allowance uint256.Int) quorum.LaneView {
	v := w.view()
	sees(&v, nonce, allowance)
	return v.Lanes[1]
}

// TestACancelledAllow: the nonce is another transaction's, so nothing is allowed, and another ALLOW is decided.
func TestACancelledAllow(t *testing.T) {
	w := tokenBatches(t)
	b, err := w.s.BuildAllow(w.views(t, 0))
	require.NoError(t, err)
	fx, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	w.cancel(t, *fx.Slot, b.ID(w.network))
	w.noAllow(t, "needs no ALLOW")
	require.EqualValues(t, 6, w.allow(t, seeing(6, uint256.Int{})).Nonce)
}

// TestANewPayerIsAllowedAnew, while what the old one holds is swept; the old one needs no allowance any more.
func TestANewPayerIsAllowedAnew(t *testing.T) {
	s := rekeyed(t)
	s.s.Lanes[1].Way, s.s.Lanes[1].Contract = quorum.WayBatch, payoutContract
	_, err := s.s.BuildAllow(s.seen(t))
	require.ErrorContains(t, err, "cover the gas", "the coin comes last")
	rich := func(_ int, v *quorum.View) {
		for i := range v.Lanes {
			v.Lanes[i].Gas = coins(1)
		}
	}
	b, err := s.s.BuildAllow(s.seen(t, rich))
	require.NoError(t, err)
	require.Equal(t, s.lane("tokens"), b.Lane)
	require.Zero(t, b.Nonce)
	require.NotEqual(t, s.old, b.Lane.Payer)
	old := b
	old.Lane.Payer = s.old
	require.ErrorContains(t, s.s.Valid(old), "needs an allowance")
	_, err = s.s.Apply(s.commit(t, b.Encode()))
	require.NoError(t, err)
	require.Equal(t, coins(1000), moved(t, s.sweep(t)).Value)
}

// TestALiarGivesNoAllowance: whatever one of four shows, a batch out of the allowance is valid only if an honest member saw enough at its
// final block, and an ALLOW only if one saw that nothing is allowed and the last one final.
func TestALiarGivesNoAllowance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := tokenBatches(t)
		given := rapid.Bool().Draw(t, "an ALLOW is decided")
		if given {
			w.allow(t)
		}
		amounts := []uint256.Int{{}, coins(3), coins(4), unlimited}
		liar := rapid.IntRange(0, 3).Draw(t, "liar")
		var nonces [4]uint64
		var allowances [4]uint256.Int
		for i := range 4 {
			nonces[i] = 5 + rapid.Uint64Range(0, 1).Draw(t, "nonce")
			if !given && i != liar {
				nonces[i] = 5
			}
			allowances[i] = rapid.SampledFrom(amounts).Draw(t, "allowance")
		}
		views := w.views(t, 0, func(i int, v *quorum.View) { sees(v, nonces[i], allowances[i]) })
		honest := func(saw func(i int) bool) (any bool) {
			for i := range 4 {
				any = any || (i != liar && saw(i))
			}
			return any
		}
		if _, err := w.s.BuildAllow(views); err == nil {
			require.True(t, honest(func(i int) bool { return allowances[i].IsZero() && (!given || nonces[i] == 6) }))
		}
		four := coins(4)
		if b, ok := w.s.Build(queue(t, w, 1, 2, "tokens"), views); ok && len(b.Items) > 1 {
			require.True(t, honest(func(i int) bool { return !allowances[i].Lt(&four) }))
		}
	})
}

// TestNoAllowBeforeTheKey: there is no payer.
func TestNoAllowBeforeTheKey(t *testing.T) {
	w := newWorld(t, 4)
	w.genesis.Lanes[1].Way, w.genesis.Lanes[1].Contract = quorum.WayBatch, payoutContract
	w.s, w.network = w.state(t), w.genesis.ID()
	_, err := w.s.BuildAllow(w.views(t, 0))
	require.Error(t, err)
	b := batch.Batch{Height: 1, Kind: batch.Allow, Lane: quorum.LaneKey{ChainID: 1337, Token: token, Payer: common.Address{}}, Views: raws(w.views(t, 1)), Time: now}
	require.ErrorContains(t, w.s.Valid(b), "needs an allowance")
}
