package simnet

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
)

// outcome is what two custodians must agree on when both have seen everything, however often one of them died.
type outcome struct {
	Decisions map[uint64]common.Hash
	Slots     map[ledger.SlotKey]ledger.Payout
	Paid      []ledger.Paid
	Reports   map[uint64]ledger.Report
	Policy    uint64
	State     common.Hash // of the books
}

// readOutcome opens a stopped custodian's ledger.
func (l *lives) readOutcome(c *Custodian) (out outcome) {
	led, err := ledger.Open(c.dir, l.w.network)
	require.NoError(l.t, err)
	defer func() { require.NoError(l.t, led.Close()) }()
	out.Decisions, out.Slots, out.Reports = map[uint64]common.Hash{}, map[ledger.SlotKey]ledger.Payout{}, map[uint64]ledger.Report{}
	require.NoError(l.t, led.View(func(tx *ledger.Tx) error {
		err := tx.Decisions(1, func(u quorum.UncheckedDecision) error { out.Decisions[u.Commit.Height] = u.Commit.ID; return nil })
		if err != nil {
			return err
		}
		err = tx.Slots(func(s ledger.Slot, p ledger.Payout) error {
			p.Changed = 0 // by its own clock
			out.Slots[s.Key] = p
			return nil
		})
		if err != nil {
			return err
		}
		for _, r := range l.w.requests {
			if report, ok, err := tx.ReportOn(r.ID); err != nil {
				return err
			} else if ok {
				report.DecidedAt, report.DoneAt, report.Attempts, report.LastError = 0, 0, 0, "" // its own clock, and its own turns
				out.Reports[r.ID] = report
			}
		}
		if err := tx.PaidWithdrawals(func(p ledger.Paid) error { out.Paid = append(out.Paid, p); return nil }); err != nil {
			return err
		}
		out.State, err = tx.StateHash()
		return err
	}))
	return out
}

// compare holds the custodian that died against one that never did, and looks whether it ever said a second thing where it
// had said one.
func (l *lives) compare() {
	model := l.readOutcome(l.w.Custodians[0])
	require.Equal(l.t, model, l.readOutcome(l.c))
	require.NotEmpty(l.t, model.Paid)
	require.Len(l.t, model.Reports, len(l.w.requests))

	led, err := ledger.Open(l.c.dir, l.w.network)
	require.NoError(l.t, err)
	defer func() { require.NoError(l.t, led.Close()) }()
	said := map[string]string{}
	require.NoError(l.t, led.View(func(tx *ledger.Tx) error {
		return tx.OwnStatements(0, func(counter uint64, kind quorum.Kind, raw []byte) error {
			place, err := l.placeOf(kind, raw)
			if place == "" || err != nil {
				return err
			}
			require.Empty(l.t, said[place], "counter %d says again what stands under %s", counter, said[place])
			said[place] = fmt.Sprintf("counter %d", counter)
			return nil
		})
	}))
	require.NotEmpty(l.t, said)
}

// placeOf names what a statement is the one word on; "" for what may be said again.
func (l *lives) placeOf(kind quorum.Kind, raw []byte) (string, error) {
	if at, ok, err := quorum.VotePlaceOf(l.w.network, quorum.Members{l.c.Address}, raw); ok || err != nil {
		return fmt.Sprint(at), err
	}
	var s struct {
		Kind quorum.Kind
		Body rlp.RawValue
		Sig  rlp.RawValue
	}
	if err := rlp.DecodeBytes(raw, &s); err != nil {
		return "", err
	}
	switch kind {
	case quorum.KindApprove:
		var b quorum.Approve
		err := rlp.DecodeBytes(s.Body, &b)
		return fmt.Sprint("verdict ", b.WID, b.Epoch, b.Policy), err
	case quorum.KindRefuse:
		var b quorum.Refuse
		err := rlp.DecodeBytes(s.Body, &b)
		return fmt.Sprint("verdict ", b.WID, b.Epoch, b.Policy), err
	case quorum.KindReady:
		var b quorum.Ready
		err := rlp.DecodeBytes(s.Body, &b)
		return fmt.Sprint("ready ", b.Batch, b.KMax, b.Attempt), err
	case quorum.KindOutcome:
		var b quorum.Outcome
		err := rlp.DecodeBytes(s.Body, &b)
		return fmt.Sprint("outcome ", b.Lane, b.Nonce, b.Epoch, b.BlockHash), err
	}
	return "", nil
}
