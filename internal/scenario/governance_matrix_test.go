package scenario

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/internal/simnet"
)

var wholeMatrix = flag.Bool("scenario.matrix", false, "play every governance action in every state, not some of them each day")

// moment is a state of the agreement in which operators and fuses may speak, as lines of a story. It leaves alice's withdrawal
// w1 somewhere on its way; what is broken meanwhile, end mends.
type moment struct {
	name, begin, end string
	// desk is the custodian at which operators meet because it knows least, −1 for each at its own.
	desk int
	// open: w1 cannot be decided before the operators' word on it is.
	open bool
}

// moments has no change of members: in this version MEMBERS is decided once, at the founding. That what was signed in one epoch
// is nothing in another is batch's to show (TestActionsMeanOnePlaceInOneNetwork).
func moments() []moment {
	return []moment{
		{name: "nothing has begun", desk: -1, begin: `
			user alice withdraws 10 as w0
			wait within 60s for paid w0`, end: `
			user alice withdraws 12 as w1`},
		{name: "verdicts are pending", desk: -1, open: true, begin: `
			chain is down for 2 3
			user alice withdraws 10 as w1
			wait 15s
			expect height 1 on 0 1 2 3`, end: `
			chain is back for 2 3`},
		{name: "certificates are pending", desk: -1, begin: `
			lose proposals
			user alice withdraws 10 as w1
			wait 8s
			expect height 1 on 0 1 2 3`, end: `
			lose nothing`},
		// 3 sees no proposal and prevotes nil; of the others 0 alone hears all prevotes, and nobody hears 0.
		{name: "one is locked", desk: -1, begin: `
			lose proposals to 3
			lose proposals from 3
			lose agreement from 0
			user alice withdraws 10 as w1
			wait 12s
			expect locked 0`, end: `
			lose nothing
			lose agreement from 0
			wait 20s
			lose nothing`},
		{name: "half have decided", desk: 2, begin: `
			lose precommits to 2 3
			lose decisions to 2 3
			user alice withdraws 10 as w1
			wait 8s
			expect height 2 on 0 1
			expect height 1 on 2 3
			expect locked 2 3`, end: `
			lose nothing`},
		{name: "one lags by several heights", desk: -1, begin: `
			partition 0 1 2 | 3
			user alice withdraws 10 as w0
			wait 5s
			user bob withdraws 10 as b0
			wait 40s
			chain is down for 2
			user alice withdraws 12 as w1
			wait 10s
			expect height 3 on 0 1 2
			expect height 1 on 3`, end: `
			chain is back for 2
			heal`},
		{name: "two restarted in the middle", desk: -1, begin: `
			lose precommits
			user alice withdraws 10 as w1
			wait 8s
			expect locked 0 1 2 3
			restart 1 2
			wait 2s`, end: `
			lose nothing`},
		// 1, whose fuse and whose operator speak in every act.
		{name: "one is quarantined", desk: -1, begin: `
			back up 1
			wait 2s
			user alice withdraws 10 as w0
			wait within 60s for paid w0
			put the database of 1 back
			wait within 20s for found 1
			chain is down for 2
			user alice withdraws 12 as w1
			wait 15s
			expect height 2 on 0 1 2 3`, end: `
			chain is back for 2`},
		{name: "signed and not broadcast", desk: -1, begin: `
			lose sessions
			user alice withdraws 10 as w1
			wait within 60s for decided w1
			chain is down for 0 1 2 3
			lose nothing
			wait within 60s for signed w1`, end: `
			chain is back for 0 1 2 3`},
	}
}

// act is what operators or fuses do, and what must have come of it when all is mended.
type act struct {
	name, do, after string
	of1             bool // it is about w1
	want            string
}

const everythingResumed = `
			wait 31s
			operators resume everything by 1 2 3`

func acts() []act {
	return []act{
		{name: "an account's halt and RESUME", do: `
			account alice is halted by 1 2` + everythingResumed, after: "wait within 120s for serial 1"},
		{name: "a lane's halt and RESUME", do: `
			lane is halted by 1 2` + everythingResumed, after: "wait within 120s for serial 1"},
		{name: "a halt of f+1 and RESUME", do: `
			halt 1 2
			wait 2s
			expect halted 1 2
			try resume 1
			expect halted 1 2` + everythingResumed, after: "wait within 120s for serial 1"},
		{name: "one halt and CLEAR", do: `
			halt 1
			wait 5s
			expect halted 1
			resume 1`},
		// One of two clears before it has heard of the other: f+1 never stood, or RESUME finds one halt less.
		{name: "CLEAR racing a second halt", do: `
			halt 1 2
			resume 1` + everythingResumed, after: "wait within 120s for serial 1"},
		{name: "POLICY", do: `
			policy batch_wait becomes 400ms by 1 2 3`, after: "wait within 120s for version 2"},
		{name: "RESOLVE pays", of1: true, do: `
			try resolve pays w1 as DESK sees it by 1 2 3`},
		{name: "RESOLVE rejects", of1: true, want: "rejected", do: `
			try resolve rejects w1 as DESK sees it by 1 2 3`},
		{name: "RESOLVE rewrites", do: `
			resolve rewrites alice as DESK sees it by 1 2 3`, after: "wait within 120s for serial 1"},
		{name: "RESOLVE waives", do: `
			resolve waives 5 by 1 2 3`, after: "wait within 120s for serial 1"},
	}
}

// compose writes the story of an act in a moment. The last lines are the same for all: w1 has one fate, a payment that comes
// later goes through, and whatever was signed comes again in vain.
func compose(m moment, a act) string {
	desk, meet, leave := m.desk, "", ""
	if desk >= 0 {
		meet, leave = fmt.Sprintf("operators meet at %d", desk), "operators go home"
	}
	do := strings.ReplaceAll(a.do, "DESK", fmt.Sprint(max(desk, 0)))
	fate := "paid"
	switch {
	case a.want != "" && m.open:
		fate = a.want
	case a.want != "":
		fate = "settled" // whichever was decided first
	}
	return strings.Join([]string{
		"nodes 4", "hear decrees", "user alice earns 100", "user bob earns 100",
		m.begin, meet, do, leave, "everything signed comes again", "wait 2s",
		m.end, "everything signed comes again", a.after,
		"wait within 240s for " + fate + " w1", "expect nobody halted",
		"user bob withdraws 11 as b1", "wait within 180s for paid b1", "expect nobody halted", "wait 15s",
		"everything signed comes again in vain",
	}, "\n")
}

// pairs are all stories, by name.
func pairs() (names []string, texts map[string]string) {
	texts = map[string]string{}
	for _, m := range moments() {
		for _, a := range acts() {
			if a.of1 && m.name == "nothing has begun" {
				continue // there is nothing to resolve yet
			}
			name := a.name + " while " + m.name
			names, texts[name] = append(names, name), compose(m, a)
		}
	}
	return names, texts
}

// eachDay is how many pairs are played when not all are.
const eachDay = 6

// TestActionsInEveryState plays what operators and fuses may do against every state of the agreement. Each day has some of the
// pairs; -scenario.matrix plays all.
func TestActionsInEveryState(t *testing.T) {
	names, texts := pairs()
	key, err := simnet.LoadFixture()
	require.NoError(t, err)
	if !*wholeMatrix {
		day := int(time.Now().Unix() / 86400)
		stride := len(names)/eachDay + 1 // so that a day's pairs are of different states
		var some []string
		for i := range eachDay {
			some = append(some, names[(day+i*stride)%len(names)])
		}
		names = some
	}
	for _, name := range names {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			script, err := Parse(name, texts[name])
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) {
				_, err := script.Run(t.Context(), simnet.Config{Key: key, Dir: t.TempDir(), Trace: func(line string) { t.Log(line) }})
				require.NoError(t, err, texts[name])
			})
		})
	}
}

// Every pair is a story that can be read.
func TestPairsAreStories(t *testing.T) {
	names, texts := pairs()
	require.Greater(t, len(names), 60)
	for _, name := range names {
		_, err := Parse(name, texts[name])
		require.NoError(t, err, name)
	}
}
