package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

// strongbox is a vault that a test seals; without a share of its own it holds none.
type strongbox struct {
	noVault
	status VaultStatus
	share  *tss.KeyShare
	fail   error // of ShareOf
}

func (s *strongbox) Standing() VaultStatus { return s.status }

func (s *strongbox) ShareOf(quorum.Transcript) (*tss.KeyShare, error) {
	switch {
	case s.status.State != VaultUnsealed:
		return nil, ErrSealed
	case s.fail != nil:
		return nil, s.fail
	case s.share == nil:
		return nil, ErrNoShare
	}
	return s.share, nil
}

// sealedLab is a founded node that just started with a sealed vault.
func sealedLab(t *testing.T) (*lab, *strongbox) {
	l := newLab(t)
	box := &strongbox{status: VaultStatus{State: VaultSealed}, share: &tss.KeyShare{}}
	l.vault = box
	l.led.Hold()
	require.NoError(t, l.beginQuestion())
	require.NoError(t, l.openKey())
	return l, box
}

// answeredByOthers lets q−1 others answer the question of the present turn, and the rest be late.
func (l *lab) answeredByOthers() {
	for member := 1; member < 3; member++ {
		l.hearAnswer(l.question.turn, l.genesis.Members[member].Address, l.newest(l.self), nil)
	}
	l.late()
}

// silent reports whether everything that this node could sign is barred, at each place that asks.
func (l *lab) silent() bool {
	barred := !l.votes() && !l.joins() && (l.signer == nil || l.signer.share == nil)
	err := l.led.View(func(tx *ledger.Tx) error {
		return errors.Join(tx.MaySpeak(), tx.MayVote(9), tx.MayJudge(), tx.MayJoin())
	})
	return barred && errors.Is(err, ledger.ErrAsking)
}

// A node with a sealed vault stays silent whatever the others answer; unsealed it speaks, sealed again it is silent again,
// and asks the others anew before it goes on.
func TestASealedNodeSignsNothing(t *testing.T) {
	l, box := sealedLab(t)
	require.True(t, l.silent())
	l.answeredByOthers()
	l.tickQuestion(l.now())
	require.True(t, l.silent(), "the answers alone do not do")
	s := l.describeSilence()
	require.False(t, s.Asking, "nothing is asked any more")
	require.False(t, s.Votes || s.Verdicts || s.Sessions)
	require.True(t, standsOpen(l, codeSealed))

	box.status.State = VaultUnsealed
	require.NoError(t, l.unseal())
	require.False(t, l.silent())
	require.True(t, l.votes() && l.joins())
	require.NotNil(t, l.signer.share)
	require.False(t, standsOpen(l, codeSealed))
	require.NoError(t, l.unseal(), "the same again")

	turn := l.question.turn
	require.NoError(t, l.seal())
	require.True(t, l.silent())
	require.Greater(t, l.question.turn, turn)
	require.NoError(t, l.seal(), "the same again")
	require.True(t, standsOpen(l, codeSealed))
	box.status.State = VaultUnsealed
	require.NoError(t, l.unseal())
	require.True(t, !l.votes() && !l.joins(), "the answers of before say nothing about now")
	l.answeredByOthers()
	require.True(t, l.votes() && l.joins())
}

func standsOpen(l *lab, code string) bool {
	for _, a := range l.alerts.list() {
		if a.Code == code && !a.Over {
			return true
		}
	}
	return false
}

// Unsealed before the others answered, it waits for them.
func TestUnsealedBeforeTheAnswers(t *testing.T) {
	l, box := sealedLab(t)
	box.status.State = VaultUnsealed
	require.NoError(t, l.unseal())
	require.True(t, !l.votes() && !l.joins())
	l.answeredByOthers()
	require.True(t, l.votes() && l.joins())
}

// A share that cannot be used leaves the node sealed; one that is missing is an alert, and the node judges without it.
func TestUnsealedWithoutAUsableShare(t *testing.T) {
	l, box := sealedLab(t)
	l.answeredByOthers()
	box.status.State, box.fail = VaultUnsealed, tss.ErrShare
	require.ErrorIs(t, l.unseal(), tss.ErrShare)
	require.True(t, l.silent() && l.sealed)
	box.fail, box.share = nil, nil
	require.NoError(t, l.unseal())
	require.True(t, l.votes())
	require.True(t, standsOpen(l, codeNoShare))
}

// Sealing ends the live session before it returns.
func TestSealingWaitsForTheSession(t *testing.T) {
	l, box := sealedLab(t)
	l.answeredByOthers()
	box.status.State = VaultUnsealed
	require.NoError(t, l.unseal())
	session, cancel := context.WithCancel(l.ctx)
	l.signer.cancel = cancel
	n := &Node{core: l.core, alerts: l.alerts, log: l.log}
	asked := make(chan error, 1)
	go func() { asked <- n.Sealing(context.Background()) }()
	(<-l.tasks)()
	require.Error(t, session.Err(), "the session is told to end")
	(<-l.tasks)()
	require.Empty(t, asked, "it has not ended yet")
	l.signer.cancel = nil // as its end does
	for {
		select {
		case task := <-l.tasks:
			task()
			continue
		case err := <-asked:
			require.NoError(t, err)
		}
		break
	}
	require.True(t, l.silent())
}

// While a ceremony holds key material the vault cannot be sealed: half of it would stay in memory.
func TestNoSealingInACeremony(t *testing.T) {
	l, box := sealedLab(t)
	box.status.State = VaultUnsealed
	require.NoError(t, l.unseal())
	l.ceremony = l.newCeremony(l.state.Roster)
	l.ceremony.running = true
	require.ErrorIs(t, l.seal(), ErrCeremony)
	require.False(t, l.sealed)
	l.ceremony.running = false
	l.ceremony.pre = &tss.PreParams{}
	require.NoError(t, l.seal())
	require.Nil(t, l.ceremony.pre)
}

// A sealed vault says what it waits for, a locked out one until when.
func TestVaultReasons(t *testing.T) {
	var none *VaultStatus
	require.Empty(t, none.reasons())
	require.Empty(t, (&VaultStatus{State: VaultUnsealed}).reasons())
	until := time.Unix(1_800_000_000, 0)
	r := (&VaultStatus{State: VaultLockedOut, Wrong: 5, Until: &until}).reasons()
	require.Equal(t, codeLockedOut, r[0].Code)
	require.Contains(t, r[0].Text, "5 wrong ones until 2027-01-15T08:00:00Z")
	r = (&VaultStatus{State: VaultSealed}).reasons()
	require.Equal(t, codeSealed, r[0].Code)
	require.Contains(t, r[0].Hint, "conclave unseal")
	for _, code := range []string{codeSealed, codeLockedOut} {
		require.True(t, notReady[code])
	}
}
