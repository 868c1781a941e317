package quorum_test

import (
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func TestNewQCCountsOnlyWhatFits(t *testing.T) {
	c := newCommittee(t, 4)
	id := hash(0x1d)
	good := votes(t, c, 3, quorum.Prevote, id)
	qc, ok := quorum.NewQC(c.roster, 9, 3, quorum.Prevote, id, good)
	require.True(t, ok)
	require.False(t, qc.Zero())
	require.Equal(t, uint64(9), qc.Height())
	require.Equal(t, uint64(3), qc.Round())
	require.Equal(t, quorum.Prevote, qc.Phase())
	require.Equal(t, id, qc.ID())
	require.Equal(t, c.ids()[:3], qc.Signers())

	last := func(change func(v *quorum.Vote)) []quorum.Signed[quorum.Vote] {
		v := good[2].Body()
		change(&v)
		return []quorum.Signed[quorum.Vote]{good[0], good[1], sign(t, c.keys[2], v)}
	}
	for name, votes := range map[string][]quorum.Signed[quorum.Vote]{
		"two only":      good[:2],
		"one twice":     {good[0], good[1], good[1]},
		"other height":  last(func(v *quorum.Vote) { v.Height = 8 }),
		"other round":   last(func(v *quorum.Vote) { v.Round = 2 }),
		"other phase":   last(func(v *quorum.Vote) { v.Phase = quorum.Precommit }),
		"other value":   last(func(v *quorum.Vote) { v.ID = hash(2) }),
		"nil":           last(func(v *quorum.Vote) { v.ID = common.Hash{} }),
		"other epoch":   last(func(v *quorum.Vote) { v.Epoch = 2 }),
		"of a stranger": {good[0], good[1], sign(t, testKey("stranger", 0), good[2].Body())},
	} {
		_, ok := quorum.NewQC(c.roster, 9, 3, quorum.Prevote, id, votes)
		require.False(t, ok, name)
	}
}

// A prevote shown as a precommit would decide what was only proposed.
func TestPhasesAreTwoKinds(t *testing.T) {
	c := newCommittee(t, 4)
	u := certificates(t, c)["prevote-certificate"].(quorum.UncheckedQC)
	u.Phase = quorum.Precommit
	_, err := u.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrNotMember)
	u.Phase = 3
	_, err = u.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrCertificate)
	require.Equal(t, "prevote", quorum.Prevote.String())
	require.Equal(t, "precommit", quorum.Precommit.String())
	require.Equal(t, "phase(7)", quorum.Phase(7).String())
}

func TestDecisionNeedsItsOwnCommitCertificate(t *testing.T) {
	c := newCommittee(t, 4)
	value := []byte("the bytes of a batch")
	d := decision(t, c, value)
	committed, err := d.Verify(testNetwork, c.roster)
	require.NoError(t, err)
	require.Equal(t, uint64(9), committed.Height())
	require.Equal(t, value, committed.Value())
	require.Equal(t, quorum.ValueID(testNetwork, value), committed.ID())
	require.Equal(t, d, committed.Unchecked())
	require.False(t, committed.Zero())
	require.True(t, quorum.Committed{}.Zero())

	value[0] ^= 1
	require.NotEqual(t, value, committed.Value(), "the decision keeps its own copy")
	d.Value = value
	_, err = d.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrCertificate)

	id := quorum.ValueID(testNetwork, value)
	prevotes, ok := quorum.NewQC(c.roster, 9, 3, quorum.Prevote, id, votes(t, c, 3, quorum.Prevote, id))
	require.True(t, ok)
	_, err = quorum.NewCommitted(testNetwork, prevotes, value)
	require.ErrorIs(t, err, quorum.ErrCertificate, "prevotes decide nothing")
	nilQC, ok := quorum.NewQC(c.roster, 9, 3, quorum.Precommit, common.Hash{}, votes(t, c, 3, quorum.Precommit, common.Hash{}))
	require.True(t, ok)
	_, err = quorum.NewCommitted(testNetwork, nilQC, nil)
	require.ErrorIs(t, err, quorum.ErrCertificate, "nil decides nothing")
	_, err = quorum.NewCommitted(testNetwork, quorum.QC{}, value)
	require.ErrorIs(t, err, quorum.ErrCertificate)
}
