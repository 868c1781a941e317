package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
)

// compare asks those who hold the other version for their rows, one after the other, off the core.
func (m *marks) compare(c *core, q quarrel) {
	m.busy = true
	m.turn++
	var own []ledger.Event
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		own, err = tx.RangeRows(q.theirs.Range*ledger.RangeSize, ledger.RangeSize)
		return err
	})
	if err != nil {
		c.stop(err)
		return
	}
	first := m.turn
	c.spawn(func() {
		theirs, from, found := c.anyVersion(q, own, first)
		if found && q.level == ledger.DisputeCertified {
			c.settleDispute(q, from, theirs)
		} else if found {
			c.recordDispute(q, from, theirs)
		}
		c.post(func() { m.busy = false })
	})
}

func (c *core) anyVersion(q quarrel, own []ledger.Event, first int) (theirs []ledger.Event, from common.Address, found bool) {
	for i := range q.peers {
		peer := q.peers[(first+i)%len(q.peers)]
		if peer == c.self {
			continue
		}
		theirs, err := c.versionOf(peer, q.theirs, own)
		if err == nil {
			return theirs, peer, true
		}
		c.log.Warn("member shows no such range", zap.Stringer("peer", peer), zap.Uint64("range", q.theirs.Range), zap.Error(err))
		if errors.Is(err, errRanges) && q.level == ledger.DisputeCertified {
			c.refused(peer, err)
		}
	}
	return nil, common.Address{}, false
}

// settleDispute keeps both versions of a certified range as evidence, then books what is missing here by the rules for
// late rows. It waits for both, off the core.
func (c *core) settleDispute(q quarrel, from common.Address, theirs []ledger.Event) {
	missing := c.recordDispute(q, from, theirs)
	if len(missing) == 0 {
		return
	}
	if err := c.repair(c.ctx, missing); err != nil && c.ctx.Err() == nil {
		c.log.Error("certified rows were not booked", zap.Uint64("range", q.theirs.Range), zap.Error(err))
	}
}

// recordDispute names the rows, freezes what must wait and tells people. It returns the rows that are missing here.
func (c *core) recordDispute(q quarrel, from common.Address, theirs []ledger.Event) (missing []ledger.Event) {
	err := c.ask(c.ctx, func() {
		var d ledger.RangeDispute
		ok := c.update("record dispute", func(tx *ledger.Tx) (err error) {
			d, missing, err = c.disputeOf(tx, q, from, theirs)
			if err != nil || len(d.Diffs) == 0 {
				return err
			}
			_, err = tx.PutRangeDispute(d)
			return err
		})
		if !ok {
			missing = nil
		}
		if ok && len(d.Diffs) > 0 {
			c.alerts.raise(c.alertDispute(q, d))
		}
	})
	if err != nil {
		return nil
	}
	return missing
}

// disputeOf compares the other version with the books as they stand in this transaction.
func (c *core) disputeOf(tx *ledger.Tx, q quarrel, from common.Address, theirs []ledger.Event) (d ledger.RangeDispute, missing []ledger.Event, err error) {
	r := q.theirs.Range
	own, err := tx.RangeRows(r*ledger.RangeSize, ledger.RangeSize)
	if err != nil {
		return d, nil, err
	}
	d = ledger.RangeDispute{Range: r, Level: q.level, Found: uint64(c.now().UnixMilli()), From: from, Diffs: ledger.DiffRows(own, theirs)}
	if len(d.Diffs) == 0 {
		return d, nil, nil
	}
	if d.Own, err = tx.Checkpoint(r, c.signCheckpoint); err != nil {
		return d, nil, err
	}
	if q.cert != nil {
		d.Certified = marshal(*q.cert)
	}
	for _, w := range q.said {
		d.Said = append(d.Said, w.Bytes())
	}
	byID := map[uint64]ledger.Event{}
	for _, e := range theirs {
		byID[e.ID] = e
	}
	for _, row := range d.Diffs {
		if row.Own == nil && q.level == ledger.DisputeCertified {
			missing = append(missing, byID[row.ID])
			continue
		}
		for _, a := range accountsOf(row) {
			// Operators that resolved the account up to here have judged the row: it freezes nothing a second time.
			if q.level != ledger.DisputeOne && tx.ResolvedUpTo(a) < row.ID {
				d.Frozen = append(d.Frozen, a)
			}
		}
	}
	d.Booked = uint64(len(missing))
	slices.SortFunc(d.Frozen, common.Address.Cmp)
	d.Frozen = slices.Compact(d.Frozen)
	if len(d.Diffs) > ledger.MaxRowDiffs {
		d.More = uint64(len(d.Diffs) - ledger.MaxRowDiffs)
		d.Diffs = d.Diffs[:ledger.MaxRowDiffs]
	}
	return d, missing, nil
}

// accountsOf are the accounts that a differing row touches on either side.
func accountsOf(row ledger.RowDiff) (out []common.Address) {
	for _, raw := range [][]byte{row.Own, row.Theirs} {
		if e, err := ledger.DecodeEvent(raw); len(raw) > 0 && err == nil {
			out = append(out, e.Account)
		}
	}
	return out
}

// alertDispute names the first row on both sides.
func (c *core) alertDispute(q quarrel, d ledger.RangeDispute) Alert {
	a := q.alert(c)
	a.Text += ". " + describeRow(d.Diffs[0])
	if more := uint64(len(d.Diffs)) - 1 + d.More; more > 0 {
		a.Text += fmt.Sprintf(" and %d more", more)
	}
	a.Text += fmt.Sprintf("; shown by %s", d.From)
	if d.Booked > 0 {
		a.Text += fmt.Sprintf("; %d booked by the certificate", d.Booked)
	}
	if len(d.Frozen) > 0 {
		a.Text += fmt.Sprintf("; %d accounts wait", len(d.Frozen))
	}
	return a
}

func describeRow(d ledger.RowDiff) string {
	side := func(raw []byte) string {
		e, err := ledger.DecodeEvent(raw)
		if len(raw) == 0 || err != nil {
			return "no row"
		}
		return fmt.Sprintf("%s %.40q of %s", e.Kind, e.Amount, e.Account)
	}
	return fmt.Sprintf("Event %d: here %s, there %s", d.ID, side(d.Own), side(d.Theirs))
}

// repair books rows that q members certified and that this node's Relay did not show. They are screened and booked as any
// late row: a later answer of the Relay with the same bytes is nothing new, one with others trips the fuse.
func (in *intake) repair(ctx context.Context, rows []ledger.Event) error {
	return in.book(ctx, rows, nil, true)
}
