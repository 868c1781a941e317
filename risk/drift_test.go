package risk

import (
	"testing"
	"time"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/quorum"
)

// driftStart is the beginning of an hour.
const driftStart = watchStart / hourSeconds * hourSeconds

var driftPolicy = quorum.Watch{DriftAllowance: 10, DriftAlarm: 200, DriftSustained: 24 * time.Hour}

// feed gives hours of credits to the watch, one row an hour, and returns what is found with the hour of it.
func feed(d *Drift, w quorum.Watch, from, to uint64, amount func(hour uint64) uint64) (found []Finding, at []uint64) {
	for h := from; h < to; h++ {
		v := uint256.NewInt(amount(h))
		f := d.Credit(w, income(h+1, someone(0), 0, v.Dec()), driftStart+h*hourSeconds+1800, false)
		found = append(found, f...)
		for range f {
			at = append(at, h)
		}
	}
	return found, at
}

func steady(uint64) uint64 { return 1000 }

// daily is a network with days and weekends.
func daily(h uint64) uint64 {
	v := 1000 + 40*(h%24)
	if h/24%7 >= 5 {
		v /= 2
	}
	return v
}

func TestDriftKnowsDaysAndWeeks(t *testing.T) {
	d := NewDrift()
	found, _ := feed(d, driftPolicy, 0, 30*weekHours, daily)
	require.Empty(t, found)
	for s := range DriftSeries(driftSeries) {
		sum, since := d.Sum(s)
		require.Zero(t, sum)
		require.Zero(t, since)
	}
	require.False(t, d.Learning())
}

func TestDriftLearnsFirst(t *testing.T) {
	d := NewDrift()
	found, _ := feed(d, driftPolicy, 0, driftLearns*weekHours, func(h uint64) uint64 { return 1000 + h*h })
	require.Empty(t, found)
	require.Equal(t, "learning the usual hours", d.Standing(driftPolicy)[0].Observed)
}

// A fifth more than usual, of which a tenth is allowed: a tenth of a usual hour each hour, so the alarm of two usual hours
// begins after twenty, and the fuse trips a day later.
func TestDriftAlertsThenTrips(t *testing.T) {
	d := NewDrift()
	from := uint64(10 * weekHours)
	found, at := feed(d, driftPolicy, 0, from+60, func(h uint64) uint64 {
		if h >= from {
			return 1200
		}
		return 1000
	})
	var whole []string
	var when []uint64
	for i, f := range found {
		if f.Subject == DriftAll.String() {
			whole, when = append(whole, codesOf([]Finding{f})...), append(when, at[i]-from)
		}
	}
	require.Equal(t, []string{"credit-drift all accounts", "credit-drift all accounts FUSE"}, whole)
	require.InDelta(t, 21, when[0], 2)
	require.InDelta(t, when[0]+24, when[1], 1)
	for _, f := range found {
		require.True(t, !f.Fuse || f.Subject == DriftAll.String(), "parts trip nothing")
	}
	require.True(t, d.Standing(driftPolicy)[0].Breached)
}

func TestDriftFarAboveTripsAtOnce(t *testing.T) {
	d := NewDrift()
	from := uint64(10 * weekHours)
	found, at := feed(d, driftPolicy, 0, from+20, func(h uint64) uint64 {
		if h >= from {
			return 3000
		}
		return 1000
	})
	require.NotEmpty(t, found)
	fused := uint64(0)
	for i, f := range found {
		if f.Fuse {
			require.Zero(t, fused, "once")
			fused = at[i] - from
		}
	}
	require.InDelta(t, 4, fused, 1, "three alarms are no slow drip")
}

// What stays within the allowance is not seen, however long: that is what an allowance is, and settlement is for.
func TestDriftWithinTheAllowanceIsNotSeen(t *testing.T) {
	d := NewDrift()
	from := uint64(10 * weekHours)
	found, _ := feed(d, driftPolicy, 0, from+20*weekHours, func(h uint64) uint64 {
		if h >= from {
			return 1090
		}
		return 1000
	})
	require.Empty(t, found)
}

func TestOneGreatHourIsNoDrift(t *testing.T) {
	d := NewDrift()
	great := uint64(10 * weekHours)
	w := driftPolicy
	w.DriftAlarm = 400
	found, _ := feed(d, w, 0, great+4*weekHours, func(h uint64) uint64 {
		if h == great {
			return 1_000_000
		}
		return 1000
	})
	require.Equal(t, []string{"credit-hour"}, codesOf(found), "one task is the ceilings' affair: people hear of it, and no more")
	require.Contains(t, found[0].Alert.Text, "99900 % in the hour from")
	usual := d.usual(driftStart/hourSeconds+great+weekHours, DriftAll, *uint256.NewInt(1000))
	require.Less(t, usual.Uint64(), uint64(1500), "and does not pass for usual afterwards")
}

func TestDriftEndsAndBeginsAgain(t *testing.T) {
	w := driftPolicy
	w.DriftSustained = 0
	d := NewDrift()
	from := uint64(10 * weekHours)
	found, _ := feed(d, w, 0, from+24+12*weekHours, func(h uint64) uint64 {
		switch at := h - min(h, from); {
		case h >= from && at < 24, at >= 12*weekHours:
			return 1300
		}
		return 1000
	})
	n := 0
	for _, f := range found {
		require.False(t, f.Fuse, "the policy says never")
		if f.Subject == DriftAll.String() {
			n++
		}
	}
	require.Equal(t, 2, n)
}

// A row that comes after its hour was judged counts in the first open one: an old date is no way around the judgement.
func TestOldDatesCountNow(t *testing.T) {
	d := NewDrift()
	last := uint64(10 * weekHours)
	feed(d, driftPolicy, 0, last, steady)
	before := d.credits(d.m.Next-1, DriftAll)
	d.Credit(driftPolicy, income(1, someone(0), 0, "777"), driftStart+3*hourSeconds, false)
	require.Equal(t, before, d.credits(d.m.Next-1, DriftAll))
	open := d.credits(d.m.Next, DriftAll)
	require.Equal(t, uint64(777), open.Uint64()%1000)
}

func TestOnlyWhatTheRelayVouchesForIsWatched(t *testing.T) {
	for kind := range ledger.MaxEventKind + 1 {
		d := NewDrift()
		d.Credit(driftPolicy, ledger.Event{ID: 1, Kind: kind, Amount: "5"}, driftStart, false)
		_, ok := vouched(ledger.Event{Kind: kind, Amount: "5"})
		require.Equal(t, ok, d.m.First != 0, kind.String())
		require.Equal(t, kind == ledger.TaskIncome || kind == ledger.DaoTaskShare || kind == ledger.TaskRefund || kind == ledger.UserDelegation, ok)
	}
	for _, amount := range []string{"", "-5", "+5", "05", "1" + string(make([]byte, 3)), uint256.NewInt(0).SetAllOne().Dec()} {
		_, ok := vouched(ledger.Event{Kind: ledger.TaskIncome, Amount: amount})
		require.False(t, ok, amount)
	}
}

func TestALongSilenceIsForgottenInBoundedTime(t *testing.T) {
	d := NewDrift()
	feed(d, driftPolicy, 0, 10*weekHours, steady)
	far := uint64(driftStart + 1_000_000*hourSeconds)
	require.Empty(t, d.Close(driftPolicy, far))
	require.True(t, d.Learning())
	require.Empty(t, d.hours)
	found, _ := feed(d, driftPolicy, 1_000_001, 1_000_010, steady)
	require.Empty(t, found, "nothing is usual after it")
}

func TestDriftMemoryIsBounded(t *testing.T) {
	d, disk := NewDrift(), kept{}
	for h := range uint64(40 * weekHours) {
		feed(d, driftPolicy, h, h+1, daily)
		require.NoError(t, d.Flush(disk.put))
	}
	require.LessOrEqual(t, len(d.hours), driftKept+2)
	require.LessOrEqual(t, len(disk), driftKept+3)
	var sum uint256.Int
	for h, v := range d.hours {
		if h < d.m.Next {
			sum.Add(&sum, &v[DriftAll])
		}
	}
	require.Equal(t, sum, d.level)
}

// TestDriftOverRestarts: a watch that is stored and loaded at any point finds what one finds that never stopped.
func TestDriftOverRestarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := uint64(9*weekHours) + rapid.Uint64Range(0, 300).Draw(t, "from")
		more := rapid.Uint64Range(1000, 3000).Draw(t, "more")
		amount := func(h uint64) uint64 {
			if h >= from {
				return daily(h) * more / 1000
			}
			return daily(h)
		}
		whole, parts, disk := NewDrift(), NewDrift(), kept{}
		feed(whole, driftPolicy, 0, from-50, amount)
		feed(parts, driftPolicy, 0, from-50, amount)
		for h := from - 50; h < from+60; {
			to := h + rapid.Uint64Range(1, 40).Draw(t, "hours")
			a, _ := feed(whole, driftPolicy, h, to, amount)
			require.NoError(t, parts.Flush(disk.put))
			var err error
			parts, err = LoadDrift(disk.each)
			require.NoError(t, err)
			require.False(t, parts.Judged())
			b, _ := feed(parts, driftPolicy, h, to, amount)
			require.Equal(t, a, b)
			require.Equal(t, whole.m, parts.m)
			h = to
		}
	})
}

func TestDriftOfAnotherVersionIsLearntAnew(t *testing.T) {
	d, disk := NewDrift(), kept{}
	feed(d, driftPolicy, 0, 10, steady)
	d.m.Version++
	require.NoError(t, d.Flush(disk.put))
	again, err := LoadDrift(disk.each)
	require.NoError(t, err)
	require.Equal(t, NewDrift(), again)
	for _, bad := range []kept{{keyDrift: "\x80"}, {keyHours + "12345678": "x"}} {
		if bad[keyDrift] == "" {
			good := kept{}
			fine := NewDrift()
			feed(fine, driftPolicy, 0, 3, steady)
			require.NoError(t, fine.Flush(good.put))
			bad[keyDrift] = good[keyDrift]
		}
		_, err := LoadDrift(bad.each)
		require.Error(t, err)
	}
}
