package ledger

import (
	"errors"
	"fmt"

	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Buckets: decisions by height; which withdrawal used a type-6 event, and which a requester's message.
var (
	bucketDecisions    = []byte("decisions")
	bucketSpentEvent   = []byte("spent-event")
	bucketSpentMessage = []byte("spent-message")
)

// DecisionEffects is what follows from a decided value; only who can read the value can tell. The caller derives it from
// the committed bytes alone, so that every node records the same.
type DecisionEffects struct {
	Items   []quorum.Content // paid by the slot's transaction
	Rejects []quorum.Content // never paid, refunded at the Relay
	Slot    *SlotFields      // nil when the decision takes no nonce
	Members *quorum.MembersAction
	Action  *ActionEffects // nil unless the operators decided

	Released  []SlotKey // slots whose items went free
	Cancelled *SlotKey  // the slot that a CANCEL takes back; nil unless the decision is one
}

// SlotFields is the nonce that a decision takes, and the most that its transaction can cost.
type SlotFields struct {
	Network  string // the lane's name
	Lane     quorum.LaneKey
	Nonce    uint64
	Value    uint256.Int // of the lane's token, smallest unit
	GasLimit uint64
	FeeCap   uint256.Int // wei per gas
}

// LastHeight returns the highest decided height, 0 before the first decision.
func (tx *Tx) LastHeight() uint64 {
	k, _ := tx.b.Bucket(bucketDecisions).Cursor().Last()
	return readBE64(k)
}

// Decision returns the decision of a height. It is stored as it was verified; [quorum.UncheckedDecision.Verify] proves
// it again to others.
func (tx *Tx) Decision(height uint64) (d quorum.UncheckedDecision, ok bool, err error) {
	ok, err = tx.get(bucketDecisions, be64(height), &d)
	return d, ok, err
}

// Decisions calls fn for every decision from a height on, ascending.
func (tx *Tx) Decisions(from uint64, fn func(quorum.UncheckedDecision) error) error {
	c := tx.b.Bucket(bucketDecisions).Cursor()
	for k, v := c.Seek(be64(from)); k != nil; k, v = c.Next() {
		var d quorum.UncheckedDecision
		if err := decode(v, &d); err != nil {
			return err
		}
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}

// Decide records a decision and everything that follows from it in one transaction: the fate of its withdrawals, the
// slot, the Relay's calls, the next epoch. The same decision again is nothing new. Another value for a decided height is
// [ErrConflict]; a height beyond the next one is [ErrOrder]. After any error the transaction must fail.
func (tx *Tx) Decide(c quorum.Committed, fx DecisionEffects) error {
	if c.Zero() {
		return errors.New("decide: no decision")
	}
	height, last := c.Height(), tx.LastHeight()
	if height <= last {
		return tx.sameDecision(c)
	}
	if height != last+1 {
		return fmt.Errorf("decide height %d: %w: the last decision is %d", height, ErrOrder, last)
	}
	if got, want := c.QC().Unchecked().Epoch, tx.epoch(); got != want {
		return fmt.Errorf("decide height %d: %w: decided by epoch %d, in force is %d", height, ErrNotInForce, got, want)
	}
	err := tx.applyEffects(c, fx)
	if err != nil {
		return fmt.Errorf("decide height %d: %w", height, err)
	}
	return errors.Join(
		tx.put(bucketDecisions, be64(height), c.Unchecked()),
		tx.forgetHeight(height),
		tx.Audit("decided", fmt.Sprintf("height %d: %s", height, c.ID())))
}

// sameDecision accepts the decision of an old height again. Its commit certificate may be of other signers.
func (tx *Tx) sameDecision(c quorum.Committed) error {
	d, ok, err := tx.Decision(c.Height())
	if err != nil {
		return err
	}
	if !ok || d.Commit.ID != c.ID() {
		return fmt.Errorf("decide height %d: %w: %s was decided, not %s", c.Height(), ErrConflict, d.Commit.ID, c.ID())
	}
	return nil
}

func (tx *Tx) applyEffects(c quorum.Committed, fx DecisionEffects) error {
	if len(fx.Items) > 0 && fx.Slot == nil {
		return errors.New("items without a slot")
	}
	if err := tx.freeSlots(fx.Released, c.Height()); err != nil {
		return err
	}
	for _, item := range fx.Items {
		if err := tx.spend(item, SpentItem, c.Height()); err != nil {
			return err
		}
	}
	for _, reject := range fx.Rejects {
		if err := tx.spend(reject, SpentReject, c.Height()); err != nil {
			return err
		}
		if err := tx.queueReport(Report{WID: reject.WID, Outcome: ReportReject, Height: c.Height()}); err != nil {
			return err
		}
	}
	if fx.Slot != nil {
		if err := tx.takeSlot(*fx.Slot, c, fx.Items); err != nil {
			return err
		}
	}
	if fx.Cancelled != nil {
		if err := tx.cancelSlot(*fx.Cancelled, c); err != nil {
			return err
		}
	}
	if fx.Members != nil {
		return tx.enthrone(*fx.Members, c.Height())
	}
	if fx.Action != nil {
		return tx.act(*fx.Action, c.Height())
	}
	return nil
}

// spend records a withdrawal's fate: one fate per wid and per type-6 event, and one item per requester's message, over
// all heights.
func (tx *Tx) spend(content quorum.Content, kind SpentKind, height uint64) error {
	wid := be64(content.WID)
	if used := tx.b.Bucket(bucketSpentEvent).Get(be64(content.EventID)); used != nil {
		return fmt.Errorf("withdrawal %d: event %d: %w by withdrawal %d", content.WID, content.EventID, ErrEventUsed, readBE64(used))
	}
	if err := tx.b.Bucket(bucketSpentEvent).Put(be64(content.EventID), wid); err != nil {
		return err
	}
	if kind == SpentItem {
		if used := tx.b.Bucket(bucketSpentMessage).Get(content.Message[:]); used != nil {
			return fmt.Errorf("withdrawal %d: message %s: %w by withdrawal %d", content.WID, content.Message, ErrMessageUsed, readBE64(used))
		}
		if err := tx.b.Bucket(bucketSpentMessage).Put(content.Message[:], wid); err != nil {
			return err
		}
	}
	if err := tx.putSpent(Spent{Content: content, Hash: content.Hash(tx.network()), Kind: kind, Height: height}); err != nil {
		return err
	}
	return tx.closeVerdicts(content.WID)
}
