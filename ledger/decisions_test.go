package ledger

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func TestDecideOnce(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.commit(p.roster, 2, "a")
	fx := DecisionEffects{Items: []quorum.Content{p.content(1)}, Slot: p.slot(0)}
	p.update(func(tx *Tx) error { return tx.Decide(c, fx) })
	p.update(func(tx *Tx) error { return tx.Decide(c, fx) })
	p.update(func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 2, "a"), fx) })
	p.refused(ErrConflict, func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 2, "b"), fx) })
	p.refused(ErrOrder, func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 4, "d"), DecisionEffects{}) })
	old := p.roster
	old.Epoch = 0
	p.refused(ErrNotInForce, func(tx *Tx) error { return tx.Decide(p.commit(old, 3, "c"), DecisionEffects{}) })
	require.Error(t, p.l.Update(func(tx *Tx) error { return tx.Decide(quorum.Committed{}, DecisionEffects{}) }))

	p.view(func(tx *Tx) error {
		require.Equal(t, uint64(2), tx.LastHeight())
		d, ok, err := tx.Decision(2)
		require.True(t, ok)
		again, err2 := d.Verify(p.network, p.roster)
		require.Equal(t, c.ID(), again.ID())
		_, ok, err3 := tx.Decision(3)
		require.False(t, ok)
		var heights []uint64
		err4 := tx.Decisions(2, func(d quorum.UncheckedDecision) error { heights = append(heights, d.Commit.Height); return nil })
		require.Equal(t, []uint64{2}, heights)
		return errors.Join(err, err2, err3, err4)
	})
}

func TestDecisionSpendsOnce(t *testing.T) {
	p := newProtoNet(t, 4)
	p.decide(DecisionEffects{Items: []quorum.Content{p.content(1)}, Rejects: []quorum.Content{p.content(2)}, Slot: p.slot(0)})
	with := func(wid uint64, change func(*quorum.Content)) quorum.Content {
		c := p.content(wid)
		change(&c)
		return c
	}
	same := func(*quorum.Content) {}
	event := func(of uint64) func(*quorum.Content) {
		return func(c *quorum.Content) { c.EventID = p.content(of).EventID }
	}
	message := func(of uint64) func(*quorum.Content) {
		return func(c *quorum.Content) { c.Message = p.content(of).Message }
	}
	fresh := func(wid, event uint64) func(*quorum.Content) {
		return func(c *quorum.Content) { c.EventID, c.Message = event, common.BigToHash(common.Big3) }
	}
	for name, fx := range map[string]DecisionEffects{
		"an item again":                   {Items: []quorum.Content{with(1, fresh(1, 999))}},
		"an item as a reject":             {Rejects: []quorum.Content{with(1, fresh(1, 999))}},
		"a reject as an item":             {Items: []quorum.Content{with(2, fresh(2, 999))}},
		"an item's event":                 {Items: []quorum.Content{with(3, event(1))}},
		"a reject's event":                {Items: []quorum.Content{with(3, event(2))}},
		"an item's event in a reject":     {Rejects: []quorum.Content{with(3, event(1))}},
		"an item's message":               {Items: []quorum.Content{with(3, message(1))}},
		"one withdrawal twice at once":    {Items: []quorum.Content{with(3, same), with(3, fresh(3, 999))}},
		"one message twice at once":       {Items: []quorum.Content{with(3, same), with(4, message(3))}},
		"item and reject at once":         {Items: []quorum.Content{with(3, same)}, Rejects: []quorum.Content{with(3, fresh(3, 999))}},
		"an item of another network":      {Items: []quorum.Content{with(3, func(c *quorum.Content) { c.Network = "other" })}},
		"an item of another token":        {Items: []quorum.Content{with(3, func(c *quorum.Content) { c.Token = common.HexToAddress("0x1") })}},
		"one event in an item and reject": {Items: []quorum.Content{with(3, same)}, Rejects: []quorum.Content{with(4, event(3))}},
	} {
		t.Run(name, func(t *testing.T) {
			fx.Slot = p.slot(1)
			require.Error(t, p.l.Update(func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 3, "x"), fx) }))
			p.check()
		})
	}
	require.ErrorContains(t, p.l.Update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 3, "x"), DecisionEffects{Items: []quorum.Content{p.content(3)}})
	}), "without a slot")
	// A message that an item used is why another withdrawal is rejected, and a reject uses none.
	p.decide(DecisionEffects{Rejects: []quorum.Content{with(3, message(1)), with(4, func(c *quorum.Content) { c.Message = common.HexToHash("0x44") })}})
	p.decide(DecisionEffects{Items: []quorum.Content{with(5, func(c *quorum.Content) { c.Message = common.HexToHash("0x44") })}, Slot: p.slot(1)})

	p.view(func(tx *Tx) error {
		s, ok, err := tx.SpentWID(2)
		require.True(t, ok)
		require.Equal(t, Spent{Content: p.content(2), Hash: p.content(2).Hash(p.network), Kind: SpentReject, Height: 2}, s)
		r, ok, err2 := tx.ReportOn(2)
		require.True(t, ok)
		require.Equal(t, ReportReject, r.Outcome)
		require.NotZero(t, r.DecidedAt)
		return errors.Join(err, err2)
	})
}

func TestNoncesAreContiguousAndSlotsWrittenOnce(t *testing.T) {
	p := newProtoNet(t, 4)
	p.pay(0, 1)
	decide := func(nonce uint64) func(*Tx) error {
		return func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 3, "x"), DecisionEffects{Slot: p.slot(nonce)}) }
	}
	p.refused(ErrConflict, decide(0))
	p.refused(ErrNonceGap, decide(2))
	p.pay(1, 2)
}

// TestNoncesUnderAnyDecisions compares with a counter: whatever nonce a decision names, only the next one is taken.
func TestNoncesUnderAnyDecisions(t *testing.T) {
	p := newProtoNet(t, 4)
	p.pay(0, 1)
	next := uint64(1)
	rapid.Check(t, func(r *rapid.T) {
		nonce := rapid.Uint64Range(0, 110).Draw(r, "nonce")
		if rapid.Bool().Draw(r, "right") {
			nonce = next
		}
		c := p.commit(p.roster, next+2, "x")
		err := p.l.Update(func(tx *Tx) error { return tx.Decide(c, DecisionEffects{Slot: p.slot(nonce)}) })
		if (err == nil) != (nonce == next) {
			r.Fatalf("nonce %d, next is %d: %v", nonce, next, err)
		}
		if err == nil {
			next++
		}
	})
	p.check()
}

func TestEpochs(t *testing.T) {
	p := bareProtoNet(t, 4)
	p.view(func(tx *Tx) error {
		roster, _, since, err := tx.CurrentEpoch()
		require.Empty(t, roster.Members)
		require.Zero(t, since)
		_, ok, err2 := tx.Payer()
		require.False(t, ok)
		_, ok, err3 := tx.EpochAt(1)
		require.False(t, ok)
		return errors.Join(err, err2, err3)
	})
	p.update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.genesis, 1, "m"), DecisionEffects{Members: p.members(1)})
	})
	p.view(func(tx *Tx) error {
		roster, action, since, err := tx.CurrentEpoch()
		require.Equal(t, p.roster, roster)
		require.Equal(t, uint64(2), since)
		require.Equal(t, p.members(1).Transcript, action.Transcript)
		payer, ok, err2 := tx.Payer()
		require.True(t, ok)
		require.Equal(t, addressOf(p.payer), payer)
		return errors.Join(err, err2)
	})
	p.refused(ErrOrder, func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 2, "m"), DecisionEffects{Members: p.members(1)})
	})
	bad := p.members(2)
	bad.Transcript.PublicKey = quorum.PublicKey{}
	require.Error(t, p.l.Update(func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 2, "m"), DecisionEffects{Members: bad}) }))
	bad = p.members(2)
	bad.Members = bad.Members[:1]
	require.Error(t, p.l.Update(func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 2, "m"), DecisionEffects{Members: bad}) }))

	p.decide(DecisionEffects{Members: p.members(2)})
	p.view(func(tx *Tx) error {
		one, ok, err := tx.EpochAt(2)
		require.True(t, ok)
		two, ok2, err2 := tx.EpochAt(3)
		require.True(t, ok2)
		require.Equal(t, []uint64{1, 2}, []uint64{one.Epoch, two.Epoch})
		return errors.Join(err, err2)
	})
	// The old epoch's commit counts no more.
	p.refused(ErrNotInForce, func(tx *Tx) error { return tx.Decide(p.commit(p.roster, 3, "x"), DecisionEffects{}) })
}
