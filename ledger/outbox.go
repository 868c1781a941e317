package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// bucketOutbox maps a withdrawal to the report on it, bucketOutboxPending holds those that the Relay does not show yet.
var (
	bucketOutbox        = []byte("outbox")
	bucketOutboxPending = []byte("outbox-pending")
)

// ReportOutcome is what the Relay is told of a withdrawal.
type ReportOutcome uint8

// The two outcomes. A withdrawal has one, for ever: told both, the Relay would refund what was paid.
const (
	ReportFulfil ReportOutcome = 1 // paid, final, with an outcome certificate of status 1
	ReportReject ReportOutcome = 2 // a decided reject
)

func (o ReportOutcome) String() string {
	switch o {
	case ReportFulfil:
		return "fulfil"
	case ReportReject:
		return "reject"
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Report is one call to the Relay that is owed until a re-read of its list shows the effect.
type Report struct {
	WID       uint64
	Outcome   ReportOutcome
	TxHash    common.Hash // of the payment; zero for a reject
	Height    uint64      // of the decision; the reporter is members[(height + i) mod n]
	DecidedAt uint64      // unix ms by this node's clock, when the outcome was recorded
	Attempts  uint64
	LastError string
	Done      bool
	DoneAt    uint64 `rlp:"optional"` // unix ms by this node's clock; 0 before, and in a database of an older version
}

// maxReportError bounds what is kept of a Relay's answer, in bytes: enough for a person, and it is a stranger's text.
const maxReportError = 256

// queueReport owes the Relay a call. The same again is nothing new; another outcome for the same withdrawal is
// [ErrConflict].
func (tx *Tx) queueReport(r Report) error {
	if was, ok, err := tx.ReportOn(r.WID); err != nil {
		return err
	} else if ok {
		if was.Outcome != r.Outcome {
			return fmt.Errorf("report withdrawal %d as %s: %w: it is owed as %s", r.WID, r.Outcome, ErrConflict, was.Outcome)
		}
		return nil
	}
	r.DecidedAt = nowMS()
	return errors.Join(tx.put(bucketOutbox, be64(r.WID), r), tx.b.Bucket(bucketOutboxPending).Put(be64(r.WID), nil))
}

// ReportOn returns the report on a withdrawal. ok is false while its outcome is open.
func (tx *Tx) ReportOn(wid uint64) (r Report, ok bool, err error) {
	ok, err = tx.get(bucketOutbox, be64(wid), &r)
	return r, ok, err
}

// PendingReports calls fn for every report that the Relay does not show yet, by withdrawal ascending.
func (tx *Tx) PendingReports(fn func(Report) error) error {
	return tx.each(bucketOutboxPending, nil, func(k, _ []byte) error {
		r, ok, err := tx.ReportOn(readBE64(k))
		if err == nil && !ok {
			err = fmt.Errorf("%w: pending report on withdrawal %d is missing", ErrCorrupt, readBE64(k))
		}
		if err != nil {
			return err
		}
		return fn(r)
	})
}

// ReportTried records one call to the Relay: before it is made with an empty text, after it with what went wrong. Only a
// call that is about to be made counts as an attempt.
func (tx *Tx) ReportTried(wid uint64, wrong string) error {
	return tx.changeReport(wid, func(r *Report) {
		if wrong == "" {
			r.Attempts++
		}
		r.LastError = wrong[:min(len(wrong), maxReportError)]
	})
}

// ReportDone records that the Relay's list shows the outcome.
func (tx *Tx) ReportDone(wid uint64) error {
	if err := tx.changeReport(wid, func(r *Report) { r.Done, r.DoneAt, r.LastError = true, nowMS(), "" }); err != nil {
		return err
	}
	return tx.b.Bucket(bucketOutboxPending).Delete(be64(wid))
}

func (tx *Tx) changeReport(wid uint64, change func(*Report)) error {
	r, ok, err := tx.ReportOn(wid)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("report on withdrawal %d: %w", wid, ErrNotFound)
	}
	change(&r)
	return tx.put(bucketOutbox, be64(wid), r)
}
