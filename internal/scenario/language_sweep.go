package scenario

import (
	"errors"

	"conclave/internal/simnet"
	"conclave/quorum"
)

// sweeps is what a removal for cause takes: another key, and everything moved to it.
func sweeps() []command {
	all := []command{
		{"operators propose members LIST and a sweep by WHO…", false, signed(func(p *player, a args) (quorum.ActionBody, error) {
			body, err := committeeOf(p, a)
			if err != nil {
				return nil, err
			}
			return body.(quorum.MemberChange).Sweeping(), nil
		})},
	}
	all = append(all, fact("another payer on WHO…", (*player).repaid)...)
	return append(all, fact("the first payer is dust on WHO…", (*player).swept)...)
}

// repaid: a lane is paid by another payer than the first one, whose money may be under way.
func (p *player) repaid(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		for _, al := range c.Node.Alerts() {
			if al.Code == "old-payer" {
				return nil
			}
		}
		return errors.New("no payer was ever emptied")
	})
}

func (p *player) swept(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		for _, al := range c.Node.Alerts() {
			if al.Code == "old-payer" && !al.Over {
				return errors.New(al.Text)
			}
		}
		return p.w.Swept(s)
	})
}
