package node

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
	"conclave/tss/tsstest"
)

// drawer is a vault that holds whatever is saved.
type drawer struct {
	noVault
	mu   *sync.Mutex
	held map[string]bool
}

func newDrawer() drawer { return drawer{mu: &sync.Mutex{}, held: map[string]bool{}} }

func nameOfShare(t quorum.Transcript) string { return t.Session.Hex() }

func (d drawer) SaveShare(s *tss.KeyShare) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[nameOfShare(s.Transcript())] = true
	return nil
}

func (d drawer) DropShare(t quorum.Transcript) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.held, nameOfShare(t))
	return nil
}

// settle does what was handed to the core and off it.
func (l *lab) settle() {
	l.work.Wait()
	for len(l.tasks) > 0 {
		(<-l.tasks)()
	}
}

// madeUnder is a lab whose ceremony of a change saved a share, of the epoch to come.
func madeUnder(t *testing.T) (*lab, drawer, string) {
	l, vault := newLab(t), newDrawer()
	l.onPolicy, l.vault = func(quorum.Policy) {}, vault
	_, err := l.core.propose(l.changeTo(append(slices.Clone(l.state.Roster.Members), newcomer(9)), 1, 0, 1, 2))
	require.NoError(t, err)
	shares, err := tsstest.Shares()
	require.NoError(t, err)
	share := shares[tsstest.MemberAddress(0)]
	require.NoError(t, l.ceremony.saving(l.core)(share))
	l.settle()
	require.Len(t, l.members.made, 1)
	l.members.made[0].of.Epoch = l.state.Roster.Epoch + 1 // the fixture's is of the first
	return l, vault, nameOfShare(share.Transcript())
}

// The share of a change that a decision made void is destroyed; while it could still be decided it stays, also when operators signed
// a later change.
func TestSharesOfAVoidChangeAreDestroyed(t *testing.T) {
	l, vault, share := madeUnder(t)
	ended := l.ceremony.ctx
	_, err := l.core.propose(l.changeTo(l.state.Roster.Members, 2, 0, 1, 2))
	require.NoError(t, err)
	l.tickMembership(l.now().Add(time.Minute))
	l.settle()
	require.Error(t, ended.Err(), "given up for a later one")
	require.True(t, vault.held[share], "its proofs may be in front of a voter")

	_, err = l.core.propose(l.policyAction(400, 3, 0, 1, 2))
	require.NoError(t, err)
	for _, v := range l.views(l.state.Height, uint64(time.Now().UnixMilli())) {
		l.pool.addView(v)
	}
	for _, open := range l.proposals {
		open.tried = time.Time{}
	}
	b, ok := l.build()
	require.True(t, ok)
	require.Equal(t, batch.Policy, b.Kind)
	require.NoError(t, l.hearDecision(l.decision(b)))
	l.tickMembership(l.now().Add(2 * time.Minute))
	l.settle()
	require.False(t, vault.held[share])
	require.Empty(t, l.members.made)
}

// A share of the epoch that is in force by now is never one of a void change, whatever was decided after it.
func TestTheShareInForceIsNotVoid(t *testing.T) {
	l, vault, share := madeUnder(t)
	l.members.made[0].of.Epoch = l.state.Roster.Epoch
	l.state.Serial = 9
	l.dropVoid()
	l.settle()
	require.True(t, vault.held[share])
	require.Empty(t, l.members.made)

	l, vault, share = madeUnder(t)
	l.state.Serial = 1 // of an action with its serial
	l.dropVoid()
	l.settle()
	require.False(t, vault.held[share])
}

func TestFewSharesAreRemembered(t *testing.T) {
	l, _, _ := madeUnder(t)
	shares, err := tsstest.Shares()
	require.NoError(t, err)
	for range maxMade + 5 {
		require.NoError(t, l.ceremony.saving(l.core)(shares[tsstest.MemberAddress(0)]))
		l.settle()
	}
	require.Len(t, l.members.made, maxMade)
}
