package quorum_test

import (
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// ceremony is a MEMBERS action as a key generation leaves it; one ordinary key stands for the threshold key.
func ceremony(t tb, c committee) quorum.MembersAction {
	t.Helper()
	transcript := sampleTranscript(c)
	a := quorum.MembersAction{Epoch: 1, Members: c.roster.Members, Transcript: transcript}
	for _, key := range c.keys {
		a.Signatures = append(a.Signatures, sign(t, key, transcript).Signature())
	}
	for _, set := range []quorum.Members{c.ids()[:3], c.ids()[1:]} {
		sig, err := quorum.SignDigest(testKey("payer", 0), transcript.CanaryDigest(testNetwork, set))
		require.NoError(t, err)
		a.Canaries = append(a.Canaries, quorum.Canary{Set: set, Sig: sig})
	}
	return a
}

func TestMembersActionVerifies(t *testing.T) {
	c := newCommittee(t, 4)
	r, err := ceremony(t, c).Verify(testNetwork)
	require.NoError(t, err)
	require.Equal(t, c.roster, r)
}

func TestMembersActionRefuses(t *testing.T) {
	c := newCommittee(t, 4)
	for what, step := range map[string]struct {
		change func(a *quorum.MembersAction)
		want   string
	}{
		"a signature less":        {func(a *quorum.MembersAction) { a.Signatures = a.Signatures[:3] }, "not of these members"},
		"a signature of another":  {func(a *quorum.MembersAction) { a.Signatures[1] = a.Signatures[0] }, "signature 1"},
		"another epoch":           {func(a *quorum.MembersAction) { a.Epoch = 2 }, "not of these members"},
		"a member less":           {func(a *quorum.MembersAction) { a.Members = a.Members[:3] }, "not of these members"},
		"a threshold below q":     {func(a *quorum.MembersAction) { a.Transcript.Threshold = 2 }, "threshold"},
		"a key off the curve":     {func(a *quorum.MembersAction) { a.Transcript.PublicKey = quorum.PublicKey{} }, "public key"},
		"other moduli":            {func(a *quorum.MembersAction) { a.Transcript.Moduli = common.Hash{} }, "signature 0"},
		"no canary":               {func(a *quorum.MembersAction) { a.Canaries = nil }, "not every member"},
		"a member without canary": {func(a *quorum.MembersAction) { a.Canaries = a.Canaries[:1] }, "not every member"},
		"one canary twice": {func(a *quorum.MembersAction) {
			a.Canaries = append(a.Canaries, a.Canaries[0])
		}, "stands twice"},
		"a canary by too few":     {func(a *quorum.MembersAction) { a.Canaries[0].Set = c.ids()[:2] }, "not a quorum"},
		"a canary by another set": {func(a *quorum.MembersAction) { a.Canaries[0].Set = c.ids()[1:] }, "not signed by the new key"},
		"a canary of a stranger": {func(a *quorum.MembersAction) {
			a.Canaries[0].Set = quorum.Members{c.ids()[0], c.ids()[1], address(0xff)}
		}, "ascending members"},
		"a canary by one thrice": {func(a *quorum.MembersAction) {
			a.Canaries[0].Set = quorum.Members{c.ids()[0], c.ids()[0], c.ids()[0]}
		}, "ascending members"},
		"a canary by a member's key": {func(a *quorum.MembersAction) { a.Canaries[0].Sig = a.Signatures[0] }, "new key"},
	} {
		a := ceremony(t, c)
		step.change(&a)
		_, err := a.Verify(testNetwork)
		require.ErrorContains(t, err, step.want, what)
	}
	_, err := ceremony(t, c).Verify(hash(0x66))
	require.Error(t, err, "another network")
}

// Every field that a session is bound to changes its nonce: no proof of one session fits another.
func TestSessionBindsEveryField(t *testing.T) {
	c := newCommittee(t, 4)
	base := func() quorum.Session {
		return quorum.Session{Network: testNetwork, Epoch: 1, Key: sampleTranscript(c).PublicKey, Chain: 1, Set: c.ids()[:3]}
	}
	seen := map[common.Hash]string{base().Hash(): "the same"}
	for name, change := range map[string]func(s *quorum.Session){
		"network": func(s *quorum.Session) { s.Network = hash(1) },
		"epoch":   func(s *quorum.Session) { s.Epoch++ },
		"key":     func(s *quorum.Session) { s.Key = quorum.PublicKey{2} },
		"chain":   func(s *quorum.Session) { s.Chain++ },
		"nonce":   func(s *quorum.Session) { s.Nonce++ },
		"batch":   func(s *quorum.Session) { s.Batch = hash(1) },
		"k":       func(s *quorum.Session) { s.K++ },
		"attempt": func(s *quorum.Session) { s.Attempt++ },
		"set":     func(s *quorum.Session) { s.Set = c.ids()[1:] },
		"digest":  func(s *quorum.Session) { s.Digest = hash(1) },
	} {
		s := base()
		change(&s)
		h := s.Hash()
		require.Empty(t, seen[h], name)
		seen[h] = name
	}
}

func TestHaltNames(t *testing.T) {
	require.Equal(t, "all lane account scope(9)", quorum.ScopeAll.String()+" "+quorum.ScopeLane.String()+" "+
		quorum.ScopeAccount.String()+" "+quorum.Scope(9).String())
	c := newCommittee(t, 4)
	h := quorum.Halt{Epoch: 1, Counter: 1, Code: "x"}
	require.NotEqual(t, h.ID(testNetwork, c.ids()[0]), h.ID(testNetwork, c.ids()[1]), "equal halts of two members are two")
}
