package ledger

import (
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// TestHeldNothingNewIsSigned: every way to a counter is barred, and what stands on the disk comes back.
func TestHeldNothingNewIsSigned(t *testing.T) {
	p := newProtoNet(t, 4)
	var before []byte
	p.update(func(tx *Tx) (err error) {
		before, err = p.approve(tx, 1)
		return err
	})
	p.update(p.cast(vote(2, 0, quorum.Prevote, 1)))
	counter := uint64(0)
	viewOf(t, p.l, func(tx *Tx) error { counter = tx.Counter(); return nil })

	p.l.Hold()
	for name, speak := range map[string]func(tx *Tx) error{
		"a vote":    p.cast(vote(2, 0, quorum.Precommit, 1)),
		"a verdict": func(tx *Tx) error { _, err := p.approve(tx, 2); return err },
		"a session": func(tx *Tx) error { return tx.MayJoin() },
	} {
		require.ErrorIs(t, p.l.Update(speak), ErrAsking, name)
	}
	require.NoError(t, p.l.Update(p.cast(vote(2, 0, quorum.Prevote, 1))))
	require.NoError(t, p.l.Update(func(tx *Tx) error {
		again, err := p.approve(tx, 1)
		require.Equal(t, before, again)
		return err
	}))
	viewOf(t, p.l, func(tx *Tx) error { require.Equal(t, counter, tx.Counter()); return nil })

	p.l.Release()
	p.update(p.cast(vote(2, 0, quorum.Precommit, 1)))
}

// It stands at once, across a restart too, and is signed when the node speaks again.
func TestAFuseBlowsWhileHeld(t *testing.T) { blowsUnheard(t, (*Ledger).Hold) }

// A custodian that was not taken in yet, or has left, stops itself all the same.
func TestAFuseBlowsOutsideTheCommittee(t *testing.T) {
	blowsUnheard(t, func(l *Ledger) { l.SetMember(false) })
}

func blowsUnheard(t *testing.T, silence func(*Ledger)) {
	p := newProtoNet(t, 4)
	silence(p.l)
	body := quorum.Halt{Epoch: 1, Scope: quorum.ScopeAll, Code: "operator", Reason: "why", Time: 1}
	trip := func(tx *Tx) (raw []byte, err error) {
		return tx.TripFuse(body, func(b quorum.Halt) (quorum.Signed[quorum.Halt], error) {
			return quorum.Sign(p.keys[0], p.network, b)
		})
	}
	for range 2 {
		require.NoError(t, p.l.Update(func(tx *Tx) error {
			raw, err := trip(tx)
			require.Nil(t, raw)
			return err
		}))
	}
	require.NoError(t, p.l.Close())
	var err error
	p.l, err = Open(p.dir, p.network)
	require.NoError(t, err)
	viewOf(t, p.l, func(tx *Tx) error {
		require.ErrorIs(t, tx.MaySign("devnet", common.Address{}), ErrHalted)
		all, err := tx.Postponed()
		require.Len(t, all, 1)
		return err
	})
	p.update(func(tx *Tx) error {
		raw, err := trip(tx)
		require.NotNil(t, raw)
		return err
	})
	viewOf(t, p.l, func(tx *Tx) error {
		all, err := tx.Postponed()
		require.Empty(t, all)
		own, e := tx.OwnHalts()
		require.Len(t, own, 1)
		require.NoError(t, e)
		return err
	})
}

// TestQuarantine goes through one: far counters, no votes before two above, verdicts and sessions not under what was.
func TestQuarantine(t *testing.T) {
	p := newProtoNet(t, 4)
	p.update(p.cast(vote(2, 0, quorum.Prevote, 1)))
	require.NoError(t, p.l.Quarantine(Quarantine{Since: 7, Reason: "an old copy", Shown: 100}))
	require.NoError(t, p.l.Rollback(), "the file follows the leap")
	precommit := p.cast(vote(2, 0, quorum.Precommit, 1))
	require.ErrorIs(t, p.l.Update(precommit), ErrQuarantined)
	p.update(p.cast(vote(2, 0, quorum.Prevote, 1))) // on the disk already
	viewOf(t, p.l, func(tx *Tx) error {
		q, ok, err := tx.Quarantined()
		require.True(t, ok)
		require.Equal(t, uint64(100+Leap), q.Floor)
		require.Equal(t, q.Floor, tx.Counter())
		require.True(t, q.Missing(99, 0) && q.Missing(99, 1<<40) && !q.Missing(q.Floor+1, 0))
		require.ErrorIs(t, tx.MayJudge(), ErrQuarantined)
		require.ErrorIs(t, tx.MayJoin(), ErrQuarantined)
		return err
	})

	// Height 2 is the next of this network; others at height 1 make it vote from 3.
	p.update(func(tx *Tx) error { return tx.Shown(1) })
	require.ErrorIs(t, p.l.Update(func(tx *Tx) error { return tx.Shown(9) }), ErrOrder, "heights are shown once")
	require.ErrorIs(t, p.l.Update(precommit), ErrQuarantined)
	viewOf(t, p.l, func(tx *Tx) error {
		q, _, err := tx.Quarantined()
		require.Equal(t, uint64(3), q.Back())
		require.NoError(t, tx.MayVote(3))
		require.False(t, q.Missing(99, 3), "nothing of the lost life is of that height")
		_, _, since, e := tx.CurrentEpoch()
		require.NoError(t, e)
		require.Equal(t, uint64(2), since)
		require.ErrorIs(t, tx.MayJudge(), ErrQuarantined, "the epoch was decided at the height shown")
		return err
	})
	_, err := p.l.CheckProtocol(p.founding())
	require.NoError(t, err)
}

// TestAQuarantinesHeightIsNotBelowTheFile: the file remembers a vote that nobody who answered heard.
func TestAQuarantinesHeightIsNotBelowTheFile(t *testing.T) {
	l := newBooks(t)
	l.high.last = Mark{Height: 9, Round: 1, Step: 1, Counter: 5}
	require.NoError(t, l.Quarantine(Quarantine{Since: 1, Reason: "file"}))
	update(t, l, func(tx *Tx) error { return tx.Shown(3) })
	viewOf(t, l, func(tx *Tx) error {
		q, _, err := tx.Quarantined()
		require.ErrorIs(t, tx.MayVote(9), ErrQuarantined)
		require.NoError(t, tx.MayVote(10))
		require.Equal(t, uint64(5), q.Shown)
		return err
	})
	high, err := openHighWater(filepath.Join(filepath.Dir(l.high.path), highWaterFileName), l.id)
	require.NoError(t, err)
	require.Equal(t, uint64(5+Leap), high.last.Counter)
}

// TestAQuarantineThatWasSkippedIsFound: the check reads from the bytes what the gates should have kept back.
func TestAQuarantineThatWasSkippedIsFound(t *testing.T) {
	p := newProtoNet(t, 4)
	require.NoError(t, p.l.Quarantine(Quarantine{Since: 7, Reason: "an old copy"}))
	var kept Quarantine
	p.update(func(tx *Tx) (err error) {
		if kept, _, err = tx.Quarantined(); err != nil {
			return err
		}
		return tx.b.Bucket(bucketSelf).Delete(keyQuarantine)
	})
	p.update(p.cast(vote(2, 0, quorum.Prevote, 1)))
	require.NoError(t, p.l.Update(func(tx *Tx) error { return tx.put(bucketSelf, keyQuarantine, kept) }))
	_, err := p.l.CheckProtocol(p.founding())
	require.ErrorContains(t, err, "I14")
}

func viewOf(t *testing.T, l *Ledger, fn func(*Tx) error) {
	t.Helper()
	require.NoError(t, l.View(fn))
}
