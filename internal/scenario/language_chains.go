package scenario

import (
	"errors"
	"fmt"
	"slices"

	"conclave/internal/simnet"
)

// chains is what chains and their endpoints do.
func chains() []command {
	each := func(do func(*simnet.Custodian, args) error) func(*player, args) error {
		return func(p *player, a args) error {
			who, err := numbers(a["WHO"])
			for _, i := range who {
				c, e := p.w.Custodian(i)
				if e == nil {
					e = do(c, a)
				}
				err = errors.Join(err, e)
			}
			return err
		}
	}
	return []command{
		{"second endpoint KIND for WHO…", false, each(func(c *simnet.Custodian, a args) error {
			if !slices.Contains(simnet.EndpointKinds(), a["KIND"]) {
				return fmt.Errorf("an endpoint is one of %v", simnet.EndpointKinds())
			}
			c.SetEndpoint(a["KIND"])
			return nil
		})},
		{"chain hangs for WHO…", false, each(func(c *simnet.Custodian, _ args) error { c.Chain.SetHanging(true); return nil })},
		{"chain answers WHO…", false, each(func(c *simnet.Custodian, _ args) error { c.Chain.SetHanging(false); return nil })},
		{"chain reorganises N blocks", false, func(p *player, a args) error {
			n, err := a.number("N")
			if err != nil {
				return err
			}
			return p.w.Chain.Reorg(uint64(n), false)
		}},
		{"expect no alert CODE on WHO…", false, func(p *player, a args) error {
			if p.alert(a) == nil {
				return fmt.Errorf("%s was raised", a["CODE"])
			}
			return nil
		}},
	}
}
