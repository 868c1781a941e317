package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum/batch"
)

// cancelPayment is the transaction of a CANCEL, from its bytes alone: the payer sends itself nothing.
func cancelPayment(b batch.Batch) chain.Payment {
	return chain.Payment{ChainID: b.Lane.ChainID, Nonce: b.Nonce, Payer: b.Lane.Payer, To: b.Lane.Payer, Gas: b.GasLimit,
		Fees: chain.Fees{Offer: b.Offer, Tip: b.Tip, FeeCap: b.FeeCap}}
}

// mayBeCancel reports whether a signed transaction is one that a CANCEL could have: it pays nobody.
func mayBeCancel(raw []byte) bool {
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return false
	}
	from, err := tx.Sender()
	return err == nil && tx.To == from && tx.Value.IsZero() && len(tx.Data) == 0
}

func cancelledKey(fx batch.Effects) *ledger.SlotKey {
	if fx.Cancelled == nil {
		return nil
	}
	return &ledger.SlotKey{ChainID: fx.Cancelled.Lane.ChainID, Payer: fx.Cancelled.Lane.Payer, Nonce: fx.Cancelled.Nonce}
}

// cancelled follows a decided CANCEL: what was said of the transaction that it replaces is over.
func (c *core) cancelled(fx batch.Effects) {
	key := cancelledKey(fx)
	if key == nil {
		return
	}
	c.alerts.recover(codeAtCap + key.String())
	if lane, ok := c.state.ShownBy(fx.Cancelled.Lane); ok {
		c.kick(lane.Network)
	}
}

// cancelHeights are the heights that cancelled a slot.
func cancelHeights(slot ledger.Slot) (out []uint64) {
	for _, c := range slot.Cancels {
		out = append(out, c.Height)
	}
	return out
}

// stageOvertaken is that of a CANCEL whose nonce something else took: the payment, or another CANCEL.
const stageOvertaken = "overtaken"

// viewLoser leaves out of a decision's description the transaction that took its nonce from it.
func viewLoser(tx *ledger.Tx, slot ledger.Slot, out *BatchView) error {
	cert, closed, err := tx.OutcomeOf(slot.Key)
	if err != nil || !closed || cert.Outcome.Batch == out.ID {
		return err
	}
	if out.Tx = nil; out.ID != slot.Batch {
		out.Stage = stageOvertaken
	}
	return nil
}

// SlotQuery names a nonce: of the chain that a lane is on, and of the payer in force unless another is named.
type SlotQuery struct {
	Lane  string          `json:"lane"`
	Nonce uint64          `json:"nonce"`
	Payer *common.Address `json:"payer,omitempty"`
}

// SlotView is a decided nonce as a CANCEL names it.
type SlotView struct {
	Network  string         `json:"network"`
	ChainID  uint64         `json:"chain_id"`
	Token    common.Address `json:"token"`
	Payer    common.Address `json:"payer"`
	Nonce    uint64         `json:"nonce"`
	Height   uint64         `json:"height"` // that gave the nonce to its batch
	Items    []uint64       `json:"items"`
	Value    string         `json:"value"`
	Last     common.Hash    `json:"last"`    // what was decided for the nonce last: its batch, or a CANCEL
	FeeCap   string         `json:"fee_cap"` // of that, wei per gas
	Cancels  []uint64       `json:"cancels"` // heights
	Stage    string         `json:"stage"`
	Closed   bool           `json:"closed"`   // an outcome certificate names what the final chain holds there
	Released uint64         `json:"released"` // height of the decision that freed its items, 0 before
}

// Slot describes the decision that took a nonce. It fails with [ErrUnknown] where none did, and for a lane that does not exist.
func (n *Node) Slot(ctx context.Context, q SlotQuery) (SlotView, error) {
	lane, ok := n.genesis.LaneOf(q.Lane)
	if !ok {
		return SlotView{}, fmt.Errorf("lane %q: %w", q.Lane, ErrUnknown)
	}
	key := ledger.SlotKey{ChainID: lane.ChainID, Nonce: q.Nonce}
	if err := n.core.ask(ctx, func() { key.Payer = n.core.state.Payer }); err != nil {
		return SlotView{}, err
	}
	if q.Payer != nil {
		key.Payer = *q.Payer
	}
	var out SlotView
	err := n.led.View(func(tx *ledger.Tx) error {
		slot, ok, err := tx.Slot(key)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%s: %w: no decision took it", key, ErrUnknown))
		}
		p, _, err := tx.Payout(key)
		if err != nil {
			return err
		}
		last, height := slot.Last()
		d, _, err := tx.Decision(height)
		if err != nil {
			return err
		}
		b, err := batch.Decode(d.Value)
		out = SlotView{Network: slot.Network, ChainID: key.ChainID, Token: slot.Token, Payer: key.Payer, Nonce: key.Nonce, Height: slot.Height,
			Items: append([]uint64{}, slot.Items...), Value: slot.Value.Dec(), Last: last, FeeCap: b.FeeCap.Dec(),
			Cancels: append([]uint64{}, cancelHeights(slot)...), Stage: p.Stage.String(), Closed: p.Stage >= ledger.StageSettled, Released: slot.Released}
		return err
	})
	return out, err
}
