package risk

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/quorum"
)

// Finding is what a watch says when a ceiling is passed: once when it begins, and once more when it lasts so long that the
// fuse trips. Watches never withhold a verdict.
type Finding struct {
	Explanation Explanation
	Alert       ledger.Alert
	Subject     string // what of the rule it is about: an address, a series; empty when there is but one
	Fuse        bool   // trip the node's own fuse
}

// Standing is where one rule of the watches stands: what an operator sees when nothing is wrong, too.
type Standing struct {
	Rule      string
	Code      ledger.AlertCode // of the alert that a breach raises
	Subject   string
	Threshold string
	Observed  string
	Since     uint64 // unix seconds; 0 while it is not breached
	Breached  bool
}

// Names of the watches' rules. Rows and new accounts are counted by arrival and by log time; the subject says which.
const (
	ruleRows         = "rows-in-window"
	ruleNew          = "new-accounts-in-window"
	ruleAccountRows  = "account-rows-in-window"
	ruleDrift        = "credit-drift"
	ruleHour         = "credit-hour"
	ruleYoung        = "young-share"
	ruleDestinations = "destination-sources"
	ruleLag          = "relay-lag"
	ruleSkew         = "clock-skew"
	ruleTariff       = "tariff-published"
	ruleSettlement   = "settlement"
)

// The alerts of the watches.
const (
	AlertRows         ledger.AlertCode = "rows-spike"
	AlertNew          ledger.AlertCode = "new-accounts-spike"
	AlertAccountRows  ledger.AlertCode = "account-rows-spike"
	AlertDrift        ledger.AlertCode = "credit-drift"
	AlertHour         ledger.AlertCode = "credit-hour"
	AlertYoung        ledger.AlertCode = "young-share"
	AlertDestinations ledger.AlertCode = "destination-sources"
	AlertLag          ledger.AlertCode = "relay-lag"
	AlertSkew         ledger.AlertCode = "clock-skew"
	AlertTariff       ledger.AlertCode = "tariff-differs"
	AlertSettlement   ledger.AlertCode = "settlement-deviates"
)

// The two clocks of a window.
const (
	byArrival = "by arrival"
	byLogTime = "by log time"
)

// Watches are the statistics over rows and requests: a function of what they are told and of the times that come with it.
// They hold no clock, and are their owner's alone. Times are unix seconds by the own clock; a row's own time is the
// Relay's, taken for no later than now.
type Watches struct {
	w       quorum.Watch
	arrival *window
	logTime *window
	ages    *ages
	drift   *Drift
	dest    *destinations
	tariff  state // as last compared
	skew    state // as last compared

	newest  uint64                  // log time of the newest row
	present uint64                  // when this node last held everything that the Relay shows
	begun   map[latch]uint64        // breaches that stand, and since when
	counted map[common.Address]bool // whose first row was remembered, while the windows are filled
}

// latch names one breach.
type latch struct{ rule, subject string }

// maxLatches bounds the breaches that stand at a time of one rule about accounts or destinations, which strangers choose. An
// attack on more of them is told by the first ones; what it can never do is crowd out another rule.
const maxLatches = 64

// NewWatches returns watches that have seen nothing.
func NewWatches(w quorum.Watch) *Watches {
	s := &Watches{ages: newAges(), drift: NewDrift(), dest: newDestinations(), begun: map[latch]uint64{}, counted: map[common.Address]bool{}}
	s.Policy(w)
	return s
}

// Policy puts the ceilings of another policy in force. A window of another length begins empty.
func (s *Watches) Policy(w quorum.Watch) {
	if s.arrival == nil || s.w.Window != w.Window {
		seconds := uint64(w.Window / time.Second)
		s.arrival, s.logTime = newWindow(seconds), newWindow(seconds)
	}
	s.w = w
}

// Row counts a row that the books did not hold before. unseen says that they never saw its account; present, that this node
// holds everything that the Relay shows, but for what just came.
func (s *Watches) Row(e ledger.Event, now uint64, unseen, present bool) (found []Finding) {
	at := s.dated(e, now)
	s.age(at, e.Account, unseen)
	found = s.spike(found, s.logTime, byLogTime, at, now, e, unseen)
	if s.counting(now, present) {
		found = s.spike(found, s.arrival, byArrival, now, now, e, unseen)
	}
	return append(found, s.credit(e, now)...)
}

// credit counts a row in the hour of its own date: the drift watch has a way of its own with old ones.
func (s *Watches) credit(e ledger.Event, now uint64) []Finding {
	return s.drift.Credit(s.w, e, min(e.CreatedAt, now), s.ages.young(s.newest, seconds(s.w.YoungAge), e.Account))
}

// Past counts a row of the history that operators signed: what is usual and who is young begins with it, and nothing is
// found in it.
func (s *Watches) Past(e ledger.Event, now uint64, unseen bool) {
	s.age(s.dated(e, now), e.Account, unseen)
	s.credit(e, now)
}

// dated is when a row counts: by log time, no later than now, and at the end of the window when it is dated before it. An old
// date must not be a way around the ceilings.
func (s *Watches) dated(e ledger.Event, now uint64) uint64 {
	at := min(e.CreatedAt, now)
	s.newest = max(s.newest, at)
	span := seconds(s.w.Window)
	if span == 0 {
		span = hourSeconds
	}
	if newest := max(s.newest, s.logTime.time()); at+span < newest {
		return newest
	}
	return at
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

// age keeps who is young; no age is remembered that no rule asks for.
func (s *Watches) age(at uint64, account common.Address, unseen bool) {
	if keep := max(seconds(s.w.YoungAge), seconds(s.w.Window)); keep > 0 {
		if unseen {
			s.ages.see(at, account)
		}
		s.ages.expire(s.newest, keep)
	}
}

// counting reports whether arrivals mean something. What a node reads that was away, comes as fast as it can read. But an
// absence shorter than the window is none: the window would have held those rows all the same, and a Relay could hide a
// spike behind short silences.
func (s *Watches) counting(now uint64, present bool) bool {
	if present {
		s.present = max(s.present, now)
	}
	return s.present > 0 && now < s.present+max(1, seconds(s.w.Window))
}

// spike counts a row in one window.
func (s *Watches) spike(found []Finding, w *window, clock string, at, now uint64, e ledger.Event, unseen bool) []Finding {
	if s.w.Window == 0 {
		return found
	}
	ofAccount := w.add(at, e.Account, unseen)
	// Words are only made when something changed: this runs for every row of a replay.
	if s.turned(latch{ruleRows, clock}, above(w.rows, s.w.LogsMax)) {
		found = s.rise(found, s.rowsIn(w, clock), now)
	}
	if s.turned(latch{ruleNew, clock}, above(w.unseen, s.w.NewAccountsMax)) {
		found = s.rise(found, s.newIn(w, clock), now)
	}
	if above(ofAccount, s.w.AccountLogsMax) {
		found = s.rise(found, s.ofAccount(e.Account, ofAccount, clock), now)
	}
	return found
}

// above reports whether a ceiling is passed; zero is none.
func above(n, most uint64) bool { return most > 0 && n > most }

// turned reports whether a breach begins or ends.
func (s *Watches) turned(l latch, breached bool) bool {
	if len(s.begun) == 0 {
		return breached
	}
	_, stands := s.begun[l]
	return stands != breached
}

// state is what a rule says at a moment.
type state struct {
	latch
	code      ledger.AlertCode
	breached  bool
	fuse      bool // a breach trips the fuse at once
	account   common.Address
	threshold string
	observed  string
	do        string
	text      string // the alert's first words
}

// rise begins a breach, which is told once; one that ended can begin again.
func (s *Watches) rise(found []Finding, is state, now uint64) []Finding {
	if is.rule == "" {
		return found
	}
	_, stands := s.begun[is.latch]
	switch {
	case !is.breached:
		delete(s.begun, is.latch)
		return found
	case stands || s.crowded(is.rule):
		return found
	}
	s.begun[is.latch] = now
	return append(found, is.finding())
}

// ofStrangers reports whether a rule has a breach for each account or destination.
func ofStrangers(rule string) bool { return rule == ruleAccountRows || rule == ruleDestinations }

// latches are the breaches that have begun, in a fixed order.
func (s *Watches) latches() []latch {
	return slices.SortedFunc(maps.Keys(s.begun), func(a, b latch) int { return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.subject, b.subject)) })
}

// crowded reports whether no further breach of a rule is held.
func (s *Watches) crowded(rule string) bool {
	if !ofStrangers(rule) || len(s.begun) < maxLatches {
		return false
	}
	n := 0
	for l := range s.begun {
		if l.rule == rule {
			n++
		}
	}
	return n >= maxLatches
}

func (is state) finding() Finding {
	x := Explanation{Rule: is.rule, Outcome: Waits, Threshold: is.threshold, Observed: is.observed, Do: is.do}
	a := ledger.Alert{Code: is.code, Severity: ledger.Warning, Account: is.account, Hint: is.do,
		Text: fmt.Sprintf("%s: %s, at most %s", is.text, is.observed, is.threshold)}
	if is.fuse {
		a.Severity = ledger.Critical
	}
	return Finding{Explanation: x, Alert: a, Subject: is.subject, Fuse: is.fuse}
}

const doSpike = "see which rows they are and who caused them; clear the fuse, or vote a higher ceiling, when they are right"

func (s *Watches) rowsIn(w *window, clock string) state {
	return s.ceiling(latch{ruleRows, clock}, AlertRows, w.rows, s.w.LogsMax, "the Relay's log grows abnormally fast", "rows")
}

func (s *Watches) newIn(w *window, clock string) state {
	return s.ceiling(latch{ruleNew, clock}, AlertNew, w.unseen, s.w.NewAccountsMax, "abnormally many new accounts", "accounts never seen before")
}

func (s *Watches) ceiling(l latch, code ledger.AlertCode, n, most uint64, text, what string) state {
	return state{latch: l, code: code, breached: above(n, most), fuse: true, text: text, do: doSpike,
		threshold: fmt.Sprintf("%d %s within %s %s", most, what, s.w.Window, l.subject), observed: fmt.Sprintf("%d %s", n, what)}
}

func (s *Watches) ofAccount(a common.Address, n uint64, clock string) state {
	return state{latch: latch{ruleAccountRows, a.Hex() + " " + clock}, code: AlertAccountRows, breached: above(n, s.w.AccountLogsMax),
		fuse: s.w.AccountLogsFuse, account: a, text: "abnormally many rows of " + a.Hex(), do: "see what the account does; freeze it by a decision when it is wrong",
		threshold: fmt.Sprintf("%d rows within %s %s", s.w.AccountLogsMax, s.w.Window, clock), observed: fmt.Sprintf("%d rows", n)}
}

// youngShare judges the last day's credits. A network whose own history is younger than its young accounts has no others.
func (s *Watches) youngShare() state {
	if s.w.YoungPercent == 0 || s.w.YoungAge == 0 {
		return state{latch: latch{ruleYoung, ""}}
	}
	is := state{latch: latch{ruleYoung, ""}, code: AlertYoung, text: "young accounts earn much of the day's credits",
		threshold: fmt.Sprintf("%d %% of a day's credits to accounts younger than %s", s.w.YoungPercent, s.w.YoungAge), observed: "too early to say",
		do: "see who the new accounts are and what they did"}
	young, all := s.drift.Day(DriftYoung), s.drift.Day(DriftAll)
	if s.drift.m.Next-s.drift.m.First < hoursOf(s.w.YoungAge)+24 || all.IsZero() {
		return is
	}
	var share uint256.Int
	share.MulDivOverflow(&young, uint256.NewInt(100), &all) // below 2^192 + 24 each: no overflow
	is.observed = share.Dec() + " %"
	is.breached = share.Gt(uint256.NewInt(s.w.YoungPercent))
	return is
}

// Request counts a withdrawal that the list had not shown before. While this node is present it is of now, whatever the
// Relay says: an old date must not be a way around the rule.
func (s *Watches) Request(w ledger.Withdrawal, now uint64, present bool) (found []Finding) {
	at := min(w.CreatedAt, now)
	if present {
		at = now
	}
	s.dest.advance(now)
	if s.w.DestinationSources == 0 || w.To == w.Account || at+daySeconds <= now {
		return nil
	}
	return s.rise(nil, s.sources(w.To, s.dest.add(at, w.To, w.Account)), now)
}

func (s *Watches) sources(to common.Address, n uint64) state {
	return state{latch: latch{ruleDestinations, to.Hex()}, code: AlertDestinations, breached: above(n, s.w.DestinationSources), account: to,
		text: "one destination behind many accounts: " + to.Hex(), threshold: fmt.Sprintf("%d accounts within a day", s.w.DestinationSources),
		observed: fmt.Sprintf("%d accounts", n), do: "ask whose it is; an exchange or the owner of many nodes is honest"}
}

// Tick tells the watches the time: it ends what passed, and judges what time alone makes true. present is as in Row.
func (s *Watches) Tick(now uint64, present bool) (found []Finding) {
	s.clockBack(now)
	s.counting(now, present)
	s.arrival.advance(now)
	s.dest.advance(now)
	if present {
		s.logTime.advance(now)
		s.ages.expire(now, max(seconds(s.w.YoungAge), seconds(s.w.Window)))
		found = append(found, s.drift.Close(s.w, now)...)
	}
	for _, l := range s.latches() {
		if is, known := s.again(l); known {
			found = s.rise(found, is, now)
		}
	}
	found = s.rise(found, s.youngShare(), now)
	return s.rise(found, s.lag(now, present), now)
}

// clockBack ends what an own clock that was ahead for a while would leave behind: windows that count nothing until the time
// comes that it had shown.
func (s *Watches) clockBack(now uint64) {
	s.arrival.rewind(now)
	s.logTime.rewind(now)
	s.present, s.newest = min(s.present, now), min(s.newest, now)
	s.drift.rewind(now)
}

// again asks the rule of a breach once more.
func (s *Watches) again(l latch) (state, bool) {
	for clock, w := range map[string]*window{byArrival: s.arrival, byLogTime: s.logTime} {
		switch {
		case l == latch{ruleRows, clock}:
			return s.rowsIn(w, clock), true
		case l == latch{ruleNew, clock}:
			return s.newIn(w, clock), true
		case l.rule == ruleAccountRows && l.subject[len("0x")+2*common.AddressLength:] == " "+clock:
			a := common.HexToAddress(l.subject[:len("0x")+2*common.AddressLength])
			return s.ofAccount(a, w.by[a], clock), true
		}
	}
	if l.rule == ruleDestinations {
		to := common.HexToAddress(l.subject)
		return s.sources(to, s.dest.of[to]), true
	}
	return state{}, false
}

// lag judges the age of the newest row, while everything that the Relay shows is here.
func (s *Watches) lag(now uint64, present bool) state {
	if s.w.LagMax == 0 || s.newest == 0 || !present {
		return state{}
	}
	behind := time.Duration(now-min(now, s.newest)) * time.Second
	return state{latch: latch{ruleLag, ""}, code: AlertLag, breached: behind > s.w.LagMax, text: "the Relay's newest row is old",
		threshold: s.w.LagMax.String(), observed: behind.String(), do: "see whether the Relay still writes; compare with the other operators' newest row"}
}

// Skew judges the Relay's clock, which shows whole seconds: said at a moment between sent and came by the own clock.
func (s *Watches) Skew(said uint64, sent, came time.Time) []Finding {
	if s.w.SkewMax == 0 {
		s.skew = state{}
		delete(s.begun, latch{ruleSkew, ""})
		return nil
	}
	off := ClockSkew(said, sent, came)
	s.skew = state{latch: latch{ruleSkew, ""}, code: AlertSkew, breached: off > s.w.SkewMax, text: "the Relay's clock and ours differ",
		threshold: s.w.SkewMax.String(), observed: off.Round(time.Second).String(),
		do: "compare this machine's clock with a time server; requests are refused when it is a minute off"}
	return s.rise(nil, s.skew, uint64(came.Unix()))
}

// ClockSkew is the least by which two clocks must differ when one said a whole second between two moments of the other.
func ClockSkew(said uint64, sent, came time.Time) time.Duration {
	from, to := time.Unix(int64(said), 0), time.Unix(int64(said)+1, 0)
	switch {
	case from.After(came):
		return from.Sub(came)
	case to.Before(sent):
		return sent.Sub(to)
	}
	return 0
}

// Unsaid lists the alerts that nothing can be said about now: what they are about was not read since the start, or is not
// read to its end. They stand as they stood.
func (s *Watches) Unsaid(present bool) (out []ledger.AlertCode) {
	if s.tariff.rule == "" {
		out = append(out, AlertTariff)
	}
	if s.w.SkewMax > 0 && s.skew.rule == "" {
		out = append(out, AlertSkew)
	}
	if s.w.LagMax > 0 && (s.newest == 0 || !present) {
		out = append(out, AlertLag)
	}
	return out
}

// Standing lists every rule of the watches that is on, in a fixed order.
func (s *Watches) Standing(now uint64, present bool) (out []Standing) {
	add := func(is state) {
		if is.rule != "" && is.threshold != "" {
			out = append(out, Standing{is.rule, is.code, is.subject, is.threshold, is.observed, s.begun[is.latch], is.breached})
		}
	}
	if s.w.LogsMax > 0 {
		add(s.rowsIn(s.arrival, byArrival))
		add(s.rowsIn(s.logTime, byLogTime))
	}
	if s.w.NewAccountsMax > 0 {
		add(s.newIn(s.arrival, byArrival))
		add(s.newIn(s.logTime, byLogTime))
	}
	add(s.youngShare())
	add(s.lag(now, present))
	add(s.skew)
	if s.tariff.breached {
		add(s.tariff)
	}
	out = append(out, s.drift.Standing(s.w)...)
	for _, l := range s.latches() {
		if ofStrangers(l.rule) {
			is, _ := s.again(l)
			add(is)
		}
	}
	return out
}
