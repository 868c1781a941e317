package chain_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/memchain"
)

// tokenBatchLane pays batches of a token.
func tokenBatchLane() chain.Lane {
	l := batchLane()
	l.Token = common.HexToAddress("0x70ce")
	return l
}

// Golden bytes: approve(contract, 2^256 − 1) of the lane's token, and nothing with it.
func TestAllowBytesAreGolden(t *testing.T) {
	r, err := chain.Render(chain.Allow(tokenBatchLane(), payer(), 7, 120_000, fees(3000, 1000, 9000)), 0)
	require.NoError(t, err)
	require.Equal(t, "02f86b82ee48078203e8820bb88301d4c09400000000000000000000000000000000000070ce80b844"+
		"095ea7b3"+strings.Repeat("0", 60)+"c0de"+strings.Repeat("f", 64)+"c0", hex.EncodeToString(r.Payload))
}

func TestNeedsAllowance(t *testing.T) {
	for lane, want := range map[chain.Lane]bool{nativeLane(): false, tokenLane(): false, batchLane(): false, tokenBatchLane(): true} {
		require.Equal(t, want, lane.NeedsAllowance())
	}
}

// tokenChain is a chain with the payout contract and a token, of which the payer holds a thousand.
func tokenChain(t *testing.T, contract common.Address) *memchain.Chain {
	l := tokenBatchLane()
	c, err := memchain.New(memchain.Config{
		ChainID: l.ChainID, Depth: 1, Genesis: 1000, BaseFee: wei(7), Payout: contract, Token: l.Token,
		Alloc: map[common.Address]uint256.Int{payer(): wei(1e18)}, TokenAlloc: map[common.Address]uint256.Int{payer(): wei(1000)},
	})
	require.NoError(t, err)
	return c
}

// TestSurveyReadsTheAllowance at the final block, where a lane needs one.
func TestSurveyReadsTheAllowance(t *testing.T) {
	l := tokenBatchLane()
	c := tokenChain(t, l.Contract)
	survey := func(l chain.Lane) chain.Survey {
		s, err := chain.SurveyLane(context.Background(), c.Endpoint("own"), l, payer())
		require.NoError(t, err)
		return s
	}
	require.Zero(t, survey(l).Allowance)
	world{Chain: c}.pay(t, chain.Allow(l, payer(), 0, 120_000, chain.Fees{Offer: wei(100), Tip: wei(1), FeeCap: wei(100)}), 0)
	c.Mine(1)
	require.Zero(t, survey(l).Allowance, "not final yet")
	c.Mine(1)
	require.Equal(t, *new(uint256.Int).SetAllOne(), survey(l).Allowance)
	require.Equal(t, wei(1000), survey(l).Token)
	single := l
	single.Way, single.Contract = chain.WaySingle, common.Address{}
	require.Zero(t, survey(single).Allowance)
}

// TestTheContractHasTheCode that this version knows, or the lane is not used.
func TestTheContractHasTheCode(t *testing.T) {
	l := tokenBatchLane()
	check := func(c *memchain.Chain, l chain.Lane) error {
		return chain.CheckContract(context.Background(), c.Endpoint("own"), l, c.Mine(1))
	}
	good, none := tokenChain(t, l.Contract), tokenChain(t, common.Address{})
	require.NoError(t, check(good, l))
	require.ErrorIs(t, check(none, l), chain.ErrContract)
	l.Contract = l.Token
	require.ErrorIs(t, check(good, l), chain.ErrContract, "other code")
	require.NoError(t, check(none, tokenLane()), "it needs none")
	down := good.Endpoint("down")
	down.SetDown(true)
	err := chain.CheckContract(context.Background(), down, tokenBatchLane(), good.Mine(1))
	require.ErrorIs(t, err, memchain.ErrDown)
	require.NotErrorIs(t, err, chain.ErrContract)
}

// TestEndpointsMustAgreeOnAllowanceAndCode: one that lies delays, and is named without its five thousand bytes.
func TestEndpointsMustAgreeOnAllowanceAndCode(t *testing.T) {
	l := tokenBatchLane()
	c := tokenChain(t, l.Contract)
	at := c.Mine(3)
	both, err := chain.NewAgreeing(2, c.Endpoint("own"), generous{c.Endpoint("generous")})
	require.NoError(t, err)
	_, err = both.Allowance(t.Context(), l.Token, payer(), l.Contract, at)
	var split *chain.Disagreement
	require.ErrorAs(t, err, &split)
	_, err = both.CodeAt(t.Context(), l.Contract, at)
	require.ErrorAs(t, err, &split)
	require.Less(t, len(err.Error()), 400)
	require.Contains(t, err.Error(), "generous says 0 bytes")
}

// generous says that everything is allowed, and that there is no code.
type generous struct{ chain.Endpoint }

func (generous) Allowance(context.Context, common.Address, common.Address, common.Address, chain.Header) (uint256.Int, error) {
	return wei(1), nil
}

func (generous) CodeAt(context.Context, common.Address, chain.Header) ([]byte, error) {
	return nil, nil
}
