package quorum_test

import (
	"math/big"
	"reflect"
	"strings"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func keccak(parts ...[]byte) common.Hash { return crypto.Keccak256Hash(parts...) }

// wire is a statement as its encoding is documented; tests build hostile ones with it.
type wire struct {
	Kind quorum.Kind
	Body rlp.RawValue
	Sig  quorum.Signature
}

func unwire(t tb, raw []byte) wire {
	t.Helper()
	var w wire
	require.NoError(t, rlp.DecodeBytes(raw, &w))
	return w
}

func TestEveryKindOpensAsItselfOnly(t *testing.T) {
	c := newCommittee(t, 4)
	all := statements(c)
	for _, s := range all {
		raw, err := s.sign(c.keys[2], testNetwork)
		require.NoError(t, err, s.kind)

		peeked, err := quorum.PeekKind(raw)
		require.NoError(t, err)
		require.Equal(t, s.kind, peeked)
		kind, signer, err := quorum.Authenticate(testNetwork, c.ids(), raw)
		require.NoError(t, err)
		require.Equal(t, s.kind, kind)
		require.Equal(t, c.ids()[2], signer)

		body, signer, again, err := s.open(testNetwork, c.ids(), raw)
		require.NoError(t, err, s.kind)
		require.Equal(t, c.ids()[2], signer)
		require.Equal(t, raw, again)
		require.Equal(t, encode(t, s.body), encode(t, body))

		for _, other := range all {
			if reflect.TypeOf(other.body) == reflect.TypeOf(s.body) {
				continue
			}
			_, _, _, err := other.open(testNetwork, c.ids(), raw)
			require.ErrorIs(t, err, quorum.ErrMalformed, "%s as %s", s.kind, other.kind)
		}
	}
}

func TestStrangersAndOtherNetworksMeanNothing(t *testing.T) {
	c := newCommittee(t, 4)
	stranger := testKey("stranger", 0)
	for _, s := range statements(c) {
		raw, err := s.sign(stranger, testNetwork)
		require.NoError(t, err)
		_, _, err = quorum.Authenticate(testNetwork, c.ids(), raw)
		require.ErrorIs(t, err, quorum.ErrNotMember)
		_, _, _, err = s.open(testNetwork, c.ids(), raw)
		require.ErrorIs(t, err, quorum.ErrNotMember)

		// Under another network the digest differs, so the signature recovers to somebody, but to no member.
		raw, err = s.sign(c.keys[0], hash(0x66))
		require.NoError(t, err)
		_, _, _, err = s.open(testNetwork, c.ids(), raw)
		require.ErrorIs(t, err, quorum.ErrNotMember)
	}
}

// No third party can turn a statement into a second valid one with other bytes.
func TestStatementsAreNotMalleable(t *testing.T) {
	c := newCommittee(t, 4)
	order := crypto.S256().Params().N
	for _, s := range statements(c) {
		raw, err := s.sign(c.keys[0], testNetwork)
		require.NoError(t, err)

		twin := unwire(t, raw)
		high := new(big.Int).Sub(order, new(big.Int).SetBytes(twin.Sig[32:64]))
		high.FillBytes(twin.Sig[32:64])
		twin.Sig[64] ^= 1
		_, _, err = quorum.Authenticate(testNetwork, c.ids(), encode(t, twin))
		require.ErrorIs(t, err, quorum.ErrSignature, "high s")

		twin = unwire(t, raw)
		twin.Sig[64] += 27
		_, _, err = quorum.Authenticate(testNetwork, c.ids(), encode(t, twin))
		require.ErrorIs(t, err, quorum.ErrSignature, "v of 27")

		_, _, err = quorum.Authenticate(testNetwork, c.ids(), append(append([]byte{}, raw...), 0))
		require.ErrorIs(t, err, quorum.ErrMalformed, "trailing byte")
		_, _, err = quorum.Authenticate(testNetwork, c.ids(), make([]byte, quorum.MaxStatement+1))
		require.ErrorIs(t, err, quorum.ErrMalformed, "too long")
	}
}

func TestAnyFlippedByteIsRefused(t *testing.T) {
	c := newCommittee(t, 4)
	all := statements(c)
	rapid.Check(t, func(t *rapid.T) {
		s := all[rapid.IntRange(0, len(all)-1).Draw(t, "kind")]
		raw, err := s.sign(c.keys[0], testNetwork)
		require.NoError(t, err)
		i := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
		raw[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		_, _, _, err = s.open(testNetwork, c.ids(), raw)
		require.Error(t, err)
	})
}

// A member may sign what it likes; a body that is not its own canonical encoding is still no statement.
func TestSignedButNotCanonical(t *testing.T) {
	c := newCommittee(t, 4)
	body := encode(t, sampleApprove())
	extra := append(append([]byte{}, body...), 0x80)
	for name, raw := range map[string][]byte{
		"empty":          {0xc0},
		"trailing bytes": extra,
		"not a list":     encode(t, "approve"),
		"long size":      append([]byte{0xf9, 0}, body[1:]...),
	} {
		_, err := quorum.Open[quorum.Approve](testNetwork, c.ids(), signRaw(t, c, quorum.KindApprove, raw))
		require.ErrorIs(t, err, quorum.ErrMalformed, name)
	}
	zeroSeq := sampleApprove()
	zeroSeq.Seq = 0
	_, err := quorum.Open[quorum.Approve](testNetwork, c.ids(), signRaw(t, c, quorum.KindApprove, encode(t, zeroSeq)))
	require.ErrorIs(t, err, quorum.ErrMalformed)
}

// signRaw is a statement of member 0 over any bytes.
func signRaw(t tb, c committee, kind quorum.Kind, body []byte) []byte {
	t.Helper()
	preimage := append([]byte("conclave/1/"+string(kind)), 0)
	sig, err := quorum.SignDigest(c.keys[0], keccak(preimage, testNetwork[:], body))
	require.NoError(t, err)
	// Built by hand, so that a body that is no RLP at all can be sent too.
	payload := append(append(encode(t, string(kind)), body...), encode(t, sig)...)
	return append(listHeader(len(payload)), payload...)
}

func listHeader(n int) []byte {
	switch {
	case n < 56:
		return []byte{0xc0 + byte(n)}
	case n < 256:
		return []byte{0xf8, byte(n)}
	default:
		return []byte{0xf9, byte(n >> 8), byte(n)}
	}
}

// The digest puts kind, a zero byte and the network in a row. A kind that swallows them would let a reader see the same
// signed bytes as another statement, so a kind is letters and hyphens only.
func TestKindsCannotSwallowTheNetwork(t *testing.T) {
	c := newCommittee(t, 4)
	// The last byte opens a list of one, which the halt's time, 1, then fills.
	smuggled := append(append([]byte{0}, testNetwork[:]...), 0xc1)
	halt := quorum.Halt{Epoch: 1, Code: "x", Reason: string(smuggled), Time: 1}
	raw, err := quorum.Sign(c.keys[0], testNetwork, halt)
	require.NoError(t, err)
	body := encode(t, halt)
	at := strings.Index(string(body), string(smuggled))
	require.Positive(t, at)

	// The same preimage, cut elsewhere: a longer kind, then the smuggled network and a body of two bytes. The signature
	// fits, so only the kind can give it away.
	kind := "halt" + string([]byte{0}) + string(testNetwork[:]) + string(body[:at])
	tail := body[at+1+32:]
	payload := append(append(encode(t, kind), tail...), encode(t, raw.Signature())...)
	again := append(listHeader(len(payload)), payload...)
	_, _, err = quorum.Authenticate(testNetwork, c.ids(), again)
	require.ErrorIs(t, err, quorum.ErrMalformed)
	require.ErrorContains(t, err, "kind")
}

func TestSignRefusesWhatCannotBeSaid(t *testing.T) {
	sayings := map[string]statement{
		"approve without debit":   statementOf(quorum.Approve{Epoch: 1}),
		"unknown reason":          statementOf(quorum.Refuse{Reason: "because"}),
		"status 2":                statementOf(quorum.Outcome{Status: 2}),
		"proposal of nil":         statementOf(quorum.Proposal{}),
		"valid round not before":  statementOf(quorum.Proposal{ID: hash(1), Round: 1, ValidRound: 2}),
		"vote without phase":      statementOf(quorum.Vote{}),
		"vote of phase 3":         statementOf(quorum.Vote{Phase: 3}),
		"ready for nothing":       statementOf(quorum.Ready{}),
		"abort of nobody":         statementOf(quorum.Abort{}),
		"halt of all with target": statementOf(quorum.Halt{Code: "x", Target: "devnet"}),
		"halt of lane without":    statementOf(quorum.Halt{Code: "x", Scope: quorum.ScopeLane}),
		"halt without code":       statementOf(quorum.Halt{}),
		"halt of scope 3":         statementOf(quorum.Halt{Code: "x", Scope: 3, Target: "y"}),
		"halt with a novel":       statementOf(quorum.Halt{Code: "x", Reason: strings.Repeat("a", 513)}),
		"clear without reason":    statementOf(quorum.Clear{}),
		"ceremony of epoch zero":  statementOf(quorum.Ceremony{Nonce: hash(1)}),
		"ceremony without nonce":  statementOf(quorum.Ceremony{Epoch: 1}),
		"transcript without key":  statementOf(quorum.Transcript{}),
		"view of a lane twice":    statementOf(quorum.View{Lanes: make([]quorum.LaneView, 2)}),
		"view of too many lanes":  statementOf(quorum.View{Lanes: make([]quorum.LaneView, quorum.MaxViewed+1)}),
	}
	c := newCommittee(t, 4)
	for name, s := range sayings {
		_, err := s.sign(c.keys[0], testNetwork)
		require.Error(t, err, name)
		// A member that signs it all the same is not heard either.
		_, _, _, err = s.open(testNetwork, c.ids(), signRaw(t, c, s.kind, encode(t, s.body)))
		require.ErrorIs(t, err, quorum.ErrMalformed, name)
	}
}

func TestTheLargestViewFitsAStatement(t *testing.T) {
	c := newCommittee(t, 4)
	v := sampleView()
	v.Lanes = nil
	for i := range quorum.MaxViewed {
		l := sampleView().Lanes[0]
		l.Lane.ChainID = ^uint64(0) - uint64(i)
		l.Gas, l.BaseFee = l.Balance, l.Balance
		v.Lanes = append(v.Lanes, l)
	}
	s := sign(t, c.keys[0], v)
	require.Less(t, len(s.Bytes()), quorum.MaxStatement)
	_, err := quorum.Open[quorum.View](testNetwork, c.ids(), s.Bytes())
	require.NoError(t, err)
	_, ok := v.Lane(v.Lanes[3].Lane)
	require.True(t, ok)
	_, ok = v.Lane(quorum.LaneKey{})
	require.False(t, ok)
}

func TestZeroStatementIsNobodys(t *testing.T) {
	var s quorum.Signed[quorum.Vote]
	require.Equal(t, common.Address{}, s.Signer())
	require.Empty(t, s.Bytes())
}
