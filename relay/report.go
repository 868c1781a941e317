package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"conclave/ledger"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// Turn is how long one member has to report an outcome before it is the next one's turn as well.
	Turn = 60 * time.Second
	// retryAfter is the pause between two calls for one outcome.
	retryAfter = 10 * time.Second
	// reportBudget is how long the list may lack an outcome that members report in turns until a person hears of it.
	reportBudget = 3 * Turn
	// callsPerRound bounds the calls of one round, so that a long outbox does not delay seeing what is done.
	callsPerRound = 32
)

// Outcome is what the Relay is told of a withdrawal.
type Outcome uint8

// The two outcomes. A withdrawal has one, for ever: told both, the Relay refunds what was paid.
const (
	Fulfil Outcome = 1 // it was paid, by a final transaction
	Reject Outcome = 2 // it was decided to refuse it
)

func (o Outcome) String() string {
	switch o {
	case Fulfil:
		return "fulfil"
	case Reject:
		return "reject"
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Report is one entry of the outbox.
type Report struct {
	WID       uint64
	Outcome   Outcome
	TxHash    common.Hash // of the payment; zero for a reject
	Height    uint64      // of the decision
	DecidedAt uint64      // unix ms by this node's clock, when the entry was written
}

// Outbox holds the outcomes that the Relay has to be told, durably. An entry is written with what decided it, one per
// withdrawal for ever; the reporter only marks it.
type Outbox interface {
	Owed(ctx context.Context) ([]Report, error)                                             // all that are not done, by withdrawal
	Listed(ctx context.Context, wid uint64) (s ledger.WithdrawalStatus, ok bool, err error) // as the list follower read it last
	Tried(ctx context.Context, wid uint64, wrong string) error                              // before a call with "", after it with what went wrong
	Done(ctx context.Context, wids ...uint64) error                                         // the Relay's list shows these outcomes; one write
}

// Outcomes is what the reporter calls: [Client] is one.
type Outcomes interface {
	List
	Fulfil(ctx context.Context, id uint64, tx common.Hash) error
	Reject(ctx context.Context, id uint64) error
}

// ReporterOf is who reports an outcome that was decided at a height in a given turn: the turns pass all members.
func ReporterOf(members []common.Address, height, turn uint64) common.Address {
	n := uint64(len(members))
	return members[(height%n+turn%n)%n]
}

// TurnAt counts the turns since an outcome was recorded; times are unix milliseconds.
func TurnAt(decidedAt, now uint64) uint64 {
	if now <= decidedAt {
		return 0
	}
	return (now - decidedAt) / uint64(Turn.Milliseconds())
}

// Duty is what to do about an owed report.
type Duty int

// The duties.
const (
	Wait     Duty = iota // another member's turn, or too early to call again
	Call                 // tell the Relay
	Settled              // the list shows the outcome
	Contrary             // the list shows the opposite, and nothing may be sent any more
)

// DutyOf decides about one report, given what the list shows of it and the own last call (zero when none).
func DutyOf(r Report, listed ledger.WithdrawalStatus, members []common.Address, self common.Address, now uint64, lastCall time.Time) Duty {
	want := ledger.StatusSuccess
	if r.Outcome == Reject {
		want = ledger.StatusFailed
	}
	switch {
	case listed == want:
		return Settled
	case listed != ledger.StatusPending:
		return Contrary
	case len(members) == 0 || ReporterOf(members, r.Height, TurnAt(r.DecidedAt, now)) != self:
		return Wait
	case !lastCall.IsZero() && now < uint64(lastCall.Add(retryAfter).UnixMilli()):
		return Wait
	}
	return Call
}

// ReporterConfig sets a reporter up.
type ReporterConfig struct {
	Self    common.Address
	Members func() []common.Address // of the epoch in force, in its order
	Poll    time.Duration           // between two rounds; 0: DefaultPoll
	Alert   func(Alert)
	Failed  func(error)
}

// Reporter works through the outbox. Run or Round it from one goroutine: calls for one withdrawal must not overlap.
type Reporter struct {
	relay Outcomes
	box   Outbox
	cfg   ReporterConfig
	last  map[uint64]time.Time // own last call per owed withdrawal
	told  map[uint64]AlertCode // what was alerted about of those that may stay owed for ever
}

// NewReporter checks the configuration.
func NewReporter(relay Outcomes, box Outbox, cfg ReporterConfig) (*Reporter, error) {
	if cfg.Members == nil || cfg.Poll < 0 {
		return nil, errors.New("reporter: no members, or a negative poll")
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.Alert == nil {
		cfg.Alert = func(Alert) {}
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	return &Reporter{relay: relay, box: box, cfg: cfg, last: map[uint64]time.Time{}, told: map[uint64]AlertCode{}}, nil
}

// Run works until ctx ends.
func (p *Reporter) Run(ctx context.Context) error {
	return poll(ctx, p.cfg.Poll, p.cfg.Failed, func(ctx context.Context) (bool, error) { return false, p.Round(ctx) })
}

// Round looks at every owed report once. What the Relay says to one call stops no other; when it does not answer at all,
// the round ends and the next one tries.
func (p *Reporter) Round(ctx context.Context) error {
	owed, err := p.box.Owed(ctx)
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	members, calls := p.cfg.Members(), 0
	last := make(map[uint64]time.Time, len(owed))
	for _, r := range owed {
		if t, ok := p.last[r.WID]; ok {
			last[r.WID] = t
		}
	}
	p.last = last
	var done []uint64
	for _, r := range owed {
		listed, _, err := p.box.Listed(ctx, r.WID)
		if err != nil {
			return errors.Join(fmt.Errorf("read listed status of withdrawal %d: %w", r.WID, err), p.done(ctx, done))
		}
		duty := DutyOf(r, listed, members, p.cfg.Self, uint64(time.Now().UnixMilli()), p.last[r.WID])
		if duty == Call {
			if calls++; calls > callsPerRound {
				continue
			}
			if duty, err = p.call(ctx, r); err != nil {
				return errors.Join(err, p.done(ctx, done))
			}
		}
		switch duty {
		case Settled:
			done = append(done, r.WID)
		case Contrary:
			p.contrary(r)
		default:
			p.overdue(r)
		}
	}
	return p.done(ctx, done)
}

// done records what the list shows, all of a round at once: a batch is reported within a few rounds, and each write is a sync of
// the disk.
func (p *Reporter) done(ctx context.Context, wids []uint64) error {
	if len(wids) == 0 {
		return nil
	}
	if err := p.box.Done(ctx, wids...); err != nil {
		return fmt.Errorf("mark %d reports done: %w", len(wids), err)
	}
	return nil
}

// overdue alerts once about an outcome that the list still lacks after everybody's turn: a Relay that answers 200 and does
// nothing looks like success to whoever calls.
func (p *Reporter) overdue(r Report) {
	if p.told[r.WID] != "" || time.Now().Before(time.UnixMilli(int64(r.DecidedAt)).Add(reportBudget)) {
		return
	}
	p.told[r.WID] = AlertUnseen
	p.cfg.Alert(Alert{AlertUnseen, r.WID, fmt.Sprintf("this network decided to %s it %s ago, and the Relay still shows it as pending", r.Outcome, reportBudget)})
}

// contrary alerts once about an outcome whose opposite the list shows.
func (p *Reporter) contrary(r Report) {
	if p.told[r.WID] == AlertContrary {
		return
	}
	p.told[r.WID] = AlertContrary
	p.cfg.Alert(Alert{AlertContrary, r.WID, fmt.Sprintf("this network decided to %s it, the Relay shows the opposite", r.Outcome)})
}

// call tells the Relay one outcome and reads the row again: only the list says what came of it, for an error may hide a
// success and "is not pending" may mean that another member was faster. An error ends the round.
func (p *Reporter) call(ctx context.Context, r Report) (Duty, error) {
	if err := p.tried(ctx, r, ""); err != nil {
		return Wait, err
	}
	p.last[r.WID] = time.Now()
	cause := p.tell(ctx, r)
	if ctx.Err() != nil {
		return Wait, ctx.Err()
	}
	var transient *Transient
	if errors.As(cause, &transient) && transient.Status == 0 {
		return Wait, errors.Join(cause, p.tried(ctx, r, cause.Error()))
	}

	duty := Wait // not seen: the list follower and the next round will
	rows, _, err := p.relay.Withdrawals(ctx, r.WID-1, 1)
	if err == nil && len(rows) == 1 && rows[0].ID == r.WID {
		duty = DutyOf(r, rows[0].Status, nil, p.cfg.Self, 0, time.Time{})
	}
	if cause == nil || duty == Settled {
		return duty, nil
	}
	var refused *Refused
	if errors.As(cause, &refused) {
		p.cfg.Alert(Alert{AlertReporting, r.WID, cause.Error()})
	}
	return duty, p.tried(ctx, r, cause.Error())
}

func (p *Reporter) tell(ctx context.Context, r Report) error {
	switch r.Outcome {
	case Fulfil:
		return p.relay.Fulfil(ctx, r.WID, r.TxHash)
	case Reject:
		return p.relay.Reject(ctx, r.WID)
	}
	return fmt.Errorf("report on withdrawal %d: unknown %s", r.WID, r.Outcome)
}

func (p *Reporter) tried(ctx context.Context, r Report, wrong string) error {
	if err := p.box.Tried(ctx, r.WID, wrong); err != nil {
		return fmt.Errorf("mark report on withdrawal %d: %w", r.WID, err)
	}
	return nil
}
