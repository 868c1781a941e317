package liar

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
	"conclave/tss"
)

// heard is a transport that keeps what it is given.
type heard map[common.Address][][]byte

func (h heard) Send(to common.Address, frame []byte) error {
	h[to] = append(h[to], frame)
	return nil
}

var (
	network = common.Hash{9}
	session = common.Hash{1}
)

// speak sends one message of a session to two members and returns what they got.
func speak(t *testing.T, lie Lie, h tss.Header) (first, second [][]byte, honest []byte) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave-test-member-0")))
	require.NoError(t, err)
	a, b := common.Address{1}, common.Address{2}
	got := heard{}
	l := &link{to: got, key: key, network: network}
	l.begin(session, quorum.Members{crypto.PubkeyToAddress(key.PublicKey), a, b}, lie)

	payload := []byte("payload")
	h.Payload = crypto.Keccak256Hash(payload)
	sig, err := quorum.SignDigest(key, quorum.Digest(quorum.KindTSS, network, h))
	require.NoError(t, err)
	honest = tss.Envelope{Header: h, Sig: sig, Payload: payload}.Encode()
	require.NoError(t, l.Send(a, honest))
	require.NoError(t, l.Send(b, honest))

	for _, frame := range append(got[a], got[b]...) {
		env, err := tss.ReadEnvelope(frame)
		require.NoError(t, err)
		signer, err := env.Signer(network)
		require.NoError(t, err)
		require.Equal(t, crypto.PubkeyToAddress(key.PublicKey), signer, "a lie is well signed")
	}
	return got[a], got[b], honest
}

func TestEachLie(t *testing.T) {
	commit := tss.Header{Session: session, Round: 1, Type: typeCommit}
	share := tss.Header{Session: session, Round: 9, Type: typeShare}
	for name, c := range map[string]struct {
		lie           Lie
		header        tss.Header
		first, second int // messages
		changed       [2]bool
	}{
		"honest":                     {Honest, commit, 1, 1, [2]bool{}},
		"another session":            {TwoFaces, tss.Header{Session: common.Hash{2}, Round: 1, Type: typeCommit}, 1, 1, [2]bool{}},
		"two faces":                  {TwoFaces, commit, 1, 1, [2]bool{true, false}},
		"two faces, later":           {TwoFaces, share, 1, 1, [2]bool{}},
		"wrong share":                {WrongShare, share, 1, 1, [2]bool{true, true}},
		"wrong share, before":        {WrongShare, commit, 1, 1, [2]bool{}},
		"silence, before":            {Silence, commit, 1, 1, [2]bool{}},
		"silence":                    {Silence, share, 0, 0, [2]bool{}},
		"a liar complains of nobody": {TwoFaces, tss.Header{Session: session, Round: 1, Type: typeAbort}, 0, 0, [2]bool{}},
	} {
		first, second, honest := speak(t, c.lie, c.header)
		require.Len(t, first, c.first, name)
		require.Len(t, second, c.second, name)
		for i, frames := range [][][]byte{first, second} {
			for _, frame := range frames {
				require.Equal(t, c.changed[i], string(frame) != string(honest), name)
			}
		}
	}
}

// Two faces are the proof: the two messages are in one place, and signed.
func TestTwoFacesConvict(t *testing.T) {
	first, second, _ := speak(t, TwoFaces, tss.Header{Session: session, Round: 1, Type: typeCommit})
	a, err := tss.ReadEnvelope(first[0])
	require.NoError(t, err)
	b, err := tss.ReadEnvelope(second[0])
	require.NoError(t, err)
	who, err := a.Signer(network)
	require.NoError(t, err)
	ev := tss.Evidence{Kind: tss.Equivocation, Culprit: who, Rule: "equivocation", Envelopes: []tss.Envelope{a.Bare(), b.Bare()}}
	require.NoError(t, ev.Verify(network))
}

func TestLiesInTheirOrder(t *testing.T) {
	require.Equal(t, []Lie{WrongShare, Silence, TwoFaces, TwoFaces, TwoFaces}, []Lie{lieOf(0), lieOf(1), lieOf(2), lieOf(3), lieOf(99)})
	for _, l := range []Lie{WrongShare, Silence, TwoFaces} {
		require.NotEqual(t, "honest", l.String())
	}
}
