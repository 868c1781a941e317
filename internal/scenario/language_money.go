package scenario

import (
	"errors"
	"fmt"
	"strings"

	"conclave/internal/simnet"
	"conclave/node"
)

// money is what limits payouts and what the payer has.
func money() []command {
	all := []command{
		{"governor SCOPE of CAPACITY refills REFILL in PER", true, func(p *player, a args) error {
			if p.w != nil {
				return errors.New("the custodians run already")
			}
			g, err := simnet.Governor(a["SCOPE"], a["CAPACITY"], a["REFILL"], a["PER"])
			p.cfg.Governors += g
			return err
		}},
		{"payer starts with AMOUNT", true, func(p *player, a args) error {
			p.cfg.Payer = a["AMOUNT"]
			return nil
		}},
		{"payer gets AMOUNT from outside", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err == nil {
				p.w.TopUp(wei)
			}
			return err
		}},
		{"payer loses AMOUNT without a transaction", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			return p.w.Steal(wei)
		}},
	}
	all = append(all, fact("over CODE on WHO…", (*player).over)...)
	all = append(all, fact("REQUEST waits for TEXT…", (*player).waitsFor)...)
	for _, what := range []string{"inflow", "lost", "paid"} {
		all = append(all, fact("payer's "+what+" is AMOUNT", func(p *player, a args) error { return p.flowed(what, a) })...)
	}
	return all
}

// fact is something that can be expected at once and waited for.
func fact(what string, is func(*player, args) error) []command {
	return []command{
		{"expect " + what, false, func(p *player, a args) error {
			return p.w.Until(patience, func() error { return is(p, a) })
		}},
		{"wait within LIMIT for " + what, false, func(p *player, a args) error {
			limit, err := a.duration("LIMIT")
			if err != nil {
				return err
			}
			return p.w.Until(limit, func() error { return errors.Join(p.alive(), is(p, a)) })
		}},
	}
}

// over: the alert was raised, and its cause has gone.
func (p *player) over(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		err := fmt.Errorf("%s was never raised", a["CODE"])
		for _, al := range c.Node.Alerts() {
			switch {
			case al.Code != a["CODE"]:
			case !al.Over:
				return fmt.Errorf("%s stands: %s", al.Code, al.Text)
			default:
				err = nil
			}
		}
		return err
	})
}

// waitsFor: one of the reasons says so.
func (p *player) waitsFor(a args) error {
	return p.withdrawals(a, func(v node.WithdrawalView) error {
		if v.Outcome == "" && strings.Contains(why(v), a["TEXT"]) {
			return nil
		}
		return errors.New(why(v))
	})
}

// flowed: every custodian's account of the coin says so.
func (p *player) flowed(what string, a args) error {
	want, err := coins(a["AMOUNT"])
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		if len(s.Lanes[0].Flows) != 1 {
			return fmt.Errorf("%d accounts of the payer", len(s.Lanes[0].Flows))
		}
		f := s.Lanes[0].Flows[0]
		if got := map[string]string{"inflow": f.Inflow, "lost": f.Lost, "paid": f.Paid}[what]; got != want.String() {
			return fmt.Errorf("the payer's %s is %s wei", what, got)
		}
		return nil
	})
}
