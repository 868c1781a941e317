package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"conclave/ledger"
	"conclave/risk"
)

// Bounds of what is said about late withdrawals.
const (
	// maxLateLooked is whose reasons are asked for in one look; the next look goes on behind them. With the oldest alone, as
	// many that wait as planned would hide all others.
	maxLateLooked = 200
	maxLateNamed  = 5 // ids in one text
	// lateSettle is how long one reason must hold before it is told: a payment that goes on at last passes through several.
	lateSettle = time.Minute
)

// reasonHeld is why a late withdrawal waits, and since when it gives that reason.
type reasonHeld struct {
	code   string
	reason Reason
	since  time.Time
}

// turn returns the late withdrawals, ascending, whose reasons are asked for in this look.
func (p *patience) turn(late []uint64) []uint64 {
	from, _ := slices.BinarySearch(late, p.looked+1)
	out := slices.Concat(late[from:], late[:from])
	out = out[:min(len(out), maxLateLooked)]
	if len(out) > 0 {
		p.looked = out[len(out)-1]
	}
	return out
}

// heard notes why a late withdrawal waits.
func (p *patience) heard(wid uint64, code string, why Reason) {
	since := p.now()
	if p.reasons[wid].code == code {
		since = p.reasons[wid].since
	}
	p.reasons[wid] = reasonHeld{code, why, since}
}

// groups puts the late withdrawals together by reason: those that gave one for long enough to tell it.
func (p *patience) groups(late []uint64) map[string]*lateGroup {
	out := map[string]*lateGroup{}
	for _, wid := range late {
		held, known := p.reasons[wid]
		if !known || routine(held.code) || p.now().Sub(held.since) < lateSettle {
			continue
		}
		g := out[held.code]
		if g == nil {
			g = &lateGroup{text: held.reason.Text, hint: held.reason.Hint}
			out[held.code] = g
		}
		g.ids = append(g.ids, wid)
	}
	return out
}

// routine reports whether a withdrawal waits for what nobody needs to be called for: no verdict of ours is due on it, or the
// policy wants it to wait until a time that comes by itself.
func routine(code string) bool {
	return slices.Contains([]risk.Code{risk.WaitHistory, risk.WaitDecided, risk.WaitCoolDown, risk.WaitLarge, risk.WaitHours}, risk.Code(code))
}

// lateGroup is the late withdrawals that wait for one reason. They are one alert: when everything stops, a thousand of them
// have one cause.
type lateGroup struct {
	ids  []uint64
	text string
	hint string
}

// waitFor names the alerts of the reasons that late withdrawals give, told or not; all is false while some were not asked.
func (p *patience) waitFor(late []uint64) (keys map[string]bool, all bool) {
	keys, all = map[string]bool{}, true
	for _, wid := range late {
		held, known := p.reasons[wid]
		if all = all && known; known && !routine(held.code) {
			keys[codeLate+" "+held.code] = true
		}
	}
	return keys, all
}

// watchLate calls for a person when a withdrawal is listed without verdict, or certified and unpaid, for longer than its
// budget, and when an outcome is not taken by the Relay for as long.
func (n *Node) watchLate(ctx context.Context, p *patience) error {
	ids, reports, err := n.late(p)
	if err != nil {
		return err
	}
	for _, wid := range p.turn(ids) {
		code, reason, err := n.lateReason(ctx, wid)
		if err != nil {
			return err
		}
		p.heard(wid, code, reason)
	}
	groups := p.groups(ids)
	for _, code := range slices.Sorted(maps.Keys(groups)) {
		g, key := groups[code], codeLate+" "+code
		n.alerts.raise(Alert{Key: key, Code: codeLate, Hint: g.hint,
			Text: fmt.Sprintf("%s unpaid for more than %s: %s: %s (%s)", count(len(g.ids), "withdrawal"), n.alerts.rules.Late, code, g.text, named(g.ids))})
	}
	// An alert of before a start stands until its withdrawals were asked, and while one may only be passing through its reason.
	if waiting, all := p.waitFor(ids); all {
		n.alerts.recoverAll(codeLate, waiting)
	}
	if len(reports) == 0 {
		n.alerts.recover(codeReportLate)
		return nil
	}
	n.alerts.raise(Alert{Code: codeReportLate,
		Text: fmt.Sprintf("%s not shown by the Relay for more than %s (%s)", count(len(reports), "outcome"), n.alerts.rules.Late, named(reports))})
	return nil
}

// lateReason is the first reason that custodian_withdrawal would give.
func (n *Node) lateReason(ctx context.Context, wid uint64) (string, Reason, error) {
	ask, cancel := context.WithTimeout(ctx, waitsTimeout)
	defer cancel()
	v, err := n.Withdrawal(ask, wid)
	if err != nil {
		return "", Reason{}, err
	}
	if len(v.WhyNotYet) == 0 {
		return v.Stage, Reason{Text: "no reason is known"}, nil
	}
	return v.WhyNotYet[0].Code, v.WhyNotYet[0], nil
}

// late returns the withdrawals that wait for a verdict or for their payment, and the reports that wait for the Relay, each
// beyond its budget.
func (n *Node) late(p *patience) (ids, reports []uint64, err error) {
	now := n.now()
	budget := n.alerts.rules.Late
	due := map[uint64]bool{}
	err = n.led.View(func(tx *ledger.Tx) error {
		open := map[uint64]bool{}
		consider := func(w ledger.Withdrawal) {
			open[w.ID] = true
			if _, known := p.seen[w.ID]; !known {
				p.seen[w.ID] = now
			}
			// The Relay's word on when it was asked for counts when it is older: a restart begins no new patience.
			since := p.seen[w.ID]
			if asked := time.Unix(int64(w.Timestamp), 0); asked.Before(since) {
				since = asked
			}
			if now.Sub(since) >= budget {
				due[w.ID] = true
			}
		}
		rows, err := tx.Withdrawals(ledger.WithdrawalFilter{Open: true})
		if err != nil {
			return err
		}
		for _, w := range rows {
			consider(w)
		}
		if err := n.eachUnpaid(tx, consider); err != nil {
			return err
		}
		maps.DeleteFunc(p.reasons, func(wid uint64, _ reasonHeld) bool { return !due[wid] })
		maps.DeleteFunc(p.seen, func(wid uint64, _ time.Time) bool { return !open[wid] })
		return tx.PendingReports(func(r ledger.Report) error {
			if now.Sub(time.UnixMilli(int64(r.DecidedAt))) >= budget {
				reports = append(reports, r.WID)
			}
			return nil
		})
	})
	return slices.Sorted(maps.Keys(due)), reports, err
}

// eachUnpaid calls fn for the withdrawals of decided payments that no outcome closed yet.
func (n *Node) eachUnpaid(tx *ledger.Tx, fn func(ledger.Withdrawal)) error {
	return tx.OpenSlots(func(s ledger.Slot, _ ledger.Payout) error {
		for _, wid := range s.Items {
			w, ok, err := tx.Withdrawal(wid)
			if err != nil {
				return err
			}
			if ok {
				fn(w)
			}
		}
		return nil
	})
}

// named lists a few ids.
func named(ids []uint64) string {
	var out []string
	for _, id := range ids[:min(len(ids), maxLateNamed)] {
		out = append(out, fmt.Sprint(id))
	}
	if more := len(ids) - maxLateNamed; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
