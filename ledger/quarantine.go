package ledger

import (
	"errors"
	"fmt"
	"math"

	"conclave/quorum"
)

// Errors of a node that must not speak, or not yet.
var (
	// ErrAsking means that the other members have not said yet how far this node has spoken: see [Ledger.Hold].
	ErrAsking = errors.New("the other members have not said yet how far this node has spoken")
	// ErrQuarantined means that this node may have said more than its database holds, and might contradict itself.
	ErrQuarantined = errors.New("quarantined")
)

// Leap is by how much the counter jumps in a quarantine, beyond the highest that anybody shows: a node that signs a thousand
// statements a second needs fifty days for so many, and what nobody showed was said in one life of a process.
const Leap = 1 << 32

// keyQuarantine is in bucketSelf. The record stays when the quarantine is over: the floor below which own statements may be
// missing is never forgotten.
var keyQuarantine = []byte("quarantine")

// Quarantine is the record of a node that may have said what its database does not hold.
type Quarantine struct {
	Since  uint64 // unix ms
	Reason string
	// Twin says that somebody else signs with this node's key, or did a moment ago: its operator must look first.
	Twin  bool
	Shown uint64 // the highest counter that the high-water file or a member showed
	// Floor is the counter after the leap: own statements up to it may be missing here, later ones are not.
	Floor uint64
	// Known says that q members have shown at which height they are; Above is the highest of them. What this node said and
	// does not hold it said under decisions up to that height, and voted at most one beyond it.
	Known bool
	Above uint64
	// Named is the height from which operators let the node vote, 0 without their word; Word is that, signed and encoded.
	Named uint64 `rlp:"optional"`
	Word  []byte `rlp:"optional"`
}

// Back is the first height in which the node votes again: the one that operators named, else two above, for it may have voted
// one ahead of all who answered.
func (q Quarantine) Back() uint64 {
	if q.Named != 0 {
		return q.Named
	}
	return q.Above + 2
}

// Votes reports whether the node may vote in a height.
func (q Quarantine) Votes(height uint64) bool { return q.Since == 0 || (q.Known && height >= q.Back()) }

// Missing reports whether an own statement that this database does not hold was to be expected: it was said in the life
// that is missing here. height is that of a vote, 0 for what stands at none.
func (q Quarantine) Missing(counter, height uint64) bool {
	return counter <= q.Floor && (height == 0 || !q.Known || height < q.Back())
}

// Hold makes this node ask before it speaks: until [Ledger.Release] nothing new is signed under a counter and no session is
// joined. What is on disk already may be sent again. It lasts as long as the process.
func (l *Ledger) Hold() { l.high.held.Store(true) }

// Release ends what [Ledger.Hold] began: enough members have said how far this node has spoken.
func (l *Ledger) Release() { l.high.held.Store(false) }

// Quarantined returns the record of the last quarantine. ok is false when there never was one.
func (tx *Tx) Quarantined() (q Quarantine, ok bool, err error) {
	ok, err = tx.get(bucketSelf, keyQuarantine, &q)
	return q, ok, err
}

// MaySpeak fails with [ErrAsking] while nothing new may be signed. It is asked wherever a counter is taken.
func (tx *Tx) MaySpeak() error {
	if err := tx.mayBelong(); err != nil {
		return err
	}
	if tx.l != nil && tx.l.high != nil && tx.l.high.held.Load() {
		return ErrAsking
	}
	return nil
}

// MayVote fails with [ErrAsking] or [ErrQuarantined] when nothing may be signed in a height.
func (tx *Tx) MayVote(height uint64) error {
	q, ok, err := tx.Quarantined()
	switch {
	case err != nil || !ok:
		return errors.Join(err, tx.MaySpeak())
	case !q.Known:
		return fmt.Errorf("%w: %s: not enough members have shown their height", ErrQuarantined, q.Reason)
	case !q.Votes(height):
		return fmt.Errorf("%w: %s: it votes again from height %d", ErrQuarantined, q.Reason, q.Back())
	}
	return tx.MaySpeak()
}

// MayJudge fails with [ErrAsking] or [ErrQuarantined] when no verdict may be given: after a quarantine only under an epoch
// or a policy that was decided above the height that others showed, for under an earlier one this node may have judged.
func (tx *Tx) MayJudge() error { return tx.mayAnew(true, "judges again under a policy or epoch") }

// MayJoin fails with [ErrAsking] or [ErrQuarantined] when no READY and no ABORT may be signed and no session joined: after a
// quarantine until a newer epoch has another key.
func (tx *Tx) MayJoin() error { return tx.mayAnew(false, "joins signing sessions again with a key") }

// mayAnew is for what binds under one rule, and may be said anew under a later one: an epoch, or a policy too.
func (tx *Tx) mayAnew(policy bool, again string) error {
	q, ok, err := tx.Quarantined()
	if err != nil || !ok {
		return errors.Join(err, tx.MaySpeak())
	}
	_, _, since, err := tx.CurrentEpoch()
	if err != nil {
		return err
	}
	if policy {
		p, _, err := tx.PolicyInForce()
		if err != nil {
			return err
		}
		since = max(since, p.Since)
	}
	// Both rule from the height after their decision.
	if !q.Known || since <= q.Above+1 {
		return fmt.Errorf("%w: %s: it %s decided above height %s", ErrQuarantined, q.Reason, again, q.aboveText())
	}
	return tx.MaySpeak()
}

func (q Quarantine) aboveText() string {
	if !q.Known {
		return "(not known yet)"
	}
	return fmt.Sprint(q.Above)
}

// Quarantine records that this node may have said more than the database holds: up to the counter shown, to what the
// high-water file remembers, or beyond both. From the commit on it counts on from far above, and votes, judges and joins
// sessions only as [Quarantine] says. A quarantine within another begins anew.
func (l *Ledger) Quarantine(q Quarantine) error {
	was := l.high.mark()
	mark, err := l.commit(func(tx *Tx) error { return tx.quarantine(q, was) })
	if err != nil {
		return fmt.Errorf("record quarantine: %w", err)
	}
	l.high.adopt()
	return l.high.raise(mark)
}

func (tx *Tx) quarantine(q Quarantine, file Mark) error {
	q.Known, q.Above, q.Named, q.Word = false, 0, 0, nil
	q.Shown = max(q.Shown, file.Counter)
	from := max(q.Shown, tx.Counter())
	if from > math.MaxUint64-Leap {
		return fmt.Errorf("%w: counter %d has no room left", ErrCorrupt, from)
	}
	q.Floor, q.Reason = from+Leap, quorum.ClipText(q.Reason)
	return errors.Join(
		tx.b.Bucket(bucketMeta).Put(keyCounter, be64(q.Floor)),
		tx.MarkVote(file.Height, file.Round, file.Step),
		tx.put(bucketSelf, keyQuarantine, q),
		tx.Audit("quarantined", fmt.Sprintf("%s; counts on from %d", q.Reason, q.Floor)))
}

// Shown records the highest height at which q other members showed to be.
func (tx *Tx) Shown(height uint64) error {
	q, ok, err := tx.Quarantined()
	if err != nil || !ok || q.Known {
		return errors.Join(err, fmt.Errorf("heights shown to a node that asked for none: %w", ErrOrder))
	}
	mark, err := tx.mark()
	if err != nil {
		return err
	}
	// The high-water file may remember a vote that nobody who answered knows of.
	q.Known, q.Above = true, max(height, mark.Height-min(mark.Height, 1))
	return errors.Join(tx.put(bucketSelf, keyQuarantine, q), tx.Audit("shown", fmt.Sprintf("others are at height %d: votes again from %d", height, q.Back())))
}

// quarantine is the part of I14 that the disk shows: what was signed behind the leap, a quarantine allowed.
func (c *protocolCheck) quarantine() error {
	q, ok, err := c.tx.Quarantined()
	if err != nil || !ok {
		return err
	}
	if err := c.word(q); err != nil {
		return err
	}
	return c.tx.OwnStatements(q.Floor, func(counter uint64, kind quorum.Kind, raw []byte) error {
		self, _ := c.tx.Self()
		var height uint64
		switch kind {
		case quorum.KindPrevote, quorum.KindPrecommit:
			v, err := reopen[quorum.Vote](c.tx, self, raw)
			if err != nil {
				return err
			}
			height = v.Body().Height
		case quorum.KindProposal:
			p, err := reopen[quorum.Proposal](c.tx, self, raw)
			if err != nil {
				return err
			}
			height = p.Body().Height
		case quorum.KindApprove, quorum.KindRefuse, quorum.KindReady, quorum.KindAbort:
			// Of which height they are they do not say: that there is a newer policy or epoch at all must do.
			if c.tx.maySay(kind) != nil {
				return violation("I14", "statement %d (%s) was signed in quarantine: %s", counter, kind, q.Reason)
			}
			return nil
		default:
			return nil
		}
		if !q.Votes(height) {
			return violation("I14", "statement %d (%s) is of height %d; quarantined, this node votes again from %d", counter, kind, height, q.Back())
		}
		return nil
	})
}

// maySay is the rule for a kind that needs no height.
func (tx *Tx) maySay(kind quorum.Kind) error {
	if kind == quorum.KindApprove || kind == quorum.KindRefuse {
		return tx.MayJudge()
	}
	return tx.MayJoin()
}
