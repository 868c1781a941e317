package tss

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// onDisk stands for the ledger's intent.
type onDisk struct{ batch, session, digest common.Hash }

func (o onDisk) Batch() common.Hash   { return o.batch }
func (o onDisk) Session() common.Hash { return o.session }
func (o onDisk) Digest() common.Hash  { return o.digest }

// A payment's warrant needs decision, record and rendering to say the same of one session.
func TestWarrantRefusesEveryMismatch(t *testing.T) {
	ids, keys := testMembers(4)
	var members []quorum.Member
	for i, id := range ids {
		m := quorum.Member{Name: string(rune('a' + i)), Address: id, Operator: common.Address{byte(i + 1)}, Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"}}
		copy(m.PublicKey[:], crypto.CompressPubkey(&keys[id].PublicKey))
		members = append(members, m)
	}
	roster, err := quorum.NewRoster(1, members)
	require.NoError(t, err)
	value := []byte("a decided batch")
	batch := quorum.ValueID(testNetwork, value)
	var votes []quorum.Signed[quorum.Vote]
	for _, id := range ids[:3] {
		v, err := quorum.Sign(keys[id], testNetwork, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Precommit, ID: batch})
		require.NoError(t, err)
		votes = append(votes, v)
	}
	qc, ok := quorum.NewQC(roster, 2, 0, quorum.Precommit, batch, votes)
	require.True(t, ok)
	decided, err := quorum.NewCommitted(testNetwork, qc, value)
	require.NoError(t, err)

	render := func(v []byte, k uint64) (common.Hash, error) {
		return crypto.Keccak256Hash(v, []byte{byte(k)}), nil
	}
	digest, _ := render(value, 1)
	session := quorum.Session{
		Network: testNetwork, Epoch: 1, Chain: 1337, Nonce: 5, Batch: batch, K: 1, Attempt: 3, Set: ids[:3], Digest: digest,
	}
	record := func(s quorum.Session) onDisk { return onDisk{s.Batch, s.Hash(), s.Digest} }

	w, err := NewWarrant(decided, record(session), session, render)
	require.NoError(t, err)
	require.Equal(t, session.Hash(), w.Session())
	require.Equal(t, Warrant{session: session.Hash(), digest: digest, set: ids[:3]}, w)

	other := func(change func(*quorum.Session)) quorum.Session {
		s := session
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		decided  quorum.Committed
		recorded Intent
		session  quorum.Session
		render   Render
		want     string
	}{
		"no decision":               {quorum.Committed{}, record(session), session, render, "not of the decided batch"},
		"another batch":             {decided, record(other(func(s *quorum.Session) { s.Batch[0] ^= 1 })), other(func(s *quorum.Session) { s.Batch[0] ^= 1 }), render, "not of the decided batch"},
		"a record of another batch": {decided, onDisk{common.Hash{1}, session.Hash(), digest}, session, render, "not of the decided batch"},
		"a record of another attempt": {decided, record(other(func(s *quorum.Session) { s.Attempt++ })), session, render,
			"of another session"},
		"a record of another set": {decided, record(other(func(s *quorum.Session) { s.Set = ids[1:] })), session, render,
			"of another session"},
		"a record of another digest": {decided, onDisk{batch, session.Hash(), common.Hash{1}}, session, render, "of another session"},
		"another fee step": {decided, record(other(func(s *quorum.Session) { s.K = 2 })), other(func(s *quorum.Session) { s.K = 2 }),
			render, "renders to another digest"},
		"another digest": {decided, record(other(func(s *quorum.Session) { s.Digest = common.Hash{7} })),
			other(func(s *quorum.Session) { s.Digest = common.Hash{7} }), render, "renders to another digest"},
		"what cannot be rendered": {decided, record(session), session,
			func([]byte, uint64) (common.Hash, error) { return common.Hash{}, errors.New("no") }, "render: no"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := NewWarrant(c.decided, c.recorded, c.session, c.render)
			require.ErrorIs(t, err, ErrWarrant)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, Warrant{}, w)
		})
	}
}

func TestCanaryWarrant(t *testing.T) {
	ids, keys := testMembers(4)
	tr := quorum.Transcript{Epoch: 1, Session: common.Hash{1}, Members: ids, Threshold: 3}
	var sigs []quorum.Signature
	for _, id := range ids {
		sig, err := quorum.SignDigest(keys[id], quorum.Digest(quorum.KindTranscript, testNetwork, tr))
		require.NoError(t, err)
		sigs = append(sigs, sig)
	}
	w, err := NewCanaryWarrant(testNetwork, tr, sigs, ids[:3], 0)
	require.NoError(t, err)
	require.Equal(t, tr.CanaryDigest(testNetwork, ids[:3]), w.digest)
	again, err := NewCanaryWarrant(testNetwork, tr, sigs, ids[:3], 1)
	require.NoError(t, err)
	require.NotEqual(t, w.Session(), again.Session(), "each attempt is a session of its own")

	for name, bad := range map[string][]quorum.Signature{
		"missing":      sigs[:3],
		"one twice":    {sigs[0], sigs[0], sigs[2], sigs[3]},
		"out of order": {sigs[1], sigs[0], sigs[2], sigs[3]},
		"malformed":    {{}, sigs[1], sigs[2], sigs[3]},
	} {
		_, err := NewCanaryWarrant(testNetwork, tr, bad, ids[:3], 0)
		require.ErrorIs(t, err, ErrWarrant, name)
	}
	tr.Epoch = 2
	_, err = NewCanaryWarrant(testNetwork, tr, sigs, ids[:3], 0)
	require.ErrorIs(t, err, ErrWarrant, "another transcript")
}

// No value but a made one signs anything.
func TestZeroWarrantSignsNothing(t *testing.T) {
	h, members := newHub(t, 4)
	out := h.engines[members[0]].Sign(t.Context(), Warrant{}, testShares(t)[0], 0)
	require.Equal(t, NotStarted, out.Ending)
	require.ErrorIs(t, out.Err, ErrWarrant)
}
