package ledger

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

var stopAll = quorum.Halt{Epoch: 1, Code: "unknown-event", Reason: "the Relay shows type 11", Time: 5}

func (p *protoNet) trip(h quorum.Halt) (raw []byte) {
	p.t.Helper()
	p.update(func(tx *Tx) (err error) { raw, err = tx.TripFuse(h, by[quorum.Halt](p, 0)); return })
	return raw
}

// halts makes another member halt, and returns the halt's id.
func (p *protoNet) halts(member int, h quorum.Halt) common.Hash {
	p.t.Helper()
	h.Counter = p.next()
	p.update(func(tx *Tx) error { _, err := tx.PutHalt(theirs(p, member, h)); return err })
	return h.ID(p.network, addressOf(p.keys[member]))
}

func (p *protoNet) clears(member int, halt common.Hash) error {
	s := theirs(p, member, quorum.Clear{Epoch: 1, Counter: p.next(), Halt: halt, Reason: "looked into"})
	return p.l.Update(func(tx *Tx) error { _, err := tx.PutClear(s); return err })
}

func (p *protoNet) networkHalted(scope quorum.Scope, target string) (out bool) {
	p.view(func(tx *Tx) (err error) { out, err = tx.NetworkHalted(scope, target); return })
	return out
}

func TestTheFuseStopsVerdictsReadysAndSessions(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	raw := p.trip(stopAll)
	require.Equal(t, raw, p.trip(stopAll), "one halt for one cause")
	s, err := quorum.Open[quorum.Halt](p.network, p.roster.IDs(), raw)
	require.NoError(t, err)
	require.Equal(t, uint64(1), s.Body().Counter)

	approve := func(tx *Tx) error { _, err := p.approve(tx, 2); return err }
	ready := func(tx *Tx) error {
		_, err := tx.Ready(quorum.Ready{Epoch: 1, Height: 2, Batch: c.ID()}, by[quorum.Ready](p, 0))
		return err
	}
	p.refused(ErrHalted, approve)
	p.refused(ErrHalted, func(tx *Tx) error { _, err := p.refuse(tx, 2); return err })
	p.refused(ErrHalted, ready)
	p.intentRefused(ErrHalted, p.intent(c, 0, 0))
	p.update(p.cast(vote(3, 0, quorum.Prevote, 1))) // votes go on

	p.view(func(tx *Tx) error {
		h, ok, err := tx.OwnHalt()
		require.True(t, ok)
		require.Equal(t, "unknown-event", h.Halt.Code)
		return err
	})
	var clears [][]byte
	p.update(func(tx *Tx) (err error) { clears, err = tx.ClearHalt("looked into", by[quorum.Clear](p, 0)); return })
	require.Len(t, clears, 1)
	clear, err := quorum.Open[quorum.Clear](p.network, p.roster.IDs(), clears[0])
	require.NoError(t, err)
	require.Equal(t, s.Body().ID(p.network, s.Signer()), clear.Body().Halt)
	require.Equal(t, uint64(1), clear.Body().Epoch)
	p.update(approve)
	p.update(ready)
	_, err = p.l.RecordIntent(p.intent(c, 0, 0))
	require.NoError(t, err)
	p.refused(ErrNotFound, func(tx *Tx) error { _, err := tx.ClearHalt("again", by[quorum.Clear](p, 0)); return err })

	require.NotEqual(t, raw, p.trip(stopAll), "a cleared halt does not count again")
	require.ErrorContains(t, p.l.Update(func(tx *Tx) error {
		_, err := tx.TripFuse(quorum.Halt{}, func(quorum.Halt) (quorum.Signed[quorum.Halt], error) {
			return quorum.Signed[quorum.Halt]{}, errors.New("nobody is asked to sign it")
		})
		return err
	}), "out of bounds")
}

func TestScopes(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	lane := quorum.Halt{Epoch: 1, Scope: quorum.ScopeLane, Target: protoLane, Code: "x"}
	account := quorum.Halt{Epoch: 1, Scope: quorum.ScopeAccount, Target: p.content(2).Account.Hex(), Code: "x"}
	ready := func(tx *Tx) error {
		_, err := tx.Ready(quorum.Ready{Epoch: 1, Height: 2, Batch: c.ID()}, by[quorum.Ready](p, 0))
		return err
	}
	p.trip(account)
	p.refused(ErrHalted, func(tx *Tx) error { _, err := p.approve(tx, 2); return err })
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 3); return err })
	p.update(ready)
	lane.Target = "elsewhere"
	p.trip(lane)
	p.update(ready)
	lane.Target = protoLane
	p.trip(lane)
	p.refused(ErrHalted, ready)
	p.refused(ErrHalted, func(tx *Tx) error { _, err := p.approve(tx, 4); return err })
	p.view(func(tx *Tx) error {
		own, err := tx.OwnHalts()
		require.Len(t, own, 3)
		return err
	})
}

func TestFPlusOneHaltsStopEveryone(t *testing.T) {
	p := newProtoNet(t, 4)
	one := p.halts(1, stopAll)
	again := p.halts(1, quorum.Halt{Epoch: 1, Code: "again"})
	require.False(t, p.networkHalted(quorum.ScopeAll, ""), "one member counts once")
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	two := p.halts(2, stopAll)
	require.True(t, p.networkHalted(quorum.ScopeAll, ""))
	require.True(t, p.networkHalted(quorum.ScopeLane, protoLane), "everything is each lane")
	p.refused(ErrHalted, func(tx *Tx) error { _, err := p.approve(tx, 2); return err })

	// This operator's word clears nothing now.
	p.trip(stopAll)
	p.refused(ErrNetworkHalted, func(tx *Tx) error { _, err := tx.ClearHalt("no", by[quorum.Clear](p, 0)); return err })

	require.ErrorIs(t, p.clears(1, two), ErrNotFound, "nobody clears another's halt")
	require.ErrorIs(t, p.clears(1, common.HexToHash("0x1")), ErrNotFound)
	require.NoError(t, p.clears(2, two))
	require.NoError(t, p.clears(2, two))
	require.True(t, p.networkHalted(quorum.ScopeAll, ""), "two are left: the own one and the first")
	require.NoError(t, p.clears(1, one))
	require.True(t, p.networkHalted(quorum.ScopeAll, ""), "that member halted twice")
	require.NoError(t, p.clears(1, again))
	require.False(t, p.networkHalted(quorum.ScopeAll, ""), "one is left")
	p.reopen()
	n := 0
	p.view(func(tx *Tx) error { return tx.Halts(func(HaltRecord) error { n++; return nil }) })
	require.Equal(t, 4, n)
}

func TestHaltsOfLanesCountForTheirLane(t *testing.T) {
	p := newProtoNet(t, 4)
	h := quorum.Halt{Epoch: 1, Scope: quorum.ScopeLane, Target: protoLane, Code: "x"}
	p.halts(1, h)
	p.halts(2, stopAll)
	require.True(t, p.networkHalted(quorum.ScopeLane, protoLane))
	require.False(t, p.networkHalted(quorum.ScopeLane, "elsewhere"))
	require.False(t, p.networkHalted(quorum.ScopeAll, ""))
}

func TestOnlyMembersInForceHalt(t *testing.T) {
	p := newProtoNet(t, 5)
	p.halts(1, stopAll)
	p.halts(4, stopAll)
	require.True(t, p.networkHalted(quorum.ScopeAll, ""))
	smaller := p.members(2)
	smaller.Members = smaller.Members[:4]
	p.decide(DecisionEffects{Members: smaller})
	require.False(t, p.networkHalted(quorum.ScopeAll, ""), "who left has no voice")
}

func TestTheSameHaltAgainIsNothing(t *testing.T) {
	p := newProtoNet(t, 4)
	h := stopAll
	h.Counter = 4
	s := theirs(p, 1, h)
	for i, want := range []bool{true, false} {
		p.update(func(tx *Tx) error {
			added, err := tx.PutHalt(s)
			require.Equal(t, want, added, i)
			return err
		})
	}
	h.Reason = "another"
	p.update(func(tx *Tx) error { _, err := tx.PutHalt(theirs(p, 1, h)); return err })
	require.Equal(t, []EvidenceKind{EvidenceCounter}, p.evidence())
}

// A halt that stands for years keeps no later one out, and hundreds of halted accounts leave room for the fuse.
func TestWhatStandsKeepsNoFuseFromBlowing(t *testing.T) {
	p := newProtoNet(t, 4)
	old := common.Address{0xac}
	trip := func(h quorum.Halt) (raw []byte, err error) {
		err = p.l.Update(func(tx *Tx) (err error) { raw, err = tx.TripFuse(h, by[quorum.Halt](p, 0)); return err })
		return raw, err
	}
	account := func(a common.Address) quorum.Halt {
		return quorum.Halt{Epoch: stopAll.Epoch, Scope: quorum.ScopeAccount, Target: a.Hex(), Code: "operator", Reason: "r", Time: 1}
	}
	p.halts(1, account(old))
	p.halts(2, account(old))
	for range MaxHalts + 10 {
		require.NoError(t, p.clears(1, p.halts(1, stopAll)))
	}
	require.True(t, p.networkHalted(quorum.ScopeAccount, old.Hex()), "it stands all the time")
	require.False(t, p.networkHalted(quorum.ScopeAll, ""))

	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = trip(account(common.Address{1, byte(n >> 8), byte(n)}))
	}
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, MaxHalts-reservedHalts+1, n)
	_, err = trip(stopAll)
	require.NoError(t, err)
	p.refused(ErrHalted, func(tx *Tx) error { return tx.MaySign("x", common.Address{2}) })
}

func TestHaltsOfOneMemberAreBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	var first common.Hash
	for i := range MaxHalts {
		h := stopAll
		h.Counter = uint64(i + 1)
		if i == 0 {
			first = h.ID(p.network, addressOf(p.keys[1]))
		}
		require.NoError(t, p.l.Update(func(tx *Tx) error { _, err := tx.PutHalt(theirs(p, 1, h)); return err }))
	}
	more := stopAll
	more.Counter = MaxHalts + 1
	put := func(h quorum.Halt) (added bool, err error) {
		s := theirs(p, 1, h)
		err = p.l.Update(func(tx *Tx) (err error) { added, err = tx.PutHalt(s); return })
		return added, err
	}
	_, err := put(more)
	require.ErrorIs(t, err, ErrFull)
	require.NoError(t, p.clears(1, first))
	added, err := put(more)
	require.NoError(t, err)
	require.True(t, added)
	dropped := stopAll
	dropped.Counter = 1
	added, err = put(dropped)
	require.NoError(t, err)
	require.False(t, added, "a cleared halt that was dropped does not come back")
	p.check()
}
