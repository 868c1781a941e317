package quorum_test

import (
	"crypto/ecdsa"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/internal/golden"
	"conclave/quorum"
)

// tokenView is a VIEW of a lane that pays batches of a token: its contract may take all of it.
func tokenView() quorum.View {
	v := sampleView()
	v.Lanes[0].Lane.Token = address(0x7e)
	v.Lanes[0].Allowance = wei("115792089237316195423570985008687907853269984665640564039457584007913129639935")
	return v
}

func TestGoldenViewWithAllowance(t *testing.T) {
	c := newCommittee(t, 4)
	raw, err := statementOf(tokenView()).sign(c.keys[0], testNetwork)
	require.NoError(t, err)
	golden.Fields(t, goldenPath("view-allowance"),
		golden.Field{Name: "body", Bytes: encode(t, tokenView())}, golden.Field{Name: "statement", Bytes: raw})
}

// TestAnAllowanceOfNothingIsNotSaid: one encoding of a lane view, whose last field stands only where it is not zero.
func TestAnAllowanceOfNothingIsNotSaid(t *testing.T) {
	c := newCommittee(t, 4)
	zero := tokenView()
	zero.Lanes[0].Allowance.Clear()
	require.Len(t, fieldsOf(t, encode(t, zero.Lanes[0])), 6)
	require.Len(t, fieldsOf(t, encode(t, tokenView().Lanes[0])), 7)

	// The same with the zero spelled out is no statement, whoever signed it.
	fields := append(fieldsOf(t, encode(t, zero.Lanes[0])), rlp.RawValue{0x80})
	var lane quorum.LaneView
	require.NoError(t, rlp.DecodeBytes(encode(t, fields), &lane), "the library alone would take it")
	body := encode(t, []any{zero.Epoch, zero.Time, zero.Height, zero.Settled, []any{fields}})
	_, err := quorum.Open[quorum.View](testNetwork, c.ids(), signedBytes(t, c.keys[0], quorum.KindView, body))
	require.ErrorIs(t, err, quorum.ErrMalformed)
	_, err = quorum.Open[quorum.View](testNetwork, c.ids(), signedBytes(t, c.keys[0], quorum.KindView, encode(t, zero)))
	require.NoError(t, err)
}

func fieldsOf(t *testing.T, list []byte) (out []rlp.RawValue) {
	t.Helper()
	require.NoError(t, rlp.DecodeBytes(list, &out))
	return out
}

// signedBytes is a statement over whatever bytes, by a member's key.
func signedBytes(t *testing.T, key *ecdsa.PrivateKey, kind quorum.Kind, body []byte) []byte {
	t.Helper()
	sig, err := quorum.SignDigest(key, keccak([]byte("conclave/1/"+kind), []byte{0}, testNetwork[:], body))
	require.NoError(t, err)
	return encode(t, []any{kind, rlp.RawValue(body), sig})
}
