package ledger

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

func pendingReports(p *protoNet) (wids []uint64) {
	p.view(func(tx *Tx) error {
		return tx.PendingReports(func(r Report) error { wids = append(wids, r.WID); return nil })
	})
	return wids
}

func TestReportsAreOwedUntilTheRelayShowsThem(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.decide(DecisionEffects{Items: []quorum.Content{p.content(1)}, Rejects: []quorum.Content{p.content(2)}, Slot: p.slot(0)})
	require.Equal(t, []uint64{2}, pendingReports(p), "a payment is reported when it is final")
	p.settle(0, c, 1)
	require.Equal(t, []uint64{1, 2}, pendingReports(p))

	p.update(func(tx *Tx) error { return tx.ReportTried(1, "") })
	p.update(func(tx *Tx) error { return tx.ReportTried(1, strings.Repeat("no ", 1000)) })
	p.view(func(tx *Tx) error {
		r, ok, err := tx.ReportOn(1)
		require.True(t, ok)
		require.Equal(t, uint64(1), r.Attempts)
		require.Len(t, r.LastError, maxReportError)
		require.Equal(t, uint64(2), r.Height)
		return err
	})
	p.update(func(tx *Tx) error { return tx.ReportDone(1) })
	p.update(func(tx *Tx) error { return tx.ReportDone(1) })
	require.Equal(t, []uint64{2}, pendingReports(p))
	p.refused(ErrNotFound, func(tx *Tx) error { return tx.ReportTried(9, "") })
	p.refused(ErrNotFound, func(tx *Tx) error { return tx.ReportDone(9) })
}

func TestOneOutcomeForEver(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.decide(DecisionEffects{Items: []quorum.Content{p.content(1)}, Rejects: []quorum.Content{p.content(2)}, Slot: p.slot(0)})
	p.settle(0, c, 1)
	p.update(func(tx *Tx) error { return tx.ReportDone(1) })
	p.refused(ErrConflict, func(tx *Tx) error { return tx.queueReport(Report{WID: 1, Outcome: ReportReject}) })
	p.refused(ErrConflict, func(tx *Tx) error { return tx.queueReport(Report{WID: 2, Outcome: ReportFulfil}) })
	p.update(func(tx *Tx) error { return tx.queueReport(Report{WID: 1, Outcome: ReportFulfil, Height: 99}) })
	p.view(func(tx *Tx) error {
		r, _, err := tx.ReportOn(1)
		require.True(t, r.Done, "the same again changes nothing")
		require.Equal(t, uint64(2), r.Height)
		return err
	})
	require.Equal(t, "fulfil reject outcome(7)", ReportFulfil.String()+" "+ReportReject.String()+" "+ReportOutcome(7).String())
}
