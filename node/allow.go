package node

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// Codes of what keeps a lane from paying batches.
const (
	codeAllowance = "lane-allowance"
	codeContract  = "lane-contract"
)

// buildAllow makes the ALLOW of a lane whose contract may not take the payer's tokens yet. A halted node asks for none, nor for
// that of a halted lane. It is tried where this node's own endpoints show none, or nothing.
func (c *core) buildAllow() (batch.Batch, bool) {
	now := c.now()
	wanted := slices.ContainsFunc(c.state.Lanes, func(l quorum.Lane) bool {
		seen, ok := c.lanes[l.Network]
		return chainLane(l).NeedsAllowance() && (!ok || seen.view.Allowance.IsZero())
	})
	if !wanted || now.Sub(c.allowTried) < buildEvery {
		return batch.Batch{}, false
	}
	b, err := c.state.BuildAllow(c.pool.viewList())
	if err != nil || c.refrains(b) {
		c.allowTried = now
		c.log.Debug("no ALLOW", zap.Error(err))
		return batch.Batch{}, false
	}
	return b, true
}

// allowPayment is the transaction of an ALLOW: everything in it but nonce and fees is the lane's.
func allowPayment(b batch.Batch, lanes []quorum.Lane) (chain.Payment, error) {
	for _, l := range lanes {
		if on := chainLane(l); l.Key(b.Lane.Payer) == b.Lane && on.NeedsAllowance() {
			return chain.Allow(on, b.Lane.Payer, b.Nonce, b.GasLimit, chain.Fees{Offer: b.Offer, Tip: b.Tip, FeeCap: b.FeeCap}), nil
		}
	}
	return chain.Payment{}, fmt.Errorf("no lane of chain %d needs an allowance of token %s", b.Lane.ChainID, b.Lane.Token)
}

// allows reports whether a slot is that of an ALLOW: it pays nobody and moves nothing.
func allows(slot ledger.Slot) bool {
	return len(slot.Items) == 0 && slot.Value.IsZero() && slot.Token != (common.Address{})
}

// checkAllowance calls people for a lane that pays one by one because its contract may not take tokens, and no ALLOW changes that; and
// for one whose allowance is below its queue.
func (c *core) checkAllowance(network string, view quorum.LaneView, queue batch.Funds) {
	lane, ok := c.state.LaneOf(view.Lane)
	if !ok || !chainLane(lane).NeedsAllowance() {
		return
	}
	text, why := "", c.state.AllowRefused(view)
	switch {
	case why != nil:
		text = fmt.Sprintf("%s: contract %s may take none of the payer's tokens: %v", network, lane.Contract, why)
	case !view.Allowance.IsZero() && queue.TokenNeed.Gt(&view.Allowance):
		text = fmt.Sprintf("%s: contract %s may take %s of the payer's tokens, %s are owed", network, lane.Contract, view.Allowance.Dec(), queue.TokenNeed.Dec())
	default:
		c.alerts.recover(codeAllowance + network)
		return
	}
	c.alerts.ensure(Alert{Key: codeAllowance + network, Code: codeAllowance, Severity: ledger.Warning, Text: text,
		Hint: "withdrawals are paid one by one meanwhile; see docs/operations.md, an allowance that does not come"})
}

// laneContract checks once that the lane's contract has the code that this version pays batches through. Without it the lane
// has no data, so that nothing is decided on it.
func (w *watcher) laneContract(check func() error) error {
	if w.contract {
		return nil
	}
	err := check()
	w.contract = err == nil
	return err
}
