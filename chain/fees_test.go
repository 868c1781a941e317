package chain_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/chain"
)

func rule() chain.FeeRule {
	return chain.FeeRule{MinTip: wei(1000), TipPercent: 10, OfferPercent: 200, CapPercent: 400, MaxFee: wei(1_000_000)}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct {
		name                   string
		base, offer, tip, most uint64
		dear                   bool
	}{
		{name: "a dead chain still gets the least tip", base: 0, offer: 1000, tip: 1000, most: 4000},
		{name: "rounding is down", base: 7, offer: 1014, tip: 1000, most: 4056},
		{name: "the tip follows the base fee", base: 20_000, offer: 42_000, tip: 2000, most: 168_000},
		{name: "the bound cuts the cap", base: 200_000, offer: 420_000, tip: 20_000, most: 1_000_000},
		{name: "an offer at the bound", base: 476_190, offer: 999_999, tip: 47_619, most: 1_000_000},
		{name: "an offer above the bound", base: 480_000, dear: true},
		{name: "a base fee above the bound", base: 1 << 60, dear: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := rule().Quote(wei(c.base))
			if c.dear {
				require.ErrorIs(t, err, chain.ErrTooDear)
				return
			}
			require.NoError(t, err)
			require.Equal(t, fees(c.offer, c.tip, c.most), got)
		})
	}
	_, err := rule().Quote(*new(uint256.Int).SetAllOne())
	require.ErrorIs(t, err, chain.ErrTooDear, "no base fee overflows")
}

func TestQuotesMakeValidPayments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := chain.FeeRule{
			MinTip: wei(rapid.Uint64Range(1, 1<<40).Draw(t, "tip")), TipPercent: rapid.Uint64Range(0, 300).Draw(t, "tip%"),
			OfferPercent: rapid.Uint64Range(100, 500).Draw(t, "offer%"), CapPercent: rapid.Uint64Range(100, 1000).Draw(t, "cap%"),
			MaxFee: wei(rapid.Uint64Range(1<<40, 1<<63).Draw(t, "most")),
		}
		base := wei(rapid.Uint64Range(0, 1<<62).Draw(t, "base"))
		got, err := r.Quote(base)
		if err != nil {
			require.ErrorIs(t, err, chain.ErrTooDear)
			return
		}
		p := nativePayment()
		p.Fees = got
		require.NoError(t, p.Validate())
		require.False(t, got.FeeCap.Gt(&r.MaxFee))
		require.True(t, got.Offer.Gt(&base), "some block of that base fee would take it")
	})
}

func TestFeeRuleValidate(t *testing.T) {
	require.NoError(t, rule().Validate())
	for want, change := range map[string]func(*chain.FeeRule){
		"least tip is 0":      func(r *chain.FeeRule) { r.MinTip.Clear() },
		"multiplier":          func(r *chain.FeeRule) { r.CapPercent = 10_001 },
		"below the base fee":  func(r *chain.FeeRule) { r.OfferPercent = 99 },
		"below the offer":     func(r *chain.FeeRule) { r.CapPercent = 99 },
		"below the least tip": func(r *chain.FeeRule) { r.MaxFee = wei(999) },
		"2^96":                func(r *chain.FeeRule) { r.MaxFee.SetAllOne() },
	} {
		r := rule()
		change(&r)
		require.ErrorContains(t, r.Validate(), want)
		_, err := r.Quote(wei(1))
		require.Error(t, err)
	}
}

func TestLanes(t *testing.T) {
	other := tokenLane()
	other.Network = "devnet-token"
	require.NoError(t, chain.ValidateLanes([]chain.Lane{nativeLane(), other}))
	require.ErrorContains(t, chain.ValidateLanes([]chain.Lane{nativeLane(), tokenLane()}), "stands twice")
	other.Finality = chain.Finality{Tag: true}
	require.ErrorContains(t, chain.ValidateLanes([]chain.Lane{nativeLane(), other}), "another finality")

	for want, change := range map[string]func(*chain.Lane){
		"no network":         func(l *chain.Lane) { l.Network = "" },
		"chain id 0":         func(l *chain.Lane) { l.ChainID = 0 },
		"too large":          func(l *chain.Lane) { l.ChainID = 1 << 63 },
		"unknown way":        func(l *chain.Lane) { l.Way = "express" },
		"no deposit address": func(l *chain.Lane) { l.Deposit = common.Address{} },
		"either the tag":     func(l *chain.Lane) { l.Finality.Tag = true },
		"at least 1":         func(l *chain.Lane) { l.Finality = chain.Finality{} },
		"is more than":       func(l *chain.Lane) { l.Finality.Depth = chain.MaxDepth + 1 },
	} {
		l := nativeLane()
		change(&l)
		require.ErrorContains(t, chain.ValidateLanes([]chain.Lane{l}), want)
	}
}

func TestCheckNonce(t *testing.T) {
	require.NoError(t, chain.CheckNonce(5, 2, 4, 7))
	require.NoError(t, chain.CheckNonce(5, 2, 4, 9))
	require.NoError(t, chain.CheckNonce(0, 0, 0, 0))
	for _, final := range []uint64{0, 4, 6, 10} {
		require.ErrorIs(t, chain.CheckNonce(5, 2, 4, final), chain.ErrNonceRange)
	}
}
