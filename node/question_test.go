package node

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
)

// ask asks a lab's core as a member would.
func (l *lab) newest(of common.Address) (m newestMsg) {
	raw, err := l.answer(l.ctx, marshal(syncReq{What: syncNewest, ID: common.BytesToHash(of[:])}))
	require.NoError(l.t, err)
	require.NoError(l.t, unmarshal(raw, &m))
	return m
}

func (l *lab) rosterOf(uint64) (quorum.Roster, error) { return l.state.Roster, nil }

// The answer is the newest that this node heard, of votes too, and proves the height.
func TestTheNewestIsAnswered(t *testing.T) {
	l := newLab(t)
	of := l.genesis.Members[2].Address
	m := l.newest(of)
	require.Empty(t, m.Statement)
	a, err := m.open(l.network, of, l.rosterAt)
	require.NoError(t, err)
	require.True(t, a.proven)
	require.Equal(t, uint64(2), a.height)

	verdict := by(l, 2, quorum.Approve{Epoch: 1, Policy: l.state.Policy.Ref(), Counter: 9, WID: 7, Content: common.Hash{7}, Account: common.Address{1}, Seq: 1, Time: 1})
	l.hearFact(verdict.Bytes())
	require.Equal(t, verdict.Bytes(), l.newest(of).Statement)
	vote := by(l, 2, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 12})
	l.hearVote(voteMsg{Statement: vote.Bytes()})
	a, err = l.newest(of).open(l.network, of, l.rosterAt)
	require.NoError(t, err)
	require.Equal(t, uint64(12), a.counter)

	// With the next own record it stands in the ledger, and outlives the process.
	require.NoError(t, l.led.Update(l.said.keep))
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		counter, raw, ok := tx.Newest(of)
		require.True(t, ok)
		require.Equal(t, uint64(12), counter)
		require.Equal(t, vote.Bytes(), raw)
		return nil
	}))
}

// An answer proves itself, or says nothing.
func TestAnswersProveThemselves(t *testing.T) {
	l := newLab(t)
	self := l.self
	good := l.newest(self)
	stranger, err := quorum.Sign(testKey("stranger", 0), l.network, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 1 << 50})
	require.NoError(t, err)
	for name, m := range map[string]newestMsg{
		"another's statement":     {Statement: by(l, 1, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 5}).Bytes(), Height: good.Height, Commit: good.Commit},
		"a stranger's":            {Statement: stranger.Bytes(), Height: good.Height, Commit: good.Commit},
		"one without a counter":   {Statement: by(l, 0, quorum.View{Epoch: 1, Time: 1}).Bytes(), Height: good.Height, Commit: good.Commit},
		"no height":               {},
		"a height by its word":    {Height: 9},
		"another height's proof":  {Height: 9, Commit: good.Commit},
		"a proof of the first":    {Height: 1, Commit: good.Commit},
		"bytes behind the proof":  {Height: good.Height, Commit: append(append([]byte{}, good.Commit...), 0)},
		"a certificate of nobody": {Height: good.Height, Commit: marshal(quorum.UncheckedQC{Epoch: 0, Height: 1, Phase: quorum.Precommit, ID: common.Hash{1}})},
	} {
		_, err := m.open(l.network, self, l.rosterAt)
		require.Error(t, err, name)
	}
	// An epoch that is not reached here yet proves nothing, and accuses nobody.
	later := newestMsg{Height: 9, Commit: marshal(quorum.UncheckedQC{Epoch: 7, Height: 8, Phase: quorum.Precommit, ID: common.Hash{1}})}
	a, err := later.open(l.network, self, l.rosterOf)
	require.NoError(t, err)
	require.False(t, a.proven)
}

// late lets the time pass that is left for answers beyond q−1.
func (l *lab) late() {
	l.question.since = l.question.since.Add(-lateAnswers)
	l.settleQuestion()
}

// A node speaks when q−1 others have answered and the rest had time to, and goes into quarantine when one shows what it does not hold.
func TestWhatOthersHoldDecides(t *testing.T) {
	fresh := func(t *testing.T) *lab {
		l := newLab(t)
		l.led.Hold()
		require.NoError(t, l.beginQuestion())
		return l
	}
	hear := func(l *lab, member int, raw []byte) {
		m := l.newest(l.self)
		m.Statement = raw
		l.hearAnswer(l.question.turn, l.genesis.Members[member].Address, m, nil)
	}
	t.Run("nothing said", func(t *testing.T) {
		l := fresh(t)
		require.False(t, l.votes() || l.joins())
		hear(l, 1, nil)
		hear(l, 1, nil)
		require.False(t, l.votes(), "one member, however often")
		hear(l, 2, nil)
		require.False(t, l.votes() || l.joins(), "the third may have heard what these two did not")
		l.late()
		require.True(t, l.votes() && l.joins())
	})
	t.Run("all have answered", func(t *testing.T) {
		l := fresh(t)
		for member := 1; member < 4; member++ {
			require.False(t, l.votes())
			hear(l, member, nil)
		}
		require.True(t, l.votes() && l.joins(), "nobody is left to wait for")
	})
	t.Run("the last to answer knows more", func(t *testing.T) {
		l := fresh(t)
		hear(l, 1, nil)
		hear(l, 2, nil)
		hear(l, 3, by(l, 0, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 40}).Bytes())
		require.True(t, l.question.quarantined(2))
		require.False(t, l.votes() || l.joins())
	})
	t.Run("more than the database holds", func(t *testing.T) {
		l := fresh(t)
		vote := by(l, 0, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 40})
		hear(l, 1, vote.Bytes())
		require.True(t, l.question.quarantined(2))
		for member := 1; member < 3; member++ {
			hear(l, member, vote.Bytes())
		}
		l.late()
		require.False(t, l.question.closed, "what it was shown is no news any more")
		require.False(t, l.votes() || l.joins())
		require.False(t, l.halted())
		hear(l, 3, nil)
		require.True(t, l.question.record.Known)
		require.Equal(t, uint64(4), l.question.record.Back())
		l.hearVote(voteMsg{Statement: vote.Bytes()})
		require.False(t, l.halted(), "an echo of the life that is missing")
		l.hearVote(voteMsg{Statement: by(l, 0, quorum.Vote{Epoch: 1, Height: 4, Phase: quorum.Prevote, Counter: 41}).Bytes()})
		require.True(t, l.halted(), "nobody of the past can have voted there")
	})
	t.Run("an answer to an earlier question", func(t *testing.T) {
		l := fresh(t)
		l.question.turn++
		l.hearAnswer(l.question.turn-1, l.genesis.Members[1].Address, l.newest(l.self), nil)
		require.Empty(t, l.question.answers)
	})
}

// Whatever a member answers neither stops a node nor makes it believe what is not proven.
func FuzzNewestAnswer(f *testing.F) {
	l := newLab(f)
	good := l.newest(l.self)
	f.Add(marshal(good))
	good.Statement = by(l, 0, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, Counter: 40}).Bytes()
	f.Add(marshal(good))
	f.Add(marshal(newestMsg{Height: 1}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m newestMsg
		if unmarshal(raw, &m) != nil {
			return
		}
		a, err := m.open(l.network, l.self, l.rosterAt)
		if err == nil && a.proven && a.height > 2 {
			t.Fatalf("height %d, of which there is no certificate", a.height)
		}
		if err == nil && a.counter != 0 && len(m.Statement) == 0 {
			t.Fatal("a counter of nothing")
		}
	})
}

// TestAMemberIsAskedAgain: two processes of one disk are told apart by what the others heard since, so one answer is not the last.
func TestAMemberIsAskedAgain(t *testing.T) {
	q, peer, now := question{}, common.Address{1}, time.Unix(1_700_000_000, 0)
	q.anew(now)
	require.True(t, q.asks(peer, now), "at the start")
	q.pending[peer] = true
	require.False(t, q.asks(peer, now.Add(time.Hour)), "while its answer is waited for")
	delete(q.pending, peer)

	q.next[peer] = now.Add(askAgain)
	require.False(t, q.asks(peer, now))
	require.True(t, q.asks(peer, now.Add(askAgain)), "it gave none")

	q.answers[peer] = heardBack{proven: true}
	require.False(t, q.asks(peer, now.Add(recheckEvery-time.Second)))
	require.True(t, q.asks(peer, now.Add(recheckEvery)), "a minute after its answer")
}
