package node

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/risk"
)

func TestTheHeartbeatIsTheWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &post{}
		p := newPath(t, t.TempDir(), sink, AlertRules{Heartbeat: time.Minute})
		defer p.end()
		p.pulse.expect("core", "intake", "judge", "lane a")
		work := func(d time.Duration, parts ...string) {
			for range d / time.Second {
				for _, part := range parts {
					p.moved(part)
				}
				time.Sleep(time.Second)
			}
		}

		work(10*time.Minute+30*time.Second, "core", "intake", "judge", "lane a")
		require.Len(t, sink.kinds(codeHeartbeat), 11, "one as soon as all moved, then one a minute")
		require.Regexp(t, "core [01]s, intake [01]s, judge [01]s, lane a [01]s$", sink.all()[0].Text)
		require.Equal(t, "info", sink.all()[0].Severity)
		require.Empty(t, sink.kinds(codeStalled))

		work(10*time.Minute, "core", "judge", "lane a") // intake stands still, all else works
		require.Len(t, sink.kinds(codeHeartbeat), 12, "at most the one that was due while its last pass counted")
		require.Equal(t, []string{"alert"}, sink.kinds(codeStalled), "told once")
		last := sink.all()[len(sink.all())-1]
		require.Equal(t, "stalled intake", last.Key)
		require.Contains(t, last.Text, "intake did not move for 1m0s")

		work(3*time.Minute, "core", "intake", "judge", "lane a")
		require.Equal(t, []string{"alert", "recovered"}, sink.kinds(codeStalled))
		require.Len(t, sink.kinds(codeHeartbeat), 15)
	})
}

func TestAPartThatNeverMovedIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &post{}
		p := newPath(t, t.TempDir(), sink, AlertRules{}) // no heartbeat is asked for; parts are looked after all the same
		defer p.end()
		p.pulse.expect("core", "judge")
		for range 2 * beatEvery / time.Second {
			p.moved("core")
			time.Sleep(time.Second)
		}
		require.Equal(t, []string{"alert"}, sink.kinds(codeStalled))
		require.Contains(t, sink.all()[0].Text, "judge never")
		require.Empty(t, sink.kinds(codeHeartbeat))
	})
}

// TestEveryWaitHasAReasonAndABudget: shown by status at once, an alert after its budget, and over with its cause.
func TestEveryWaitHasAReasonAndABudget(t *testing.T) {
	idle := func() Status {
		s := Status{Member: true, Quorum: 3, Round: RoundStatus{Step: "waiting"}}
		for i := range 4 {
			s.Members = append(s.Members, MemberStatus{Name: fmt.Sprint("m", i), Connected: true})
		}
		return s
	}
	cases := map[string]func(*Status){
		codeQuorumLost: func(s *Status) { s.Members[1].Connected, s.Members[2].Connected = false, false },
		codeCeremonyWaits: func(s *Status) {
			s.Keygen = &KeygenStatus{Attempt: 2, Rounds: 5}
		},
		codeSigningLate:   func(s *Status) { s.Signing = &SigningStatus{Height: 7, Nonce: 3} },
		codeAgreementLate: func(s *Status) { s.Round = RoundStatus{Height: 8, Round: 4, Step: "prevote"} },
	}
	require.Len(t, cases, len(waits()), "every wait is tried")
	for _, w := range waits() {
		t.Run(w.code, func(t *testing.T) {
			now := time.UnixMilli(1_000_000)
			a := newAlerts(zap.NewNop(), func() time.Time { return now })
			p := newPatience(a, func() time.Time { return now })
			stuck := idle()
			cases[w.code](&stuck)
			p.check(stuck)
			now = now.Add(w.budget - time.Second)
			p.check(stuck)
			require.Empty(t, a.list(), "it is within its budget")
			now = now.Add(time.Second)
			p.check(stuck)
			require.Len(t, a.list(), 1)
			require.Equal(t, w.code, a.list()[0].Code)
			require.False(t, a.list()[0].Over)
			p.check(idle())
			require.True(t, a.list()[0].Over)
		})
	}
}

// A height or a slot that follows another begins its own patience.
func TestProgressIsNoWait(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	a := newAlerts(zap.NewNop(), func() time.Time { return now })
	p := newPatience(a, func() time.Time { return now })
	for height := range uint64(100) {
		p.check(Status{Round: RoundStatus{Height: height, Step: "prevote"}, Signing: &SigningStatus{Height: height}})
		now = now.Add(time.Minute)
	}
	require.Empty(t, a.list())
}

// What the policy wants to wait is no reason to call anybody; what waits for a person is.
func TestPlannedWaitsAreRoutine(t *testing.T) {
	for _, code := range []risk.Code{risk.WaitCoolDown, risk.WaitHours, risk.WaitLarge, risk.WaitHistory, risk.WaitDecided} {
		require.True(t, routine(string(code)), code)
	}
	for _, code := range []string{"no-quorum", "queued", "payout", "verdicts", string(risk.WaitFrozen), string(risk.WaitDestination), string(risk.WaitAllow), string(risk.WaitObjection)} {
		require.False(t, routine(code), code)
	}
}

// A payment that goes on at last passes through several reasons; only one that holds is told.
func TestAReasonMustHoldBeforeItIsTold(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	p := newPatience(newAlerts(zap.NewNop(), time.Now), func() time.Time { return now })
	told := func(code string) bool {
		p.heard(7, code, Reason{Text: "why"})
		g := p.groups([]uint64{7, 8})
		require.True(t, g[code] == nil || slices.Equal(g[code].ids, []uint64{7}), "each for itself")
		return g[code] != nil
	}
	require.False(t, told("queued"))
	now = now.Add(lateSettle - time.Second)
	require.False(t, told("payout"), "another reason begins anew")
	now = now.Add(lateSettle - time.Second)
	require.False(t, told("payout"))
	now = now.Add(time.Second)
	require.True(t, told("payout"))
	now = now.Add(lateSettle)
	require.False(t, told(string(risk.WaitCoolDown)))
	now = now.Add(lateSettle)
	require.False(t, told(string(risk.WaitCoolDown)), "what the policy wants is nobody's business, however long")
}

// After a start an alert about late withdrawals stands until each of them was asked why it waits.
func TestALateAlertOutlivesARestart(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	p := newPatience(newAlerts(zap.NewNop(), time.Now), func() time.Time { return now })
	late := []uint64{7, 8}
	_, all := p.waitFor(late)
	require.False(t, all)
	p.heard(7, "payout", Reason{})
	_, all = p.waitFor(late)
	require.False(t, all)
	p.heard(8, string(risk.WaitCoolDown), Reason{})
	keys, all := p.waitFor(late)
	require.True(t, all)
	require.Equal(t, map[string]bool{codeLate + " payout": true}, keys, "though it was not held for long enough to be told")
	_, all = p.waitFor(nil)
	require.True(t, all)
}

// Whoever asks for many withdrawals that wait as planned hides none of the others.
func TestEveryLateWithdrawalHasItsTurn(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	p := newPatience(newAlerts(zap.NewNop(), time.Now), func() time.Time { return now })
	var late []uint64
	for id := range uint64(5*maxLateLooked + 7) {
		late = append(late, 3*id)
	}
	asked := map[uint64]int{}
	for range 6 {
		turn := p.turn(late)
		require.Len(t, turn, maxLateLooked)
		for _, id := range turn {
			asked[id]++
		}
	}
	require.Len(t, asked, len(late))
	require.Equal(t, []uint64{5}, p.turn([]uint64{5}), "few are asked in each look")
	require.Equal(t, []uint64{5}, p.turn([]uint64{5}))
	require.Empty(t, p.turn(nil))
}
