package node

import (
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/memchain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

var (
	labToken    = common.HexToAddress("0x70ce")
	labContract = common.HexToAddress("0xc0de")
)

// tokenLab is a lab whose lane pays batches of a token.
func tokenLab(t *testing.T) *lab {
	l := newLab(t)
	lane := &l.state.Lanes[0] // the genesis document's, too
	lane.Token, lane.Way, lane.Contract = labToken, quorum.WayBatch, labContract
	return l
}

// allowed makes every member's VIEW, and this node's watcher, show an allowance and how many of the payer's transactions are final.
func (l *lab) allowed(nonce uint64, allowance uint256.Int) quorum.LaneView {
	seen := quorum.LaneView{Lane: l.state.LaneKeys()[0], Block: 100, Nonce: nonce, BaseFee: *uint256.NewInt(7), Allowance: allowance}
	seen.Gas.Lsh(uint256.NewInt(1), 100)
	seen.Balance = seen.Gas
	now := uint64(l.now().UnixMilli())
	for i := range l.keys {
		l.pool.addView(by(l, i, quorum.View{Epoch: 1, Time: now, Height: l.state.Height, Lanes: []quorum.LaneView{seen}}))
	}
	l.laneSeen("devnet", seen)
	l.checkFunds("devnet", seen)
	return seen
}

// moves lets the lab's clock go on.
func (l *lab) moves(d time.Duration) {
	now := l.now().Add(d)
	l.now = func() time.Time { return now }
}

// allow decides the ALLOW that this node builds.
func (l *lab) allow() ledger.Slot {
	l.t.Helper()
	b, ok := l.build()
	require.True(l.t, ok)
	require.Equal(l.t, batch.Allow, b.Kind)
	require.False(l.t, l.refrains(b))
	require.NoError(l.t, l.hearDecision(l.decision(b)))
	require.NoError(l.t, l.fatal)
	slot, _ := l.slotNow(ledger.Slot{Key: ledger.SlotKey{ChainID: 1337, Payer: l.state.Payer, Nonce: b.Nonce}})
	return slot
}

// TestAnAllowIsBuiltWhereNothingIsAllowed, by itself, and rendered from the lane alone; while it is under way, or when this node sees
// that it worked, nobody asks for another.
func TestAnAllowIsBuiltWhereNothingIsAllowed(t *testing.T) {
	l := tokenLab(t)
	l.allowed(0, *uint256.NewInt(1))
	_, ok := l.build()
	require.False(t, ok, "something is allowed")
	l.moves(time.Second)
	l.allowed(0, uint256.Int{})
	slot := l.allow()
	require.True(t, allows(slot))
	require.Equal(t, "devnet", slot.Network)
	p := l.paymentsOf(slot)[0]
	require.Equal(t, labToken, p.To)
	require.Equal(t, chain.ApproveData(labContract, *new(uint256.Int).SetAllOne()), p.Data)
	require.True(t, p.Value.IsZero())
	require.Equal(t, l.state.Payer, p.Payer)

	_, ok = l.build()
	require.False(t, ok, "it is under way")
	l.moves(2 * time.Second)
	l.allowed(1, uint256.Int{})
	again, ok := l.build()
	require.True(t, ok, "it is final and changed nothing")
	require.EqualValues(t, 1, again.Nonce)
	l.moves(time.Second)
	l.allowed(1, *new(uint256.Int).SetAllOne())
	_, ok = l.build()
	require.False(t, ok)
	elsewhere := []quorum.Lane{l.genesis.Lanes[0]}
	elsewhere[0].Way = quorum.WaySingle
	_, err := paymentOf(l.network, again.Encode(), elsewhere)
	require.ErrorContains(t, err, "needs an allowance")
}

// TestAHaltedNodeWantsNoAllow: not everywhere, and not on a lane that is halted.
func TestAHaltedNodeWantsNoAllow(t *testing.T) {
	l := tokenLab(t)
	l.allowed(0, uint256.Int{})
	theirs, ok := l.build()
	require.True(t, ok)
	for _, h := range []struct {
		scope  quorum.Scope
		target string
		stops  bool
	}{{quorum.ScopeLane, "elsewhere", false}, {quorum.ScopeLane, "devnet", true}, {quorum.ScopeAll, "", true}} {
		require.NoError(t, l.tripScope(h.scope, h.target, "test", "for the test"))
		_, builds := l.build()
		require.Equal(t, !h.stops, builds, h.scope)
		require.Equal(t, h.stops, l.refrains(theirs), h.scope)
		require.NoError(t, l.clear("looked at"))
		l.moves(2 * time.Second)
		l.allowed(0, uint256.Int{})
	}
}

// TestAnAllowThatFailsCallsPeople, who hear of the lane and not of a payment that reverted; when the allowance is there, it is over.
func TestAnAllowThatFailsCallsPeople(t *testing.T) {
	l := tokenLab(t)
	stands := func(code string) (yes bool) {
		for _, a := range l.alerts.list() {
			yes = yes || a.Code == code && !a.Over
		}
		return yes
	}
	l.allowed(0, uint256.Int{})
	slot := l.allow()
	require.False(t, stands(codeAllowance), "it is under way")
	l.settled(slot.Key, slot, quorum.Outcome{Batch: slot.Batch, Status: 0})
	require.False(t, stands(codeFailed), "nobody was to be paid by it")
	l.allowed(1, uint256.Int{})
	require.True(t, stands(codeAllowance))
	l.allowed(2, *new(uint256.Int).SetAllOne())
	require.False(t, stands(codeAllowance))

	lane := l.state.LaneKeys()[0]
	l.checkAllowance("devnet", quorum.LaneView{Lane: lane, Nonce: 2, Allowance: *uint256.NewInt(9)}, batch.Funds{TokenNeed: *uint256.NewInt(10)})
	require.True(t, stands(codeAllowance), "less than is owed")
	l.checkAllowance("devnet", quorum.LaneView{Lane: lane, Nonce: 2, Allowance: *uint256.NewInt(10)}, batch.Funds{TokenNeed: *uint256.NewInt(10)})
	require.False(t, stands(codeAllowance))
}

// TestOthersHearAtOnceWhatIsAllowed: batches wait for it.
func TestOthersHearAtOnceWhatIsAllowed(t *testing.T) {
	var old quorum.LaneView
	now := old
	require.False(t, grew(old, now))
	now.Allowance = *uint256.NewInt(1)
	require.True(t, grew(old, now))
	require.False(t, grew(now, old))
}

// TestALaneWithoutItsContractIsNotShown: whatever stands at the address, or nothing, a lane that pays batches has no data until the
// code is there; it is asked for once.
func TestALaneWithoutItsContractIsNotShown(t *testing.T) {
	for _, at := range []common.Address{{}, labToken, labContract} {
		p := newPurse(t, common.Address{})
		c, err := memchain.New(memchain.Config{ChainID: 1337, Depth: 1, BaseFee: *uint256.NewInt(7), Payout: labContract, Token: labToken})
		require.NoError(t, err)
		c.Mine(3)
		p.n.judge = &judge{}
		p.end, p.watcher.lane.Way, p.watcher.lane.Contract = c.Endpoint("own"), quorum.WayBatch, at
		_, err = p.survey(p.lab.ctx, p.key)
		shown := len(p.lab.tasks) > 0
		require.Equal(t, at == labContract, shown)
		if at == labContract {
			require.NoError(t, err)
			require.NoError(t, p.laneContract(func() error { panic("it was asked before") }))
			continue
		}
		require.ErrorIs(t, err, chain.ErrContract)
		p.report(p.lab.ctx, err)
		require.Equal(t, codeContract, p.lab.alerts.list()[0].Code)
		require.Error(t, p.laneContract(func() error { return errors.New("still") }))
		p.report(p.lab.ctx, nil)
		require.True(t, p.lab.alerts.list()[0].Over)
	}
}
