package payout_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/chain/payout"
)

// newEndpoint is a world that a node's endpoint asks.
func newEndpoint(t *testing.T) (*world, *evm.Endpoint) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	w := newWorldAt(t, nil, port)
	id, err := w.client.ChainID(context.Background())
	require.NoError(t, err)
	e, err := evm.New(evm.Config{URL: fmt.Sprintf("http://127.0.0.1:%d", port), ChainID: id.Uint64(), Finality: chain.Finality{Depth: 1}})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return w, e
}

func TestCreate(t *testing.T) {
	w, e := newEndpoint(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	made, err := e.Create(ctx, payer, payout.CreationCode())
	require.NoError(t, err)
	require.NotEqual(t, w.contract, made.Address)
	w.sim.Commit()
	r, err := e.Mined(ctx, made.Tx)
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Status)
	head, err := e.Head(ctx)
	require.NoError(t, err)
	for _, at := range []common.Address{w.contract, made.Address} {
		code, err := e.CodeAt(ctx, at, head)
		require.NoError(t, err)
		require.Equal(t, payout.CodeHash(), crypto.Keccak256Hash(code))
	}
	code, err := e.CodeAt(ctx, holder(0), head)
	require.NoError(t, err)
	require.Empty(t, code)

	_, err = e.Create(ctx, testKey("poor"), payout.CreationCode())
	require.Error(t, err, "nothing to pay with")
	gone, stop := context.WithCancel(ctx)
	stop()
	_, err = e.Mined(gone, common.Hash{1})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAllowance(t *testing.T) {
	w, e := newEndpoint(t)
	ctx := context.Background()
	token := w.plainToken(0)
	w.allow(token, wei(77))
	head, err := e.Head(ctx)
	require.NoError(t, err)
	v, err := e.Allowance(ctx, token, addressOf(payer), w.contract, head)
	require.NoError(t, err)
	require.Equal(t, *uint256.NewInt(77), v)
	_, err = e.Allowance(ctx, holder(0), addressOf(payer), w.contract, head)
	require.ErrorIs(t, err, chain.ErrNoContract)
}

// What the probe says of a token before anything is paid is what the token then does.
func TestProbeToken(t *testing.T) {
	w, e := newEndpoint(t)
	ctx := context.Background()
	token, to := w.trickster(), holder(0)
	for _, c := range []struct {
		name      string
		way       uint8
		succeeds  bool
		lost, got uint64
	}{
		{"plain", plain, true, 1000, 1000},
		{"silent", silent, true, 1000, 1000},
		{"false", no, false, 0, 0},
		{"false, and moves", noButMoves, false, 1000, 1000},
		{"refuses", refuses, false, 0, 0},
		{"fee", fee, true, 1000, 990},
		{"surcharge", surcharge, true, 1010, 1000},
		{"lies", lies, true, 0, 0},
		{"megabytes", bombs, true, 1000, 1000},
	} {
		w.tell("Trickster", token, "tell", to, c.way)
		head, err := e.Head(ctx)
		require.NoError(t, err)
		before := w.tokens(token, addressOf(payer))
		p, err := e.ProbeToken(ctx, token, addressOf(payer), to, *uint256.NewInt(1000), head)
		require.NoError(t, err, c.name)
		require.NotZero(t, p.Gas)
		p.Gas = 0
		require.Equal(t, evm.Probe{Succeeds: c.succeeds, Lost: *uint256.NewInt(c.lost), Got: *uint256.NewInt(c.got)}, p, c.name)
		require.Equal(t, before, w.tokens(token, addressOf(payer)), "nothing is changed")
	}
	head, err := e.Head(ctx)
	require.NoError(t, err)
	_, err = e.ProbeToken(ctx, holder(1), addressOf(payer), to, *uint256.NewInt(1), head)
	require.Error(t, err, "no token")
}
