package relay

import (
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"conclave/ledger"
	"conclave/relay/relaysim"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// A row that was settled and is rewritten is found wherever it stands, and refused.
func TestRewrittenHistoryIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.credit(50)
		f := s.follower(FollowConfig{Page: 10})
		require.NoError(t, s.pollFor(2*walkEvery, f.Poll))
		require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.Rewriting, Seed: 3}))
		var err error
		for range 80 { // the whole log is walked in 25 s
			if err = s.pollFor(DefaultPoll, f.Poll); err != nil {
				break
			}
		}
		require.ErrorIs(t, err, errChanged)
		require.Equal(t, upTo(50), s.order)
	})
}

// An honest log is walked for ever without a word, whatever is missing in it and however late it comes.
func TestWalkIsQuietAboutAnHonestRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		var alerts []Alert
		f := s.follower(FollowConfig{Page: 7, Grace: 10 * time.Second, Alert: func(a Alert) { alerts = append(alerts, a) }})
		for range 20 {
			s.credit(5)
			s.Burn(3)
			s.HoldNext()
			late := s.CreditTask(node, big.NewInt(9))
			s.credit(1)
			require.NoError(t, s.pollFor(15*time.Second, f.Poll))
			require.NoError(t, s.Release(late))
		}
		require.NoError(t, s.pollFor(5*time.Minute, f.Poll))
		require.Empty(t, alerts)
		require.Len(t, s.events, 140)
	})
}

func TestShrunkLogIsAlertedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		var alerts []Alert
		f := s.follower(FollowConfig{Alert: func(a Alert) { alerts = append(alerts, a) }})
		s.credit(40)
		require.NoError(t, s.pollFor(6*time.Second, f.Poll))
		require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.Shrinking}))
		require.NoError(t, s.pollFor(20*time.Second, f.Poll))
		require.Empty(t, alerts, "a pending row hides what is above it for a moment")
		require.NoError(t, s.pollFor(30*time.Second, f.Poll))
		require.NotEmpty(t, alerts)
		require.Equal(t, AlertShrunk, alerts[0].Code)
		require.Equal(t, uint64(40), f.Status().Settled)
		require.Len(t, s.events, 40, "nothing leaves the books")

		// Honest again: quiet again.
		s.View(0).Repent()
		require.NoError(t, s.pollFor(10*time.Second, f.Poll))
		alerts = nil
		require.NoError(t, s.pollFor(time.Minute, f.Poll))
		require.Empty(t, alerts)
	})
}

func TestSettledRowThatIsGoneIsAlertedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		var alerts []Alert
		f := s.follower(FollowConfig{Alert: func(a Alert) { alerts = append(alerts, a) }})
		s.credit(9)
		require.NoError(t, s.pollFor(time.Second, f.Poll))
		s.View(0).Lie(relaysim.Hide(4))
		require.NoError(t, s.pollFor(2*walkEvery, f.Poll))
		require.NotEmpty(t, alerts)
		require.Equal(t, Alert{AlertVanished, 4, alerts[0].Detail}, alerts[0])
	})
}

// A decided request is read again, and what became of it behind everybody's back is handed over: the list says nothing of it.
func TestDecidedRequestsAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.withdraw(s.user("relaylab-alice"), 25) // three pages
		for id := range uint64(25) {
			require.NoError(t, s.client.Fulfil(t.Context(), id+1, common.Hash{1}))
		}
		f := s.lister(nil)
		require.NoError(t, s.pollFor(5*walkEvery, f.Poll))
		require.Equal(t, ledger.StatusSuccess, s.requests[17].Status)
		puts := s.puts
		require.NoError(t, s.pollFor(5*walkEvery, f.Poll))
		require.Equal(t, puts, s.puts, "nothing new: nothing written")
		s.View(0).LieAboutRequests(relaysim.AlterRequest(17, func(r *relaysim.RequestRow) { r.Status = 2 }))
		require.NoError(t, s.pollFor(4*walkEvery, f.Poll))
		require.Equal(t, ledger.StatusFailed, s.requests[17].Status)
		s.View(0).LieAboutRequests(relaysim.AlterRequest(3, func(r *relaysim.RequestRow) { r.Amount = "1" }))
		require.ErrorIs(t, s.pollFor(4*walkEvery, f.Poll), errChanged)
	})
}

// One row that the Relay cannot build: everything before it comes in, nothing behind it, and the error names the place.
func TestPageThatFailsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.credit(60)
		s.CreditTask(other, big.NewInt(1)) // 61
		s.credit(60)
		require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.Page500, About: other}))
		f := s.follower(FollowConfig{Page: 100})
		err := s.pollFor(15*time.Second, f.Poll)
		require.ErrorContains(t, err, "rows above 60: ")
		require.ErrorContains(t, err, "malformed reason")
		require.False(t, IsHostile(err))
		require.Equal(t, upTo(60), s.order)
		require.False(t, f.Status().CaughtUp)
		s.View(0).Repent()
		require.NoError(t, s.pollFor(5*time.Second, f.Poll))
		require.Equal(t, upTo(121), s.order)
	})
}

// A page that breaks the contract is refused whole: none of its rows enters, the state stays, the error names the event, and
// an honest page afterwards is taken.
func TestWrongPagesAreRefusedWhole(t *testing.T) {
	for mode, rule := range map[relaysim.Mode]Rule{
		relaysim.Reordered: RuleIDGoesBack, relaysim.Duplicated: RuleIDRepeated, relaysim.IgnoresStart: RuleIDNotAfter,
		relaysim.IgnoresLimit: RuleTooManyRows, relaysim.SQLAddresses: RuleAddress, relaysim.UnknownKinds: RuleUnknownKind,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				s.credit(5)
				f := s.follower(FollowConfig{Page: 10})
				require.NoError(t, s.pollFor(time.Second, f.Poll))
				state := slices.Clone(s.state)
				require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: mode, Seed: 1, About: node}))
				s.credit(12)
				var r *Refusal
				require.ErrorAs(t, s.pollFor(time.Second, f.Poll), &r)
				require.Equal(t, rule, r.Rule)
				require.True(t, r.Hostile)
				require.NotZero(t, r.ID, "the event is named")
				require.Equal(t, upTo(5), s.order)
				require.Equal(t, state, s.state)
				s.View(0).Repent()
				require.NoError(t, s.pollFor(time.Second, f.Poll))
				require.Equal(t, upTo(17), s.order)
			})
		})
	}
}

// Amounts that are none and addresses in any spelling are the books' affair: the page passes.
func TestOddRowsPassTheDoor(t *testing.T) {
	for _, mode := range []relaysim.Mode{relaysim.OddAmounts, relaysim.OddSpellings, relaysim.Inflating, relaysim.HugeLog, relaysim.NewAddresses, relaysim.Spiking} {
		for seed := range uint64(5) {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: mode, Seed: seed}))
				s.credit(20)
				f := s.follower(FollowConfig{})
				require.NoError(t, s.pollFor(time.Second, f.Poll), mode)
				require.GreaterOrEqual(t, len(s.order), 20, mode)
			})
		}
	}
}

// Hidden rows are waited for by the grace, counted in answered time; late ones keep their place within it.
func TestHiddenAndLateRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.Late, Seed: 5}))
		s.credit(60)
		f := s.follower(FollowConfig{})
		require.NoError(t, s.pollFor(time.Second, f.Poll))
		require.Less(t, len(s.order), 60)
		require.NoError(t, s.pollFor(35*time.Second, f.Poll))
		require.Equal(t, upTo(60), s.order)

		s.View(0).Repent()
		require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.Hidden, About: other}))
		s.CreditTask(other, big.NewInt(1)) // 61
		s.credit(1)
		require.NoError(t, s.pollFor(DefaultGrace-2*time.Second, f.Poll))
		require.Equal(t, uint64(60), f.Status().Settled)
		require.NoError(t, s.pollFor(5*time.Second, f.Poll))
		require.Equal(t, uint64(62), f.Status().Settled)
	})
}

// The grace is asked for with every look: a policy that shortens it holds for the gaps that are open.
func TestGraceIsAskedForEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		grace := time.Minute
		f := s.follower(FollowConfig{GraceNow: func() time.Duration { return grace }})
		s.View(0).Lie(relaysim.Hide(2))
		s.credit(3)
		require.NoError(t, s.pollFor(10*time.Second, f.Poll))
		require.Equal(t, uint64(1), f.Status().Settled)
		grace = 5 * time.Second
		require.NoError(t, s.pollFor(time.Second, f.Poll))
		require.Equal(t, uint64(3), f.Status().Settled)
	})
}
