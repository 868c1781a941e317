package memchain_test

import (
	"context"
	"crypto/ecdsa"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"conclave/chain"
	"conclave/chain/memchain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ether = 1_000_000_000_000_000_000
	gwei  = 1_000_000_000
)

var (
	// Keys are made for tests from fixed seeds and hold nothing anywhere.
	aliceKey, _ = crypto.ToECDSA(crypto.Keccak256([]byte("memchain alice")))
	poorKey, _  = crypto.ToECDSA(crypto.Keccak256([]byte("memchain poor")))
	alice       = crypto.PubkeyToAddress(aliceKey.PublicKey)
	bob         = common.HexToAddress("0xb0b")
	contract    = common.HexToAddress("0xbebe")
)

func wei(n uint64) uint256.Int { return *uint256.NewInt(n) }

func start(t *testing.T) *memchain.Chain {
	c, err := memchain.New(memchain.Config{
		ChainID: 61_000, Depth: 2, Genesis: 1000, BaseFee: wei(gwei), Benefit: contract,
		Alloc: map[common.Address]uint256.Int{alice: wei(10 * ether)},
	})
	require.NoError(t, err)
	return c
}

func tx() chain.Tx {
	return chain.Tx{ChainID: 61_000, Tip: wei(gwei), FeeCap: wei(3 * gwei), Gas: 21_000, To: bob, Value: wei(5)}
}

func sign(t *testing.T, tx chain.Tx, key *ecdsa.PrivateKey) []byte {
	signature, err := crypto.Sign(crypto.Keccak256(tx.Payload()), key)
	require.NoError(t, err)
	copy(tx.Signature[:], signature)
	return tx.Raw()
}

func TestRefusalsOfTheMempool(t *testing.T) {
	c := start(t)
	for name, x := range map[string]struct {
		change func(*chain.Tx)
		key    *ecdsa.PrivateKey
		want   string
	}{
		"another chain":   {func(x *chain.Tx) { x.ChainID++ }, aliceKey, "invalid chain id"},
		"too little gas":  {func(x *chain.Tx) { x.Gas-- }, aliceKey, "intrinsic gas"},
		"gas for data":    {func(x *chain.Tx) { x.Data = []byte{1} }, aliceKey, "intrinsic gas"},
		"too much gas":    {func(x *chain.Tx) { x.Gas = chain.MaxGas + 1 }, aliceKey, "EIP-7825"},
		"tip above cap":   {func(x *chain.Tx) { x.Tip = wei(4 * gwei) }, aliceKey, "tip above"},
		"no tip":          {func(x *chain.Tx) { x.Tip.Clear() }, aliceKey, "underpriced"},
		"no money":        {func(*chain.Tx) {}, poorKey, "insufficient funds"},
		"too much value":  {func(x *chain.Tx) { x.Value = wei(10 * ether) }, aliceKey, "insufficient funds"},
		"endless value":   {func(x *chain.Tx) { x.Value.SetAllOne() }, aliceKey, "insufficient funds"},
		"endless fee cap": {func(x *chain.Tx) { x.FeeCap.SetAllOne() }, aliceKey, "insufficient funds"},
	} {
		bad := tx()
		x.change(&bad)
		require.ErrorContains(t, c.SendRaw(sign(t, bad, x.key)), x.want, name)
	}
	unsigned := tx()
	require.ErrorIs(t, c.SendRaw(unsigned.Raw()), chain.ErrSignature)
	require.ErrorIs(t, c.SendRaw([]byte("noise")), chain.ErrNotOurKind)
}

func TestReplacementNeedsTenPercent(t *testing.T) {
	c := start(t)
	first := tx()
	require.NoError(t, c.SendRaw(sign(t, first, aliceKey)))
	require.ErrorIs(t, c.SendRaw(sign(t, first, aliceKey)), chain.ErrKnown)

	near := first
	near.FeeCap, near.Tip = wei(4*gwei), wei(gwei+gwei/10-1)
	require.ErrorIs(t, c.SendRaw(sign(t, near, aliceKey)), chain.ErrUnderpriced)
	near.Tip = wei(gwei + gwei/10)
	require.NoError(t, c.SendRaw(sign(t, near, aliceKey)))
	c.Mine(1)
	require.ErrorIs(t, c.SendRaw(sign(t, first, aliceKey)), chain.ErrNonceUsed)
	got := c.Balance(bob)
	require.EqualValues(t, 5, got.Uint64(), "one of the two")
}

func TestFeesAreCharged(t *testing.T) {
	c := start(t)
	e := c.Endpoint("e")
	hash, err := c.Transfer(aliceKey, bob, wei(7))
	require.NoError(t, err)
	c.Mine(1)
	r, err := e.Receipt(context.Background(), hash)
	require.NoError(t, err)
	require.EqualValues(t, 21_000, r.GasUsed)

	// Half a block was unused before: the base fee fell by an eighth.
	require.EqualValues(t, gwei-gwei/8+gwei, r.GasPrice.Uint64())
	left := c.Balance(alice)
	require.EqualValues(t, uint64(10*ether)-7-21_000*r.GasPrice.Uint64(), left.Uint64())
}

func TestNoncesWaitForEachOther(t *testing.T) {
	c := start(t)
	for _, nonce := range []uint64{2, 1, 0, 4} {
		x := tx()
		x.Nonce = nonce
		require.NoError(t, c.SendRaw(sign(t, x, aliceKey)))
	}
	dear := tx()
	c.Mine(1)
	got := c.Balance(bob)
	require.EqualValues(t, 15, got.Uint64(), "0, 1 and 2; 4 waits for 3")

	dear.Nonce, dear.FeeCap, dear.Tip = 3, wei(gwei/2), wei(1)
	require.NoError(t, c.SendRaw(sign(t, dear, aliceKey)))
	c.Mine(1)
	got = c.Balance(bob)
	require.EqualValues(t, 15, got.Uint64(), "below the base fee it waits")
	c.Mine(20)
	got = c.Balance(bob)
	require.EqualValues(t, 25, got.Uint64(), "until the fee has fallen")
}

func TestBindingIsOnceAndForAll(t *testing.T) {
	ctx := context.Background()
	c := start(t)
	e := c.Endpoint("e")
	first, err := c.Bind(aliceKey, bob)
	require.NoError(t, err)
	second, err := c.Bind(aliceKey, contract)
	require.NoError(t, err)
	head := c.Mine(1)

	for hash, status := range map[common.Hash]uint64{first: 1, second: 0} {
		r, err := e.Receipt(ctx, hash)
		require.NoError(t, err)
		require.Equal(t, status, r.Status)
	}
	got, err := e.BenefitAddress(ctx, contract, alice, head)
	require.NoError(t, err)
	require.Equal(t, bob, got)
	logs, err := e.BenefitLogs(ctx, contract, alice, 0, head.Number)
	require.NoError(t, err)
	require.Equal(t, []chain.Binding{{Block: 1, Account: alice, Benefit: bob}}, logs)
	_, err = e.BenefitAddress(ctx, bob, alice, head)
	require.ErrorIs(t, err, chain.ErrNoContract)
}

func TestRevertingRecipientSpendsTheNonce(t *testing.T) {
	c := start(t)
	c.SetReverting(bob)
	hash, err := c.Transfer(aliceKey, bob, wei(7))
	require.NoError(t, err)
	head := c.Mine(1)
	e := c.Endpoint("e")
	r, err := e.Receipt(context.Background(), hash)
	require.NoError(t, err)
	require.Zero(t, r.Status)
	nonce, err := e.NonceAt(context.Background(), alice, head)
	require.NoError(t, err)
	require.EqualValues(t, 1, nonce)
	got := c.Balance(bob)
	require.True(t, got.IsZero())
}

func TestReorgReturnsOrForgets(t *testing.T) {
	ctx := context.Background()
	for _, forget := range []bool{false, true} {
		c := start(t)
		e := c.Endpoint("e")
		hash, err := c.Transfer(aliceKey, bob, wei(7))
		require.NoError(t, err)
		old := c.Mine(2)
		require.NoError(t, c.Reorg(2, forget))
		_, err = e.Receipt(ctx, hash)
		require.ErrorIs(t, err, chain.ErrNotFound)
		_, err = e.NonceAt(ctx, alice, old)
		require.ErrorIs(t, err, chain.ErrNotFound, "the old fork is gone")
		head, err := e.Head(ctx)
		require.NoError(t, err)
		require.Equal(t, old.Number+1, head.Number)

		c.Mine(1)
		_, err = e.Receipt(ctx, hash)
		require.Equal(t, forget, err != nil)
	}
	require.Error(t, start(t).Reorg(1, false))
}

func TestEqualCallsGiveEqualChains(t *testing.T) {
	run := func() common.Hash {
		c := start(t)
		_, err := c.Transfer(aliceKey, bob, wei(7))
		require.NoError(t, err)
		c.Mine(3)
		require.NoError(t, c.Reorg(2, false))
		return c.Mine(2).Hash
	}
	require.Equal(t, run(), run())
}

func TestRunMinesOneBlockASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := memchain.New(memchain.Config{ChainID: 1, Depth: 2})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		began := time.Now()
		<-time.After(10*time.Second + time.Millisecond)

		head, err := c.Endpoint("e").Head(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 10, head.Number)
		require.EqualValues(t, began.Unix()+10, head.Time)
		final, err := c.Endpoint("e").Final(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 8, final.Number)
		cancel()
		<-done
	})
}

func TestPendingIsWhatWaits(t *testing.T) {
	c := start(t)
	alice := crypto.PubkeyToAddress(aliceKey.PublicKey)
	_, ok := c.Pending(alice, 0)
	require.False(t, ok)
	raw := sign(t, tx(), aliceKey)
	require.NoError(t, c.SendRaw(raw))
	got, ok := c.Pending(alice, 0)
	require.True(t, ok)
	require.Equal(t, raw, got)
	c.Mine(1)
	_, ok = c.Pending(alice, 0)
	require.False(t, ok)
}
