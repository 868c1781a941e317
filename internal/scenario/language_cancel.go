package scenario

import (
	"fmt"

	"conclave/internal/simnet"
	"conclave/quorum"
)

// cancels is what stories about CANCELs say. A nonce is one of the first lane's payer.
func cancels() []command {
	all := []command{
		{"operators cancel nonce NONCE by WHO…", false, signed(func(p *player, a args) (quorum.ActionBody, error) {
			n, err := a.number("NONCE")
			if err != nil {
				return nil, err
			}
			return p.w.CancelOf(p.ctx, uint64(n))
		})},
		{"keep the payment of nonce NONCE", false, func(p *player, a args) error {
			n, err := a.number("NONCE")
			if err == nil {
				p.kept, err = p.w.Pending(uint64(n))
			}
			return err
		}},
		{"somebody sends the payment that was kept", false, func(p *player, _ args) error { return p.w.Chain.SendRaw(p.kept) }},
		{"puppet N claims nonce NONCE for what was decided last to WHO…", false, func(p *player, a args) error {
			x, who, err := p.puppet(a)
			if err != nil {
				return err
			}
			n, err := a.number("NONCE")
			if err != nil {
				return err
			}
			return x.Claim(p.ctx, uint64(n), who)
		}},
	}
	is := func(p *player, a args) error {
		n, err := a.number("NONCE")
		if err != nil {
			return err
		}
		return p.each(a, func(c *simnet.Custodian) error {
			stage, err := c.Stage(p.ctx, uint64(n))
			if err == nil && stage != a["STAGE"] {
				err = fmt.Errorf("nonce %d is %s", n, stage)
			}
			return err
		})
	}
	all = append(all, fact("nonce NONCE STAGE", is)...)
	return append(all, fact("nonce NONCE STAGE on WHO…", is)...)
}
