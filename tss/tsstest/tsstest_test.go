package tsstest

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet/devkeys"
)

func TestShares(t *testing.T) {
	shares, err := Shares()
	require.NoError(t, err)
	require.Len(t, shares, Members)
	first := shares[MemberAddress(0)].Transcript()
	for i := range Members {
		s := shares[MemberAddress(i)]
		require.Equal(t, MemberAddress(i), s.Self())
		require.Equal(t, Threshold, s.Threshold())
		require.Equal(t, uint64(Epoch), s.Epoch())
		require.Equal(t, first, s.Transcript())
	}
}

func TestDeal(t *testing.T) {
	var members []common.Address
	for i := range 5 {
		members = append(members, MemberAddress(i))
	}
	shares, err := Deal(7, members, 4, devkeys.Set)
	require.NoError(t, err)
	require.Len(t, shares, 5)
	for _, s := range shares {
		require.Equal(t, shares[members[0]].Transcript(), s.Transcript())
	}
	_, err = Deal(7, members, 4, func(int) []byte { return devkeys.Set(0) })
	require.Error(t, err, "one set for all members")
}
