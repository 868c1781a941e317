package scenario

import (
	"errors"
	"fmt"

	"conclave/internal/simnet"
	"conclave/node"
)

// batches is what stories about many withdrawals in one transaction say. "N users" are crowd-1 to crowd-N, and their requests
// have their names.
func batches() []command {
	all := []command{
		{"lane pays batches", true, func(p *player, _ args) error { p.cfg.Batches = true; return nil }},
		{"N users earn AMOUNT", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			return errors.Join(err, p.crowd(a, func(name string) error {
				p.last = p.w.Relay.CreditTask(p.w.User(name).Address, wei)
				return nil
			}))
		}},
		{"N users withdraw AMOUNT", false, func(p *player, a args) error {
			return p.crowd(a, func(name string) error {
				return p.withdraw(args{"NAME": name, "AMOUNT": a["AMOUNT"], "REQUEST": name}, false)
			})
		}},
		{"recipient of NAME refuses", false, func(p *player, a args) error { p.w.Refuse(p.w.User(a["NAME"]), false); return nil }},
		{"recipient of NAME burns its gas", false, func(p *player, a args) error { p.w.Refuse(p.w.User(a["NAME"]), true); return nil }},
		{"expect at most N transactions of the payer", false, func(p *player, a args) error {
			n, err := a.number("N")
			if err != nil {
				return err
			}
			if sent, err := p.w.Sent(); err != nil || sent > n {
				return errors.Join(err, fmt.Errorf("the payer sent %d transactions", sent))
			}
			return nil
		}},
		{"expect REQUEST and OTHER in one transaction", false, func(p *player, a args) error { return p.together(a, true) }},
		{"expect REQUEST and OTHER in two transactions", false, func(p *player, a args) error { return p.together(a, false) }},
	}
	all = append(all, fact("all N paid", func(p *player, a args) error {
		return p.crowd(a, func(name string) error { return p.outcome(args{"REQUEST": name}, "paid", relayFulfilled) })
	})...)
	return append(all, fact("REQUEST claimable", (*player).claimable)...)
}

func (p *player) crowd(a args, do func(name string) error) error {
	n, err := a.number("N")
	for i := range n {
		if err == nil {
			err = do(fmt.Sprintf("crowd-%d", i+1))
		}
	}
	return err
}

// claimable: the contract holds it, every custodian says so, and the Relay was told that it is paid.
func (p *player) claimable(a args) error {
	r, err := p.w.Request(a["REQUEST"])
	if err != nil {
		return err
	}
	if err := p.w.Claimable(r); err != nil {
		return err
	}
	if row, _, _ := p.w.Relay.Withdrawal(r.ID); row.Status != relayFulfilled {
		return fmt.Errorf("the Relay shows status %d of %s", row.Status, r.Name)
	}
	return p.withdrawals(a, func(v node.WithdrawalView) error {
		if v.Outcome != "paid" || v.Claim == nil || v.Claim.Contract != p.w.Genesis.Lanes[0].Contract {
			return fmt.Errorf("%s, claim %v", why(v), v.Claim)
		}
		return nil
	})
}

// together: both are paid, by one transaction or by two.
func (p *player) together(a args, one bool) error {
	return p.each(a, func(c *simnet.Custodian) error {
		var views [2]node.WithdrawalView
		for i, name := range []string{a["REQUEST"], a["OTHER"]} {
			r, err := p.w.Request(name)
			if err == nil {
				views[i], err = c.Node.Withdrawal(p.ctx, r.ID)
			}
			if err != nil {
				return err
			}
		}
		x, y := views[0].Tx, views[1].Tx
		if x == nil || y == nil || (*x == *y) != one {
			return fmt.Errorf("%s is paid by %v, %s by %v", a["REQUEST"], x, a["OTHER"], y)
		}
		return nil
	})
}
