package node

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/ledger"
)

// paying is a lab that decided a payout, and its slot.
func paying(t *testing.T) (*lab, ledger.Slot) {
	l := newLab(t)
	require.NoError(t, l.hearDecision(l.decision(l.payout(1, uint64(time.Now().UnixMilli())))))
	var slot ledger.Slot
	require.NoError(t, l.led.View(func(tx *ledger.Tx) (err error) { slot, _, err = tx.SlotAt(2); return err }))
	require.NotEmpty(t, slot.Items)
	return l, slot
}

func sighting(status uint64) chain.Sighting {
	return chain.Sighting{Ours: true, Outcome: chain.Outcome{TxHash: common.Hash{1}, BlockHash: common.Hash{2}, Block: 7, Status: status}}
}

// othersSay is what every other member states of a slot.
func (l *lab) othersSay(slot ledger.Slot, status uint64) {
	for i := 1; i < len(l.keys); i++ {
		o := l.outcomeOf(slot, sighting(status))
		o.Counter = 1000
		l.hearOutcome(by(l, i, o))
	}
}

// A reverted payout is released by the members' word, and what they said of its withdrawal counts again.
func TestARevertedPayoutIsReleased(t *testing.T) {
	l, slot := paying(t)
	_, ok := l.buildRelease()
	require.False(t, ok)
	l.finalSeen(slot, sighting(0))
	_, ok = l.buildRelease()
	require.False(t, ok, "one member's word frees nothing")
	l.othersSay(slot, 0)
	now := uint64(time.Now().UnixMilli())
	for _, v := range l.views(2, now) {
		l.pool.addView(v)
	}
	b, ok := l.buildRelease()
	require.True(t, ok)
	require.Len(t, b.Releases, 1)
	require.NoError(t, l.hearDecision(l.decision(b)))
	require.NoError(t, l.fatal)
	require.False(t, l.state.Decided(1))
	_, ok = l.buildRelease()
	require.False(t, ok, "once")
}

// q members that certify another end than this node's own endpoints show, at one block, blow its fuse before anything is freed.
func TestACertificateAgainstOwnEyesTripsTheFuse(t *testing.T) {
	l, slot := paying(t)
	l.finalSeen(slot, sighting(1))
	require.False(t, l.halted())
	l.othersSay(slot, 0)
	require.True(t, l.halted())
	require.Contains(t, l.fuseText(), "own endpoints show")
	_, ok := l.buildRelease()
	require.False(t, ok)
	var settled bool
	require.NoError(t, l.led.View(func(tx *ledger.Tx) (err error) { _, settled, err = tx.OutcomeOf(slot.Key); return err }))
	require.True(t, settled)
}
