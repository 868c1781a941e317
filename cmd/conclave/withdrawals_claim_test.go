package main

import (
	"strings"
	"testing"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// Whoever asks about a withdrawal that its recipient did not take is told where it waits, and for whom.
func TestAClaimIsTold(t *testing.T) {
	v := node.WithdrawalView{ID: 7, Stage: "reported", Outcome: "paid", To: common.Address{0x70}, Amount: "1500000000000000000", Fee: "0"}
	var b strings.Builder
	require.NoError(t, writeWithdrawal(&cli.Env{}, &b, v))
	require.NotContains(t, b.String(), "claim")
	v.Claim = &node.ClaimView{Contract: common.Address{0xc0}, Index: 3}
	require.NoError(t, writeWithdrawal(&cli.Env{}, &b, v))
	require.Contains(t, b.String(), "claim        the recipient did not take it: 1.5 is paid to "+v.To.Hex()+", who calls claim("+
		common.Address{}.Hex()+", "+v.To.Hex()+") of contract "+v.Claim.Contract.Hex())
}

func TestARowNamesAFewWithdrawals(t *testing.T) {
	require.Equal(t, "-", idsInARow(nil))
	require.Equal(t, "4 5 6 7 8 9", idsInARow([]uint64{4, 5, 6, 7, 8, 9}))
	require.Equal(t, "7: 4 … 12", idsInARow([]uint64{4, 5, 6, 7, 8, 9, 12}))
}
