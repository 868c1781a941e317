package node

import (
	"context"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/tsstest"
)

// ceremonyLab is a member in the middle of a key generation with all others.
func ceremonyLab(t *testing.T) *lab {
	l := newBareLab(t)
	l.ctx = t.Context()
	f := l.newCeremony(quorum.Roster{Epoch: 1, Members: l.genesis.Members})
	t.Cleanup(f.end)
	joined := map[common.Address]common.Hash{}
	for i := range l.keys {
		joined[l.address(i)] = common.Hash{byte(i + 1)}
	}
	f.running, f.attempt, f.attempted = true, 3, newAttempted(f.ctx, joined)
	l.ceremony = f
	return l
}

func (l *lab) left() bool { return l.ceremony.session.Err() != nil }

func (l *lab) called(member int, attempt uint64, nonce common.Hash) {
	l.hearCall(by(l, member, quorum.Ceremony{Epoch: 1, Attempt: attempt, Nonce: nonce}))
}

// A member that was started again, or has given up, keeps nobody waiting for it until a deadline; one that only says again
// that it is here ends nothing.
func TestASessionIsLeftWhenAMemberBeginsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		attempt uint64
		nonce   common.Hash
		ends    bool
	}{
		"here":          {3, common.Hash{2}, false},
		"started again": {0, common.Hash{9}, true},
		"and followed":  {3, common.Hash{9}, true},
		"has given up":  {4, common.Hash{9}, true},
	} {
		l := ceremonyLab(t)
		l.called(1, c.attempt, c.nonce)
		require.Equal(t, c.ends, l.left(), name)
		require.Equal(t, c.ends, errors.Is(context.Cause(l.ceremony.session), errBeganAnew), name)
		require.EqualValues(t, 3, l.ceremony.attempt, "%s: the next attempt begins when this one has ended", name)
		l.ceremony.running = false // ended: what comes now is about the next attempt
		l.ceremony.finding = true  // which would look for preparameters
		l.called(1, c.attempt, common.Hash{9})
		require.EqualValues(t, max(3, c.attempt), l.ceremony.attempt, name)
	}
}

// oneShare is a vault that holds the share of one key.
type oneShare struct {
	noVault
	of    common.Hash
	share *tss.KeyShare
}

func (v oneShare) ShareOf(t quorum.Transcript) (*tss.KeyShare, error) {
	if t.Session != v.of {
		return nil, ErrNoShare
	}
	return v.share, nil
}

// A member that lost the end of the ceremony may have joined another session alone by the time that it is shown the end: it
// leaves that one at once, and what comes of it changes nothing.
func TestTheCeremonysEndIsTakenWhileAnotherRuns(t *testing.T) {
	shares, err := tsstest.Shares()
	require.NoError(t, err)
	l := ceremonyLab(t)
	m := transcriptMsg{Transcript: quorum.Transcript{
		Epoch: 1, Session: common.Hash{1}, PublicKey: compressed(testKey("payer", 0)), Members: l.state.Roster.IDs(), Threshold: 3,
	}}
	for _, key := range l.keys {
		sig, err := quorum.SignDigest(key, quorum.Digest(quorum.KindTranscript, l.network, m.Transcript))
		require.NoError(t, err)
		m.Signatures = append(m.Signatures, sig)
	}
	l.vault = noVault{}
	require.ErrorIs(t, l.ceremony.recall(l.core, m), ErrNoShare, "of which it never saved a share")
	require.False(t, l.left())

	l.vault = oneShare{of: m.Transcript.Session, share: shares[tsstest.MemberAddress(0)]}
	forged := m
	forged.Signatures = append([]quorum.Signature{{}}, m.Signatures[1:]...)
	require.Error(t, l.ceremony.recall(l.core, forged))
	require.False(t, l.left())

	require.NoError(t, l.ceremony.recall(l.core, m))
	require.True(t, l.left())
	require.Equal(t, m.Transcript, l.ceremony.key.Transcript)

	l.ceremony.ended(l.core, nil, tss.Outcome{Ending: tss.Cancelled})
	require.EqualValues(t, 3, l.ceremony.attempt, "nothing is begun anew")
	l.ceremony.ended(l.core, &tss.Key{}, tss.Outcome{Ending: tss.Generated})
	require.Equal(t, m.Transcript, l.ceremony.key.Transcript)
}
