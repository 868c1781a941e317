package node

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
)

// ClaimView is where a recipient finds what a batch could not bring to it: the contract pays it to whoever is named in
// claim(token, to), and only to them.
type ClaimView struct {
	Contract common.Address `json:"contract"`
	Token    common.Address `json:"token"` // zero: the chain's coin
	Index    uint64         `json:"index"` // in the batch, from 0
}

// claims records which items of a final batch wait at the contract. The record is made before the payer's account takes the
// transaction in, so that a node that dies in between reads it again.
func (w *watcher) claims(slot ledger.Slot, payment chain.Payment, out chain.Outcome) error {
	if len(slot.Items) < 2 {
		return nil // one alone is paid without a contract
	}
	items := out.Unpaid(payment.To, slot.Batch, len(slot.Items))
	if len(items) == 0 {
		return nil
	}
	err := w.n.led.Update(func(tx *ledger.Tx) error { return tx.PutClaims(slot.Key, payment.To, out.TxHash, items) })
	if err != nil {
		w.n.core.post(func() { w.n.core.stop(fmt.Errorf("record claims of %s: %w", slot.Key, err)) })
		return err
	}
	wids := make([]uint64, len(items))
	for i, at := range items {
		wids[i] = slot.Items[at]
	}
	w.n.log.Info("recipients refused", zap.Uint64s("withdrawals", wids), zap.Stringer("contract", payment.To), zap.Stringer("tx", out.TxHash))
	return nil
}

// claimOf is the claim that a withdrawal became, nil where there is none.
func claimOf(tx *ledger.Tx, wid uint64) (*ClaimView, error) {
	c, ok, err := tx.ClaimOf(wid)
	if err != nil || !ok {
		return nil, err
	}
	slot, _, err := tx.Slot(c.Slot)
	return &ClaimView{Contract: c.Contract, Token: slot.Token, Index: c.Index}, err
}
