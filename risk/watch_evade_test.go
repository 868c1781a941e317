package risk

import (
	"testing"
	"time"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
)

// The Relay dates the rows, strangers choose the addresses, and a time server may err: none of them is a way around a watch.

// A Relay that was away for longer than the window comes back with a spike whose rows are dated anywhere in the past.
func TestOldDatesAreNoWayAroundTheCeilings(t *testing.T) {
	policy := quorum.Watch{Window: time.Minute, LogsMax: 3, NewAccountsMax: 2, YoungAge: 48 * time.Hour}
	w := NewWatches(policy)
	w.Row(income(1, someone(0), watchStart, "1"), watchStart, true, true)
	later := uint64(watchStart + 4000)
	var found []string
	for i := range 4 {
		found = append(found, codesOf(w.Row(income(uint64(i+2), someone(i+1), watchStart-uint64(1000*i+1000), "1"), later, true, false))...)
	}
	require.Equal(t, []string{"new-accounts-spike by log time FUSE", "rows-spike by log time FUSE"}, found)
	require.Equal(t, 5, w.Young())
	require.True(t, w.ages.young(w.newest, seconds(policy.YoungAge), someone(4)), "an account is as old as its first row, whatever date that has")

	disk, again := kept{}, NewWatches(policy)
	require.NoError(t, w.Flush(disk.put))
	require.NoError(t, again.Load(disk.each))
	for i := range 5 {
		again.Remember(income(uint64(i+1), someone(i), watchStart-uint64(1000*i), "1"), later)
	}
	again.Remembered(later)
	require.Equal(t, w.logTime.unseen, again.logTime.unseen, "nor is a restart")
	require.Equal(t, w.logTime.rows, again.logTime.rows)
}

// A log that appears only after an empty answer is as old as it says: the drift watch learns from it.
func TestALogThatAppearsLateIsLearntFrom(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, DriftAlarm: 100})
	now := uint64(driftStart + 10*weekHours*hourSeconds)
	w.Tick(now, true)
	for h := range uint64(10 * weekHours) {
		w.Row(income(h+1, someone(0), driftStart+h*hourSeconds, "1000"), now, false, false)
	}
	require.False(t, w.drift.Learning())
}

// A lying Relay lists requests to as many destinations as it likes, or makes as many accounts busy: what they are told by
// must leave room for the rules that trip the fuse.
func TestBreachesOfStrangersDoNotCrowdOutTheFuse(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, LogsMax: 5000, AccountLogsMax: 1, DestinationSources: 1})
	told := 0
	for to := range 1000 {
		for from := range 2 {
			told += len(w.Request(ledger.Withdrawal{Account: someone(from), To: someone(5000 + to), CreatedAt: watchStart}, watchStart, true))
		}
	}
	require.Equal(t, maxLatches, told, "the first ones tell of it")
	var found []string
	for i := range 5001 {
		found = append(found, codesOf(w.Row(income(uint64(i+1), someone(i%2000), watchStart, "1"), watchStart, false, true))...)
	}
	require.Contains(t, found, "rows-spike by log time FUSE")
	require.Contains(t, found, "rows-spike by arrival FUSE")
	require.LessOrEqual(t, len(w.begun), 2*maxLatches+2)
	require.Equal(t, []string{"relay-lag"}, codesOf(w.rise(nil, state{latch: latch{ruleLag, ""}, code: AlertLag, breached: true}, watchStart)))
	require.Empty(t, w.Tick(watchStart+2*daySeconds, true))
	require.Len(t, w.begun, 1, "all of them end")
}

func TestARequestsOldDateHidesNothing(t *testing.T) {
	w := NewWatches(quorum.Watch{DestinationSources: 2})
	var found []string
	for i := range 3 {
		found = append(found, codesOf(w.Request(ledger.Withdrawal{Account: someone(i), To: someone(50), CreatedAt: watchStart - 2*daySeconds}, watchStart, true))...)
	}
	require.Equal(t, []string{"destination-sources " + someone(50).Hex()}, found)
	require.Empty(t, w.Request(ledger.Withdrawal{Account: someone(9), To: someone(60), CreatedAt: watchStart - 2*daySeconds}, watchStart, false),
		"what a node reads that was away is as old as it says")
}

// The own clock shows a day too much for some seconds. What comes after it is right again is counted.
func TestAClockThatWasAheadBlindsNothing(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, LogsMax: 3, LagMax: time.Hour})
	w.Row(income(1, someone(0), watchStart, "1"), watchStart, false, true)
	w.Tick(watchStart+daySeconds, true)
	w.Row(income(2, someone(0), watchStart+daySeconds, "1"), watchStart+daySeconds, false, true)
	w.Tick(watchStart+2, true)
	var found []string
	for i := range uint64(4) {
		found = append(found, codesOf(w.Row(income(i+3, someone(0), watchStart+3, "1"), watchStart+3, false, true))...)
	}
	require.Equal(t, []string{"rows-spike by log time FUSE", "rows-spike by arrival FUSE"}, found)

	w.Tick(watchStart+200, false)
	require.False(t, w.counting(watchStart+200, false), "and an absence is one again")
}

func TestDriftAfterAClockThatWasAhead(t *testing.T) {
	feedAll := func(ahead bool) *Drift {
		d := NewDrift()
		feed(d, driftPolicy, 0, 10*weekHours, steady)
		if ahead {
			d.Close(driftPolicy, driftStart+(10*weekHours+60)*hourSeconds)
			d.rewind(driftStart + 10*weekHours*hourSeconds)
		}
		feed(d, driftPolicy, 10*weekHours, 10*weekHours+40, func(h uint64) uint64 { return steady(h) * 3 })
		return d
	}
	calm, back := feedAll(false), feedAll(true)
	require.Equal(t, calm.m.Next, back.m.Next)
	var level uint256.Int
	for hour, h := range back.hours {
		if hour < back.m.Next {
			level.Add(&level, &h[DriftAll])
		}
	}
	require.Equal(t, level, back.level, "only the oldest hours are forgotten early")
	sum, _ := back.Sum(DriftAll)
	require.NotZero(t, sum, "hours that come are judged when they come")

	fresh := NewDrift()
	fresh.Credit(driftPolicy, income(1, someone(1), 0, "5"), driftStart+1000*hourSeconds, false)
	fresh.rewind(driftStart)
	require.Zero(t, fresh.m.First, "what began in the wrong year begins anew")
}

// What operators signed, and what q members certified, is counted in no window, and holds no breach down.
func TestThePastFindsNothing(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, LogsMax: 3, NewAccountsMax: 3})
	for i := range 50 {
		w.Past(income(uint64(i+1), someone(i), watchStart, "1"), watchStart, true)
	}
	require.Empty(t, w.begun)
	require.Equal(t, uint64(watchStart), w.newest)
	var found []string
	for i := range uint64(4) {
		found = append(found, codesOf(w.Row(income(i+60, someone(0), watchStart, "1"), watchStart, false, true))...)
	}
	require.Equal(t, []string{"rows-spike by log time FUSE", "rows-spike by arrival FUSE"}, found)
}

// A restart must not make an old log look fresh: the drift watch has its own clock.
func TestLagOverARestart(t *testing.T) {
	policy := quorum.Watch{LagMax: time.Hour, DriftAlarm: 100}
	w, disk := NewWatches(policy), kept{}
	row := income(1, someone(1), watchStart, "1")
	w.Row(row, watchStart, true, true)
	require.Equal(t, []string{"relay-lag"}, codesOf(w.Tick(watchStart+5*hourSeconds, true)))
	require.NoError(t, w.Flush(disk.put))

	again := NewWatches(policy)
	require.NoError(t, again.Load(disk.each))
	again.Remember(row, watchStart+5*hourSeconds)
	require.Contains(t, again.Unsaid(false), AlertLag, "nothing is said before the log is read to its end")
	require.NotContains(t, again.Unsaid(true), AlertLag)
	require.Equal(t, []string{"relay-lag"}, codesOf(again.Tick(watchStart+5*hourSeconds, true)))
}

func TestWhatWasNotReadIsNotSaid(t *testing.T) {
	w := NewWatches(quorum.Watch{SkewMax: time.Second})
	require.Equal(t, []ledger.AlertCode{AlertTariff, AlertSkew}, w.Unsaid(true))
	w.Tariff(nil, nil, watchStart)
	w.Skew(watchStart, time.Unix(watchStart+9, 0), time.Unix(watchStart+9, 0))
	require.Empty(t, w.Unsaid(true))
	require.Len(t, w.Standing(watchStart, true), 1)
	w.Policy(quorum.Watch{})
	w.Skew(watchStart, time.Unix(watchStart+9, 0), time.Unix(watchStart+9, 0))
	require.Empty(t, w.Standing(watchStart, true), "a rule that is switched off stands nowhere")
	require.Empty(t, w.begun)
}
