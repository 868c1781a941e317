package memchain_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/memchain"
)

var tokenAt = common.HexToAddress("0x70ce")

var everything = *new(uint256.Int).SetAllOne()

func tokens(t *testing.T) *memchain.Chain {
	c, err := memchain.New(memchain.Config{
		ChainID: 61_000, Depth: 1, Genesis: 1000, BaseFee: wei(gwei), Payout: payoutAt, Token: tokenAt,
		Alloc: map[common.Address]uint256.Int{alice: wei(10 * ether)}, TokenAlloc: map[common.Address]uint256.Int{alice: wei(1000)},
	})
	require.NoError(t, err)
	return c
}

// call sends one transaction of alice and returns its receipt.
func call(t *testing.T, c *memchain.Chain, to common.Address, data []byte, gas uint64) chain.Receipt {
	end := c.Endpoint("test")
	head, err := end.Head(t.Context())
	require.NoError(t, err)
	nonce, err := end.NonceAt(t.Context(), alice, head)
	require.NoError(t, err)
	raw := sign(t, chain.Tx{ChainID: 61_000, Nonce: nonce, Tip: wei(1), FeeCap: wei(3 * gwei), Gas: gas, To: to, Data: data}, aliceKey)
	require.NoError(t, c.SendRaw(raw))
	c.Mine(1)
	signed, err := chain.DecodeTx(raw)
	require.NoError(t, err)
	r, err := end.Receipt(t.Context(), signed.Hash())
	require.NoError(t, err)
	return r
}

// three is a batch of 1, 2 and 3 tokens.
func three(id byte) []byte {
	return chain.PayTokenData(common.Hash{id}, tokenAt, []chain.Payee{{To: to(1), Amount: wei(1)}, {To: to(2), Amount: wei(2)}, {To: to(3), Amount: wei(3)}})
}

func allow(t *testing.T, c *memchain.Chain, amount uint256.Int) chain.Receipt {
	return call(t, c, tokenAt, chain.ApproveData(payoutAt, amount), 120_000)
}

func TestATokenMovesByTransferAndByAllowance(t *testing.T) {
	c := tokens(t)
	r := call(t, c, tokenAt, chain.TransferData(to(1), wei(400)), 120_000)
	require.EqualValues(t, 1, r.Status)
	require.Equal(t, wei(400), chain.Outcome{Logs: r.Logs}.Moved(tokenAt, alice))
	require.Zero(t, call(t, c, tokenAt, chain.TransferData(to(1), wei(601)), 120_000).Status, "more than there is")

	require.Zero(t, call(t, c, payoutAt, three(1), 600_000).Status, "nothing is allowed yet")
	require.EqualValues(t, 1, allow(t, c, everything).Status)
	require.Zero(t, allow(t, c, everything).Status, "this one wants zero before another allowance")
	c.SetListed(to(2))
	r = call(t, c, payoutAt, three(1), 600_000)
	require.EqualValues(t, 1, r.Status)
	require.Equal(t, []int{1}, chain.Outcome{Status: 1, Logs: r.Logs}.Unpaid(payoutAt, common.Hash{1}, 3))
	require.Equal(t, wei(6), chain.Outcome{Logs: r.Logs}.Moved(tokenAt, alice), "what fails moves to the contract")
	require.Equal(t, wei(594), c.TokenBalance(alice))
	require.Equal(t, wei(401), c.TokenBalance(to(1)))
	one, all := c.OwedTokens(to(2))
	require.Equal(t, []uint256.Int{wei(2), wei(2), wei(2)}, []uint256.Int{one, all, c.TokenBalance(payoutAt)})
	require.Zero(t, call(t, c, payoutAt, three(1), 600_000).Status, "the same again")

	require.NoError(t, c.DrainTokens(alice, wei(590)))
	require.Zero(t, call(t, c, payoutAt, three(2), 600_000).Status, "less than the sum")
	require.ErrorIs(t, c.DrainTokens(alice, wei(5)), memchain.ErrPoor)
}

func TestATokenThatIsPausedRefusesAll(t *testing.T) {
	c := tokens(t)
	c.SetPaused(true)
	require.Zero(t, allow(t, c, everything).Status)
	require.Zero(t, call(t, c, tokenAt, chain.TransferData(to(1), wei(1)), 120_000).Status)
	c.SetPaused(false)
	require.EqualValues(t, 1, allow(t, c, everything).Status)
	c.SetPaused(true)
	require.Zero(t, call(t, c, payoutAt, three(1), 600_000).Status)
	c.SetPaused(false)
	require.Zero(t, call(t, c, payoutAt, three(1), 150_000).Status, "too little gas is nobody's failed item")
	require.EqualValues(t, 1, call(t, c, payoutAt, three(1), 600_000).Status)
}
