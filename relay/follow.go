package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"conclave/ledger"
)

// Defaults and bounds of following.
const (
	DefaultPage  = 1000                   // rows per request
	DefaultPoll  = 500 * time.Millisecond // between two polls when caught up
	DefaultGrace = 60 * time.Second       // how long a missing id is waited for

	// pagesPerPoll bounds one poll, so that its caller sees progress during a long replay.
	pagesPerPoll = 64
	// maxUnwatched is the longest pause between two answers that counts as answered: beyond it nobody knows.
	maxUnwatched = 30 * time.Second
	// rereadEvery is how often a wide stretch behind a gap is read again when nothing in it is due; a narrow one is read
	// with every poll.
	rereadEvery = 5 * time.Second
	// lookEvery and lookRows are the pace of looking back: every stretch with an id that was given up gets its turn, and an
	// idle node writes little.
	lookEvery = 5 * time.Second
	lookRows  = 200
)

// Log is what the follower reads: [Client] is one.
type Log interface {
	Events(ctx context.Context, after uint64, limit int) ([]ledger.Event, error)
}

// Books keeps what the follower hands over.
type Books interface {
	// Record stores events and the follower's state in one durable transaction. Events come by rising id. Those of a look
	// back lie below earlier ones: known ones must equal what is stored, unknown ones come late.
	Record(ctx context.Context, events []ledger.Event, state []byte) error
}

// AlertCode says what an alert is about.
type AlertCode string

// What the followers and the reporter alert about.
const (
	AlertVanished  AlertCode = "relay_event_vanished"   // an unsettled event that was served is gone
	AlertShrunk    AlertCode = "relay_log_shrunk"       // the log ends before what it has settled
	AlertGapsFull  AlertCode = "relay_gaps_full"        // more gaps than MaxGaps: intake waits
	AlertAside     AlertCode = "relay_request_spoilt"   // a withdrawal that cannot be read, and is left alone
	AlertContrary  AlertCode = "relay_outcome_contrary" // the Relay shows the opposite of what was decided
	AlertReporting AlertCode = "relay_report_refused"   // the Relay refuses an outcome
	AlertUnseen    AlertCode = "relay_report_unseen"    // the Relay was told an outcome and does not show it
)

// Alert is something that a person should see. Repetitions are the receiver's to join.
type Alert struct {
	Code   AlertCode
	ID     uint64 // of the event or withdrawal
	Detail string
}

// FollowConfig sets a follower up. Zero values mean the defaults.
type FollowConfig struct {
	State   []byte // as stored with the last Record, nil at first
	CutOver uint64 // gaps up to here expire at once
	Grace   time.Duration
	// GraceNow is asked instead of Grace when it is set: a policy's change holds for the gaps that are open.
	GraceNow func() time.Duration
	Page     int // rows per request, at most MaxPage
	Poll     time.Duration
	Alert    func(Alert)
	Failed   func(error) // a poll went wrong; it is tried again. Look at IsHostile.
}

// FollowStatus is where a follower stands.
type FollowStatus struct {
	Settled    uint64
	Cursor     uint64
	Gaps       int       // runs of missing ids that are waited for
	LowestGap  uint64    // 0 when there is none
	CaughtUp   bool      // the last poll reached the end of what the Relay shows
	LastAnswer time.Time // zero before the first
	Err        error     // of the last poll
}

// Follower reads the account log and hands over what is settled. Run or Poll it from one goroutine.
type Follower struct {
	log   Log
	books Books
	cfg   FollowConfig

	state  FollowState
	clock  answeredClock
	at     uint64    // where the sweep under way goes on
	mid    bool      // a sweep is under way
	swept  time.Time // when the last sweep from the front began
	look   uint64    // the id that the last look back ended with
	looked time.Time // when that was
	walk   walk
	page   int // rows per request now: fewer while the Relay fails on more

	mu     sync.Mutex // guards status, for Status
	status FollowStatus
}

// NewFollower reads the stored state.
func NewFollower(log Log, books Books, cfg FollowConfig) (*Follower, error) {
	if cfg.Page == 0 {
		cfg.Page = DefaultPage
	}
	if cfg.Grace == 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.Page < 1 || cfg.Page > MaxPage || cfg.Grace < 0 || cfg.Poll < 0 {
		return nil, fmt.Errorf("follower: page of %d rows, grace %s, poll %s: out of range", cfg.Page, cfg.Grace, cfg.Poll)
	}
	if cfg.Alert == nil {
		cfg.Alert = func(Alert) {}
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	state, err := DecodeFollowState(cfg.State)
	if err != nil {
		return nil, err
	}
	f := &Follower{log: log, books: books, cfg: cfg, state: state, page: cfg.Page}
	f.clock.total = time.Duration(state.Answered) * time.Millisecond
	f.publish(nil)
	return f, nil
}

// Run polls until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	return poll(ctx, f.cfg.Poll, f.cfg.Failed, f.Poll)
}

// poll calls step at once while it has more to do, else every pause, until ctx ends.
func poll(ctx context.Context, pause time.Duration, failed func(error), step func(context.Context) (bool, error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		more, err := step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		next := pause
		if err != nil {
			failed(err)
		} else if more {
			next = 0
		}
		timer.Reset(next)
	}
}

// Status may be called from anywhere.
func (f *Follower) Status() FollowStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *Follower) publish(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = FollowStatus{
		Settled: f.state.Settled, Cursor: f.state.Cursor, Gaps: len(f.state.Gaps),
		CaughtUp: err == nil && !f.mid && f.clock.unbroken, LastAnswer: f.clock.last, Err: err,
	}
	if len(f.state.Gaps) > 0 {
		f.status.LowestGap = f.state.Gaps[0].From
	}
}

// Poll reads on, at most pagesPerPoll pages, looks back at one page of ids that were given up, and walks on over one page of
// what is settled. more is true when the end of the log was not reached.
func (f *Follower) Poll(ctx context.Context) (more bool, err error) {
	defer func() { f.publish(err) }()
	if !f.mid {
		f.begin()
	}
	for range pagesPerPoll {
		if err := f.readOn(ctx); err != nil {
			f.mid = false
			return false, err
		}
		if !f.mid {
			if err := f.lookBack(ctx); err != nil {
				return false, err
			}
			return false, f.walkOn(ctx)
		}
	}
	return true, nil
}

// begin chooses where a sweep starts. From the front it covers every gap; only where that means reading much again, and
// no gap could expire by it, it starts at the end.
func (f *Follower) begin() {
	f.mid, f.at = true, f.state.Settled
	wide := f.state.Cursor-f.state.Settled > uint64(4*f.cfg.Page)
	if len(f.state.Gaps) > 0 && wide && !f.due() && time.Since(f.swept) < rereadEvery {
		f.at = f.state.Cursor
		return
	}
	f.swept = time.Now()
}

// due reports whether reading from the front may let a gap expire.
func (f *Follower) due() bool {
	for _, g := range f.state.Gaps {
		if f.clock.now() >= g.Seen+f.grace() {
			return true
		}
	}
	return false
}

func (f *Follower) grace() uint64 {
	if f.cfg.GraceNow != nil {
		return uint64(f.cfg.GraceNow().Milliseconds())
	}
	return uint64(f.cfg.Grace.Milliseconds())
}

// readOn takes one page of the sweep.
func (f *Follower) readOn(ctx context.Context) error {
	limit := f.page
	page, err := f.read(ctx, f.at, limit)
	if err != nil {
		f.resize(err)
		return fmt.Errorf("rows above %d: %w", f.at, err)
	}
	f.resize(nil)
	next := f.state.clone()
	out := next.forward(page, f.cfg.CutOver, f.grace())
	if err := f.record(ctx, next, out); err != nil {
		return err
	}
	for _, id := range out.vanished {
		f.cfg.Alert(Alert{AlertVanished, id, "the Relay showed this event, or ids from it on, before they were settled, and shows them no more"})
	}
	if out.full {
		f.mid = false
		f.cfg.Alert(Alert{AlertGapsFull, f.state.Cursor, fmt.Sprintf("%d runs of ids are missing", len(f.state.Gaps))})
		return fmt.Errorf("follow account log: %w", refuse(RuleGapSetFull, "%d runs of ids are missing up to %d", len(f.state.Gaps), f.state.Cursor))
	}
	if len(page.rows) < limit {
		f.mid = false // the end, or a pending row: the next poll will see
		return nil
	}
	f.at = page.rows[len(page.rows)-1].ID
	return nil
}

// resize halves the page after an answer of 500 and doubles it after a good one. One row that the Relay cannot build makes
// every page that would hold it fail, for ever: with smaller pages all rows before it still come in.
func (f *Follower) resize(err error) {
	var t *Transient
	switch {
	case err == nil:
		f.page = min(f.cfg.Page, 2*f.page)
	case errors.As(err, &t) && t.Status >= 500:
		f.page = max(1, f.page/2)
	}
}

// lookBack reads one page of settled log where an id was given up, another stretch each time: what comes late is found, and
// what is known is compared.
func (f *Follower) lookBack(ctx context.Context) error {
	if time.Since(f.looked) < lookEvery {
		return nil
	}
	id, ok := spans(f.state.Expired).after(f.look)
	if !ok || id > f.state.Settled {
		f.look = 0
		if id, ok = spans(f.state.Expired).after(0); !ok || id > f.state.Settled {
			return nil
		}
	}
	page, err := f.read(ctx, id-1, min(f.cfg.Page, lookRows))
	if err != nil {
		return err
	}
	next := f.state.clone()
	if err := f.record(ctx, next, next.back(page)); err != nil {
		return err
	}
	f.look, f.looked = id, time.Now()
	if n := len(page.rows); n > 0 {
		f.look = max(id, page.rows[n-1].ID)
	}
	return nil
}

// read asks for a page and moves the answered clock.
func (f *Follower) read(ctx context.Context, after uint64, limit int) (logPage, error) {
	sent := time.Now()
	rows, err := f.log.Events(ctx, after, limit)
	if err != nil {
		f.clock.broke()
		return logPage{}, err
	}
	asked, came := f.clock.answered(sent, time.Now())
	return logPage{after, rows, asked, came}, nil
}

// record makes next the state once it is stored with what it counts as settled.
func (f *Follower) record(ctx context.Context, next FollowState, out step) error {
	next.Answered = f.clock.now()
	if len(out.hand) > 0 || !next.same(f.state) {
		if err := f.books.Record(ctx, out.hand, next.Encode()); err != nil {
			return fmt.Errorf("record account log: %w", err)
		}
	}
	f.state = next
	return nil
}

// answeredClock counts the time in which the Relay answered. A silence moves it by nothing, however long it was: an id that
// was missing before a silence has had no chance to appear in it.
type answeredClock struct {
	total    time.Duration
	last     time.Time // of the last answer
	unbroken bool      // nothing went wrong since
}

func (c *answeredClock) broke() { c.unbroken = false }

// now gives the clock in milliseconds.
func (c *answeredClock) now() uint64 { return uint64(c.total.Milliseconds()) }

// answered counts an answer and gives the clock at its sending and at its coming.
func (c *answeredClock) answered(sent, came time.Time) (asked, arrived uint64) {
	asked = c.now()
	if c.unbroken && !sent.Before(c.last) && came.Sub(c.last) <= maxUnwatched {
		asked = uint64((c.total + sent.Sub(c.last)).Milliseconds())
		c.total += came.Sub(c.last)
	}
	c.last, c.unbroken = came, true
	return asked, c.now()
}
