package tss

import (
	"context"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

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
	progress := make([][]int, n)
	results := all(members, func(i int, m common.Address) keygenResult {
		k, out := h.engines[m].Keygen(context.Background(), KeygenRequest{
			Session: crypto.Keccak256Hash([]byte("keygen")), Epoch: 1, Members: members, Threshold: q, PreParams: devPreParams(t, i),
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
