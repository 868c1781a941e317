package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
	"conclave/tss"
)

// spokenKinds is a wire that keeps what a ceremony sends.
type spokenKinds struct {
	wire
	kinds []signKind
}

func (s *spokenKinds) Send(_ common.Address, protocol string, frame []byte) error {
	var m signMsg
	if protocol == protoSigning && unmarshal(frame, &m) == nil {
		s.kinds = append(s.kinds, m.Kind)
	}
	return nil
}

// searches is a vault that counts who asks it for preparameters.
type searches struct {
	noVault
	asked chan struct{}
}

func (s searches) PreParams() (*tss.PreParams, error) {
	s.asked <- struct{}{}
	return nil, ErrSealed
}

// idle is an engine whose key generations wait for their end.
type idle struct {
	Signer
	began chan tss.KeygenRequest
}

func (e idle) Keygen(ctx context.Context, r tss.KeygenRequest) (*tss.Key, tss.Outcome) {
	e.began <- r
	<-ctx.Done()
	return nil, tss.Outcome{Ending: tss.Cancelled}
}

// foundingLab is member 0 of a committee without a key, whose operator confirmed or did not.
func foundingLab(t *testing.T, confirmed bool) (*lab, *spokenKinds) {
	l := newBareLab(t)
	said := &spokenKinds{}
	l.net, l.vault, l.engine = said, searches{asked: make(chan struct{}, 8)}, idle{began: make(chan tss.KeygenRequest, 1)}
	if confirmed {
		l.confirmed = l.genesis.Fingerprint()
	}
	require.NoError(t, l.resumeFounding())
	t.Cleanup(l.ceremony.end)
	return l, said
}

// others lets every other member confirm and call.
func (l *lab) others(f quorum.Fingerprint) {
	for i := 1; i < len(l.keys); i++ {
		require.NoError(l.t, l.hearStanding(l.address(i), standingMsg{Epoch: 1, Confirmed: f, Stage: stageReady}))
		l.called(i, 0, common.Hash{byte(i)})
	}
}

// Nothing of the key generation leaves a node whose operator confirmed nothing, and it looks for nothing, whatever others say.
func TestWhoHasNotConfirmedTakesNoPart(t *testing.T) {
	l, said := foundingLab(t, false)
	l.others(l.genesis.Fingerprint())
	l.ceremony.pre = &tss.PreParams{}
	for range 3 {
		l.ceremony.tick(l.core, l.now())
	}
	require.Empty(t, said.kinds)
	require.False(t, l.ceremony.running)
	require.Empty(t, l.vault.(searches).asked)
	s := l.ceremony.describe(l.core)
	require.False(t, s.Confirmed)
	require.Equal(t, l.genesis.Fingerprint().Code(), s.Fingerprint)
	require.Equal(t, KeygenMember{Name: s.Members[0].Name, Member: l.self, Connected: true}, s.Members[0])
	require.Equal(t, "has not confirmed", s.Members[0].Words())
	for _, m := range s.Members[1:] {
		require.True(t, m.Confirmed)
		require.Equal(t, "ready", m.Words())
	}
	require.NoError(t, l.hearStanding(l.address(1), standingMsg{Epoch: 1, Confirmed: quorum.Fingerprint{1}}))
	require.NoError(t, l.fatal, "it has confirmed nothing that could be another's")
}

// Who confirmed says so before it calls, and begins only when all others did, just now.
func TestTheKeyWaitsUntilAllConfirmed(t *testing.T) {
	l, said := foundingLab(t, true)
	<-l.vault.(searches).asked
	l.ceremony.pre = &tss.PreParams{}
	at := time.Now()
	l.now = func() time.Time { return at }
	l.others(l.genesis.Fingerprint())
	silent := l.address(2)
	word := l.ceremony.standings[silent]
	delete(l.ceremony.standings, silent)

	l.ceremony.tick(l.core, at)
	n := len(l.keys) - 1
	require.Equal(t, n, countKind(said.kinds, signStanding))
	require.Equal(t, n, countKind(said.kinds, signStatement))
	require.Equal(t, signStanding, said.kinds[0], "before the call")
	require.False(t, l.ceremony.running, "one has not confirmed")
	members := l.ceremony.describe(l.core).Members
	require.Equal(t, "not connected", members[2].Words())

	word.at = at.Add(-standingFresh - 1)
	l.ceremony.standings[silent] = word
	l.ceremony.tick(l.core, at)
	require.False(t, l.ceremony.running, "it is gone")

	word.at = at
	l.ceremony.standings[silent] = word
	l.ceremony.tick(l.core, at)
	require.True(t, l.ceremony.running)
	require.EqualValues(t, 1, (<-l.engine.(idle).began).Epoch)
}

func countKind(kinds []signKind, of signKind) (n int) {
	for _, k := range kinds {
		if k == of {
			n++
		}
	}
	return n
}

// Another fingerprint stops who confirmed this one, by name and with both codes, and nobody who holds the key already.
func TestAnotherFingerprintStopsAtOnce(t *testing.T) {
	other := quorum.Fingerprint{0xab, 0xcd}
	says := func(l *lab, m standingMsg) error { return l.hearStanding(l.address(1), m) }

	l, _ := foundingLab(t, true)
	require.NoError(t, says(l, standingMsg{Epoch: 2, Confirmed: other}))
	require.NoError(t, says(l, standingMsg{Epoch: 1, Change: common.Hash{1}, Confirmed: other}))
	require.NoError(t, l.fatal, "of another ceremony")
	require.NoError(t, says(l, standingMsg{Epoch: 1, Confirmed: other}))
	require.ErrorIs(t, l.fatal, ErrFingerprint)
	name := nameIn(l.genesis.Members, l.address(1))
	require.ErrorContains(t, l.fatal, fmt.Sprintf("by %s as abcd 0000 0000 0000 0000, here %s", name, l.genesis.Fingerprint().Code()))

	l, _ = foundingLab(t, true)
	l.ceremony.action = &quorum.MembersAction{}
	require.NoError(t, says(l, standingMsg{Epoch: 1, Confirmed: other}))
	require.NoError(t, l.fatal, "the key is made: all signed its transcript")

	l, _ = foundingLab(t, true)
	l.ceremony.hash = common.Hash{1}
	require.NoError(t, says(l, standingMsg{Epoch: 1, Change: common.Hash{1}}))
	require.NoError(t, l.fatal, "operators signed a change: there is nothing to confirm")
}

func TestAStandingIsRefused(t *testing.T) {
	l, _ := foundingLab(t, true)
	require.ErrorIs(t, l.hearStanding(common.Address{9}, standingMsg{Epoch: 1, Confirmed: l.confirmed}), errStatement, "of a stranger")
	require.ErrorIs(t, l.hearStanding(l.address(1), standingMsg{Epoch: 1, Confirmed: l.confirmed, Stage: stages}), errStatement, "of no stage")
	require.Empty(t, l.ceremony.standings)
	require.ErrorIs(t, l.hearSigning(l.address(1), signMsg{signStanding, []byte{0xc0}}), errFrame)
	require.NoError(t, l.hearSigning(l.address(1), signMsg{signStanding, marshal(standingMsg{Epoch: 1, Confirmed: l.confirmed, Stage: stageRound, Done: 2, Of: 4})}))
	require.Equal(t, "round 2 of 4", l.ceremony.standings[l.address(1)].words())
}

// Who lost a key whose transcript it signed goes on without a new confirmation: it gave one before it signed.
func TestWhoHoldsTheKeyHasConfirmed(t *testing.T) {
	l, said := foundingLab(t, false)
	l.ceremony.action = &quorum.MembersAction{}
	l.ceremony.tick(l.core, l.now())
	require.Equal(t, len(l.keys)-1, countKind(said.kinds, signStanding))
	require.Equal(t, "has all proofs", l.ceremony.describe(l.core).Members[0].Words())
}

// Each stage has words of its own, in steps that people can read.
func TestStandingsInWords(t *testing.T) {
	seen := map[string]bool{}
	for s := range stages {
		words := standingMsg{Stage: s, Done: 37, Of: 90}.words()
		require.False(t, seen[words], words)
		seen[words] = true
	}
	require.Contains(t, seen, "looks for primes, 30 s")
}
