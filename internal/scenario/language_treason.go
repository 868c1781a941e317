package scenario

import (
	"errors"
	"fmt"
	"strings"

	"conclave/internal/simnet"
)

// treasons are the words for who lies in sessions of threshold signing, and for who pays with a stolen key.
func treasons() []command {
	return []command{
		{"sessions of N lie by KIND to WHO…", false, func(p *player, a args) error {
			n, e1 := a.number("N")
			who, e2 := numbers(a["WHO"])
			if err := errors.Join(e1, e2); err != nil {
				return err
			}
			return p.w.Betray(n, simnet.Treason(a["KIND"]), who)
		}},
		{"a thief pays himself AMOUNT from the payer", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			return p.w.Embezzle(wei)
		}},
	}
}

// named: the fuse's alert says which transaction took the payer's money.
func (p *player) named(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		for _, al := range c.Node.Alerts() {
			for _, hash := range p.w.Embezzled() {
				if al.Code == "fuse" && strings.Contains(al.Text, hash.Hex()) {
					return nil
				}
			}
		}
		return fmt.Errorf("no fuse names any of %v", p.w.Embezzled())
	})
}
