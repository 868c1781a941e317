package node

import (
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// readmission is q operators' word on the return of a member in a height, for the quarantine of this lab.
func (l *lab) readmission(member common.Address, height uint64, at uint64) quorum.SignedAction {
	q := l.question.record
	a, err := quorum.NewAction(1, l.state.Policy.Version, l.state.Serial+1,
		quorum.Readmit{Member: member, Height: height, Since: max(q.Since, 1), Counter: max(q.Floor, 1), Reason: "r"})
	require.NoError(l.t, err)
	by := []int{0, 1, 2}
	slices.SortFunc(by, func(x, y int) int { return operatorAddress(x).Cmp(operatorAddress(y)) })
	s := quorum.SignedAction{Action: a}
	for _, i := range by {
		e, err := quorum.SignAction(testKey("operator", i), l.network, a, at)
		require.NoError(l.t, err)
		s.Signatures = append(s.Signatures, e)
	}
	return s
}

// lost is a quarantined lab of which two others, fewer than q, have answered with what they hold of its votes.
func lost(t *testing.T, twin bool, vote []byte) *lab {
	l := newLab(t)
	l.net = &outbox{}
	require.NoError(t, l.led.Quarantine(ledger.Quarantine{Since: uint64(l.now().Add(-time.Hour).UnixMilli()), Reason: "an old copy", Shown: 40, Twin: twin}))
	l.led.Hold()
	require.NoError(t, l.beginQuestion())
	if twin {
		l.trip(fuseTwin, "a second process")
		l.followQuarantine()
	}
	for member := 1; member < 3; member++ {
		m := l.newest(l.self)
		m.Vote = vote
		l.hearAnswer(l.question.turn, l.address(member), m, nil)
	}
	l.late()
	require.False(t, l.votes())
	return l
}

// followed proposes a word and lets the core look at it.
func (l *lab) followed(s quorum.SignedAction) string {
	p, err := l.core.propose(s)
	require.NoError(l.t, err)
	l.tickQuestion(l.now())
	return l.viewProposal(p).Waits
}

// TestTheOperatorsWordIsFollowed: two of four answer, one is gone for good.
func TestTheOperatorsWordIsFollowed(t *testing.T) {
	l := lost(t, false, nil)
	now := uint64(l.now().UnixMilli())
	s := l.describeSilence()
	require.Nil(t, s.VotesFrom)
	require.Equal(t, l.question.record.Floor, s.Counter)
	require.Contains(t, s.hint(Status{Height: 1, Quorum: 3, Members: make([]MemberStatus, 4)}), "governance readmit --from 2")

	require.Contains(t, l.followed(l.readmission(l.self, 2, now)), "votes from height 2")
	require.True(t, l.votes())
	require.False(t, l.joins())
	s = l.describeSilence()
	require.True(t, s.Quarantined && s.Named && s.Votes)
	require.Equal(t, uint64(2), *s.VotesFrom)
	require.NoError(t, l.fatal)

	// The next process knows.
	require.NoError(t, l.beginQuestion())
	require.Equal(t, uint64(2), l.question.record.Back())

	// Whoever shows a vote of the past in that height shows that the operators were wrong.
	l.hearVote(voteMsg{Statement: by(l, 0, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 39}).Bytes()})
	require.True(t, l.halted())
	require.False(t, l.votes())
}

// TestTheOperatorsWordWaits: for whatever could make this node contradict itself.
func TestTheOperatorsWordWaits(t *testing.T) {
	now := func(l *lab) uint64 { return uint64(l.now().UnixMilli()) }
	for name, c := range map[string]struct {
		lab   func(t *testing.T) *lab
		word  func(l *lab) quorum.SignedAction
		waits string
	}{
		"another holds its vote": {func(t *testing.T) *lab {
			l := newLab(t)
			return lost(t, false, by(l, 0, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 40}).Bytes())
		}, func(l *lab) quorum.SignedAction { return l.readmission(l.self, 2, now(l)) }, "up to height 2"},
		"nobody has looked": {func(t *testing.T) *lab { return lost(t, false, nil) },
			func(l *lab) quorum.SignedAction { return l.readmission(l.self, 2, l.question.record.Since) }, "policy allows it from"},
		"another process may run": {func(t *testing.T) *lab { return lost(t, true, nil) },
			func(l *lab) quorum.SignedAction { return l.readmission(l.self, 2, now(l)) }, "mend its fuse"},
		"one answered": {func(t *testing.T) *lab {
			l := lost(t, false, nil)
			delete(l.question.answers, l.address(1))
			return l
		}, func(l *lab) quorum.SignedAction { return l.readmission(l.self, 2, now(l)) }, "1 of 2"},
		"an answer that proves no height": {func(t *testing.T) *lab {
			l := lost(t, false, nil)
			l.question.answers[l.address(1)] = heardBack{height: 2}
			return l
		}, func(l *lab) quorum.SignedAction { return l.readmission(l.self, 2, now(l)) }, "1 of 2"},
		"others are ahead": {func(t *testing.T) *lab {
			l := lost(t, false, nil)
			l.question.answers[l.address(1)] = heardBack{height: 3, proven: true}
			return l
		}, func(l *lab) quorum.SignedAction { return l.readmission(l.self, 3, now(l)) }, "at height 3, this node at 2"},
	} {
		t.Run(name, func(t *testing.T) {
			l := c.lab(t)
			require.Contains(t, l.followed(c.word(l)), c.waits)
			require.False(t, l.votes())
			require.False(t, l.question.record.Known)
			require.NoError(t, l.fatal)
		})
	}
}

// TestWhoHeardTheVoteDoesNotPassTheWordOn: and the operator is told by the own node.
func TestWhoHeardTheVoteDoesNotPassTheWordOn(t *testing.T) {
	l := newLab(t)
	of := l.address(3)
	l.hearVote(voteMsg{Statement: by(l, 3, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 12}).Bytes()})
	l.hearFact(by(l, 3, quorum.Halt{Epoch: 1, Counter: 13, Code: "x", Time: 1}).Bytes())
	_, err := l.core.propose(l.readmission(of, 2, uint64(l.now().UnixMilli())))
	require.ErrorIs(t, err, errProposal)
	require.ErrorContains(t, err, "voted in height 2")
	require.NoError(t, l.hearGovernance(l.address(1), govMsg{Actions: [][]byte{l.readmission(of, 2, uint64(l.now().UnixMilli())).Encode()}}),
		"who passes it on may not have heard")
	require.Empty(t, l.proposals)

	// The vote is on disk with the next own one, though something newer was said since.
	require.NoError(t, l.led.Update(l.said.keep))
	l.said = said{}
	a, err := l.newest(of).open(l.network, of, l.rosterAt)
	require.NoError(t, err)
	require.Equal(t, uint64(2), a.voted)
	require.Equal(t, uint64(13), a.counter)
	_, err = l.core.propose(l.readmission(of, 3, uint64(l.now().UnixMilli())))
	require.NoError(t, err)
	_, ok := l.buildAction()
	require.False(t, ok, "no decision carries it")
}

// TestADecidedHeightVoidsTheWord: others went on without the member.
func TestADecidedHeightVoidsTheWord(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	s := l.readmission(l.address(3), 2, uint64(l.now().UnixMilli()))
	_, err := l.core.propose(s)
	require.NoError(t, err)
	require.NoError(t, l.hearDecision(l.decision(l.refused(7, 1_000))))
	l.pruneProposals()
	require.Empty(t, l.proposals)
	_, err = l.core.propose(s)
	require.ErrorIs(t, err, batch.ErrInvalid)
}
