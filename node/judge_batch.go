package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/risk"
)

// Bounds of one pass. A commit costs a sync of the disk whether it holds one verdict or many.
const (
	judgeBatch  = 256
	judgeGather = 250 * time.Millisecond // how long verdicts that are ready wait for those whose chain is slow
)

// opinion is one request on its way to a verdict.
type opinion struct {
	w       ledger.Withdrawal
	facts   risk.Facts
	verdict risk.Verdict
	raw     []byte // of the verdict, when one was signed
}

// writes reports whether there is anything to record: most of what waits has nothing.
func (o *opinion) writes() bool {
	v := o.verdict
	return v.Kind != risk.Wait || v.Freeze != nil || v.Thaw != nil || (v.Bound && !v.Noted)
}

// some judges the next of the open withdrawals, records what can be said for good in one transaction, and returns the rest.
func (j *judge) some(ctx context.Context, open []ledger.Withdrawal, in inForce) (rest []ledger.Withdrawal, err error) {
	batch, rest := j.gather(ctx, open, in)
	if ctx.Err() != nil {
		return nil, nil
	}
	var due []*opinion
	err = j.n.led.View(func(tx *ledger.Tx) error {
		due = due[:0]
		for _, o := range batch {
			if err := o.judge(tx); err != nil {
				return err
			}
			if o.writes() {
				due = append(due, o)
			} else {
				j.conclude(o)
			}
		}
		return nil
	})
	if err != nil || len(due) == 0 {
		return rest, err
	}
	return rest, j.record(due, in)
}

// gather asks for the facts of the next withdrawals.
func (j *judge) gather(ctx context.Context, open []ledger.Withdrawal, in inForce) (batch []*opinion, rest []ledger.Withdrawal) {
	since := j.n.now()
	for len(open) > 0 && len(batch) < judgeBatch && ctx.Err() == nil && (len(batch) == 0 || j.n.now().Sub(since) < judgeGather) {
		var asking sync.WaitGroup
		n := j.together(open)
		for _, w := range open[:n] {
			o := &opinion{w: w}
			batch = append(batch, o)
			asking.Go(func() { o.facts = j.facts(ctx, o.w, in) })
		}
		asking.Wait()
		open = open[n:]
	}
	return batch, open
}

func (o *opinion) judge(tx *ledger.Tx) (err error) {
	o.facts.Halted = halted(tx, o.w)
	if o.verdict, err = risk.Judge(tx, o.w, o.facts); err != nil {
		return fmt.Errorf("judge withdrawal %d: %w", o.w.ID, err)
	}
	return nil
}

// record judges again in the transaction that signs, so that the books do not move in between. When one of several is
// refused by a rule, the transaction fails and each is tried alone: the others must not wait for it.
func (j *judge) record(due []*opinion, in inForce) error {
	err := j.n.led.Update(func(tx *ledger.Tx) error {
		for _, o := range due {
			if err := j.recordOne(tx, o, in); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && len(due) > 1 {
		for _, o := range due {
			if err := j.record([]*opinion{o}, in); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		o := due[0]
		o.raw = nil
		var conflict *ledger.HeadConflict
		switch {
		case errors.As(err, &conflict):
			return j.freezeHead(conflict)
		case !isRule(err):
			return fmt.Errorf("judge withdrawal %d: %w", o.w.ID, err)
		}
		o.verdict.Kind = risk.Wait
		o.verdict.Explanations = append(o.verdict.Explanations, risk.Explanation{Rule: "record", Outcome: risk.Waits, Observed: err.Error()})
		j.n.log.Debug("verdict refused by rule", zap.Uint64("withdrawal", o.w.ID), zap.Error(err))
	}
	j.tell(due)
	return nil
}

func (j *judge) recordOne(tx *ledger.Tx, o *opinion, in inForce) error {
	o.raw = nil
	if v := o.verdict; v.Bound && !v.Noted {
		if err := tx.NoteSettled(o.w.EventID, o.facts.Now); err != nil {
			return err
		}
	}
	if err := o.judge(tx); err != nil {
		return err
	}
	if v := o.verdict; v.Freeze != nil {
		f := *v.Freeze
		f.Since = o.facts.Now
		_, err := tx.Freeze(o.w.Account, f)
		return err
	}
	if v := o.verdict; v.Thaw != nil {
		if _, err := tx.Unfreeze(o.w.Account, v.Thaw.Code, v.Thaw.Ref); err != nil {
			return err
		}
	}
	var err error
	o.raw, err = j.sign(tx, o.verdict, in)
	return err
}

// tell lets bytes leave that are on disk now.
func (j *judge) tell(due []*opinion) {
	var said [][]byte
	for _, o := range due {
		j.conclude(o)
		if o.raw != nil {
			j.n.core.publish(topicFacts, o.raw)
			said = append(said, o.raw)
		}
	}
	if len(said) == 0 {
		return
	}
	j.n.core.post(func() {
		j.n.core.hearFacts(said)
		j.n.core.maybeBegin(j.n.core.now())
	})
}

// conclude keeps what was said, for people.
func (j *judge) conclude(o *opinion) {
	j.remember(o.w.ID, o.verdict, o.facts.Destination)
	j.n.raiseBooks(o.verdict.Alerts)
}

// keepRisk brings what the rules remember in line with the policy in force: after a start, and after a decision changed it.
func (j *judge) keepRisk(ctx context.Context, in inForce) error {
	limits, history := j.n.cfg.Overlay.Over(in.policy).Limits, j.n.genesis.Cutover.Event
	kept := false
	err := j.n.led.View(func(tx *ledger.Tx) (err error) { kept, err = tx.RiskKept(limits, history); return err })
	for err == nil && !kept && ctx.Err() == nil {
		var alerts []ledger.Alert
		err = j.n.led.Update(func(tx *ledger.Tx) (err error) {
			kept, alerts, err = tx.KeepRisk(limits, history, uint64(j.n.now().UnixMilli()))
			return err
		})
		j.n.raiseBooks(alerts)
	}
	return err
}
