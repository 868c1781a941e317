package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/ledger"
)

// A cause that comes and goes is told a few times, then stands until it has been gone for a while.
func TestAnAlertThatComesAndGoesIsToldAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := newPath(t, dir, &post{}, AlertRules{})
		swing := func(times int) {
			for range times {
				p.raise(Alert{Code: codeRelayDown, Text: "silent"})
				time.Sleep(20 * time.Second)
				p.recover(codeRelayDown)
				time.Sleep(20 * time.Second)
			}
		}
		swing(200)
		require.Equal(t, []string{"alert", "recovered", "alert", "recovered", "alert", "recovered", "alert"}, p.post.kinds(codeRelayDown))
		require.True(t, stands(p.alerts, codeRelayDown), "the last word is that it stands")
		require.Empty(t, p.reasons(), "but it hinders nothing while its cause is away")
		p.raise(Alert{Code: codeRelayDown, Text: "silent"})
		require.Len(t, p.reasons(), 1)
		p.recover(codeRelayDown)
		p.end()

		p = newPath(t, dir, &post{}, AlertRules{})
		defer p.end()
		time.Sleep(flapCalm - 2*time.Second)
		p.recover(codeRelayDown)
		require.True(t, stands(p.alerts, codeRelayDown))
		time.Sleep(5 * time.Second)
		require.False(t, stands(p.alerts, codeRelayDown), "a restart does not begin the calm anew")
		require.Equal(t, []string{"recovered"}, p.post.kinds(codeRelayDown))
		require.Equal(t, uint64(201), p.list()[0].Count)

		time.Sleep(2 * flapWithin)
		swing(1)
		time.Sleep(time.Second)
		require.Equal(t, []string{"recovered", "alert", "recovered"}, p.post.kinds(codeRelayDown), "what comes back much later is new")
	})
}

// Alerts that keep coming back must not stand for ever, whoever ends them and however often.
func TestTheCalmIsNotBegunAnewByEachLook(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	a := newAlerts(zap.NewNop(), func() time.Time { return now })
	for range flapTold + 1 {
		a.raise(Alert{Code: codeRelayDown})
		a.recover(codeRelayDown)
	}
	require.True(t, stands(a, codeRelayDown))
	for range flapCalm / time.Second {
		now = now.Add(time.Second)
		a.recoverAll(codeRelayDown, nil)
	}
	require.False(t, stands(a, codeRelayDown))
}

// A clock that was a year ahead when the record was written keeps no reminder waiting for a year.
func TestARecordOfTheFutureIsOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		ahead := newAlerts(zap.NewNop(), func() time.Time { return time.Now().AddDate(1, 0, 0) })
		ahead.raise(Alert{Code: codeFuse, Text: "cause"})
		require.NoError(t, ahead.save(dir))

		p := newPath(t, dir, &post{}, AlertRules{})
		defer p.end()
		time.Sleep(2 * time.Hour)
		require.Equal(t, []string{"reminder"}, p.post.kinds(codeFuse))
		p.recover(codeFuse)
		time.Sleep(keepOver + time.Hour)
		require.Empty(t, p.list())
	})
}

// The longest texts that strangers can cause are read again: an alert that is lost with its file is told to nobody.
func TestTheFullestRecordIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	a := newAlerts(zap.NewNop(), time.Now)
	long := strings.Repeat("<", 5000)
	for i := range 10_000 {
		a.raise(Alert{Key: fmt.Sprint(codeRange, i), Code: codeRange, Text: long, Hint: long})
	}
	require.NoError(t, a.save(dir))
	require.NoError(t, a.save(dir))
	again := newAlerts(zap.NewNop(), time.Now)
	again.load(dir)
	require.Len(t, again.list(), maxAlerts)
	require.False(t, stands(again, codeLost))

	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	// What a crash left in the middle of writing is written over, not added to.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "."+alertsFile+".new"), []byte("half"), 0o600))
	require.NoError(t, again.save(dir))
	files, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	info, err := files[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// Counters only grow: what is forgotten of an alert must not look like a restart.
func TestWhatWasRaisedOnlyGrows(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	a := newAlerts(zap.NewNop(), func() time.Time { return now })
	for i := range 3 * maxAlerts {
		a.raise(Alert{Key: fmt.Sprint(i), Code: codeRelayDown})
	}
	now = now.Add(2 * keepOver)
	a.recoverAll(codeRelayDown, nil)
	a.ensure(Alert{Code: codeRelayDown})
	a.raise(Alert{Code: codeRelayDown})
	require.Equal(t, []AlertCount{{codeRelayDown, ledger.Warning, 3*maxAlerts + 2}}, a.raised())
}
