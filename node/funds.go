package node

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
)

// Codes of what is wrong with money.
const (
	codeWalletLow = "wallet-low"
	codeOverpaid  = "outflow-above-inflow"
)

// checkFunds calls for money when what a lane's payer has does not cover its queue and the worst gas of it. Payouts that are
// covered go on meanwhile.
func (c *core) checkFunds(network string, view quorum.LaneView) {
	f := c.state.FundsFor(c.pool.candidates(c.network, c.content), view)
	c.checkAllowance(network, view, f)
	key := codeWalletLow + network
	if !f.Low() {
		c.alerts.recover(key)
		return
	}
	text := fmt.Sprintf("%s: %d withdrawals wait for payer %s; the chain's coin: %s free, %s needed at worst", network, f.Queue,
		view.Lane.Payer, f.Coin.Dec(), f.CoinNeed.Dec())
	if !f.TokenNeed.IsZero() {
		text += fmt.Sprintf("; token %s: %s free, %s needed", view.Lane.Token, f.Token.Dec(), f.TokenNeed.Dec())
	}
	c.alerts.ensure(Alert{Key: key, Code: codeWalletLow, Severity: ledger.Warning, Text: text, Hint: "top up the payer's address"})
}

// outflow compares what decisions pay with what was ever credited, over all accounts and networks: the books have one coin.
// Each payout is covered by its own account's credits when it is approved; this is the sum that no rule about single
// accounts can miss. It alerts at once, and blows the fuse when it lasts as long as uncovered debits may.
func (w *watcher) outflow() error {
	var o ledger.Outflow
	err := w.n.led.View(func(tx *ledger.Tx) (err error) { o, err = tx.Outflow(); return err })
	if err == nil && o.Stale {
		err = w.n.led.Update(func(tx *ledger.Tx) (err error) {
			if err = tx.BookOutflow(); err == nil {
				o, err = tx.Outflow()
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	if o.Behind { // nothing is said: an alert of before a start stands until the books have caught up
		w.overpaid = time.Time{}
		return nil
	}
	if !o.Exceeds() {
		w.overpaid = time.Time{}
		w.n.alerts.recover(codeOverpaid)
		return nil
	}
	now := w.n.now()
	if w.overpaid.IsZero() {
		w.overpaid = now
	}
	text := fmt.Sprintf("decisions up to height %d pay %s with fees; this node counts credits of %s, and %s pending", o.Height, o.Sum.Dec(),
		o.Counted.Dec(), o.Pending.Dec())
	w.n.alerts.ensure(Alert{Code: codeOverpaid, Severity: ledger.Critical, Text: text,
		Hint: "compare the books with another custodian's: either this node was shown less, or more is paid than was earned"})
	if now.Sub(w.overpaid) >= w.n.policy().HoldMax {
		w.n.log.Warn("outflow above inflow lasts", zap.Time("since", w.overpaid))
		w.n.core.post(func() { w.n.core.trip(codeOverpaid, text) })
	}
	return nil
}
