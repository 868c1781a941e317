package node

import (
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
)

// purse is a watcher of the lab's node over a payer whose balances the test says; nothing asks an endpoint, for the payer
// sends nothing.
type purse struct {
	*watcher
	lab *lab
	key quorum.LaneKey
	at  uint64
}

func newPurse(t *testing.T, token common.Address) *purse {
	l := newLab(t)
	lane := l.genesis.Lanes[0]
	lane.Token = token
	n := &Node{led: l.led, core: l.core, genesis: l.genesis, log: l.log, alerts: l.alerts, now: func() time.Time { return l.core.now() }}
	n.inForce.Store(&l.state.Policy)
	w := &watcher{n: n, lane: lane, odd: map[string]time.Time{}, flows: newFlows(lane, []quorum.Lane{lane})}
	return &purse{watcher: w, lab: l, key: lane.Key(l.state.Payer), at: 10}
}

// shows is one look at the next block.
func (p *purse) shows(token, coin uint64) error {
	p.at++
	s := chain.Survey{Final: chain.Header{Number: p.at}, Token: *uint256.NewInt(token), Gas: *uint256.NewInt(coin)}
	done := make(chan struct{})
	served := make(chan struct{})
	go func() { // the core, as long as the look lasts
		defer close(served)
		for {
			select {
			case task := <-p.lab.tasks:
				task()
			case <-done:
				return
			}
		}
	}()
	err := p.conserve(p.lab.ctx, p.key, s)
	close(done)
	<-served
	return err
}

func (p *purse) flow(token common.Address) (f ledger.Flow) {
	err := p.n.led.View(func(tx *ledger.Tx) (err error) {
		f, _, err = tx.Flow(ledger.AssetKey{ChainID: p.key.ChainID, Payer: p.key.Payer, Token: token})
		return err
	})
	require.NoError(p.lab.t, err)
	return f
}

// heard makes the node sure that it holds every decision.
func (p *purse) heard() {
	now := p.lab.core.now()
	p.lab.core.now = func() time.Time { return now.Add(time.Second) }
	for i := 1; i < 4; i++ {
		p.lab.hearView(by(p.lab, i, quorum.View{Epoch: 1, Time: uint64(now.UnixMilli()) + 1, Height: 1}))
	}
}

// Tokens that leave without a payout of ours, as by an allowance or their contract's owner, halt the node once it is caught
// up, and once only; what comes in is inflow; the coin that pays gas has an account of its own.
func TestTokensThatLeaveHalt(t *testing.T) {
	token := common.Address{0x70}
	p := newPurse(t, token)
	require.True(t, p.flows.coin, "the only lane of its chain keeps the coin's account")
	require.NoError(t, p.shows(100, 50))
	require.NoError(t, p.shows(130, 55))
	require.Equal(t, *uint256.NewInt(30), p.flow(token).Inflow)
	require.Equal(t, *uint256.NewInt(5), p.flow(common.Address{}).Inflow)

	require.NoError(t, p.shows(123, 55))
	require.False(t, p.lab.halted(), "it has heard nobody since: somebody may know a decision that explains it")
	require.Equal(t, *uint256.NewInt(130), p.flow(token).Wallet)
	p.heard()
	require.NoError(t, p.shows(123, 55))
	require.True(t, p.lab.halted())
	require.Equal(t, *uint256.NewInt(7), p.flow(token).Lost)

	require.NoError(t, p.lab.clear("looked at"))
	p.heard()
	require.NoError(t, p.shows(123, 55))
	require.False(t, p.lab.halted(), "the same loss halts once")
	require.NoError(t, p.shows(123, 54))
	p.heard()
	require.NoError(t, p.shows(123, 54))
	require.True(t, p.lab.halted(), "so does the coin, without a nonce that explains it")
}

// A balance that was only read from an endpoint that lags is no loss when it is right again.
func TestLossThatWasNone(t *testing.T) {
	p := newPurse(t, common.Address{})
	require.NoError(t, p.shows(100, 100))
	require.NoError(t, p.shows(90, 90))
	require.Len(t, p.odd, 1)
	require.NoError(t, p.shows(100, 100))
	require.Empty(t, p.odd)
	p.heard()
	require.NoError(t, p.shows(100, 100))
	require.False(t, p.lab.halted())
	require.Zero(t, p.flow(common.Address{}).Lost)
}

// Transactions of the payer that no known decision took are the nonce check's affair: nothing is booked on a guess.
func TestUnknownNoncesWait(t *testing.T) {
	p := newPurse(t, common.Address{})
	require.NoError(t, p.shows(100, 100))
	s := chain.Survey{Final: chain.Header{Number: 20}, Nonce: 1, Token: *uint256.NewInt(60), Gas: *uint256.NewInt(60)}
	require.NoError(t, p.conserve(p.lab.ctx, p.key, s))
	require.Equal(t, *uint256.NewInt(100), p.flow(common.Address{}).Wallet)
}

// A token that answers that it paid and moves less, or takes more, calls people; the coin cannot.
func TestATokenThatMovesOtherwiseCallsPeople(t *testing.T) {
	token, payer := common.Address{0x70}, common.Address{1}
	amount := uint256.NewInt(5).Bytes32()
	said := chain.Outcome{Status: 1, Logs: []chain.Log{{Address: token, Data: amount[:],
		Topics: []common.Hash{chain.TransferTopic(), chain.AddressTopic(payer), chain.AddressTopic(common.Address{2})}}}}
	for _, k := range []struct {
		token common.Address
		value uint64
		out   chain.Outcome
		calls bool
	}{{token, 5, said, false}, {token, 6, said, true}, {token, 4, said, true}, {token, 5, chain.Outcome{Status: 1}, true}, {common.Address{}, 6, said, false}} {
		p := newPurse(t, token)
		p.movedAll(ledger.Slot{Token: k.token, Value: *uint256.NewInt(k.value)}, quorum.LaneKey{Payer: payer, Token: k.token}, k.out)
		calls := slices.ContainsFunc(p.n.alerts.list(), func(a Alert) bool { return a.Code == codeMoved })
		require.Equal(t, k.calls, calls, "%+v", k)
	}
}

// One watcher of each chain keeps the coin's account.
func TestWhoKeepsTheCoin(t *testing.T) {
	lane := func(network string, chainID uint64, token byte) quorum.Lane {
		return quorum.Lane{Network: network, ChainID: chainID, Token: common.Address{token}}
	}
	all := []quorum.Lane{lane("a-token", 1, 1), lane("a", 1, 0), lane("b-token", 2, 1), lane("b-other", 2, 2), lane("c", 3, 0)}
	keeps := map[string]bool{}
	for _, l := range all {
		keeps[l.Network] = newFlows(l, all).coin
	}
	require.Equal(t, map[string]bool{"a-token": false, "a": true, "b-token": true, "b-other": false, "c": true}, keeps)
}

// A lane that pays in the coin has one account, in its status too.
func TestFlowStatus(t *testing.T) {
	p := newPurse(t, common.Address{0x70})
	require.NoError(t, p.shows(100, 50))
	require.NoError(t, p.shows(103, 50))
	payer := p.key.Payer
	s := Status{Lanes: []LaneStatus{
		{Network: "devnet", ChainID: p.key.ChainID, Token: p.key.Token, Payer: &payer}, {Network: "else", ChainID: 9, Payer: &payer},
	}}
	require.NoError(t, p.n.led.View(func(tx *ledger.Tx) error { return p.n.describeFlows(tx, &s) }))
	require.Empty(t, s.Lanes[1].Flows)
	require.Equal(t, []FlowStatus{
		{Initial: "50", Inflow: "0", Wallet: "50", Paid: "0", Claims: "0", Fees: "0", Lost: "0", Since: 11, Block: 11},
		{Token: p.key.Token, Initial: "100", Inflow: "3", Wallet: "103", Paid: "0", Claims: "0", Fees: "0", Lost: "0", Since: 11, Block: 12},
	}, s.Lanes[0].Flows)
}
