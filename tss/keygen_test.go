package tss

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// endOf gives the last round of a key generation that made the fixtures, as member 0 sees it, and the library's result.
func endOf(t *testing.T) (*keygenClosing, *rawShare) {
	h, members := newHub(t, 4)
	share := testShares(t)[0]
	order, err := partyOrder(members, 1)
	require.NoError(t, err)
	s := h.engines[members[0]].newSession(share.session, keygenPlan(), order, time.Minute)
	s.held, s.round, s.guard = map[slot]Envelope{}, 4, &guard{known: map[common.Address]moduli{}}
	raw := &rawShare{xi: share.xi}
	raw.public, err = decompress(share.public)
	require.NoError(t, err)
	for _, m := range order {
		p := share.parties[slices.Index(share.members, m)]
		s.guard.known[m] = p.moduli
		raw.parties = append(raw.parties, party{key: p.key, x: p.x})
	}
	return &keygenClosing{session: s, req: KeygenRequest{
		Session: share.session, Epoch: 1, Members: members, Threshold: 3, PreParams: devPreParams(t, 0),
	}}, raw
}

func TestTheClosingRound(t *testing.T) {
	_, keys := testMembers(4)
	notice := func(m common.Address, digest common.Hash) []byte {
		sig, err := quorum.SignDigest(keys[m], digest)
		require.NoError(t, err)
		b, err := rlp.EncodeToBytes(&transcriptNotice{digest, sig})
		require.NoError(t, err)
		return b
	}
	c, raw := endOf(t)
	own, out := c.conclude(raw)
	require.Nil(t, out)
	require.Equal(t, testShares(t)[0].Transcript(), c.share.Transcript())

	digest := quorum.Digest(quorum.KindTranscript, testNetwork, c.share.Transcript())
	members := c.req.Members
	all := func() map[common.Address][]byte {
		p := map[common.Address][]byte{members[0]: own}
		for _, m := range members[1:] {
			p[m] = notice(m, digest)
		}
		return p
	}
	require.Equal(t, Generated, c.close(all()).Ending)
	require.Len(t, c.key.Signatures, 4)

	for name, payload := range map[string][]byte{
		"another transcript":     notice(members[2], common.Hash{1}),
		"another's signature":    notice(members[1], digest),
		"no notice":              {1, 2},
		"nothing":                nil,
		"bytes after the notice": append(notice(members[2], digest), 0),
	} {
		c.key = nil
		p := all()
		p[members[2]] = payload
		out := c.close(p)
		require.Equal(t, Unattributed, out.Ending, name)
		require.Equal(t, []common.Address{members[2]}, out.Suspects, name)
		require.Nil(t, c.key, name)
	}
}

// A key that is bad although every proof passed is not signed for, and neither is one that could not be saved.
func TestABadKeyIsNotSignedFor(t *testing.T) {
	for name, change := range map[string]func(*keygenClosing, *rawShare){
		"not saved": func(c *keygenClosing, _ *rawShare) {
			c.req.Save = func(*KeyShare) error { return errors.New("disk full") }
		},
		"no public key":    func(_ *keygenClosing, r *rawShare) { r.public = point{zero, zero} },
		"another key":      func(_ *keygenClosing, r *rawShare) { r.public = r.parties[0].x },
		"other secret":     func(_ *keygenClosing, r *rawShare) { r.xi = one },
		"a point less":     func(_ *keygenClosing, r *rawShare) { r.parties = r.parties[:3] },
		"points exchanged": func(_ *keygenClosing, r *rawShare) { r.parties[0].x, r.parties[1].x = r.parties[1].x, r.parties[0].x },
		"other moduli": func(c *keygenClosing, _ *rawShare) {
			c.session.guard.known[c.req.Members[1]] = c.session.guard.known[c.req.Members[2]]
		},
	} {
		c, raw := endOf(t)
		change(c, raw)
		payload, out := c.conclude(raw)
		require.Nil(t, payload, name)
		require.NotNil(t, out, name)
		require.Equal(t, Unattributed, out.Ending, name)
		require.Nil(t, c.share, name)
	}
	c, _ := endOf(t)
	_, out := c.conclude("no key at all")
	require.Equal(t, Unattributed, out.Ending)
}

// Two members that bring the same primes end the key generation before anything is done with them.
func TestAKeyIsNotMadeOfCopiedModuli(t *testing.T) {
	h, members := newHub(t, 3)
	outs := all(members, func(i int, m common.Address) Outcome {
		key, out := h.engines[m].Keygen(t.Context(), KeygenRequest{
			Session: sessionOf("copied"), Epoch: 1, Members: members, Threshold: 3, PreParams: devPreParams(t, min(i, 1)),
		})
		require.Nil(t, key)
		return out
	})
	for _, o := range outs {
		require.Contains(t, []Ending{Unattributed, Aborted}, o.Ending, o.String())
		require.EqualValues(t, 1, o.Round)
		require.NotContains(t, o.Culprits, members[0])
	}
	require.True(t, slices.ContainsFunc(outs, func(o Outcome) bool { return o.Reason == "moduli.shared" }))
}

// Whoever shares material with us copied ours; between two others nobody can tell.
func TestWhoCopied(t *testing.T) {
	c, _ := endOf(t)
	s, m := c.session, c.req.Members
	require.Equal(t, []common.Address{m[1]}, s.dependent(typeKeygen1, []common.Address{m[1], m[0]}).Culprits)
	require.Equal(t, []common.Address{m[2]}, s.dependent(typeKeygen1, []common.Address{m[2], m[2]}).Culprits, "its own two moduli")
	out := s.dependent(typeKeygen1, []common.Address{m[1], m[2]})
	require.Equal(t, Unattributed, out.Ending)
	require.Equal(t, []common.Address{m[1], m[2]}, out.Suspects)
}

func TestDeadlinesHaveDefaults(t *testing.T) {
	require.Equal(t, DefaultKeygenTimeout, orDefault(0, DefaultKeygenTimeout))
	require.Equal(t, time.Second, orDefault(time.Second, DefaultKeygenTimeout))
}

// Preparameters are found; that takes a minute, so here it is only begun, and ended by its context.
func TestTheSearchForPrimesEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, err := GeneratePreParams(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, p)
}

type keygenResult struct {
	key *Key
	out Outcome
}

func TestKeygenThenSign(t *testing.T) {
	n, q := 3, 2
	if *update {
		n, q = 4, 3
	}
	h, members := newHub(t, n)
	record := recorder{from: members[1], to: members[0]}
	h.tamper = record.pass
	start := time.Now()
	progress, saved := make([][]int, n), make([]*KeyShare, n)
	results := all(members, func(i int, m common.Address) keygenResult {
		k, out := h.engines[m].Keygen(context.Background(), KeygenRequest{
			Session: crypto.Keccak256Hash([]byte("keygen")), Epoch: 1, Members: members, Threshold: q, PreParams: devPreParams(t, i),
			Save:     func(s *KeyShare) error { saved[i] = s; return nil },
			Progress: func(r, of int) { progress[i] = append(progress[i], r, of) },
		})
		return keygenResult{k, out}
	})
	t.Logf("key generation %d-of-%d: %s", q, n, time.Since(start))

	var keys []*Key
	for i, r := range results {
		require.Equal(t, Generated, r.out.Ending, r.out.String())
		require.Equal(t, []int{1, 4, 2, 4, 3, 4, 4, 4}, progress[i])
		require.Equal(t, members[i], r.key.Share.Self())
		require.Same(t, r.key.Share, saved[i])
		require.Equal(t, results[0].key.Transcript, r.key.Transcript)
		require.Equal(t, results[0].key.Signatures, r.key.Signatures)
		for j, sig := range r.key.Signatures {
			signer, err := sig.Recover(quorum.Digest(quorum.KindTranscript, testNetwork, r.key.Transcript))
			require.NoError(t, err)
			require.Equal(t, members[j], signer)
		}
		keys = append(keys, r.key)
	}
	if *update {
		writeFixtures(t, keys)
		record.write(t, "keygen")
	}

	// What was sealed signs as well as what was made.
	record.frames = nil
	var shares []*KeyShare
	for _, k := range keys[:q] {
		b, err := k.Share.MarshalBinary()
		require.NoError(t, err)
		s, err := LoadKeyShare(b)
		require.NoError(t, err)
		require.Equal(t, k.Transcript, s.Transcript())
		shares = append(shares, s)
	}
	start = time.Now()
	outs := h.signAll(shares, "after keygen", time.Minute)
	t.Logf("signature: %s", time.Since(start))
	for _, o := range outs {
		require.Equal(t, Signed, o.Ending, o.String())
		require.Equal(t, outs[0].Signature, o.Signature)
		require.True(t, shares[0].verify(crypto.Keccak256Hash([]byte("digest of after keygen")), o.Signature))
	}
	// The others' final signatures arrive when the own session may have ended.
	drops := h.engines[members[0]].Drops()
	delete(drops, DropLate)
	require.Empty(t, drops)
	if *update {
		record.write(t, "sign")
	}
}
