package ledger

import (
	"bytes"
	"errors"
	"fmt"
)

// Proof is what this node's own chain endpoints say of a deposit.
type Proof uint8

// The proofs. A deposit starts unproven; Counted and Contradicted are for ever.
const (
	Unproven     Proof = 0 // nothing is known: counts nothing
	Pending      Proof = 1 // seen as claimed in a block that is not final: pending
	Counted      Proof = 2 // final and successful, of that account and amount: counts
	Contradicted Proof = 3 // the final chain says otherwise: the account freezes
)

// String is the name that logs and the API use.
func (p Proof) String() string {
	switch p {
	case Unproven:
		return "unproven"
	case Pending:
		return "pending"
	case Counted:
		return "counted"
	case Contradicted:
		return "contradicted"
	}
	return fmt.Sprintf("proof(%d)", uint8(p))
}

// postDeposit opens a deposit's proof. Nothing counts yet.
func (b *book) postDeposit(e Event) error {
	return errors.Join(
		b.tx.b.Bucket(bucketDeposits).Put(be64(e.ID), []byte{byte(Unproven)}),
		b.tx.b.Bucket(bucketDepositsOpen).Put(be64(e.ID), []byte{1}))
}

// OpenDeposits returns deposits above an id that may still change: the ones to prove, at most limit of them.
func (tx *Tx) OpenDeposits(after uint64, limit int) (out []Event, err error) {
	c := tx.b.Bucket(bucketDepositsOpen).Cursor()
	for k, _ := c.Seek(be64(after + 1)); k != nil && len(out) < limit; k, _ = c.Next() {
		e, ok, err := tx.Event(readBE64(k))
		if err != nil || !ok {
			return nil, errors.Join(err, fmt.Errorf("%w: deposit %d without its event", ErrCorrupt, readBE64(k)))
		}
		out = append(out, e)
	}
	return out, nil
}

// ProofOf returns what was proven of a deposit; ok is false when the event is no deposit with a proper amount.
func (tx *Tx) ProofOf(event uint64) (p Proof, ok bool) {
	raw := tx.b.Bucket(bucketDeposits).Get(be64(event))
	if len(raw) != 1 {
		return 0, false
	}
	return Proof(raw[0]), true
}

func depositTxKey(d DepositRef) []byte { return join(d.TxHash[:], []byte(d.Network)) }

// SetProof records what the node's own endpoints say of a deposit, and books it. A transfer serves one event: the first
// that it proves. The same proof again changes nothing. now is unix ms.
func (tx *Tx) SetProof(event uint64, p Proof, now uint64) ([]Alert, error) {
	was, ok := tx.ProofOf(event)
	e, found, err := tx.Event(event)
	if err != nil {
		return nil, err
	}
	if !ok || !found || p > Contradicted {
		return nil, fmt.Errorf("prove deposit %d as %s: %w", event, p, ErrNotFound)
	}
	b, err := tx.openBook(Intake{Now: now})
	if err != nil || was == p {
		return nil, err
	}
	if was == Counted || was == Contradicted {
		return b.proofTurned(e, was, p)
	}
	key := depositTxKey(e.Deposit)
	used := tx.b.Bucket(bucketDepositTx).Get(key)
	if p != Unproven && used != nil && !bytes.Equal(used, be64(event)) {
		b.alert(AlertDepositRepeated, Critical, e, "the Relay credits one transfer twice: ask its operator",
			"deposit %d names the transfer of deposit %d and counts nothing", event, readBE64(used))
		return b.alerts, tx.b.Bucket(bucketDepositsOpen).Delete(be64(event))
	}
	if err := b.prove(e, was, p); err != nil {
		return nil, fmt.Errorf("prove deposit %d: %w", event, err)
	}
	return b.alerts, b.close()
}

// prove moves a deposit from one open state to another.
func (b *book) prove(e Event, was, is Proof) error {
	amount, _ := e.wei()
	standing := func(p Proof) (s standingCredit) {
		switch p {
		case Pending:
			s.Pending = amount
		case Counted:
			s.Counted = amount
		}
		return s
	}
	if err := b.shift(e.Account, standing(was), standing(is)); err != nil {
		return err
	}
	key := depositTxKey(e.Deposit)
	use := b.tx.b.Bucket(bucketDepositTx)
	if is == Pending || is == Counted {
		if err := use.Put(key, be64(e.ID)); err != nil {
			return err
		}
	} else if bytes.Equal(use.Get(key), be64(e.ID)) {
		if err := use.Delete(key); err != nil {
			return err
		}
	}
	if is == Contradicted {
		b.alert(AlertDeposit, Critical, e, "compare the transaction with the event; RESOLVE settles the account",
			"deposit %d of %s on %s, transaction %s: the final chain says otherwise", e.ID, e.Account, e.Deposit.Network, e.Deposit.TxHash)
		if err := b.tx.freezeRow(e, FreezeDeposit, "the final chain contradicts a deposit", b.in.Now); err != nil {
			return err
		}
	}
	if is == Counted || is == Contradicted {
		if err := b.tx.b.Bucket(bucketDepositsOpen).Delete(be64(e.ID)); err != nil {
			return err
		}
	}
	return b.tx.b.Bucket(bucketDeposits).Put(be64(e.ID), []byte{byte(is)})
}

// proofTurned is an endpoint that contradicts what was final. Counted credits only grow, so the account freezes instead.
func (b *book) proofTurned(e Event, was, is Proof) ([]Alert, error) {
	if is == Unproven || is == Pending {
		return nil, nil // silence after a final answer is no answer
	}
	b.alert(AlertDeposit, Critical, e, "an endpoint lies, or the chain undid a final block: compare the endpoints",
		"deposit %d was %s, now the endpoints call it %s", e.ID, was, is)
	return b.alerts, b.tx.freezeRow(e, FreezeDeposit, "the endpoints changed their word on a final deposit", b.in.Now)
}
