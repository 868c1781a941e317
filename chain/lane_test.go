package chain_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/chain"
)

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
