package memchain_test

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/chain"
	"conclave/chain/memchain"
)

var payoutAt = common.HexToAddress("0xc0de")

func paying(t *testing.T) *memchain.Chain {
	c, err := memchain.New(memchain.Config{
		ChainID: 61_000, Depth: 1, Genesis: 1000, BaseFee: wei(gwei), Payout: payoutAt,
		Alloc: map[common.Address]uint256.Int{alice: wei(10 * ether)},
	})
	require.NoError(t, err)
	return c
}

func to(i int64) common.Address { return common.BigToAddress(big.NewInt(0x1000 + i)) }

// pay sends a batch of 100, 101, … wei and returns its receipt.
func pay(t *testing.T, c *memchain.Chain, nonce uint64, id byte, n int64, change func(*chain.Tx)) chain.Receipt {
	var payees []chain.Payee
	value := uint256.Int{}
	for i := range n {
		amount := wei(uint64(100 + i))
		payees = append(payees, chain.Payee{To: to(i), Amount: amount})
		value.Add(&value, &amount)
	}
	x := chain.Tx{ChainID: 61_000, Nonce: nonce, Tip: wei(1), FeeCap: wei(3 * gwei), Gas: 200_000 + 100_000*uint64(n), To: payoutAt, Value: value,
		Data: chain.PayData(common.Hash{id}, payees)}
	if change != nil {
		change(&x)
	}
	raw := sign(t, x, aliceKey)
	require.NoError(t, c.SendRaw(raw))
	c.Mine(1)
	signed, err := chain.DecodeTx(raw)
	require.NoError(t, err)
	r, err := c.Endpoint("test").Receipt(t.Context(), signed.Hash())
	require.NoError(t, err)
	return r
}

func TestBatchesArePaid(t *testing.T) {
	c := paying(t)
	c.SetReverting(to(1))
	c.SetBurning(to(3))
	r := pay(t, c, 0, 1, 5, nil)
	require.EqualValues(t, 1, r.Status)
	require.Equal(t, []int{1, 3}, chain.Outcome{Status: r.Status, Logs: r.Logs}.Unpaid(payoutAt, common.Hash{1}, 5))
	for i, want := range []uint64{100, 0, 102, 0, 104} {
		require.Equal(t, wei(want), c.Balance(to(int64(i))))
	}
	one, all := c.Owed(to(1))
	require.Equal(t, wei(101), one)
	require.Equal(t, wei(101+103), all)
	require.Equal(t, all, c.Balance(payoutAt), "it holds what is to be claimed, and nothing else")

	r = pay(t, c, 1, 2, 5, nil)
	require.EqualValues(t, 1, r.Status, "another batch")
	require.NoError(t, c.Reorg(1, true))
	one, _ = c.Owed(to(1))
	require.Equal(t, wei(101), one, "a block that is gone owes nobody")
}

func TestBatchesThatRevert(t *testing.T) {
	for name, change := range map[string]func(*chain.Tx){
		"another value":    func(x *chain.Tx) { x.Value.AddUint64(&x.Value, 1) },
		"too little gas":   func(x *chain.Tx) { x.Gas = 100_000 },
		"no call of pay":   func(x *chain.Tx) { x.Data = x.Data[:len(x.Data)-1] },
		"nobody":           func(x *chain.Tx) { x.Data = chain.PayData(common.Hash{9}, nil) },
		"the same again":   func(x *chain.Tx) { x.Nonce = 1 },
		"the zero address": func(x *chain.Tx) { x.Data = chain.PayData(common.Hash{9}, []chain.Payee{{Amount: x.Value}}) },
	} {
		t.Run(name, func(t *testing.T) {
			c, nonce := paying(t), uint64(0)
			if name == "the same again" {
				require.EqualValues(t, 1, pay(t, c, 0, 1, 3, nil).Status)
				nonce = 1
			}
			before := c.Balance(to(0))
			r := pay(t, c, nonce, 1, 3, change)
			require.Zero(t, r.Status)
			require.Empty(t, r.Logs)
			require.Equal(t, before, c.Balance(to(0)), "nobody is paid")
			held := c.Balance(payoutAt)
			require.True(t, held.IsZero())
		})
	}
}

func TestReadPayInvertsPayData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := memchain.PaidBatch{ID: common.BytesToHash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))}
		data := func() []byte { return chain.PayData(want.ID, want.Payees) }
		if rapid.Bool().Draw(t, "in a token") {
			want.Token = common.Address{7}
			data = func() []byte { return chain.PayTokenData(want.ID, want.Token, want.Payees) }
		}
		for i := range rapid.Int64Range(0, 150).Draw(t, "items") {
			v := new(uint256.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "amount"))
			want.Payees = append(want.Payees, chain.Payee{To: to(i), Amount: *v})
		}
		got, err := memchain.ReadPay(data())
		require.NoError(t, err)
		require.Equal(t, want, got)
		bent := data()
		bent[rapid.IntRange(0, 3).Draw(t, "selector")] ^= 1
		_, err = memchain.ReadPay(bent)
		require.ErrorIs(t, err, memchain.ErrNotPay)
	})
}

func FuzzReadPay(f *testing.F) {
	f.Add(chain.PayData(common.Hash{1}, []chain.Payee{{To: to(1), Amount: wei(2)}}))
	f.Add(chain.PayTokenData(common.Hash{1}, common.Address{7}, []chain.Payee{{To: to(1), Amount: wei(2)}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := memchain.ReadPay(raw); err == nil {
			if got.Token == (common.Address{}) {
				require.Equal(t, raw, chain.PayData(got.ID, got.Payees))
			} else {
				require.Equal(t, raw, chain.PayTokenData(got.ID, got.Token, got.Payees))
			}
		}
	})
}
