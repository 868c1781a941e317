package simnet

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/node"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// slotOf is a nonce of the first lane's payer as a running custodian shows it.
func (w *World) slotOf(ctx context.Context, nonce uint64) (node.SlotView, error) {
	c, err := w.voice()
	if err != nil {
		return node.SlotView{}, err
	}
	return c.Node.Slot(ctx, node.SlotQuery{Lane: Network, Nonce: nonce, Payer: &w.payer})
}

// CancelOf is what operators sign to cancel a nonce of the first lane's first payer.
func (w *World) CancelOf(ctx context.Context, nonce uint64) (quorum.CancelSlot, error) {
	s, err := w.slotOf(ctx, nonce)
	return quorum.CancelSlot{Lane: quorum.LaneKey{ChainID: s.ChainID, Token: s.Token, Payer: s.Payer}, Nonce: nonce, Batch: s.Last, Reason: "the story says so"}, err
}

// Stage is what became of a nonce at a custodian.
func (c *Custodian) Stage(ctx context.Context, nonce uint64) (string, error) {
	s, err := c.Node.Slot(ctx, node.SlotQuery{Lane: Network, Nonce: nonce, Payer: &c.w.payer})
	return s.Stage, err
}

// Claim makes a puppet state, to the given members, that what was decided for a nonce last is final at it, in the block that holds the nonce or in
// one that there never was.
func (p *Puppet) Claim(ctx context.Context, nonce uint64, who []int) error {
	s, err := p.w.slotOf(ctx, nonce)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.counter++
	o := quorum.Outcome{Epoch: 1, Counter: p.counter, Lane: quorum.LaneKey{ChainID: s.ChainID, Token: s.Token, Payer: s.Payer}, Nonce: nonce,
		Batch: s.Last, TxHash: crypto.Keccak256Hash([]byte("a transaction that there never was")), Status: 1}
	p.mu.Unlock()
	if o.BlockHash, err = p.w.blockOf(nonce); err != nil {
		return err
	}
	said, err := quorum.Sign(p.key, p.w.network, o)
	if err != nil {
		return err
	}
	for _, i := range who {
		if err := p.net.Send(p.w.Custodians[i].Address, "facts", encode(factsMsg{[][]byte{said.Bytes()}})); err != nil {
			return err
		}
	}
	return nil
}

// Pending is what the first chain's mempool holds for a nonce of the first payer.
func (w *World) Pending(nonce uint64) ([]byte, error) {
	raw, ok := w.Chain.Pending(w.payer, nonce)
	if !ok {
		return nil, fmt.Errorf("the mempool holds nothing at nonce %d", nonce)
	}
	return raw, nil
}

// renderedBy is which of the batches that were given a nonce says a transaction of the payer, field by field; ok is false for none.
func (w *World) renderedBy(all []batch.Batch, p payment) (b batch.Batch, ok bool) {
	for _, b := range all {
		switch b.Kind {
		case batch.Sweep:
			ok = w.rendersSweep(b, p) && p.good
		case batch.Cancel:
			ok = p.to == p.from && p.value.IsZero() && len(p.data) == 0 && p.good
		default:
			ok = w.renders(b, p)
		}
		if ok && !p.fee.Gt(new(uint256.Int).Mul(&b.FeeCap, uint256.NewInt(b.GasLimit))) {
			return b, true
		}
	}
	return b, false
}

// payOnce notes what a chain shows paid: I6 by the chain itself. However often a withdrawal was released, one transaction paid it.
func (r *Report) payOnce(b batch.Batch) error {
	if r.paid == nil {
		r.paid = map[uint64]uint64{}
	}
	for _, it := range b.Items {
		if was, twice := r.paid[it.Content.WID]; twice {
			return broken("I6", "withdrawal %d was paid at nonce %d and at nonce %d", it.Content.WID, was, b.Nonce)
		}
		r.paid[it.Content.WID] = b.Nonce
	}
	r.Paid += len(b.Items)
	return nil
}

var errNoBlock = errors.New("no block holds it")

// blockOf is the hash of the block that holds a nonce of the first payer.
func (w *World) blockOf(nonce uint64) (hash [32]byte, err error) {
	head, err := w.end.Head(w.bare())
	if err != nil {
		return hash, err
	}
	for n := range head.Number + 1 {
		h, err := w.end.HeaderAt(w.bare(), n)
		if err != nil {
			return hash, err
		}
		sent, err := w.sentBy(w.end, w.payer, h)
		if err != nil {
			return hash, err
		}
		for _, p := range sent {
			if p.nonce == nonce {
				return h.Hash, nil
			}
		}
	}
	return hash, fmt.Errorf("nonce %d: %w", nonce, errNoBlock)
}
