package node

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/relay"
)

// reporter tells the Relay what was decided, from the ledger's outbox.
type reporter struct {
	n    *Node
	work *relay.Reporter
}

func newReporter(n *Node) (*reporter, error) {
	r := &reporter{n: n}
	var err error
	r.work, err = relay.NewReporter(n.relay, r, relay.ReporterConfig{
		Self: n.self, Members: func() []common.Address { return n.members() }, Poll: n.relayPoll(),
		Alert: func(a relay.Alert) {
			n.alerts.raise(Alert{Key: fmt.Sprintf("%s%d", a.Code, a.ID), Code: string(a.Code), Severity: ledger.Critical,
				Text: fmt.Sprintf("withdrawal %d: %s", a.ID, a.Detail), Hint: "compare with custodian_withdrawal on the other nodes"})
		},
		Failed: func(err error) { n.log.Debug("report round failed", zap.Error(err)) },
	})
	return r, err
}

func (r *reporter) run(ctx context.Context) error {
	if err := r.work.Run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Owed implements [relay.Outbox].
func (r *reporter) Owed(context.Context) (out []relay.Report, err error) {
	err = r.n.led.View(func(tx *ledger.Tx) error {
		return tx.PendingReports(func(p ledger.Report) error {
			outcome := relay.Fulfil
			if p.Outcome == ledger.ReportReject {
				outcome = relay.Reject
			}
			out = append(out, relay.Report{WID: p.WID, Outcome: outcome, TxHash: p.TxHash, Height: p.Height, DecidedAt: p.DecidedAt})
			return nil
		})
	})
	return out, err
}

// Listed implements [relay.Outbox].
func (r *reporter) Listed(_ context.Context, wid uint64) (s ledger.WithdrawalStatus, ok bool, err error) {
	err = r.n.led.View(func(tx *ledger.Tx) error {
		w, found, err := tx.Withdrawal(wid)
		s, ok = w.Status, found
		return err
	})
	return s, ok, err
}

// Tried implements [relay.Outbox].
func (r *reporter) Tried(_ context.Context, wid uint64, wrong string) error {
	return r.mark(func(tx *ledger.Tx) error { return tx.ReportTried(wid, wrong) })
}

// Done implements [relay.Outbox].
func (r *reporter) Done(_ context.Context, wids ...uint64) error {
	return r.mark(func(tx *ledger.Tx) error {
		for _, wid := range wids {
			if err := tx.ReportDone(wid); err != nil {
				return err
			}
		}
		return nil
	})
}

// mark writes the outbox; a disk that refuses stops the node.
func (r *reporter) mark(fn func(*ledger.Tx) error) error {
	err := r.n.led.Update(fn)
	if err != nil {
		r.n.core.post(func() { r.n.core.stop(fmt.Errorf("outbox: %w", err)) })
	}
	return err
}
