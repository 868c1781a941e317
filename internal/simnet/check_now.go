package simnet

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// CheckNow looks, while custodians run, at what can be seen from outside: what members said (I2, I3, I4, I12), what they
// hold (I18) and show (I15), and what the chain shows (I8, I10, I11): each payment answers one request, no request is paid twice, and no
// account got more than it earned.
func (w *World) CheckNow() error {
	if err := w.contradictions(); err != nil {
		return err
	}
	if err := w.checkPayments(); err != nil {
		return err
	}
	if err := w.checkBounds(); err != nil {
		return err
	}
	if err := w.canary.leaked(); err != nil {
		return err
	}
	return w.forbidden()
}

// forbidden asks the test's own rule, if there is one.
func (w *World) forbidden() error {
	if w.cfg.Forbid == nil {
		return nil
	}
	return w.cfg.Forbid(w)
}

// checkPayments compares each chain with the requests that users made.
func (w *World) checkPayments() error {
	all, err := w.payments(w.end)
	if err != nil {
		return err
	}
	got := map[common.Address]*big.Int{}
	if err := w.answered(all, "", got); err != nil {
		return err
	}
	if w.other != nil {
		if all, err = w.payments(w.other.end); err != nil {
			return err
		}
		if err := w.answered(all, OtherNetwork, got); err != nil {
			return err
		}
	}
	return w.withinEarnings(got)
}

func (w *World) answered(all []payment, network string, got map[common.Address]*big.Int) error {
	open := map[string][]*Request{}
	for _, name := range w.order {
		r := w.requests[name]
		if r.network == network {
			key := fmt.Sprint(r.Destination, r.Amount)
			open[key] = append(open[key], r)
		}
	}
	nonces, own := map[common.Address]uint64{}, w.payers()
	for _, p := range all {
		if p.nonce != nonces[p.from] {
			return broken("I11", "nonce %d follows %d", p.nonce, nonces[p.from])
		}
		nonces[p.from]++
		if p.theft || slices.Contains(own, p.to) {
			continue
		}
		for _, a := range p.items {
			key := fmt.Sprint(a.To, a.Amount.ToBig())
			if len(open[key]) == 0 {
				return broken("I8", "the payer sent %s wei to %s at nonce %d: nobody asked for that, or got it before", a.Amount.Dec(), a.To, p.nonce)
			}
			r := open[key][0]
			if !p.good {
				continue
			}
			open[key] = open[key][1:]
			if got[r.User.Address] == nil {
				got[r.User.Address] = new(big.Int)
			}
			got[r.User.Address].Add(got[r.User.Address], r.Amount)
		}
	}
	return nil
}

// withinEarnings compares what accounts got with what the Relay truly owed them, whatever it showed.
func (w *World) withinEarnings(got map[common.Address]*big.Int) error {
	if len(got) == 0 {
		return nil
	}
	earned := map[common.Address]*uint256.Int{}
	for _, row := range w.Relay.Events() {
		amount, err := uint256.FromDecimal(row.Amount)
		if err != nil || !credits[row.Type] {
			continue // a negative amount is nobody's income
		}
		at := common.HexToAddress(row.Address)
		if earned[at] == nil {
			earned[at] = new(uint256.Int)
		}
		earned[at].Add(earned[at], amount)
	}
	for account, sum := range got {
		if had := earned[account]; had == nil || sum.Cmp(had.ToBig()) > 0 {
			return broken("I8", "%s was paid %s wei and never earned that much", account, sum)
		}
	}
	return nil
}

// credits are the Relay's kinds of rows that give an account something.
var credits = map[int]bool{0: true, 1: true, 2: true, 3: true, 5: true, 7: true, 8: true, 10: true}
