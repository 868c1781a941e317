package scenario

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/simnet"
)

// tokens is what stories about batches of a token say.
func tokens() []command {
	all := []command{
		{"lane pays batches of a token", true, func(p *player, _ args) error { p.cfg.Tokens = true; return nil }},
		{"token is paused", false, func(p *player, _ args) error { p.w.Pause(true); return nil }},
		{"token works again", false, func(p *player, _ args) error { p.w.Pause(false); return nil }},
		{"payer loses AMOUNT tokens without a transaction", false, func(p *player, a args) error {
			units, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			return p.w.StealTokens(units)
		}},
		{"a thief is allowed the payer's tokens", false, func(p *player, _ args) error { return p.w.ForeignAllow() }},
	}
	all = append(all, fact("contract may take tokens on WHO…", func(p *player, a args) error { return p.allowance(a, true) })...)
	all = append(all, fact("contract may take no tokens on WHO…", func(p *player, a args) error { return p.allowance(a, false) })...)
	for _, what := range []string{"lost", "paid"} {
		all = append(all, fact("payer's tokens "+what+" are AMOUNT", func(p *player, a args) error { return p.tokensFlowed(what, a) })...)
	}
	return all
}

// allowance: the contract may take what the payer in force has, and every custodian's endpoints show it.
func (p *player) allowance(a args, want bool) error {
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		if l := s.Lanes[0]; (l.Allowed != "0") != want {
			return fmt.Errorf("%s shows an allowance of %s", c.Name, l.Allowed)
		}
		allowed, err := p.w.Allowed(*s.Lanes[0].Payer)
		if err == nil && allowed.IsZero() == want {
			err = fmt.Errorf("the token says that %s may be taken", allowed.Dec())
		}
		return err
	})
}

// tokensFlowed: every custodian's account of the token says so.
func (p *player) tokensFlowed(what string, a args) error {
	want, err := coins(a["AMOUNT"])
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		for _, f := range s.Lanes[0].Flows {
			if f.Token == (common.Address{}) {
				continue
			}
			if got := map[string]string{"lost": f.Lost, "paid": f.Paid}[what]; got != want.String() {
				return fmt.Errorf("%s tokens are %s", got, what)
			}
			return nil
		}
		return fmt.Errorf("no account of the token")
	})
}
