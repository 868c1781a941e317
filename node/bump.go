package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
)

// unmined is when this node's own endpoints last showed that no block holds the nonce of a slot whose transaction is out. It
// belongs to the core. Nothing of it is on disk: after a restart the endpoints are asked first.
type unmined map[ledger.SlotKey]time.Time

// notMined takes what the endpoints showed at a moment.
func (c *core) notMined(slot ledger.Slot, at time.Time) {
	if c.unmined == nil {
		c.unmined = unmined{}
	}
	c.unmined[slot.Key] = at
	var top ledger.Signed
	var ok bool
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		if slot, ok, err = tx.Slot(slot.Key); err != nil || !ok { // a CANCEL may have come since it was read
			return err
		}
		_, top, ok, err = tx.TopOf(slot)
		return err
	})
	if err != nil {
		c.stop(err)
		return
	}
	if !ok && slot.Cancelled() {
		c.signer.decided(c) // a block that was lost may have kept its CANCEL from being signed
		return
	}
	if !ok || !c.ripe(slot.Key, top) {
		return
	}
	_, height := slot.Last()
	if p, err := c.paymentAt(height); err == nil && top.K >= uint64(p.Bumps()) {
		c.alerts.ensure(alertAtCap(slot, p, top))
		return
	}
	c.signer.decided(c)
}

// send broadcasts signed bytes. Once an endpoint has answered that it holds them, or that they are worth too little to it, they wait
// for a block.
func (w *watcher) send(ctx context.Context, batch common.Hash, signed ledger.Signed) error {
	err := w.end.SendRaw(ctx, signed.Raw)
	took := err == nil || errors.Is(err, chain.ErrKnown) || errors.Is(err, chain.ErrNonceUsed) || errors.Is(err, chain.ErrUnderpriced)
	if err != nil && !errors.Is(err, chain.ErrKnown) && !errors.Is(err, chain.ErrNonceUsed) {
		w.n.log.Info("broadcast not taken", zap.Stringer("tx", signed.Hash), zap.Error(err))
	}
	if !took || signed.Sent != 0 {
		return nil
	}
	if err := w.n.led.Update(func(tx *ledger.Tx) error { return tx.MarkSent(batch, signed.K) }); err != nil {
		w.n.core.post(func() { w.n.core.stop(fmt.Errorf("record what was sent: %w", err)) })
		return err
	}
	return nil
}

// inBlock forgets that a slot's nonce was in no block.
func (c *core) inBlock(slot ledger.Slot) {
	delete(c.unmined, slot.Key)
	c.alerts.recover(codeAtCap + slot.Key.String())
	c.signer.decided(c)
}

// ripe reports whether a slot's highest signed transaction has been out, and in no block, for as long as the policy says.
func (c *core) ripe(key ledger.SlotKey, top ledger.Signed) bool {
	seen, ok := c.unmined[key]
	return ok && top.Sent > 0 && !seen.Before(time.UnixMilli(int64(top.Sent)).Add(c.state.Policy.BumpAfter))
}

// due reports whether this node allows the fee step above a slot's highest signed one: that one waited long enough, and the next
// is within the cap.
func (c *core) due(slot ledger.Slot, top ledger.Signed) bool {
	if !c.ripe(slot.Key, top) {
		return false
	}
	_, height := slot.Last()
	p, err := c.paymentAt(height)
	return err == nil && top.K < uint64(p.Bumps())
}

// paymentAt is the payment of a decided slot, from the stored bytes; who signs verifies the decision again.
func (c *core) paymentAt(height uint64) (chain.Payment, error) {
	var value []byte
	err := c.led.View(func(tx *ledger.Tx) error {
		d, ok, err := tx.Decision(height)
		if err == nil && !ok {
			err = fmt.Errorf("decision %d: %w", height, ledger.ErrNotFound)
		}
		value = d.Value
		return err
	})
	if err != nil {
		return chain.Payment{}, err
	}
	return paymentOf(c.network, value, c.state.Lanes)
}

// codeAtCap: a transaction has reached its fee cap and is still in no block.
const codeAtCap = "payout-stuck"

func alertAtCap(slot ledger.Slot, p chain.Payment, top ledger.Signed) Alert {
	what := "the payment"
	if n := len(slot.Cancels); n > 0 {
		what = fmt.Sprintf("CANCEL %d", n)
	}
	return Alert{
		Key: codeAtCap + slot.Key.String(), Code: codeAtCap, Severity: ledger.Critical,
		Text: fmt.Sprintf("%s, %s: fee step %d of %d of %s is out and in no block; its decided cap is %s wei per gas. Lower fees free the nonce, or a CANCEL by q operators: %s",
			slot.Network, slot.Key, top.K, p.Bumps(), what, p.FeeCap.Dec(), cancelCommand(slot)),
		Hint: "wait for lower fees, or cancel it; see docs/operations.md, a stuck nonce",
	}
}

// cancelCommand is what an operator types to cancel a slot.
func cancelCommand(slot ledger.Slot) string {
	return fmt.Sprintf("conclave cancel --lane %s --nonce %d --payer %s --reason WHY", slot.Network, slot.Key.Nonce, slot.Key.Payer)
}

// feeText says how far a decided, signed payment is with its fees, and what comes next.
func (c *core) feeText(height uint64) string {
	var slot ledger.Slot
	var payout ledger.Payout
	var top ledger.Signed
	var ok bool
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		if slot, ok, err = tx.SlotAt(height); err != nil || !ok {
			return err
		}
		if payout, _, err = tx.Payout(slot.Key); err != nil {
			return err
		}
		_, top, ok, err = tx.TopOf(slot)
		return err
	})
	if err != nil {
		return ""
	}
	text, last := "", slot.Height
	if slot.Cancelled() {
		_, last = slot.Last()
		text = fmt.Sprintf("; the operators cancelled it at height %d: the final chain says whether it was paid before", last)
	}
	if !ok || payout.Stage >= ledger.StageMined {
		return text
	}
	p, err := c.paymentAt(last)
	if err != nil {
		return ""
	}
	if slot.Cancelled() {
		text += "; the CANCEL's"
	} else {
		text = ":"
	}
	text += fmt.Sprintf(" fee step %d of %d", top.K, p.Bumps())
	offer, seen := p.MaxFee(uint(top.K)), c.lanes[slot.Network]
	text += fmt.Sprintf(", %s wei per gas", offer.Dec())
	if base := seen.view.BaseFee; offer.Lt(&base) {
		text += fmt.Sprintf(", below the base fee of %s", base.Dec())
	}
	switch {
	case top.Sent == 0:
		return text + ", no endpoint has taken it"
	case top.K >= uint64(p.Bumps()):
		return text + ", the decided cap: it waits for lower fees"
	}
	next := time.UnixMilli(int64(top.Sent)).Add(c.state.Policy.BumpAfter)
	return text + ", the next from " + next.UTC().Format(time.RFC3339) + " on"
}
