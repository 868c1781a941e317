package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func vote(height, round uint64, phase quorum.Phase, id byte) quorum.Vote {
	return quorum.Vote{Epoch: 1, Height: height, Round: round, Phase: phase, ID: common.BytesToHash([]byte{id})}
}

func (p *protoNet) cast(v quorum.Vote) func(*Tx) error {
	return func(tx *Tx) error { _, err := tx.CastVote(v, by[quorum.Vote](p, 0)); return err }
}

func TestVoteOnce(t *testing.T) {
	p := newProtoNet(t, 4)
	var first, again []byte
	p.update(func(tx *Tx) (err error) {
		first, err = tx.CastVote(vote(2, 0, quorum.Prevote, 1), by[quorum.Vote](p, 0))
		return
	})
	// Even for another value the bytes that may have left are what is sent.
	p.update(func(tx *Tx) (err error) {
		again, err = tx.CastVote(vote(2, 0, quorum.Prevote, 2), by[quorum.Vote](p, 0))
		return
	})
	require.Equal(t, first, again)
	s, err := quorum.Open[quorum.Vote](p.network, p.roster.IDs(), first)
	require.NoError(t, err)
	require.Equal(t, uint64(1), s.Body().Counter)
	p.view(func(tx *Tx) error {
		raw, ok, err := tx.Cast(2, 0, StepPrevote)
		require.True(t, ok)
		require.Equal(t, first, raw)
		_, ok, _ = tx.Cast(2, 0, StepPrecommit)
		require.False(t, ok)
		return err
	})
}

func TestProposeOnce(t *testing.T) {
	p := newProtoNet(t, 4)
	propose := func(id byte) (raw []byte) {
		p.update(func(tx *Tx) (err error) {
			b := quorum.Proposal{Epoch: 1, Height: 2, Round: 1, ID: common.BytesToHash([]byte{id})}
			raw, err = tx.CastProposal(b, by[quorum.Proposal](p, 0))
			return
		})
		return raw
	}
	first := propose(1)
	require.Equal(t, first, propose(2))
	p.update(p.cast(vote(2, 1, quorum.Prevote, 1)))
	require.Equal(t, first, propose(1))
	p.view(func(tx *Tx) error {
		var steps []uint64
		err := tx.CastMessages(2, func(round, step uint64, raw []byte) error {
			require.Equal(t, uint64(1), round)
			require.NotEmpty(t, raw)
			steps = append(steps, step)
			return nil
		})
		require.Equal(t, []uint64{StepProposal, StepPrevote}, steps)
		return err
	})
}

func TestVotesNeverGoBack(t *testing.T) {
	p := newProtoNet(t, 4)
	p.update(p.cast(vote(2, 3, quorum.Prevote, 1)))
	p.refused(ErrOrder, p.cast(vote(2, 2, quorum.Precommit, 1)))
	p.refused(ErrOrder, func(tx *Tx) error {
		b := quorum.Proposal{Epoch: 1, Height: 2, Round: 3, ID: common.HexToHash("0x1")}
		_, err := tx.CastProposal(b, by[quorum.Proposal](p, 0))
		return err
	})
	p.refused(ErrOrder, p.cast(vote(3, 0, quorum.Prevote, 1)))
	p.refused(ErrDecided, p.cast(vote(1, 9, quorum.Prevote, 1)))
	other := vote(2, 4, quorum.Prevote, 1)
	other.Epoch = 2
	p.refused(ErrNotInForce, p.cast(other))
	require.Error(t, p.l.Update(p.cast(vote(2, 4, 7, 1))))
	p.update(p.cast(vote(2, 3, quorum.Precommit, 1)))
	p.pay(0, 1)
	p.refused(ErrDecided, p.cast(vote(2, 5, quorum.Prevote, 1)))
	p.update(p.cast(vote(3, 0, quorum.Prevote, 1)))
}

func TestTheFirstHeightIsVotedByTheGenesisMembers(t *testing.T) {
	p := bareProtoNet(t, 4)
	v := vote(1, 0, quorum.Prevote, 1)
	p.refused(ErrNotInForce, p.cast(v))
	v.Epoch = 0
	p.update(p.cast(v))
}

// TestVoteOnceUnderAnyAsking compares with a model: whatever is asked in whatever order, one statement per position, and
// positions only move on.
func TestVoteOnceUnderAnyAsking(t *testing.T) {
	p := newProtoNet(t, 4)
	undo := errors.New("undo")
	rapid.Check(t, func(r *rapid.T) {
		sent := map[[2]uint64]string{}
		var top Mark
		err := p.l.Update(func(tx *Tx) error {
			for range 20 {
				v := vote(2, rapid.Uint64Range(0, 4).Draw(r, "round"), quorum.Phase(rapid.IntRange(1, 2).Draw(r, "phase")), rapid.Byte().Draw(r, "id"))
				at := Mark{Height: 2, Round: v.Round, Step: uint64(v.Phase)}
				raw, err := tx.CastVote(v, by[quorum.Vote](p, 0))
				was, known := sent[[2]uint64{v.Round, uint64(v.Phase)}]
				switch {
				case known && (err != nil || string(raw) != was):
					r.Fatalf("asked again: %v", err)
				case !known && at.after(top) != (err == nil):
					r.Fatalf("at %v after %v: %v", at, top, err)
				case !known && err == nil:
					sent[[2]uint64{v.Round, uint64(v.Phase)}], top = string(raw), at
				}
			}
			return undo
		})
		if !errors.Is(err, undo) {
			r.Fatal(err)
		}
	})
}

func TestConsensusStateLivesUntilTheDecision(t *testing.T) {
	p := newProtoNet(t, 4)
	value := []byte("a value")
	id := quorum.ValueID(p.network, value)
	p.update(func(tx *Tx) error {
		return errors.Join(tx.SaveConsensus(2, []byte("locked")), tx.PutValue(2, id, value))
	})
	p.refused(ErrOrder, func(tx *Tx) error { return tx.SaveConsensus(3, nil) })
	p.refused(ErrOrder, func(tx *Tx) error { return tx.SaveConsensus(1, nil) })
	p.refused(ErrOrder, func(tx *Tx) error { return tx.PutValue(3, id, value) })
	p.refused(ErrDecided, func(tx *Tx) error { return tx.PutValue(1, id, value) })
	require.Error(t, p.l.Update(func(tx *Tx) error { return tx.PutValue(2, common.HexToHash("0x1"), value) }))
	p.view(func(tx *Tx) error {
		state, ok := tx.Consensus(2)
		require.True(t, ok)
		require.Equal(t, "locked", string(state))
		got, ok := tx.Value(2, id)
		require.True(t, ok)
		require.Equal(t, value, got)
		return nil
	})
	p.pay(0, 1)
	p.view(func(tx *Tx) error {
		_, ok := tx.Consensus(2)
		require.False(t, ok)
		_, ok = tx.Value(2, id)
		require.False(t, ok)
		return nil
	})
}

func TestValuesOfAHeightAreBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	put := func(i uint64) func(*Tx) error {
		return func(tx *Tx) error { return tx.PutValue(2, quorum.ValueID(p.network, be64(i)), be64(i)) }
	}
	p.update(func(tx *Tx) error {
		for i := range uint64(MaxValues) {
			if err := put(i)(tx); err != nil {
				return err
			}
		}
		return nil
	})
	p.update(put(0)) // held already
	p.refused(ErrFull, put(MaxValues))
	locked := quorum.ValueID(p.network, be64(3))
	p.update(func(tx *Tx) error { return tx.RetainValues(2, func(id common.Hash) bool { return id == locked }) })
	p.update(put(MaxValues))
	p.view(func(tx *Tx) error {
		_, ok := tx.Value(2, locked)
		require.True(t, ok)
		_, ok = tx.Value(2, quorum.ValueID(p.network, be64(4)))
		require.False(t, ok)
		return nil
	})
}

// TestARestoredDatabaseIsNoticed puts an older copy of the database back, as a careless restore would.
func TestARestoredDatabaseIsNoticed(t *testing.T) {
	for name, speak := range map[string]func(p *protoNet, tx *Tx) error{
		"a vote":    func(p *protoNet, tx *Tx) error { return p.cast(vote(2, 0, quorum.Precommit, 1))(tx) },
		"a verdict": func(p *protoNet, tx *Tx) error { _, err := p.approve(tx, 1); return err },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProtoNet(t, 4)
			p.update(p.cast(vote(2, 0, quorum.Prevote, 1)))
			path := filepath.Join(p.dir, "ledger.db")
			require.NoError(t, p.l.Close())
			old, err := os.ReadFile(path)
			require.NoError(t, err)
			p.l, err = Open(p.dir, p.network)
			require.NoError(t, err)

			p.update(func(tx *Tx) error { return speak(p, tx) })
			require.NoError(t, p.l.Close())
			require.NoError(t, os.WriteFile(path, old, 0o600))
			p.l, err = Open(p.dir, p.network)
			require.NoError(t, err)
			require.ErrorIs(t, p.l.Rollback(), ErrRolledBack)
		})
	}
}

func TestUpdateRaisesTheMarkBeforeItReturns(t *testing.T) {
	p := newProtoNet(t, 4)
	require.NoError(t, p.l.Update(p.cast(vote(2, 1, quorum.Prevote, 1))))
	high, err := openHighWater(filepath.Join(p.dir, "high-water"), p.l.id)
	require.NoError(t, err)
	require.Equal(t, Mark{Height: 2, Round: 1, Step: StepPrevote, Counter: 1}, high.last)

	// A transaction that fails says nothing, so it raises nothing.
	require.Error(t, p.l.Update(func(tx *Tx) error {
		return errors.Join(p.cast(vote(2, 2, quorum.Prevote, 1))(tx), errors.New("later trouble"))
	}))
	high, err = openHighWater(filepath.Join(p.dir, "high-water"), p.l.id)
	require.NoError(t, err)
	require.Equal(t, uint64(1), high.last.Counter)
}
