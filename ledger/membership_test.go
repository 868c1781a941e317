package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// changed decides the next epoch by an operators' proposal with a serial.
func (p *protoNet) changed(serial uint64) (*quorum.MembersAction, error) {
	a, err := quorum.NewAction(1, 1, serial, quorum.NewMemberChange(p.roster.Members, "fresh shares"))
	require.NoError(p.t, err)
	members := p.members(2)
	members.Change = quorum.SignedAction{Action: a}.Encode()
	return members, p.l.Update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 2, "change"), DecisionEffects{Members: members})
	})
}

func TestAChangeOfMembersTakesItsSerial(t *testing.T) {
	p := newProtoNet(t, 4)
	_, err := p.changed(3)
	require.NoError(t, err)
	p.view(func(tx *Tx) error {
		require.EqualValues(t, 3, tx.LastSerial())
		roster, action, since, err := tx.CurrentEpoch()
		require.NoError(t, err)
		require.EqualValues(t, 2, roster.Epoch)
		require.EqualValues(t, 3, since)
		require.NotEmpty(t, action.Change)
		was, _, first, ok, err := tx.EpochRecord(1)
		require.NoError(t, err)
		require.True(t, ok)
		require.EqualValues(t, 1, was.Epoch)
		require.EqualValues(t, 2, first)
		return nil
	})
}

func TestAChangeOfMembersNeedsAHigherSerial(t *testing.T) {
	p := newProtoNet(t, 4)
	_, err := p.changed(0)
	require.ErrorIs(t, err, ErrOrder)
	p.view(func(tx *Tx) error { require.EqualValues(t, 1, tx.epoch()); return nil })
}

// TestWhoIsNoMemberTakesNoCounter: whatever asks, nothing that counts is signed, and nothing is written.
func TestWhoIsNoMemberTakesNoCounter(t *testing.T) {
	p := newProtoNet(t, 4)
	p.l.SetMember(false)
	vote := quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, ID: common.Hash{1}}
	p.refused(ErrNotMember, p.cast(vote))
	p.view(func(tx *Tx) error {
		require.ErrorIs(t, tx.MayVote(2), ErrNotMember)
		require.ErrorIs(t, tx.MayJudge(), ErrNotMember)
		require.ErrorIs(t, tx.MayJoin(), ErrNotMember)
		return nil
	})
	p.l.SetMember(true)
	p.update(p.cast(vote))
}

func TestDeletionsAreKeptOnceAndOfWhoHadAShare(t *testing.T) {
	p := newProtoNet(t, 4)
	said := func(member int, epoch uint64) quorum.Signed[quorum.Deletion] {
		s, err := quorum.Sign(p.keys[member], p.network, quorum.Deletion{Epoch: epoch})
		require.NoError(t, err)
		return s
	}
	early := said(0, 2)
	p.refused(ErrNotInForce, func(tx *Tx) error { _, err := tx.PutDeletion(early, p.roster.IDs()); return err })
	_, err := p.changed(1)
	require.NoError(t, err)
	for i, fresh := range []bool{true, false} {
		p.update(func(tx *Tx) error {
			got, err := tx.PutDeletion(said(0, 2), p.roster.IDs())
			require.Equal(t, fresh, got, i)
			return err
		})
	}
	p.refused(quorum.ErrNotMember, func(tx *Tx) error { _, err := tx.PutDeletion(said(1, 2), p.roster.IDs()[:1]); return err })
	p.view(func(tx *Tx) error {
		var who []common.Address
		err := tx.Deletions(2, func(member common.Address, raw []byte) error {
			who = append(who, member)
			_, err := quorum.Open[quorum.Deletion](p.network, quorum.Members{member}, raw)
			return err
		})
		require.Equal(t, []common.Address{addressOf(p.keys[0])}, who)
		return err
	})
}

// TestAnEarlierEpochsOutcomeSettlesItsOwnSlots: whoever joins later has no other proof of what was paid before. Of a slot that was
// decided after that epoch, its members know nothing.
func TestAnEarlierEpochsOutcomeSettlesItsOwnSlots(t *testing.T) {
	p := newProtoNet(t, 4)
	first := p.pay(0, 1)
	members := p.members(2)
	a, err := quorum.NewAction(1, 1, 1, quorum.NewMemberChange(p.roster.Members, "fresh shares"))
	require.NoError(t, err)
	members.Change = quorum.SignedAction{Action: a}.Encode()
	p.update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 3, "change"), DecisionEffects{Members: members})
	})
	p.view(func(tx *Tx) error {
		height, ok, err := tx.PastOpen()
		require.True(t, ok)
		require.EqualValues(t, 2, height)
		return err
	})
	cert := p.certify(p.outcome(0, first, 1)) // by epoch 1
	p.update(func(tx *Tx) error { return tx.Settle(cert) })
	p.view(func(tx *Tx) error {
		_, ok, err := tx.PastOpen()
		require.False(t, ok)
		require.NoError(t, err)
		all, err := tx.OutcomesFrom(0, 10)
		require.Len(t, all, 1)
		require.NoError(t, err)
		all, err = tx.OutcomesFrom(3, 10)
		require.Empty(t, all)
		return err
	})

	second, err := quorum.NewRoster(2, p.roster.Members)
	require.NoError(t, err)
	late := p.commit(second, 4, "a payout of epoch 2")
	p.update(func(tx *Tx) error {
		return tx.Decide(late, DecisionEffects{Items: []quorum.Content{p.content(2)}, Slot: p.slot(1)})
	})
	p.refused(ErrNotInForce, func(tx *Tx) error { return tx.Settle(p.certify(p.outcome(1, late, 1))) })
}
