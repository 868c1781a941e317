package quorum_test

import (
	"bytes"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
)

// Any bytes at the door: nothing opens that Authenticate refuses, nothing opens as two types, and what opens is canonical.
func FuzzStatement(f *testing.F) {
	c := newCommittee(f, 4)
	all := statements(c)
	for _, s := range all {
		raw, err := s.sign(c.keys[0], testNetwork)
		require.NoError(f, err)
		f.Add(raw)
		f.Add(raw[:len(raw)-1])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		kind, signer, authErr := quorum.Authenticate(testNetwork, c.ids(), raw)
		for _, s := range all {
			body, opened, again, err := s.open(testNetwork, c.ids(), raw)
			if err != nil {
				continue
			}
			require.NoError(t, authErr)
			require.Equal(t, signer, opened)
			require.Equal(t, raw, again)
			// A vote's kind follows from its phase, so a vote opens by either sample of its type.
			require.Equal(t, kind, body.(quorum.Body).Kind())
			require.NoError(t, body.(quorum.Body).Check())
		}
	})
}

// A Byzantine member signs any body under any kind: the decoders behind the signature are reached.
func FuzzBody(f *testing.F) {
	c := newCommittee(f, 4)
	all := statements(c)
	for i, s := range all {
		f.Add(uint8(i), encode(f, s.body))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		if len(body) > quorum.MaxStatement/2 {
			return
		}
		s := all[int(which)%len(all)]
		raw := signRaw(t, c, s.kind, body)
		opened, _, _, err := s.open(testNetwork, c.ids(), raw)
		if err != nil {
			return
		}
		require.Equal(t, body, encode(t, opened), "one encoding per statement")
	})
}

// fuzzDecode checks that bytes which decode as T are the one encoding of their value, and that verifying them is safe.
func fuzzDecode[T any](f *testing.F, seed any, verify func(v T) error) {
	raw := encode(f, seed)
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v T
		if rlp.DecodeBytes(raw, &v) != nil {
			return
		}
		require.True(t, bytes.Equal(raw, encode(t, v)), "one encoding per value")
		if verify(v) == nil {
			require.Equal(t, encode(t, seed), raw, "only the members' own bytes verify")
		}
	})
}

func FuzzUncheckedCertificate(f *testing.F) {
	c := newCommittee(f, 4)
	fuzzDecode(f, certificates(f, c)["certificate"], func(u quorum.UncheckedCertificate) error {
		_, err := u.Verify(testNetwork, c.roster)
		return err
	})
}

func FuzzUncheckedRefusal(f *testing.F) {
	c := newCommittee(f, 4)
	fuzzDecode(f, certificates(f, c)["refusal-certificate"], func(u quorum.UncheckedRefusal) error {
		_, err := u.Verify(testNetwork, c.roster)
		return err
	})
}

func FuzzUncheckedOutcome(f *testing.F) {
	c := newCommittee(f, 4)
	fuzzDecode(f, certificates(f, c)["outcome-certificate"], func(u quorum.UncheckedOutcome) error {
		_, err := u.Verify(testNetwork, c.roster)
		return err
	})
}

func FuzzUncheckedQC(f *testing.F) {
	c := newCommittee(f, 4)
	fuzzDecode(f, certificates(f, c)["prevote-certificate"], func(u quorum.UncheckedQC) error {
		_, err := u.Verify(testNetwork, c.roster)
		return err
	})
}

func FuzzUncheckedDecision(f *testing.F) {
	c := newCommittee(f, 4)
	fuzzDecode(f, certificates(f, c)["decision"], func(u quorum.UncheckedDecision) error {
		_, err := u.Verify(testNetwork, c.roster)
		return err
	})
}

func FuzzMembersAction(f *testing.F) {
	c := newCommittee(f, 4)
	raw := encode(f, ceremony(f, c))
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a quorum.MembersAction
		if rlp.DecodeBytes(raw, &a) != nil {
			return
		}
		if r, err := a.Verify(testNetwork); err == nil {
			require.Equal(t, a.Transcript.Members, r.IDs())
		}
	})
}

func FuzzParseGenesis(f *testing.F) {
	f.Add(asJSON(f, sampleGenesis(f)))
	f.Add([]byte(`{"version":1,"name":"a","members":[]}`))
	f.Add([]byte(`{"version":1,"Version":2}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		g, err := quorum.ParseGenesis(file)
		if err != nil {
			return
		}
		again, err := quorum.ParseGenesis(asJSON(t, g))
		require.NoError(t, err)
		require.Equal(t, g.ID(), again.ID())
	})
}

func FuzzParseMember(f *testing.F) {
	f.Add(asJSON(f, memberRecord(f, 0)))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := quorum.ParseMember(file)
		if err != nil {
			return
		}
		signer, err := m.Signature.Recover(quorum.MemberDigest(m.Member))
		require.NoError(t, err)
		require.Equal(t, m.Address, signer)
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(samplePolicy(f))
	f.Add([]byte("version = 1\n[fees]\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := quorum.ParsePolicy(file)
		if err != nil {
			return
		}
		require.Equal(t, keccak(file), p.Hash)
		require.NotZero(t, p.Version)
	})
}

func FuzzSignature(f *testing.F) {
	sig, err := quorum.SignDigest(testKey("signer", 0), hash(1))
	require.NoError(f, err)
	f.Add(sig[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != len(sig) {
			_, err := quorum.RecoverAny(hash(1), b)
			require.ErrorIs(t, err, quorum.ErrSignature)
			return
		}
		strict, strictErr := quorum.Signature(b).Recover(hash(1))
		loose, looseErr := quorum.RecoverAny(hash(1), b)
		if strictErr == nil {
			require.NoError(t, looseErr, "strict is a part of loose")
			require.Equal(t, strict, loose)
			require.NotEqual(t, common.Address{}, strict)
		}
	})
}
