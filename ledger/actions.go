package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Buckets: decided actions of the operators by serial; policies that decisions put in force, by version; the height whose
// RESUME cleared a halt, by the halt's id, also of halts that this node has not heard yet.
var (
	bucketActions  = []byte("actions")
	bucketPolicies = []byte("policies")
	bucketResumed  = []byte("halt-resumed")
	// bucketProposals holds signed actions that are not decided yet, by hash.
	bucketProposals = []byte("proposals")
)

// ActionEffects is what follows from a decision of the operators.
type ActionEffects struct {
	Serial  uint64
	Kind    quorum.ActionKind
	Resumed []common.Hash // halts that never count again
	Policy  quorum.PolicyRef
	File    []byte          // of the policy in force from the next height; nil when it stays
	Resolve *quorum.Resolve // nil unless the kind is RESOLVE
	Intake  Intake          // for the rows of a RESOLVE
	// Raise is told what people should see of a RESOLVE, inside the transaction: it must only remember. Nil is nobody.
	Raise func(Alert)
}

// DecidedAction is an action of the operators in the order of serials.
type DecidedAction struct {
	Serial uint64
	Kind   quorum.ActionKind
	Height uint64
}

// PolicyRecord is a policy that a decision put in force.
type PolicyRecord struct {
	Ref   quorum.PolicyRef
	Since uint64 // the first height that it rules
	File  []byte
}

// LastSerial is the serial of the last decided action, 0 before the first.
func (tx *Tx) LastSerial() uint64 {
	k, _ := tx.b.Bucket(bucketActions).Cursor().Last()
	return readBE64(k)
}

// Actions calls fn for every decided action, by serial ascending.
func (tx *Tx) Actions(fn func(DecidedAction) error) error {
	return tx.each(bucketActions, nil, func(_, raw []byte) error {
		var a DecidedAction
		if err := decode(raw, &a); err != nil {
			return err
		}
		return fn(a)
	})
}

// PolicyInForce returns the policy that rules the next height. ok is false while it is the genesis document's.
func (tx *Tx) PolicyInForce() (p PolicyRecord, ok bool, err error) {
	k, raw := tx.b.Bucket(bucketPolicies).Cursor().Last()
	if k == nil {
		return p, false, nil
	}
	return p, true, decode(raw, &p)
}

// PutProposal keeps a signed action that is not decided yet, or a copy with more signatures.
func (tx *Tx) PutProposal(hash common.Hash, raw []byte) error {
	return tx.b.Bucket(bucketProposals).Put(hash[:], raw)
}

// DropProposal forgets one.
func (tx *Tx) DropProposal(hash common.Hash) error {
	return tx.b.Bucket(bucketProposals).Delete(hash[:])
}

// Proposals calls fn for every kept action, by hash.
func (tx *Tx) Proposals(fn func(raw []byte) error) error {
	return tx.each(bucketProposals, nil, func(_, raw []byte) error { return fn(raw) })
}

// act records what the operators decided, with everything that follows from it.
func (tx *Tx) act(a ActionEffects, height uint64) error {
	if last := tx.LastSerial(); a.Serial <= last {
		return fmt.Errorf("%s %d: %w: the last serial is %d", a.Kind, a.Serial, ErrOrder, last)
	}
	err := errors.Join(
		tx.put(bucketActions, be64(a.Serial), DecidedAction{a.Serial, a.Kind, height}),
		tx.Audit("action", fmt.Sprintf("%s %d at height %d", a.Kind, a.Serial, height)))
	for _, id := range a.Resumed {
		err = errors.Join(err, tx.resumeHalt(id, height))
	}
	if a.File != nil {
		err = errors.Join(err, tx.adoptPolicy(a, height))
	}
	if err == nil && a.Resolve != nil {
		err = tx.resolve(*a.Resolve, a, height)
	}
	return err
}

func (tx *Tx) adoptPolicy(a ActionEffects, height uint64) error {
	was, ok, err := tx.PolicyInForce()
	if err != nil || (ok && a.Policy.Version <= was.Ref.Version) {
		return errors.Join(err, fmt.Errorf("policy %d: %w: in force is %d", a.Policy.Version, ErrOrder, was.Ref.Version))
	}
	return errors.Join(
		tx.put(bucketPolicies, be64(a.Policy.Version), PolicyRecord{a.Policy, height + 1, a.File}),
		tx.Audit("policy", fmt.Sprintf("version %d from height %d: %s", a.Policy.Version, height+1, a.Policy.Hash)))
}

// resumeHalt voids a halt for ever, known or not.
func (tx *Tx) resumeHalt(id common.Hash, height uint64) error {
	if tx.b.Bucket(bucketResumed).Get(id[:]) != nil {
		return nil
	}
	if err := tx.b.Bucket(bucketResumed).Put(id[:], be64(height)); err != nil {
		return err
	}
	key := tx.b.Bucket(bucketHaltID).Get(id[:])
	var rec HaltRecord
	if ok, err := tx.get(bucketHalts, key, &rec); err != nil || !ok || !rec.Stands() {
		return err
	}
	rec.Resumed = height
	return errors.Join(
		tx.put(bucketHalts, haltKey(rec.Signer, rec.Halt.Counter), rec),
		tx.Audit("halt-resumed", fmt.Sprintf("%s's %s, by height %d", rec.Signer, rec.Halt.Code, height)))
}

// policyInForce refuses a verdict under any other policy than the one in force (A6). Until a decision changes it, that is
// the genesis document's, which this database does not hold: the caller vouches for it.
func (tx *Tx) policyInForce(p quorum.PolicyRef) error {
	now, ok, err := tx.PolicyInForce()
	if err != nil || !ok || now.Ref == p {
		return err
	}
	return fmt.Errorf("policy %d: %w: in force is %d", p.Version, ErrNotInForce, now.Ref.Version)
}

// actions is I12 for serials and policy versions, and that each follows from a decision: what the operators decided stands
// in one height each, and nothing was put in force or resumed by none.
func (c *protocolCheck) actions() error {
	var last uint64
	heights := map[uint64]quorum.ActionKind{}
	err := c.tx.Actions(func(a DecidedAction) error {
		if a.Height <= last || a.Height > c.report.Decisions {
			return violation("I12", "%s %d is of height %d, after %d of %d", a.Kind, a.Serial, a.Height, last, c.report.Decisions)
		}
		last, heights[a.Height] = a.Height, a.Kind
		return nil
	})
	if err != nil {
		return err
	}
	since := uint64(0)
	err = c.tx.each(bucketPolicies, nil, func(k, raw []byte) error {
		var p PolicyRecord
		if err := decode(raw, &p); err != nil {
			return err
		}
		read, err := quorum.ParsePolicy(p.File)
		if err != nil || read.Ref() != p.Ref || p.Ref.Version != readBE64(k) {
			return violation("I12", "policy %d is not the file that is stored: %v", readBE64(k), err)
		}
		if kind := heights[p.Since-1]; p.Since <= since || (kind != quorum.ActionPolicy && kind != quorum.ActionResolve) {
			return violation("I12", "policy %d from height %d was put in force by no decision", p.Ref.Version, p.Since)
		}
		since = p.Since
		return nil
	})
	if err != nil {
		return err
	}
	return c.tx.each(bucketResumed, nil, func(k, raw []byte) error {
		if heights[readBE64(raw)] != quorum.ActionResume {
			return violation("I12", "halt %x was resumed by no decision", k)
		}
		var rec HaltRecord
		if ok, err := c.tx.get(bucketHalts, c.tx.b.Bucket(bucketHaltID).Get(k), &rec); err != nil || (ok && rec.Stands()) {
			return errors.Join(err, violation("I12", "halt %x was resumed and stands", k))
		}
		return nil
	})
}
