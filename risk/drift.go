package risk

import (
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/quorum"
)

// What the drift watch remembers, in hours of log time.
const (
	hourSeconds = 3600
	weekHours   = 7 * 24
	// driftWeeks is how far back the usual hour is looked for: the same hour of as many weeks. More weeks are calmer and lag
	// further behind honest growth.
	driftWeeks = 8
	// driftLearns is how many weeks must have been seen before an hour is judged.
	driftLearns = 4
	// driftKept bounds the hours in memory, 8 weeks and those that are open: some 300 KB.
	driftKept = driftWeeks * weekHours
	// driftGrace is how long after its end an hour stays open for late rows, in seconds. A row that comes later counts in the
	// first open hour: an old date must not be a way around the judgement.
	driftGrace = 600
	// driftClip bounds what one hour may add beyond the usual, in usual hours. A single great task is the ceilings' affair; it
	// is no drift, and must not pass for the usual hour of the weeks to come. People hear of an hour that alone holds as much
	// as the alarm: what is cut off must not be a place to hide.
	driftClip = 3
	// driftCap bounds the sum, in alarms, so that an alarm that was right once ends in a bounded time. The whole network's
	// sum trips the fuse when it gets there: that is no slow drip any more.
	driftCap = 3
	// driftPart is how many allowances a part of the accounts has. A wave of new users or one busy owner is honest: what
	// parts do is for people to look at, only the whole trips the fuse.
	driftPart = 2
)

// Cohorts of accounts, by hash of the address.
const driftCohorts = 4

// DriftSeries names one of the sums that are watched: all credits, those of young accounts, those of the others, and those
// of each cohort.
type DriftSeries uint8

// The series; cohorts follow.
const (
	DriftAll     DriftSeries = 0
	DriftYoung   DriftSeries = 1
	DriftGrown   DriftSeries = 2
	firstCohort  DriftSeries = 3
	driftSeries              = int(firstCohort) + driftCohorts
	driftVersion             = 1
)

// String is the name that alerts and the API use.
func (s DriftSeries) String() string {
	switch s {
	case DriftAll:
		return "all accounts"
	case DriftYoung:
		return "young accounts"
	case DriftGrown:
		return "grown accounts"
	}
	return fmt.Sprintf("cohort %d of %d", s-firstCohort+1, driftCohorts)
}

// driftHour is an hour's credits by series, wei.
type driftHour [driftSeries]uint256.Int

// driftMemory is what stands in the database beside the hours.
type driftMemory struct {
	Version uint64
	First   uint64 // the first hour of which credits were seen, unix hours
	Next    uint64 // the hour that is judged next
	Newest  uint64 // log time, unix seconds
	Sums    []uint64
	Fused   bool     // the fuse was tripped in this alarm of the whole network
	Since   []uint64 // by series: the hour at whose end the sum passed the alarm, 0 while it has not
}

// Drift is a one-sided CUSUM on credits per hour that only the Relay vouches for: task income, DAO shares, task refunds and
// delegations. Each hour adds what it holds beyond the usual hour and the allowance; the sum never falls below zero. The
// usual hour is the mean of the same hour of the last eight weeks, each bounded by half and by three hours more than their
// lower median. All of it is integers, and a function of rows in the order in which they come.
//
// The unit of the sums is a hundredth of a percent of the network's usual hour, for the cohorts too: the alarm is an
// amount of money, whoever gets it.
type Drift struct {
	m     driftMemory
	hours map[uint64]*driftHour
	level uint256.Int // sum over hours that were judged and are kept, all accounts
	dirty map[uint64]bool
	kept  uint64 // the hour that was judged next when the state was stored last
}

// NewDrift returns a watch that has seen nothing.
func NewDrift() *Drift {
	return &Drift{m: driftMemory{Version: driftVersion, Sums: make([]uint64, driftSeries), Since: make([]uint64, driftSeries)},
		hours: map[uint64]*driftHour{}, dirty: map[uint64]bool{}}
}

// vouched reports whether a row is a credit that nothing but the Relay's word stands behind, and its amount.
func vouched(e ledger.Event) (uint256.Int, bool) {
	switch e.Kind {
	case ledger.TaskIncome, ledger.DaoTaskShare, ledger.TaskRefund, ledger.UserDelegation:
	default:
		return uint256.Int{}, false
	}
	v, ok := ledger.ParseAmount(e.Amount)
	return v, ok && v.BitLen() <= maxDriftBits
}

// maxDriftBits bounds an amount that is watched, so that no sum overflows; the books count no greater one either.
const maxDriftBits = 192

// Credit counts a row at a log time in unix seconds, which must not be ahead of the own clock, and judges what log time
// closes by it.
func (d *Drift) Credit(w quorum.Watch, e ledger.Event, at uint64, young bool) []Finding {
	amount, ok := vouched(e)
	if !ok {
		return nil
	}
	found := d.Close(w, at)
	hour := max(at/hourSeconds, d.m.Next)
	if d.m.First == 0 {
		d.m.First, d.m.Next, d.m.Newest = hour, hour, at
	}
	h := d.hours[hour]
	if h == nil {
		h = &driftHour{}
		d.hours[hour] = h
	}
	for _, s := range [...]DriftSeries{DriftAll, ageOf(young), cohortOf(e.Account)} {
		h[s].Add(&h[s], &amount)
	}
	d.dirty[hour] = true
	return found
}

func ageOf(young bool) DriftSeries {
	if young {
		return DriftYoung
	}
	return DriftGrown
}

// cohortOf is by the address itself, which is a hash already.
func cohortOf(a common.Address) DriftSeries {
	return firstCohort + DriftSeries(a[common.AddressLength-1]%driftCohorts)
}

// Close judges every hour that ended, with its grace, at a time in unix seconds. Give the own clock only while every row of
// the past hours has come: while the log is read behind the present, Credit's log time closes them.
func (d *Drift) Close(w quorum.Watch, at uint64) (found []Finding) {
	if d.m.First == 0 {
		return nil // no hour has begun that could end
	}
	d.m.Newest = max(d.m.Newest, at)
	if d.m.Newest < driftGrace {
		return nil
	}
	end := (d.m.Newest - driftGrace) / hourSeconds // hours below it are over
	if end > d.m.Next+driftKept {
		d.learnAnew()
		return nil
	}
	for d.m.Next < end {
		found = append(found, d.judge(w, d.m.Next)...)
		d.m.Next++
		d.forget()
	}
	return found
}

// rewind ends what an own clock that was ahead for a while would leave behind: hours that are judged before they come. What
// came meanwhile stays in the hour that it was counted in.
func (d *Drift) rewind(now uint64) {
	switch {
	case d.m.First == 0 || now/hourSeconds >= d.m.Next:
		return
	case now/hourSeconds < d.m.First:
		d.learnAnew() // it began in those hours
		return
	}
	d.m.Next, d.m.Newest = now/hourSeconds, now
	d.level.Clear()
	for hour, h := range d.hours {
		if hour < d.m.Next {
			d.level.Add(&d.level, &h[DriftAll])
		}
	}
}

// learnAnew forgets everything: after a silence that is longer than the memory nothing is usual.
func (d *Drift) learnAnew() {
	for h := range d.hours {
		d.drop(h)
	}
	d.level.Clear()
	d.m.First, d.m.Next, d.m.Fused = 0, 0, false
	clear(d.m.Sums)
	clear(d.m.Since)
}

func (d *Drift) drop(hour uint64) {
	delete(d.hours, hour)
	d.dirty[hour] = true
}

// forget drops what no usual hour looks back to any more.
func (d *Drift) forget() {
	if d.m.Next <= driftKept {
		return
	}
	old := d.m.Next - 1 - driftKept
	if h := d.hours[old]; h != nil {
		d.level.Sub(&d.level, &h[DriftAll])
		d.drop(old)
	}
}

// credits are what an hour holds; one without rows holds nothing.
func (d *Drift) credits(hour uint64, s DriftSeries) uint256.Int {
	if h := d.hours[hour]; h != nil {
		return h[s]
	}
	return uint256.Int{}
}

// judge adds an hour to the sums.
func (d *Drift) judge(w quorum.Watch, hour uint64) (found []Finding) {
	level, ok := d.usualLevel(hour)
	if ok && w.DriftAlarm > 0 && !level.IsZero() {
		for s := range DriftSeries(driftSeries) {
			d.add(w, hour, s, level)
			if b, bad := d.breach(w, hour, s); bad {
				found = append(found, b)
			}
		}
		found = append(found, d.greatHour(w, hour, level)...)
	}
	if h := d.hours[hour]; h != nil {
		d.level.Add(&d.level, &h[DriftAll])
	}
	return found
}

// usualLevel is the mean hour of all accounts over the hours that are kept; ok is false while the watch is learning.
func (d *Drift) usualLevel(hour uint64) (uint256.Int, bool) {
	seen := min(hour-d.m.First, driftKept)
	if seen < driftLearns*weekHours {
		return uint256.Int{}, false
	}
	var out uint256.Int
	return *out.Div(&d.level, uint256.NewInt(seen)), true
}

// usual is the usual hour of a series: see [Drift].
func (d *Drift) usual(hour uint64, s DriftSeries, level uint256.Int) uint256.Int {
	var past [driftWeeks]uint256.Int
	n := 0
	for back := uint64(weekHours); n < driftWeeks && hour >= d.m.First+back; back += weekHours {
		past[n] = d.credits(hour-back, s)
		n++
	}
	sorted := past[:n]
	slices.SortFunc(sorted, func(a, b uint256.Int) int { return a.Cmp(&b) })
	median := sorted[(n-1)/2]
	var low, high, sum uint256.Int
	low.Rsh(&median, 1)
	high.Add(&median, high.Mul(&level, uint256.NewInt(driftClip)))
	for _, v := range sorted {
		if v.Lt(&low) {
			v = low
		} else if v.Gt(&high) {
			v = high
		}
		sum.Add(&sum, &v)
	}
	return *sum.Div(&sum, uint256.NewInt(uint64(n)))
}

// greatHour calls people for one hour of the whole network that holds more beyond the usual than the alarm. It trips nothing: a
// great task is honest.
func (d *Drift) greatHour(w quorum.Watch, hour uint64, level uint256.Int) []Finding {
	usual, is := d.usual(hour, DriftAll, level), d.credits(hour, DriftAll)
	if !is.Gt(&usual) {
		return nil
	}
	beyond := ratioBP(is, usual, level) / percentBP
	if beyond <= uint64(w.DriftAlarm) {
		return nil
	}
	x := Explanation{Rule: ruleHour, Outcome: Waits, Threshold: fmt.Sprintf("%d %% of a usual hour beyond the usual", w.DriftAlarm),
		Observed: fmt.Sprintf("%d %% in the hour from %s", beyond, clock(hour*hourSeconds)), Do: "see whose credits they are: `conclave account` of the greatest"}
	a := ledger.Alert{Code: AlertHour, Severity: ledger.Warning, Hint: x.Do, Text: "one hour's credits are far above the usual: " + x.Observed}
	return []Finding{{Explanation: x, Alert: a}}
}

const percentBP = 100 // basis points of a percent

// add moves one sum by one hour.
func (d *Drift) add(w quorum.Watch, hour uint64, s DriftSeries, level uint256.Int) {
	usual := d.usual(hour, s, level)
	is := d.credits(hour, s)
	var most, allowed uint256.Int
	most.Add(&usual, most.Mul(&level, uint256.NewInt(driftClip)))
	if is.Gt(&most) {
		is = most
	}
	allowed.Mul(&usual, uint256.NewInt(allowance(w, s)))
	allowed.Add(&usual, allowed.Div(&allowed, uint256.NewInt(100)))
	sum := &d.m.Sums[s]
	if is.Gt(&allowed) {
		*sum += ratioBP(is, allowed, level)
	} else {
		*sum -= min(*sum, ratioBP(allowed, is, level))
	}
	*sum = min(*sum, driftCap*uint64(w.DriftAlarm)*percentBP)
}

// allowance is how many percent of growth are not counted. A part of the network sways more than the whole.
func allowance(w quorum.Watch, s DriftSeries) uint64 {
	if s != DriftAll {
		return driftPart * uint64(w.DriftAllowance)
	}
	return uint64(w.DriftAllowance)
}

// ratioBP is (a − b) / level in basis points; a ≥ b.
func ratioBP(a, b, level uint256.Int) uint64 {
	var out uint256.Int
	out.Sub(&a, &b)
	if _, over := out.MulDivOverflow(&out, uint256.NewInt(100*percentBP), &level); over || !out.IsUint64() {
		return maxRatioBP
	}
	return min(out.Uint64(), maxRatioBP)
}

// maxRatioBP bounds what one hour may move a sum by: no honest hour is a million usual ones.
const maxRatioBP = 10_000_000_000

// breach says what a sum means after an hour: an alarm begins above the alarm, and ends below half of it, so that a sum
// that sways is one alarm. The fuse trips once in an alarm.
func (d *Drift) breach(w quorum.Watch, hour uint64, s DriftSeries) (Finding, bool) {
	alarm := uint64(w.DriftAlarm) * percentBP
	sum, since := d.m.Sums[s], &d.m.Since[s]
	if *since != 0 && sum <= alarm/2 {
		*since, d.m.Fused = 0, d.m.Fused && s != DriftAll
	}
	began := *since == 0 && sum > alarm
	if began {
		*since = hour + 1
	}
	if s == DriftAll && *since != 0 && !d.m.Fused && w.DriftSustained > 0 &&
		(hour+1-*since >= hoursOf(w.DriftSustained) || sum >= driftCap*alarm) {
		d.m.Fused = true
		return d.explain(w, s, true), true
	}
	if !began {
		return Finding{}, false
	}
	return d.explain(w, s, false), true
}

// hoursOf is a duration in whole hours, at least one: drift is judged by the hour.
func hoursOf(t time.Duration) uint64 { return max(1, uint64((t+time.Hour-1)/time.Hour)) }

// Sum is what a series has gathered, in hundredths of a percent of the network's usual hour, and since when it stands above
// the alarm: unix seconds, 0 while it does not.
func (d *Drift) Sum(s DriftSeries) (bp, since uint64) { return d.m.Sums[s], d.m.Since[s] * hourSeconds }

// Learning reports whether the watch has seen too little to judge.
func (d *Drift) Learning() bool { return d.m.Next-d.m.First < driftLearns*weekHours }

// Day sums the credits of a series over the last 24 hours that are over.
func (d *Drift) Day(s DriftSeries) (sum uint256.Int) {
	for h := d.m.Next - min(d.m.Next, 24); h < d.m.Next; h++ {
		v := d.credits(h, s)
		sum.Add(&sum, &v)
	}
	return sum
}

func (d *Drift) explain(w quorum.Watch, s DriftSeries, fuse bool) Finding {
	sum, since := d.Sum(s)
	x := Explanation{
		Rule: ruleDrift, Outcome: Waits,
		Threshold: fmt.Sprintf("credits beyond the usual and %d %% of it sum up to at most %d %% of a usual hour", allowance(w, s), w.DriftAlarm),
		Observed:  fmt.Sprintf("%s: %d.%02d %% since %s", s, sum/percentBP, sum%percentBP, clock(since)),
		Do:        "compare the credits of the last days with what the network earned; a new tariff or growth is honest and wants another policy",
	}
	b := Finding{Explanation: x, Fuse: fuse, Subject: s.String()}
	b.Alert = ledger.Alert{Code: AlertDrift, Severity: ledger.Warning, Hint: x.Do, Text: "credits rise slowly above the usual: " + x.Observed}
	if fuse {
		b.Alert.Severity = ledger.Critical
		b.Alert.Text = "credits stay far above the usual: " + x.Observed
	}
	return b
}

func clock(seconds uint64) string { return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339) }

// Standing lists the series as people ask for them.
func (d *Drift) Standing(w quorum.Watch) (out []Standing) {
	if w.DriftAlarm == 0 {
		return nil
	}
	for s := range DriftSeries(driftSeries) {
		sum, since := d.Sum(s)
		st := Standing{Rule: ruleDrift, Code: AlertDrift, Subject: s.String(), Threshold: fmt.Sprintf("%d %% of a usual hour", w.DriftAlarm),
			Observed: fmt.Sprintf("%d.%02d %%", sum/percentBP, sum%percentBP), Since: since, Breached: since != 0}
		if d.Learning() {
			st.Observed = "learning the usual hours"
		}
		out = append(out, st)
	}
	return out
}
