package node

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"conclave/ledger"
)

// Bounds of what is held.
const (
	// maxAlerts bounds the alerts that are held. Beyond it those that are over go first, then the oldest of the code that
	// has most of them: what a user can cause a thousand times must not push out the one alert about the fuse.
	maxAlerts = 512
	// maxAlertText bounds a text: some quote what a peer, a Relay or an endpoint wrote.
	maxAlertText = 1000
	// keepOver is how long an alert that is over is still listed.
	keepOver = 30 * 24 * time.Hour
	// An alert that comes back within flapWithin of its end, and did so flapTold times, keeps coming back: from then on it is
	// over only when its cause has been gone for flapCalm. People hear that it stands, and not of every swing.
	flapWithin = time.Hour
	flapTold   = 3
	flapCalm   = 10 * time.Minute
	// alertsEvery is how often the path looks at what time alone makes due.
	alertsEvery = time.Second
)

// AlertRules say when people are called again. Zero fields have the defaults of [AlertRules.orDefaults].
type AlertRules struct {
	Heartbeat      time.Duration // between two heartbeats; zero: none is sent
	RemindCritical time.Duration // until the first reminder of a critical alert; each next one waits twice as long
	RemindMost     time.Duration // what that waiting grows to
	RemindWarning  time.Duration // between two reminders of a warning
	PerMinute      int           // messages in a minute; what is beyond becomes one summary
	Late           time.Duration // how long a withdrawal or a report may wait
}

func (r AlertRules) orDefaults() AlertRules {
	for value, fallback := range map[*time.Duration]time.Duration{
		&r.RemindCritical: time.Hour, &r.RemindMost: 24 * time.Hour, &r.RemindWarning: 24 * time.Hour, &r.Late: 30 * time.Minute,
	} {
		if *value == 0 {
			*value = fallback
		}
	}
	if r.PerMinute == 0 {
		r.PerMinute = 20
	}
	return r
}

// Alert is something that a person should know. Alerts with one key are one alert that happened several times.
type Alert struct {
	Key      string // code and subject
	Code     string // of the catalogue, see docs/alerts.md
	Severity ledger.Severity
	Text     string // what happened
	Hint     string // what to do
	First    time.Time
	Last     time.Time
	Count    uint64
	Over     bool // the cause has gone
}

// entry is an alert with what was said about it.
type entry struct {
	Alert
	Told     time.Time // when the last message about it was made
	Reminded int       // reminders since it began
	Hushed   bool      // it began in a storm: only the summary spoke of it, so its end is not told either
	Owed     NoticeKind
	OwedAt   time.Time
	Missed   bool      // a message about it was given up; it is told again when messages arrive again
	Returns  int       // how often it came back soon after its end, one time after the other
	Gone     time.Time // since when the cause of one that keeps coming back has gone; zero while it stands

	seq   uint64 // which message is owed: one that was replaced while it travelled is still owed
	tries int
}

// alerts is the one path on which the node calls for people: deduplicated, logged when they begin, remind and end, durable
// over restarts, and carried to the notifier if there is one. Nothing here waits for the disk or the network: whoever
// raises goes on at once.
type alerts struct {
	log   *zap.Logger
	now   func() time.Time
	kinds map[string]AlertKind
	rules AlertRules
	from  Sender
	out   Notifier // nil: nobody but the log

	bell chan struct{} // something is owed
	disk chan struct{} // something must be stored

	pulse pulse
	turns Turns

	mu    sync.Mutex // guards what follows
	all   map[string]*entry
	gate  gate
	extra []Notice // heartbeat and summaries, which belong to no alert
	seq   uint64
	fails int // deliveries that failed in a row
	ever  map[AlertCount]uint64
}

// AlertCount is how often a code was raised since the process began. Count is zero where it is a key.
type AlertCount struct {
	Code     string
	Severity ledger.Severity
	Count    uint64
}

func newAlerts(log *zap.Logger, now func() time.Time) *alerts {
	a := &alerts{log: log, now: now, kinds: map[string]AlertKind{}, rules: AlertRules{}.orDefaults(), all: map[string]*entry{}, ever: map[AlertCount]uint64{},
		bell: make(chan struct{}, 1), disk: make(chan struct{}, 1)}
	for _, k := range AlertKinds() {
		a.kinds[k.Code] = k
	}
	a.gate = newGate(a.rules.PerMinute)
	return a
}

// configure says who speaks, how often, and to whom; before anything is raised.
func (a *alerts) configure(rules AlertRules, from Sender, out Notifier) {
	a.rules, a.from, a.out = rules.orDefaults(), from, out
	a.gate = newGate(a.rules.PerMinute)
	a.pulse.every = rules.Heartbeat
}

// raise begins or repeats an alert. Severity and hint are the catalogue's unless the caller knows better.
func (a *alerts) raise(in Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin(a.completed(in), a.now())
}

// ensure begins an alert unless it stands already.
func (a *alerts) ensure(in Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in = a.completed(in)
	if known := a.all[in.Key]; known == nil || known.Over || !known.Gone.IsZero() {
		a.begin(in, a.now())
	}
}

// completed fills an alert from the catalogue. A code that is not in it is a bug of ours: loggers of tests panic at it, in
// production it is logged and passed on, for an alert without meaning is better than silence.
func (a *alerts) completed(in Alert) Alert {
	if in.Key == "" {
		in.Key = in.Code
	}
	in.Text, in.Hint = plain(in.Text), plain(in.Hint)
	kind, known := a.kinds[in.Code]
	if !known {
		a.log.DPanic("alert of an unknown code", zap.String("code", in.Code), zap.String("text", in.Text))
		return in
	}
	if kind.Least == 0 || in.Severity < kind.Least || in.Severity > kind.Severity {
		in.Severity = kind.Severity
	}
	if in.Hint == "" {
		in.Hint = kind.Do
	}
	return in
}

// plain makes a text one line that is safe to show: it may quote a stranger, and end on a terminal.
func plain(s string) string {
	if len(s) > maxAlertText {
		s = s[:maxAlertText] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

func (a *alerts) begin(in Alert, now time.Time) {
	a.ever[AlertCount{Code: in.Code, Severity: in.Severity}]++
	known := a.all[in.Key]
	if known != nil && !known.Over {
		known.Last, known.Text, known.Hint, known.Gone = now, in.Text, in.Hint, time.Time{}
		known.Count++
		if in.Severity > known.Severity {
			known.Severity = in.Severity
			a.tell(known, NoticeAlert, now)
		}
		return
	}
	in.First, in.Last, in.Count = now, now, 1
	e := &entry{Alert: in}
	if known != nil {
		e.Count += known.Count
		if now.Sub(known.Last) < flapWithin {
			e.Returns = known.Returns + 1
		}
	}
	a.all[in.Key] = e
	a.trim()
	a.tell(e, NoticeAlert, now)
}

// recover ends the alert of a key; unknown keys change nothing.
func (a *alerts) recover(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.all[key]; known != nil && !known.Over {
		a.finish(known)
	}
}

// recoverAll ends every alert of a code but those whose keys are named.
func (a *alerts) recoverAll(code string, but map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.sorted() {
		if e.Code == code && !e.Over && !but[e.Key] {
			a.finish(e)
		}
	}
}

// settleDown ends the alerts of a code that did not happen again for a while.
func (a *alerts) settleDown(code string, idle time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.sorted() {
		if e.Code == code && !e.Over && a.now().Sub(e.Last) >= idle {
			a.finish(e)
		}
	}
}

// finish ends an alert, or begins the calm that one that keeps coming back must show first.
func (a *alerts) finish(e *entry) {
	now := a.now()
	if e.Returns >= flapTold && (e.Gone.IsZero() || now.Sub(e.Gone) < flapCalm) {
		if e.Gone.IsZero() {
			e.Gone = now
			a.store()
		}
		return
	}
	e.Over, e.Last, e.Gone = true, now, time.Time{}
	if e.Hushed {
		a.store()
		return
	}
	a.tell(e, NoticeRecovered, now)
}

// tell makes a message about an alert: into the log at once, and owed to the notifier. In a storm the summary speaks instead.
func (a *alerts) tell(e *entry, kind NoticeKind, now time.Time) {
	a.store()
	e.Told = now
	if !a.gate.pass(e.Code, e.Severity, now) {
		if kind == NoticeAlert {
			e.Hushed = true
		}
		return
	}
	e.Hushed = false
	a.write(e.Alert, kind)
	if a.out == nil || a.kinds[e.Code].local() {
		return
	}
	a.seq++
	e.Owed, e.OwedAt, e.seq, e.tries = kind, now, a.seq, 0
	a.ring()
}

// write puts a message into the log. Error means that a human is needed now.
func (a *alerts) write(al Alert, kind NoticeKind) {
	fields := []zap.Field{zap.String("code", al.Code), zap.String("text", al.Text), zap.String("hint", al.Hint)}
	switch {
	case kind == NoticeRecovered:
		a.log.Info("alert over", fields[:2]...)
	case kind == NoticeReminder:
		a.log.Warn("alert stands", append(fields, zap.Time("since", al.First), zap.Uint64("count", al.Count))...)
	case al.Severity == ledger.Critical:
		a.log.Error("alert", fields...)
	default:
		a.log.Warn("alert", fields...)
	}
}

// due does what time alone makes due: summaries, reminders, the end of happenings, and forgetting.
func (a *alerts) due() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if s, ok := a.gate.summary(now); ok {
		a.log.Warn("alert storm", zap.String("code", codeStorm), zap.String("text", s.text))
		a.also(Notice{Kind: NoticeSummary, Code: codeStorm, Severity: s.worst.String(), Key: codeStorm, Text: s.text, Hint: a.kinds[codeStorm].Do,
			Since: s.since, Time: now, Count: s.count})
	}
	for _, e := range a.sorted() {
		switch kind := a.kinds[e.Code]; {
		case e.Over && now.Sub(e.Last) > keepOver && e.Owed == NoticeNone:
			delete(a.all, e.Key)
			a.store()
		case e.Over:
		case !e.Gone.IsZero() && now.Sub(e.Gone) >= flapCalm:
			a.finish(e)
		case kind.Ends == "" && now.Sub(e.Last) > quiet(e.Severity):
			e.Over = true
			a.store()
		case a.rules.remindAfter(e) > 0 && now.Sub(e.Told) >= a.rules.remindAfter(e):
			e.Reminded++
			a.tell(e, NoticeReminder, now)
		}
	}
}

func quiet(s ledger.Severity) time.Duration {
	if s == ledger.Critical {
		return quietCritical
	}
	return quietWarning
}

// remindAfter is how long after the last message an open alert is told again; zero for never.
func (r AlertRules) remindAfter(e *entry) time.Duration {
	switch e.Severity {
	case ledger.Critical:
		wait := r.RemindCritical
		for range e.Reminded {
			if wait >= r.RemindMost {
				break
			}
			wait *= 2
		}
		return max(r.RemindCritical, min(wait, r.RemindMost))
	case ledger.Warning:
		return r.RemindWarning
	}
	return 0
}

// sorted is every alert by its key: several that begin or end at once do so in one order.
func (a *alerts) sorted() []*entry {
	return slices.SortedFunc(maps.Values(a.all), func(x, y *entry) int { return strings.Compare(x.Key, y.Key) })
}

// list returns the alerts, the newest first.
func (a *alerts) list() []Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Alert, 0, len(a.all))
	for _, v := range a.all {
		out = append(out, v.Alert)
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].Last.Equal(out[j].Last) {
			return out[i].Last.After(out[j].Last)
		}
		return out[i].Key < out[j].Key
	})
	return out
}

// reasons lists what stands and hinders, for status. What merely happened is one reason that counts it: a thousand rows of
// one kind must not hide the one thing that waits.
func (a *alerts) reasons() (out []Reason) {
	happened := map[string]int{}
	calm := a.calm()
	for _, al := range a.list() {
		if al.Over || al.Severity < ledger.Warning || calm[al.Key] {
			continue
		}
		if a.kinds[al.Code].Ends == "" {
			happened[al.Code]++
			continue
		}
		since := al.First.UTC()
		out = append(out, Reason{Code: al.Code, Text: al.Text, Since: &since, Hint: al.Hint})
	}
	if len(happened) == 0 {
		return out
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(happened)) {
		parts = append(parts, fmt.Sprintf("%s %d", code, happened[code]))
	}
	return append(out, Reason{Code: "alerts-open", Text: "what happened lately: " + strings.Join(parts, ", "), Hint: "conclave alerts --open"})
}

// calm names the alerts that wait for their end though their cause has gone: they hinder nothing.
func (a *alerts) calm() map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]bool{}
	for key, e := range a.all {
		if !e.Gone.IsZero() {
			out[key] = true
		}
	}
	return out
}

// raised counts what was raised since the process began. It only grows, whatever is forgotten of the alerts themselves.
func (a *alerts) raised() (out []AlertCount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, n := range a.ever {
		out = append(out, AlertCount{k.Code, k.Severity, n})
	}
	return out
}

// open counts the alerts that stand.
func (a *alerts) open() (n int) {
	for _, e := range a.all {
		if !e.Over {
			n++
		}
	}
	return n
}

func (a *alerts) trim() {
	if len(a.all) <= maxAlerts {
		return
	}
	per := map[string]int{}
	for _, e := range a.all {
		per[e.Code]++
	}
	var worst *entry
	for _, e := range a.all {
		if worst == nil || goesBefore(e, worst, per) {
			worst = e
		}
	}
	delete(a.all, worst.Key)
}

// goesBefore reports whether e is given up before other.
func goesBefore(e, other *entry, per map[string]int) bool {
	switch {
	case e.Over != other.Over:
		return e.Over
	case per[e.Code] != per[other.Code]:
		return per[e.Code] > per[other.Code]
	case (e.Owed == NoticeNone) != (other.Owed == NoticeNone):
		return e.Owed == NoticeNone // what is to be told is kept until it is told
	case !e.Last.Equal(other.Last):
		return e.Last.Before(other.Last)
	}
	return e.Key < other.Key
}

func (a *alerts) ring()  { poke(a.bell) }
func (a *alerts) store() { poke(a.disk) }

// poke wakes whoever listens, or leaves the word for it.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// count shows a number of things in words.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
