package scenario

import (
	"errors"
	"fmt"
	"slices"

	"conclave/internal/simnet"
	"conclave/node"
	"conclave/quorum"
)

// rules is what the rules of risk are about: who is denied, who objects, and how one rule stands.
func rules() []command {
	objects := func(do func(*player, *simnet.Custodian, uint64) error) func(*player, args) error {
		return func(p *player, a args) error {
			n, err := a.number("N")
			if err != nil {
				return err
			}
			c, err := p.w.Custodian(n)
			if err != nil {
				return err
			}
			r, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			return do(p, c, r.ID)
		}
	}
	return []command{
		{"NAME is denied by the policy", true, listed("limits.deny")},
		{"NAME alone is allowed by the policy", true, listed("limits.allow")},
		{"policy denies NAME by WHO…", false, signed(func(p *player, a args) (quorum.ActionBody, error) {
			file, err := p.w.NextPolicy(p.ctx, "", "")
			more := fmt.Sprintf("\n[limits]\ndeny = [%q]\n", simnet.AddressOf(a["NAME"]).Hex())
			return quorum.PolicyChange{File: append(file, more...)}, err
		})},
		{"user NAME binds the benefit address of OTHER", false, func(p *player, a args) error {
			return p.w.BindTo(p.ctx, p.w.User(a["NAME"]), p.w.User(a["OTHER"]).Name)
		}},
		{"operator N objects to REQUEST", false, objects(func(p *player, c *simnet.Custodian, wid uint64) error {
			late, err := c.Node.Object(p.ctx, wid, "the story says so")
			if err == nil && late {
				err = errors.New("its verdict is out already")
			}
			return err
		})},
		{"operator N no longer objects to REQUEST", false, objects(func(p *player, c *simnet.Custodian, wid uint64) error {
			return c.Node.EndObjection(p.ctx, wid)
		})},
		{"expect no objections", false, func(p *player, _ args) error {
			return p.w.Until(patience, func() error {
				for _, c := range p.w.Custodians {
					if c.Node == nil {
						continue
					}
					if list, err := c.Node.Objections(); err != nil || len(list) > 0 {
						return errors.Join(err, fmt.Errorf("custodian %d holds %d objections", c.Index, len(list)))
					}
				}
				return nil
			})
		}},
		{"expect REQUEST rule RULE OUTCOME", false, (*player).expectRuled},
		{"expect REQUEST rule RULE OUTCOME on WHO…", false, (*player).expectRuled},
	}
}

// listed puts one destination on a list of the policy that the network is founded with.
func listed(key string) func(*player, args) error {
	return func(p *player, a args) error {
		if p.w != nil {
			return errors.New("the custodians run already")
		}
		p.cfg.Policy[key] = fmt.Sprintf("[%q]", simnet.AddressOf(a["NAME"]).Hex())
		return nil
	}
}

func (p *player) expectRuled(a args) error {
	return p.w.Until(patience, func() error { return p.ruled(a) })
}

// ruled: every custodian's explanation holds the rule with that outcome.
func (p *player) ruled(a args) error {
	return p.withdrawals(a, func(v node.WithdrawalView) error {
		i := slices.IndexFunc(v.Explanation, func(e node.ExplanationView) bool { return e.Rule == a["RULE"] })
		if i < 0 {
			return fmt.Errorf("%d rules are explained, none of that name", len(v.Explanation))
		}
		if e := v.Explanation[i]; e.Outcome != a["OUTCOME"] {
			return fmt.Errorf("%s: wanted %s, observed %s", e.Outcome, e.Threshold, e.Observed)
		}
		return nil
	})
}
