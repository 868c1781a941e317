package node

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// Proof is bytes that prove themselves by the genesis document alone; see [VerifyProof].
type Proof struct {
	Kind        string      `json:"kind"` // withdrawal, refusal, decision or payment
	Network     common.Hash `json:"network"`
	RLP         string      `json:"rlp"` // 0x-hex: content and certificate; of a decision, or a payment, the decision
	Height      uint64      `json:"height,omitempty"`
	ID          uint64      `json:"id,omitempty"`
	Transaction string      `json:"transaction,omitempty"` // of a payment: the payer's signed transaction, 0x-hex, where this node holds it
	Outcome     string      `json:"outcome,omitempty"`     // of a payment: the certificate of what is final at its nonce, 0x-hex
	Cancels     []string    `json:"cancels,omitempty"`     // of a payment: the decisions of CANCELs of its nonce, 0x-hex
	Successions []string    `json:"successions"`           // decisions that made the committees behind the founders, 0x-hex
}

// The kinds of proofs.
const (
	ProofWithdrawal = "withdrawal"
	ProofRefusal    = "refusal"
	ProofDecision   = "decision"
	ProofPayment    = "payment"
)

// prove fills in what every proof holds.
func (n *Node) prove(tx *ledger.Tx, p Proof) (Proof, error) {
	p.Network = n.network
	var err error
	if p.Successions, err = successionsOf(tx); p.Successions == nil {
		p.Successions = []string{}
	}
	return p, err
}

// Certificate returns the certificate of a decided withdrawal, as it was carried.
func (n *Node) Certificate(wid uint64) (out Proof, err error) {
	err = n.led.View(func(tx *ledger.Tx) error {
		d, err := decisionOn(tx, wid)
		if err != nil {
			return err
		}
		b, err := batch.Decode(d.Value)
		if err != nil {
			return err
		}
		it, r := entryOf(b, wid)
		if it != nil {
			out, err = n.prove(tx, Proof{Kind: ProofWithdrawal, RLP: hexBytes(marshal(*it)), Height: d.Commit.Height, ID: wid})
		} else if r != nil {
			out, err = n.prove(tx, Proof{Kind: ProofRefusal, RLP: hexBytes(marshal(*r)), Height: d.Commit.Height, ID: wid})
		}
		return err
	})
	return out, err
}

// Decision returns a decided value with its commit certificate.
func (n *Node) Decision(height uint64) (out Proof, err error) {
	err = n.led.View(func(tx *ledger.Tx) error {
		d, ok, err := tx.Decision(height)
		if err == nil && !ok {
			err = fmt.Errorf("height %d: %w", height, ErrUnknown)
		}
		if err != nil {
			return err
		}
		out, err = n.prove(tx, Proof{Kind: ProofDecision, RLP: hexBytes(marshal(d)), Height: height})
		return err
	})
	return out, err
}

// Payment returns all that this node can show of what became of a withdrawal: the decision that it stands in, with the members'
// certificate, the transaction, and what is final. What is not there yet is empty.
func (n *Node) Payment(wid uint64) (out Proof, err error) {
	err = n.led.View(func(tx *ledger.Tx) error {
		d, err := decisionOn(tx, wid)
		if err != nil {
			return err
		}
		if out, err = n.prove(tx, Proof{Kind: ProofPayment, RLP: hexBytes(marshal(d)), Height: d.Commit.Height, ID: wid}); err != nil {
			return err
		}
		slot, ok, err := tx.SlotAt(d.Commit.Height)
		if err != nil || !ok {
			return err // a reject has no transaction
		}
		return out.show(tx, slot)
	})
	return out, err
}

// show adds what is known of a payment's nonce.
func (p *Proof) show(tx *ledger.Tx, slot ledger.Slot) error {
	for _, x := range slot.Cancels {
		d, _, err := tx.Decision(x.Height)
		if err != nil {
			return err
		}
		p.Cancels = append(p.Cancels, hexBytes(marshal(d)))
	}
	payout, _, err := tx.Payout(slot.Key)
	if err != nil {
		return err
	}
	hash := payout.TxHash
	u, settled, err := tx.OutcomeOf(slot.Key)
	if err != nil {
		return err
	}
	if settled {
		hash, p.Outcome = u.Outcome.TxHash, hexBytes(marshal(u))
	}
	return tx.SignedOf(slot.Batch, func(s ledger.Signed) error {
		if s.Hash == hash { // never a CANCEL's: it is no transaction of this decision
			p.Transaction = hexBytes(s.Raw)
		}
		return nil
	})
}

// decisionOn is the decision that a withdrawal stands in, or stood in before it was released: the last one.
func decisionOn(tx *ledger.Tx, wid uint64) (d quorum.UncheckedDecision, err error) {
	spent, ok, err := tx.SpentWID(wid)
	if err != nil || !ok {
		return d, errors.Join(err, fmt.Errorf("withdrawal %d: %w: it is not decided", wid, ErrUnknown))
	}
	d, _, err = tx.Decision(spent.Height)
	return d, err
}

// entryOf is the item or the reject of a withdrawal in a batch, if one is there.
func entryOf(b batch.Batch, wid uint64) (*batch.Item, *batch.Reject) {
	for _, it := range b.Items {
		if it.Content.WID == wid {
			return &it, nil
		}
	}
	for _, r := range b.Rejects {
		if r.Content.WID == wid {
			return nil, &r
		}
	}
	return nil, nil
}
