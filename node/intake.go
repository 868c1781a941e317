package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/relay"
	"conclave/risk"
)

// relayBudget is how long the Relay may be silent before a person hears of it.
const relayBudget = 15 * time.Second

// relayQuiet is how long nothing may be refused before the alert about it ends: the log may be fine while the list is not.
const relayQuiet = 2 * time.Minute

// intake follows the Relay's log and list into the books.
type intake struct {
	n      *Node
	follow *relay.Follower
	list   *relay.ListFollower

	hidden hidden
}

func newIntake(n *Node) (*intake, error) {
	in := &intake{n: n}
	var state []byte
	if err := n.led.View(func(tx *ledger.Tx) error { state = tx.FollowState(); return nil }); err != nil {
		return nil, err
	}
	var err error
	in.follow, err = relay.NewFollower(n.relay, in, relay.FollowConfig{
		State: state, CutOver: n.genesis.Cutover.Event, GraceNow: func() time.Duration { return n.policy().GapGrace }, Poll: n.relayPoll(), Alert: in.alert, Failed: in.failed,
	})
	if err != nil {
		return nil, err
	}
	in.list, err = relay.NewListFollower(n.relay, in, relay.ListConfig{Poll: n.relayPoll(), Alert: in.alert, Failed: in.failed})
	return in, err
}

func (n *Node) relayPoll() time.Duration {
	if n.cfg.RelayPoll > 0 {
		return n.cfg.RelayPoll
	}
	return time.Second
}

// run follows until ctx ends.
func (in *intake) run(ctx context.Context) error {
	done := make(chan error, 3)
	start := func(who string, run func(context.Context) error) {
		wait := in.n.turns.of(who)
		go func() { wait(); done <- run(ctx) }()
	}
	start("log", in.follow.Run)
	start("list", in.list.Run)
	start("mind", in.mind)
	var first error
	for range 3 {
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) && first == nil {
			first = err
		}
	}
	return first
}

// mind does what passing time alone makes due: released vesting, held events, a hold that lasted too long, a silence.
func (in *intake) mind(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := in.due(ctx); err != nil {
			return err
		}
	}
}

func (in *intake) due(ctx context.Context) error {
	st := in.follow.Status()
	if since := in.n.now().Sub(latest(st.LastAnswer, in.n.started)); since > relayBudget {
		in.n.alerts.raise(Alert{Code: codeRelayDown, Severity: ledger.Warning,
			Text: fmt.Sprintf("the Relay has not answered for %s: %v", since.Round(time.Second), st.Err),
			Hint: "intake waits and goes on by itself; check the Relay's URL and this machine's clock"})
	} else if st.Err == nil && !st.LastAnswer.IsZero() {
		in.n.alerts.pulse.moved("intake", st.LastAnswer)
		in.n.alerts.recover(codeRelayDown)
		in.n.alerts.settleDown(codeRelayWrong, relayQuiet)
		in.n.alerts.settleDown(string(relay.AlertGapsFull), relayQuiet)
	}
	var hold ledger.Hold
	var held, waiting bool
	err := in.n.led.View(func(tx *ledger.Tx) (err error) {
		waiting = tx.Waiting()
		hold, held, err = tx.HoldSince()
		return err
	})
	if err == nil && !held {
		in.n.alerts.recoverAll(string(ledger.AlertUncovered), nil)
	}
	if err != nil || (!held && !waiting) {
		return err
	}
	now := uint64(in.n.now().UnixMilli())
	if !held {
		changed := false
		err := in.n.led.Update(func(tx *ledger.Tx) error {
			before, err := tx.Totals()
			if err != nil {
				return err
			}
			if err := tx.Tick(now); err != nil {
				return err
			}
			after, err := tx.Totals()
			changed = before.Counted != after.Counted
			return err
		})
		if changed {
			in.n.poke()
		}
		return err
	}
	if now-hold.Since > uint64(in.n.policy().HoldMax.Milliseconds()) {
		reason := fmt.Sprintf("uncovered debits of %s exceed %s since event %d", hold.Uncovered.Dec(), hold.Max.Dec(), hold.Event)
		in.n.core.post(func() { in.n.core.trip("uncovered-debits", reason) })
	}
	return in.Record(ctx, nil, nil)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Record implements [relay.Books]: the events and the follower's state in one transaction. It screens each event against
// the policy first.
func (in *intake) Record(ctx context.Context, events []ledger.Event, state []byte) error {
	return in.book(ctx, events, state, false)
}

// book records events of the Relay, or ones that q members certified.
func (in *intake) book(ctx context.Context, events []ledger.Event, state []byte, certified bool) error {
	defer in.n.watches.onePage()()
	if err := in.screen(ctx, events); err != nil {
		return err
	}
	if err := in.n.watches.rows(ctx, events, certified); err != nil {
		return err
	}
	var out ledger.Appended
	err := in.n.led.Update(func(tx *ledger.Tx) (err error) {
		out, err = tx.Append(events, ledger.Intake{
			Now: uint64(in.n.now().UnixMilli()), Policy: in.n.policy(),
			FeeAddress: in.n.genesis.FeeAddress, VestingAdmins: in.n.genesis.VestingAdmins, VestingTerms: in.n.genesis.VestingTerms, History: in.n.genesis.Cutover,
			Brought: certified,
		})
		if err == nil && len(events) > 0 {
			err = in.n.watches.store(tx)
		}
		if err != nil || state == nil {
			return err
		}
		return tx.SaveFollowState(state)
	})
	in.n.watches.stored(err)
	if err != nil {
		return in.refused(err)
	}
	in.n.raiseBooks(out.Alerts)
	if out.Booked > 0 {
		in.n.poke()
	}
	return nil
}

// screen looks for events that are abnormally high for their type. The fuse trips before they are booked, so that no
// verdict can rest on them; they are booked all the same, for what a person must judge is better seen in the books.
func (in *intake) screen(ctx context.Context, events []ledger.Event) error {
	for _, e := range events {
		breach, bad := risk.ScreenEvent(in.n.rules(), e)
		if !bad || e.ID <= in.n.genesis.Cutover.Event || in.booked(e.ID) {
			continue // q operators signed the history, and a row that is handed over again was judged when it came first
		}
		in.n.raiseBooks([]ledger.Alert{breach.Alert})
		if breach.Freeze != nil {
			if err := in.freeze(e.Account, *breach.Freeze); err != nil {
				return err
			}
			continue
		}
		err := in.n.core.ask(ctx, func() { in.n.core.trip(string(breach.Alert.Code), breach.Alert.Text) })
		if err != nil {
			return err
		}
	}
	return nil
}

// freeze stops an account before the row that is the reason is booked.
func (in *intake) freeze(account common.Address, f ledger.Freeze) error {
	f.Since = uint64(in.n.now().UnixMilli())
	return in.n.led.Update(func(tx *ledger.Tx) error { _, err := tx.Freeze(account, f); return err })
}

// booked reports whether the books hold an event.
func (in *intake) booked(id uint64) (ok bool) {
	err := in.n.led.View(func(tx *ledger.Tx) (err error) { _, ok, err = tx.Event(id); return err })
	return ok && err == nil
}

// PutWithdrawals implements [relay.Requests].
func (in *intake) PutWithdrawals(_ context.Context, rows []ledger.Withdrawal) error {
	var raised []ledger.Alert
	err := in.n.led.Update(func(tx *ledger.Tx) error {
		raised = nil
		for _, w := range rows {
			more, err := tx.PutWithdrawal(w)
			if err != nil {
				return err
			}
			raised = append(raised, more...)
		}
		return in.n.watches.requests(tx, rows)
	})
	if err != nil {
		return in.refused(err)
	}
	in.n.raiseBooks(raised)
	in.n.poke()
	return nil
}

// refused sorts what the ledger said: hostile content trips the fuse, a full hold waits, a broken disk stops the node.
func (in *intake) refused(err error) error {
	switch {
	case errors.Is(err, ledger.ErrHostile):
		var changed *ledger.ChangedError
		if errors.As(err, &changed) {
			in.n.core.post(func() {
				in.n.core.keepEvidence(ledger.EvidenceHistory, common.Address{}, changed.Was, changed.Now)
			})
		}
		in.trip("relay-hostile", err)
	case errors.Is(err, ledger.ErrHoldFull):
	default:
		in.n.core.post(func() { in.n.core.stop(fmt.Errorf("intake: %w", err)) })
	}
	return err
}

func (in *intake) trip(code string, err error) {
	in.n.core.post(func() { in.n.core.trip(code, err.Error()) })
}

// failed hears that a poll went wrong. It is tried again.
func (in *intake) failed(err error) {
	if relay.IsHostile(err) {
		in.trip("relay-hostile", err)
		return
	}
	var refusal *relay.Refusal
	var refused *relay.Refused
	if errors.As(err, &refusal) || errors.As(err, &refused) {
		in.n.alerts.raise(Alert{Code: codeRelayWrong, Severity: ledger.Warning, Text: err.Error(),
			Hint: "compare with the other operators; intake tries again"})
		return
	}
	in.n.log.Debug("relay poll failed", zap.Error(err))
}

func (in *intake) alert(a relay.Alert) {
	in.n.alerts.raise(Alert{Key: fmt.Sprintf("%s%d", a.Code, a.ID), Code: string(a.Code), Severity: ledger.Warning,
		Text: fmt.Sprintf("%s (%d)", a.Detail, a.ID), Hint: "ask the Relay's operator"})
}

func (in *intake) gaps() int { return in.follow.Status().Gaps }
