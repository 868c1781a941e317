package ledger

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// protocolBuckets lists the buckets of the protocol half: what this node and others said, what was decided, and how far
// each payout is. Every key is fixed-width and big-endian, so a prefix is always a whole field.
func protocolBuckets() [][]byte {
	return append([][]byte{
		bucketOwn, bucketSelf,
		bucketVerdictOwn, bucketVerdictOpen, bucketVerdictContent, bucketVerdictEvent, bucketVerdictMessage, bucketVerdictHead,
		bucketVerdictUpTo, bucketVerdicts, bucketVerdictClaim, bucketVerdictCount, bucketVerdictWID,
		bucketVotes, bucketConsensus, bucketValues,
		bucketDecisions, bucketEpochs, bucketDeletions, bucketSpentEvent, bucketSpentMessage,
		bucketSlots, bucketSlotBatch, bucketSlotHeight, bucketSlotOpen, bucketSlotFailed, bucketPayouts, bucketStageTimes, bucketSigned,
		bucketIntents, bucketAttempts, bucketSessions,
		bucketReady, bucketAbortOwn, bucketAborts, bucketAbortCount, bucketStruck,
		bucketOutcomeOwn, bucketOutcomes, bucketSettled, bucketPaid,
		bucketOutbox, bucketOutboxPending,
		bucketHalts, bucketHaltID, bucketHaltFloor, bucketActions, bucketPolicies, bucketResumed, bucketResolvedAt, bucketProposals,
		bucketHeard, bucketHeardCount, bucketEvidence, bucketExcluded, bucketAudit,
		bucketFlows, bucketOutflow, bucketClaims, bucketClaimable,
		bucketWatch,
	}, riskBuckets()...)
}

// ProtocolReport counts what [Ledger.CheckProtocol] looked at.
type ProtocolReport struct {
	Statements uint64
	Decisions  uint64
	Slots      uint64
	Paid       uint64
	Reports    uint64
	AuditLines uint64
	AuditHash  common.Hash // of the last line
}

// Founding is what the genesis document says that a check needs.
type Founding struct {
	Roster     quorum.Roster               // epoch 0, which decides height 1
	FirstNonce map[uint64]uint64           // by chain id; a payer's first slot takes it
	Progress   func(what string, n uint64) // called now and then; may be nil
}

// progressEvery is how many records lie between two calls of Progress.
const progressEvery = 1000

// protocolCheck walks the database once for each invariant.
type protocolCheck struct {
	tx     *Tx
	by     Founding
	report ProtocolReport
	items  map[uint64]uint64 // height of the decision by withdrawal, of items
}

// CheckProtocol verifies every invariant of this half that one node can see: I1, I2, I4, I6, I7, I11, I12, one report per
// withdrawal, and the audit chain. It returns the first that is broken as a [*Violation], or [ErrCorrupt]. It reads one
// moment of the database, and verifies every own signature and every commit and outcome certificate again.
func (l *Ledger) CheckProtocol(by Founding) (report ProtocolReport, err error) {
	err = l.View(func(tx *Tx) error {
		report, err = checkProtocol(tx, by)
		return err
	})
	return report, err
}

func checkProtocol(tx *Tx, by Founding) (ProtocolReport, error) {
	c := protocolCheck{tx: tx, by: by, items: map[uint64]uint64{}}
	for _, check := range []func() error{
		c.statements, c.indices, c.decisions, c.actions, c.spent, c.slots, c.intents, c.payments, c.reports, c.audit, c.conservation, c.claims, c.tx.CheckRisk,
		c.checkpoints, c.quarantine,
	} {
		if err := check(); err != nil {
			return c.report, err
		}
	}
	return c.report, nil
}

func (c *protocolCheck) step(what string, n *uint64) {
	*n++
	if c.by.Progress != nil && *n%progressEvery == 0 {
		c.by.Progress(what, *n)
	}
}

// decisions is I1, and the part of I12 about heights and epochs: heights are contiguous from 1, and each decision's commit
// certificate verifies by the roster that ruled it.
func (c *protocolCheck) decisions() error {
	next := uint64(1)
	err := c.tx.Decisions(0, func(d quorum.UncheckedDecision) error {
		if d.Commit.Height != next {
			return violation("I1", "the decision after height %d is of height %d", next-1, d.Commit.Height)
		}
		roster, ok, err := c.tx.EpochAt(next)
		if err != nil {
			return err
		}
		if !ok {
			roster = c.by.Roster
		}
		if _, err := d.Verify(c.tx.network(), roster); err != nil {
			return violation("I1", "decision of height %d: %v", next, err)
		}
		next++
		c.step("decisions", &c.report.Decisions)
		return nil
	})
	if err != nil {
		return err
	}
	since := uint64(0)
	return c.tx.each(bucketEpochs, nil, func(k, raw []byte) error {
		var rec epochRecord
		if err := decode(raw, &rec); err != nil {
			return err
		}
		if rec.Since <= since || rec.Since > next || rec.Roster.Epoch != readBE64(k) {
			return violation("I12", "epoch %d from height %d does not follow what was before", rec.Roster.Epoch, rec.Since)
		}
		since = rec.Since
		return nil
	})
}

// spent is I6: a withdrawal, and its event, has one fate; a message stands in one item.
func (c *protocolCheck) spent() error {
	events, messages := map[uint64]uint64{}, map[common.Hash]uint64{}
	return c.tx.each(bucketSpent, nil, func(_, raw []byte) error {
		var s Spent
		if err := decode(raw, &s); err != nil {
			return err
		}
		wid := s.Content.WID
		if found, ok, err := c.tx.SpentWID(wid); err != nil || !ok || found != s {
			return violation("I6", "withdrawal %d was decided at height %d and again", wid, s.Height)
		}
		if s.Height == 0 || s.Height > c.report.Decisions || s.Hash != s.Content.Hash(c.tx.network()) {
			return violation("I6", "withdrawal %d is spent by no decision", wid)
		}
		if other, ok := events[s.Content.EventID]; ok {
			return violation("I6", "event %d stands for withdrawals %d and %d", s.Content.EventID, other, wid)
		}
		events[s.Content.EventID] = wid
		if s.Kind != SpentItem || s.Free {
			return nil
		}
		if other, ok := messages[s.Content.Message]; ok {
			return violation("I6", "one message stands for withdrawals %d and %d", other, wid)
		}
		messages[s.Content.Message], c.items[wid] = wid, s.Height
		return nil
	})
}

// slots is I7's write-once slots and I11: each sequence is contiguous from its first nonce, and each item is in one slot.
func (c *protocolCheck) slots() error {
	var last Slot
	seen := map[uint64]SlotKey{}
	err := c.tx.Slots(func(s Slot, p Payout) error {
		want := last.Key.Nonce + 1
		if c.report.Slots == 0 || s.Key.Nonces() != last.Key.Nonces() {
			var err error
			if want, err = c.firstNonce(s.Key.Nonces()); err != nil {
				return err
			}
		}
		if s.Key.Nonce != want {
			return violation("I11", "%s is taken where %d is next", s.Key, want)
		}
		d, ok, err := c.tx.Decision(s.Height)
		if err != nil {
			return err
		}
		if !ok || d.Commit.ID != s.Batch {
			return violation("I7", "%s names batch %s, which height %d did not decide", s.Key, s.Batch, s.Height)
		}
		if p.Stage < StageDecided || p.Stage > StageCancelled {
			return violation("I7", "%s has no stage", s.Key)
		}
		if err := c.released(s, p); err != nil {
			return err
		}
		if err := c.cancelled(s); err != nil {
			return err
		}
		for _, wid := range s.Items {
			if s.Released != 0 {
				break // they stand elsewhere, or nowhere
			}
			if was, ok := seen[wid]; ok || c.items[wid] != s.Height {
				return violation("I6", "withdrawal %d is in %s and in %s, or in no decision", wid, was, s.Key)
			}
			seen[wid] = s.Key
		}
		last = s
		c.step("slots", &c.report.Slots)
		return nil
	})
	if err != nil {
		return err
	}
	if len(seen) != len(c.items) {
		return violation("I6", "%d items are decided, %d stand in slots", len(c.items), len(seen))
	}
	return nil
}

// intents is I7: every session is of the slot's batch, one fee step has one payload, and attempts only grow.
func (c *protocolCheck) intents() error {
	var last IntentFields
	return c.tx.intents(nil, func(f IntentFields) error {
		slot, ok, err := c.tx.Slot(f.Slot)
		if err != nil {
			return err
		}
		if !ok || !slot.holds(f.Batch) {
			return violation("I7", "session %s signed batch %s, whose slot %s is not", f.Session, f.Batch, f.Slot)
		}
		if f.Batch == last.Batch && f.K == last.K && f.Digest != last.Digest {
			return violation("I7", "batch %s step %d has two payloads: %s and %s", f.Batch, f.K, last.Digest, f.Digest)
		}
		if found, ok, err := c.tx.IntentOf(f.Session); err != nil || !ok || found.Attempt != f.Attempt || found.Batch != f.Batch {
			return violation("I7", "session %s stands for two attempts", f.Session)
		}
		if highest, ok, err := c.tx.HighestAttempt(f.Batch, f.K); err != nil || !ok || highest < f.Attempt {
			return violation("I12", "batch %s step %d: attempt %d is above the highest recorded", f.Batch, f.K, f.Attempt)
		}
		last = f
		return nil
	})
}

// payments is I6 at the end of the way: what is paid was an item, in the slot whose certificate says so.
func (c *protocolCheck) payments() error {
	err := c.tx.PaidWithdrawals(func(p Paid) error {
		slot, ok, err := c.tx.Slot(p.Slot)
		if err != nil {
			return err
		}
		cert, settled, err := c.tx.OutcomeOf(p.Slot)
		if err != nil {
			return err
		}
		if !ok || !settled || slot.closedBy(cert.Outcome) != StageSettled || cert.Outcome.TxHash != p.TxHash || c.items[p.WID] != slot.Height {
			return violation("I6", "withdrawal %d is paid without an item and a certificate of %s", p.WID, p.Slot)
		}
		c.step("paid", &c.report.Paid)
		return nil
	})
	if err != nil {
		return err
	}
	return c.tx.each(bucketSettled, nil, func(k, raw []byte) error {
		var u quorum.UncheckedOutcome
		if err := decode(raw, &u); err != nil {
			return err
		}
		return c.certificate(slotKeyOf(k), u)
	})
}

func (c *protocolCheck) certificate(key SlotKey, u quorum.UncheckedOutcome) error {
	var rec epochRecord
	if ok, err := c.tx.get(bucketEpochs, be64(u.Outcome.Epoch), &rec); err != nil || !ok {
		return violation("I6", "%s is settled by unknown epoch %d", key, u.Outcome.Epoch)
	}
	if _, err := u.Verify(c.tx.network(), rec.Roster); err != nil {
		return violation("I6", "outcome certificate of %s: %v", key, err)
	}
	slot, ok, err := c.tx.Slot(key)
	if err != nil {
		return err
	}
	if !ok || !slot.holds(u.Outcome.Batch) || slotKeyOfOutcome(u.Outcome) != key {
		return violation("I6", "outcome certificate of %s is of batch %s", key, u.Outcome.Batch)
	}
	for _, wid := range slot.Items {
		if slot.Released != 0 {
			break // paid by another slot, perhaps
		}
		if paid, err := c.tx.IsPaid(wid); err != nil || paid != (slot.closedBy(u.Outcome) == StageSettled) {
			return violation("I6", "withdrawal %d: paid is %t, the certificate of %s says status %d", wid, paid, key, u.Outcome.Status)
		}
	}
	return nil
}

// reports checks that the Relay is told one outcome of a withdrawal, and only one that happened.
func (c *protocolCheck) reports() error {
	err := c.tx.each(bucketOutbox, nil, func(k, raw []byte) error {
		var r Report
		if err := decode(raw, &r); err != nil {
			return err
		}
		s, ok, err := c.tx.SpentWID(r.WID)
		if err != nil {
			return err
		}
		paid, err := c.tx.IsPaid(r.WID)
		if err != nil {
			return err
		}
		right := ok && r.WID == readBE64(k) &&
			((r.Outcome == ReportFulfil && s.Kind == SpentItem && paid) || (r.Outcome == ReportReject && s.Kind == SpentReject && !paid))
		if !right {
			return violation("outbox", "withdrawal %d is reported as %s, which did not happen", r.WID, r.Outcome)
		}
		waiting := c.tx.b.Bucket(bucketOutboxPending).Get(k) != nil
		if waiting == r.Done {
			return violation("outbox", "report on withdrawal %d: done is %t and it waits: %t", r.WID, r.Done, waiting)
		}
		c.step("reports", &c.report.Reports)
		return nil
	})
	if err != nil {
		return err
	}
	return c.tx.each(bucketSpent, nil, func(_, raw []byte) error {
		var s Spent
		if err := decode(raw, &s); err != nil {
			return err
		}
		paid, err := c.tx.IsPaid(s.Content.WID)
		if err != nil {
			return err
		}
		if _, ok, err := c.tx.ReportOn(s.Content.WID); err != nil || ok != (paid || s.Kind == SpentReject) {
			return violation("outbox", "withdrawal %d is due a report and has none", s.Content.WID)
		}
		return nil
	})
}

func (c *protocolCheck) audit() error {
	last, err := c.tx.VerifyAudit()
	c.report.AuditLines = last.Index
	if last.Index > 0 {
		c.report.AuditHash = last.Hash()
	}
	return err
}

func positionText(k []byte) string {
	return fmt.Sprintf("height %d round %d step %d", readBE64(k[:8]), readBE64(k[8:16]), readBE64(k[16:24]))
}
