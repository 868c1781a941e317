package campaign

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/internal/simnet"
)

// TestShrinkFindsWhatMatters: of a real schedule that breaks a planted rule, only what breaks it is left: nobody may be paid
// more than a few coins at once.
func TestShrinkFindsWhatMatters(t *testing.T) {
	s := newStage(t)
	few, err := simnet.Coins("8")
	require.NoError(t, err)
	s.cfg.Forbid = func(w *simnet.World) error {
		for _, name := range []string{"alice", "bob", "carol", "mallory"} {
			for _, r := range w.RequestsOf(name) {
				if r.Amount.Cmp(few) > 0 && w.Arrived(r) == nil {
					return fmt.Errorf("I0: %s got %s wei", name, new(big.Int).Div(r.Amount, few))
				}
			}
		}
		return nil
	}
	var text string
	for seed := uint64(201); text == "" || err == nil && seed < 231; seed++ { // the first in which somebody is paid so much
		whole := body(generate(seed, 1, false))
		text = strings.Join(whole[:len(whole)-5], "\n") // without the day after, to be quick
		_, err = s.play(text)
	}
	require.ErrorContains(t, err, "I0:")
	small := Shrink(text, s.fails, 60)
	require.Equal(t, "I0", Cause(s.fails(small)))
	lines := body(small)
	require.LessOrEqual(t, len(lines), 5, "%s", small)
	require.True(t, slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, " withdraws ") }))
	t.Logf("%d lines became %d in %d plays:\n%s", len(body(text)), len(lines), s.plays, small)
}

// TestShrinkKeepsTheCause: with a failure that is a function of the text.
func TestShrinkKeepsTheCause(t *testing.T) {
	var text []string
	for i := range 60 {
		text = append(text, fmt.Sprintf("line %d", i))
	}
	text[20], text[41], text[50] = "spark", "tinder", "wait 4s"
	asked := 0
	fails := func(text string) error {
		asked++
		switch lines := body(text); {
		case slices.Contains(lines, "spark") && slices.Contains(lines, "tinder") && strings.Contains(text, "wait "):
			return errors.New("schedule:7: tinder: fire after 3 s")
		case slices.Contains(lines, "tinder"):
			return errors.New("I9: something else")
		}
		return nil
	}
	require.Equal(t, "spark\ntinder\nwait 1ms\n", Shrink(strings.Join(text, "\n"), fails, 500))
	require.Less(t, asked, 120)
	require.Equal(t, "line 1\n", Shrink("line 1\n", fails, 500), "what passes is left alone")

	asked = 0
	Shrink(strings.Join(text, "\n"), fails, 5)
	require.LessOrEqual(t, asked, 6)
}

func TestCause(t *testing.T) {
	for in, want := range map[string]string{
		"schedule: I13: n0 and n3 differ":                                      "I13",
		"schedule:12: wait 3s: I4: n2 said two things":                         "I4",
		"schedule:12: wait within 5m until all is paid: w3: n1: not paid":      "wait within Nm until all is paid",
		"schedule:7: wait within 5m until all is paid: last: n0: not paid yet": "wait within Nm until all is paid",
		"n2: its disk failed":                                                  "nN: its disk failed",
	} {
		require.Equal(t, want, Cause(errors.New(in)), in)
	}
	require.Empty(t, Cause(nil))
}
