package tsstest

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet/devkeys"
	"conclave/quorum"
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

func TestCeremony(t *testing.T) {
	var members []quorum.Member
	for i := range Members {
		var pub quorum.PublicKey
		copy(pub[:], crypto.CompressPubkey(&MemberKey(i).PublicKey))
		members = append(members, quorum.Member{
			Name: string(rune('a' + i)), Address: MemberAddress(i), PublicKey: pub, Operator: common.Address{byte(i + 1)},
			Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"},
		})
	}
	network := common.Hash{7}
	shares, err := Shares()
	require.NoError(t, err)
	action, err := Ceremony(network, members, shares[MemberAddress(0)].Transcript())
	require.NoError(t, err)
	roster, err := action.Verify(network)
	require.NoError(t, err)
	require.EqualValues(t, Epoch, roster.Epoch)
	_, err = action.Verify(common.Hash{8})
	require.Error(t, err)

	key, err := PayerKey()
	require.NoError(t, err)
	require.Equal(t, shares[MemberAddress(0)].Payer(), crypto.PubkeyToAddress(key.PublicKey))
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
