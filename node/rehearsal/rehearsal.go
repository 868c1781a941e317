package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/risk"
)

// Config is what to rehearse. Give either Ledger or Export.
type Config struct {
	Policy  quorum.Policy
	Genesis quorum.Genesis // of the ledger's network; zero with an export
	Ledger  *ledger.Ledger
	Export  io.Reader

	Drift    uint64                             // percent that credits are inflated by; zero: nothing is injected
	Progress func(what string, done, of uint64) // now and then; of is 0 when it is not known; may be nil
}

// progressEvery is how many rows lie between two looks at the context and calls of Progress.
const progressEvery = 20_000

// rehearsal is one run.
type rehearsal struct {
	cfg     Config
	report  Report
	found   tally
	total   uint64
	asked   map[uint64]ledger.Withdrawal // by the event that reserved the amount
	paid    map[payee]first              // where decisions paid whom
	seen    map[common.Address]bool
	accrual accrual
	watches *risk.Watches
	drift   *injected
}

// payee is where an account's money goes on a network.
type payee struct {
	account, to common.Address
	network     string
}

// first is the first decided payout to a payee.
type first struct {
	wid uint64
	at  uint64 // unix ms of decided time
}

// Run rehearses a policy.
func Run(ctx context.Context, cfg Config) (Report, error) {
	r := &rehearsal{cfg: cfg, found: tally{}, asked: map[uint64]ledger.Withdrawal{}, paid: map[payee]first{},
		seen: map[common.Address]bool{}, watches: risk.NewWatches(cfg.Policy.Watch)}
	r.report.Version, r.report.Hash = cfg.Policy.Version, cfg.Policy.Hash
	r.accrual = newAccrual(cfg.Policy.Limits)
	if cfg.Drift > 0 {
		r.drift = newInjected(cfg.Policy.Watch, cfg.Drift)
	}
	var err error
	switch {
	case (cfg.Ledger == nil) == (cfg.Export == nil):
		return Report{}, errors.New("rehearse: give either a ledger or an export")
	case cfg.Ledger != nil:
		err = cfg.Ledger.View(func(tx *ledger.Tx) error { return r.walk(ctx, tx) })
	default:
		_, err = ledger.ReadExport(cfg.Export, func(e ledger.Event) error { return r.row(ctx, e) }, nil)
	}
	if err != nil {
		return Report{}, fmt.Errorf("rehearse: %w", err)
	}
	if r.drift != nil {
		r.report.Drift = r.drift.report()
	}
	r.report.Rules = r.found.list()
	return r.report, nil
}

func (r *rehearsal) walk(ctx context.Context, tx *ledger.Tx) error {
	t, err := tx.Totals()
	if err != nil {
		return err
	}
	r.total = t.Events
	if err := r.payouts(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.Withdrawals(ledger.WithdrawalFilter{})
	if err != nil {
		return err
	}
	for _, w := range rows {
		if !r.cfg.Genesis.Cutover.Past(w.EventID, w.ID) {
			r.asked[w.EventID] = w
		}
	}
	return tx.Events(0, func(e ledger.Event) error { return r.row(ctx, e) })
}

// payouts asks the governors about what was decided.
func (r *rehearsal) payouts(ctx context.Context, tx *ledger.Tx) error {
	governors := batch.NewRehearsal(r.cfg.Policy)
	return tx.Decisions(1, func(d quorum.UncheckedDecision) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := batch.Decode(d.Value)
		if err != nil || len(b.Items) == 0 {
			return err
		}
		r.report.Payouts++
		err = governors.Batch(b, func(i int, q *batch.Queued) {
			c := b.Items[i].Content
			r.found.add(batch.GovernorName(q.Governor), Queued, Example{"withdrawal", c.WID,
				fmt.Sprintf("%s wei were left, %s asked for", q.Level.Dec(), q.Amount.Dec()), "free at " + text(q.Free/1000)})
		})
		if err != nil {
			r.found.add("shares", Queued, Example{"height", b.Height, err.Error(), "the policy's shares of a batch"})
		}
		for _, it := range b.Items {
			to := payee{it.Content.Account, it.Content.To, it.Content.Network}
			if _, ok := r.paid[to]; !ok {
				r.paid[to] = first{it.Content.WID, b.Time}
			}
		}
		return nil
	})
}

// row asks the rules about one row of the log, and about the request that it is of.
func (r *rehearsal) row(ctx context.Context, e ledger.Event) error {
	if r.report.Events++; r.report.Events%progressEvery == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.cfg.Progress != nil {
			r.cfg.Progress("events", r.report.Events, r.total)
		}
	}
	at := time.Unix(int64(min(e.CreatedAt, 1<<40)), 0).UTC()
	if r.report.From.IsZero() || at.Before(r.report.From) {
		r.report.From = at
	}
	if at.After(r.report.To) {
		r.report.To = at
	}
	if e.ID > r.cfg.Genesis.Cutover.Event {
		r.screen(e)
	}
	unseen := !r.seen[e.Account]
	r.seen[e.Account] = true
	for _, f := range r.watches.Row(e, e.CreatedAt, unseen, false) {
		r.watched(e, f)
	}
	if r.drift != nil {
		r.drift.row(e)
	}
	if w, ok := r.asked[e.ID]; ok {
		for _, f := range r.watches.Request(w, e.CreatedAt, false) {
			r.watched(e, f)
		}
		return r.request(w, e.CreatedAt*1000)
	}
	return nil
}

// screen asks the rules that read single rows and sums of rows.
func (r *rehearsal) screen(e ledger.Event) {
	if b, bad := risk.ScreenEvent(r.cfg.Policy, e); bad {
		effect := Tripped
		if b.Freeze != nil {
			effect = Frozen
		}
		r.found.add(b.Explanation.Rule, effect, Example{"event", e.ID, b.Explanation.Observed, b.Explanation.Threshold})
	}
	if most, over := r.accrual.row(e); over {
		r.found.add("accrual", Frozen, Example{"event", e.ID, fmt.Sprintf("%s was credited %s wei", e.Account, most.Dec()),
			fmt.Sprintf("at most %s wei within %s", r.cfg.Policy.Limits.AccrualCeiling.Dec(), r.cfg.Policy.Limits.AccrualWindow)})
	}
}

func (r *rehearsal) watched(e ledger.Event, f risk.Finding) {
	effect := Alerted
	if f.Fuse {
		effect = Tripped
	}
	r.found.add(f.Explanation.Rule, effect, Example{"event", e.ID, f.Explanation.Observed, f.Explanation.Threshold})
}

// rulesOfPolicy are the hard rules whose word is the policy's: the others are about the books, which a policy does not change.
var rulesOfPolicy = map[string]bool{"minimum": true, "deny-list": true, "tariff": true, "fee": true, "allow-list": true,
	"cool-down": true, "large-withdrawal": true, "hours": true}

// asIf is the books with nothing wrong, at the moment when a row settled.
type asIf struct{ facts ledger.RiskFacts }

// Standing implements [risk.View].
func (asIf) Standing(ledger.Withdrawal) (ledger.Standing, error) {
	s := ledger.Standing{Binding: ledger.Bound, Seq: 1}
	s.Counted.SetAllOne()
	return s, nil
}

// RiskFacts implements [risk.View].
func (a asIf) RiskFacts(ledger.Withdrawal) (ledger.RiskFacts, error) { return a.facts, nil }

// request asks the policy's rules about a request at the moment when its row was written.
func (r *rehearsal) request(w ledger.Withdrawal, now uint64) error {
	r.report.Withdrawals++
	facts := ledger.RiskFacts{Settled: max(1, now)}
	if was, ok := r.paid[payee{w.Account, w.To, w.Network}]; ok && was.at <= now && was.wid != w.ID {
		facts.PaidBefore = was.wid
	}
	v, err := risk.Explain(asIf{facts}, w, risk.Facts{Policy: r.cfg.Policy, Now: now, LaneKnown: true, InForce: true,
		Destination: risk.Destination{State: risk.Known, Address: w.To}, FeeAddress: r.cfg.Genesis.FeeAddress, DaoAddress: r.cfg.Genesis.DaoAddress})
	if err != nil {
		return err
	}
	for _, e := range v.Explanations {
		effect := map[risk.Outcome]string{risk.Waits: Waiting, risk.Refuses: Refused}[e.Outcome]
		if effect != "" && rulesOfPolicy[e.Rule] {
			r.found.add(e.Rule, effect, Example{"withdrawal", w.ID, e.Observed, e.Threshold})
		}
	}
	return nil
}

func text(seconds uint64) string {
	return time.Unix(int64(min(seconds, 1<<40)), 0).UTC().Format(time.RFC3339)
}

// accrual is the ledger's sums of credits, in memory.
type accrual struct {
	seconds, span uint64
	ceiling       uint256.Int
	slots         map[common.Address]map[uint64]*uint256.Int
	frozen        map[common.Address]bool
}

func newAccrual(l quorum.Limits) accrual {
	a := accrual{ceiling: l.AccrualCeiling, slots: map[common.Address]map[uint64]*uint256.Int{}, frozen: map[common.Address]bool{}}
	a.seconds, a.span = ledger.AccrualSlots(l)
	return a
}

// row counts a credit; over says that it freezes its account.
func (a accrual) row(e ledger.Event) (most uint256.Int, over bool) {
	amount, ok := ledger.Accrued(e)
	if !ok || a.seconds == 0 || a.frozen[e.Account] {
		return most, false
	}
	slots := a.slots[e.Account]
	if slots == nil {
		slots = map[uint64]*uint256.Int{}
		a.slots[e.Account] = slots
	}
	at := e.CreatedAt / a.seconds
	if slots[at] == nil {
		slots[at] = new(uint256.Int)
	}
	slots[at].Add(slots[at], &amount)
	for from := at - min(at, a.span-1); from <= at; from++ {
		var sum uint256.Int
		for i := from; i < from+a.span; i++ {
			if s := slots[i]; s != nil {
				sum.Add(&sum, s)
			}
		}
		if sum.Gt(&most) {
			most = sum
		}
	}
	if !most.Gt(&a.ceiling) {
		return most, false
	}
	a.frozen[e.Account] = true
	return most, true
}
