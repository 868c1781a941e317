package tss

import (
	"encoding/hex"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// golden bytes: changing one is a new version of the protocol.
var golden = struct{ partyNumber, digest, frame string }{
	partyNumber: "b07b1c7c8ca313d5b5e8bee8d416d634ed5c80cfbd818dd4c3b5ff11b237db6",
	digest:      "90317745bacdfc8a11c0b83c3565fc5feaf55414d7d3f9c7d3901ce537551200",
	frame:       "f8a6f859a001000000000000000000000000000000000000000000000000000000000000000213940300000000000000000000000000000000000000a0ebc84cbd75ba5516bf45e7024a9e12bc3c5c880f73e3a5beca7ebba52b2867a7b84118fbcd84a6fd67d2e969b7f950a9df2a7e19e147530a96844a44ac5818aa7ab1073d19f99613dd62576e190b2c0dfc4150759645fa30f18b6c3de21c4e20202701877061796c6f6164",
}

func TestGoldenEnvelope(t *testing.T) {
	h := Header{Session: common.Hash{1}, Round: 2, Type: typeSign2, To: common.Address{3}}
	env, err := seal(testKey(0), common.Hash{9}, h, []byte("payload"))
	require.NoError(t, err)
	require.Equal(t, golden.digest, hex.EncodeToString(env.Header.digest(common.Hash{9}).Bytes()))
	require.Equal(t, golden.frame, hex.EncodeToString(env.frame()))

	back, err := parseFrame(env.frame())
	require.NoError(t, err)
	require.Equal(t, env, back)
}

func TestEvidenceThatProvesNothing(t *testing.T) {
	_, keys := testMembers(4)
	m, _ := testMembers(4)
	env := func(round uint8, payload string) Envelope {
		e, err := seal(keys[m[0]], testNetwork, Header{Round: round, Type: typeSign1}, []byte(payload))
		require.NoError(t, err)
		return e
	}
	good := Evidence{Kind: Equivocation, Culprit: m[0], Envelopes: []Envelope{env(1, "a"), env(1, "b")}}
	require.NoError(t, good.Verify(testNetwork))
	require.True(t, good.Portable())

	for name, change := range map[string]func(*Evidence){
		"of another":      func(e *Evidence) { e.Culprit = m[1] },
		"one payload":     func(e *Evidence) { e.Envelopes[1] = e.Envelopes[0] },
		"two rounds":      func(e *Evidence) { e.Envelopes[1] = env(2, "b") },
		"three envelopes": func(e *Evidence) { e.Envelopes = append(e.Envelopes, env(1, "c")) },
		"refused":         func(e *Evidence) { e.Kind = Refused },
		"bad proof":       func(e *Evidence) { e.Kind = BadProof },
		"unknown kind":    func(e *Evidence) { e.Kind = 9 },
		"false echo":      func(e *Evidence) { e.Kind = FalseEcho },
		"endless rule":    func(e *Evidence) { e.Rule = string(make([]byte, maxRule+1)) },
	} {
		e := good
		e.Envelopes = append([]Envelope(nil), good.Envelopes...)
		change(&e)
		require.ErrorIs(t, e.Verify(testNetwork), ErrNoProof, name)
	}
	// Evidence is stored and gossiped: it survives its encoding.
	b, err := rlp.EncodeToBytes(&good)
	require.NoError(t, err)
	var back Evidence
	require.NoError(t, rlp.DecodeBytes(b, &back))
	require.NoError(t, back.Verify(testNetwork))
}

// An honest echo convicts nobody, and a payload that was not the signed one does not either.
func TestAnHonestEchoProvesNothing(t *testing.T) {
	m, keys := testMembers(3)
	head := Header{Session: common.Hash{7}, Round: 1, Type: typeEcho}
	said, err := seal(keys[m[1]], testNetwork, Header{Session: head.Session, Round: 1, Type: typeSign1}, []byte("x"))
	require.NoError(t, err)
	entry := echoEntry{From: m[1], Type: typeSign1, Payload: said.Header.Payload, Sig: said.Sig}
	echo, err := seal(keys[m[0]], testNetwork, head, encodeEcho([]echoEntry{entry}))
	require.NoError(t, err)
	ev := Evidence{Kind: FalseEcho, Culprit: m[0], Envelopes: []Envelope{echo}}
	require.ErrorIs(t, ev.Verify(testNetwork), ErrNoProof)

	entry.Payload[0] ^= 1
	forged := echo
	forged.Payload = encodeEcho([]echoEntry{entry})
	ev.Envelopes = []Envelope{forged}
	require.ErrorIs(t, ev.Verify(testNetwork), ErrNoProof)
}

func TestOutcomesPrintAndNotify(t *testing.T) {
	o := Outcome{Ending: TimedOut, Round: 3, Silent: []common.Address{{1}}, Reason: "late"}
	require.Equal(t, "timed out in round 3 0x0100000000000000000000000000000000000000: late", o.String())
	require.Equal(t, "ending 99", Ending(99).String())
	require.Equal(t, "evidence 99", EvidenceKind(99).String())
	for k := Equivocation; k <= BadProof; k++ {
		require.NotContains(t, k.String(), "evidence ")
	}
	n := Outcome{Ending: Aborted, Evidence: []Evidence{{Kind: BadProof}, {Kind: Equivocation}}}.notice()
	require.Equal(t, []Evidence{{Kind: Equivocation}}, n.Evidence, "only what proves something travels")
	long := Evidence{Kind: Refused, Envelopes: []Envelope{{Payload: make([]byte, maxCarried+1)}}}
	require.Empty(t, Outcome{Evidence: []Evidence{long}}.notice().Evidence)
}

func TestListsFromOthersAreBounded(t *testing.T) {
	many := make([]echoEntry, maxEchoEntries+1)
	for i := range many {
		many[i].From = common.Address{byte(i)}
	}
	_, err := parseEcho(encodeEcho(many))
	require.ErrorIs(t, err, errFrame)
	b, err := rlp.EncodeToBytes([]echoEntry{{From: common.Address{2}}, {From: common.Address{1}}})
	require.NoError(t, err)
	_, err = parseEcho(b)
	require.ErrorIs(t, err, errFrame)

	for _, n := range []abortNotice{
		{Named: make([]common.Address, quorum.MaxMembers+1)},
		{Evidence: make([]Evidence, 2)},
		{Evidence: []Evidence{{Envelopes: []Envelope{{Payload: make([]byte, MaxSignFrame)}}}}},
	} {
		_, err := parseAbort(encodeAbort(n))
		require.ErrorIs(t, err, errFrame)
	}
}

// FuzzFrame: whatever a peer sends, the engine takes it, and an accepted frame is the only encoding of itself.
func FuzzFrame(f *testing.F) {
	h, m := newHub(f, 4)
	_, frames := recorded(f, "sign")
	for _, b := range frames {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h.engines[m[0]].Receive(m[1], b)
		if env, err := parseFrame(b); err == nil {
			require.Equal(t, b, env.frame())
		}
	})
}

// FuzzPayloads: the payloads that we define ourselves.
func FuzzPayloads(f *testing.F) {
	f.Add(encodeEcho([]echoEntry{{From: common.Address{1}, Type: typeSign1}}))
	f.Add(encodeAbort(abortNotice{Kind: 3, Named: []common.Address{{1}}, Evidence: []Evidence{{Kind: FalseEcho, Envelopes: []Envelope{{}}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if entries, err := parseEcho(b); err == nil {
			require.Equal(t, b, encodeEcho(entries))
		}
		if n, err := parseAbort(b); err == nil {
			require.Equal(t, b, encodeAbort(n))
			for _, ev := range n.Evidence {
				require.Error(t, ev.Verify(testNetwork), "nobody's signature was made")
			}
		}
	})
}

// FuzzStored: damaged files are errors.
func FuzzStored(f *testing.F) {
	b, err := testShares(f)[0].MarshalBinary()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := LoadKeyShare(b); err == nil {
			again, err := s.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
		_, _ = UnmarshalPreParams(b)
	})
}
