package node

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
)

// A reason longer than a halt may carry, as a changed row's text was, must halt the node and not end it.
func TestALongReasonStillBlowsTheFuse(t *testing.T) {
	l := newLab(t)
	l.trip("relay-hostile", strings.Repeat("ß", quorum.MaxText))
	require.NoError(t, l.fatal)
	require.True(t, l.halted())
	var halt ledger.HaltRecord
	require.NoError(t, l.led.View(func(tx *ledger.Tx) (err error) { halt, _, err = tx.OwnHalt(); return err }))
	require.LessOrEqual(t, len(halt.Halt.Reason), quorum.MaxText)
	require.Equal(t, strings.Repeat("ß", quorum.MaxText/2), halt.Halt.Reason, "cut between characters")
}

// One Step may end a round with a vote and open the next with a proposal. The ledger refuses to sign behind what it signed,
// so the order in which they are cast decides whether the node goes on.
func TestVotesOfAnEndedRoundAreCastBeforeTheNextProposal(t *testing.T) {
	l := newLab(t)
	b := l.refused(7, 1_000)
	id, valid := l.holdValue(b.Encode())
	require.True(t, valid)
	height := l.state.Height + 1
	own, _, ok := l.commit(agreement.Commit{
		Proposal: &quorum.Proposal{Epoch: l.state.Roster.Epoch, Height: height, Round: 1, ID: id},
		Votes: []quorum.Vote{
			{Epoch: l.state.Roster.Epoch, Height: height, Round: 0, Phase: quorum.Precommit},
			{Epoch: l.state.Roster.Epoch, Height: height, Round: 1, Phase: quorum.Prevote, ID: id},
		},
	})
	require.NoError(t, l.fatal)
	require.True(t, ok)
	require.Len(t, own, 3)
	require.IsType(t, agreement.VoteSeen{}, own[0])
	require.IsType(t, agreement.ProposalSeen{}, own[1])
	require.IsType(t, agreement.VoteSeen{}, own[2])
}

// Two values under whole commit certificates for one height: more than f members signed both, and nothing may follow.
func TestASecondDecisionOfAHeightBlowsTheFuse(t *testing.T) {
	l := newLab(t)
	first, second := l.decision(l.refused(7, 1_000)), l.decision(l.refused(8, 1_000))
	require.NotEqual(t, first.Commit.ID, second.Commit.ID)
	require.NoError(t, l.hearDecision(first))
	require.False(t, l.halted())
	require.NoError(t, l.hearDecision(first), "the same again")
	require.False(t, l.halted())
	require.NoError(t, l.hearDecision(second))
	require.True(t, l.halted())
}
