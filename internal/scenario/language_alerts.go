package scenario

import (
	"fmt"
	"strings"
	"time"

	"conclave/internal/simnet"
)

// alerts is what reaches people through a custodian's webhook.
func alerts() []command {
	all := []command{
		{"heartbeat every DURATION", true, func(p *player, a args) (err error) {
			p.cfg.Alerts.Heartbeat, err = a.duration("DURATION")
			return err
		}},
		{"withdrawals are late after DURATION", true, func(p *player, a args) (err error) {
			p.cfg.Alerts.Late, err = a.duration("DURATION")
			return err
		}},
		{"expect a heartbeat within LIMIT at WHO…", false, func(p *player, a args) error {
			limit, err := a.duration("LIMIT")
			if err != nil {
				return err
			}
			had := map[int]int{}
			_ = p.each(a, func(c *simnet.Custodian) error { had[c.Index] = len(c.Notices.About("heartbeat")); return nil })
			return p.w.Until(limit, func() error {
				return p.each(a, func(c *simnet.Custodian) error {
					if n := len(c.Notices.About("heartbeat")); n <= had[c.Index] {
						return fmt.Errorf("still %d heartbeats", n)
					}
					return nil
				})
			})
		}},
		{"expect no heartbeat for DURATION at WHO…", false, func(p *player, a args) error {
			d, err := a.duration("DURATION")
			if err != nil {
				return err
			}
			began := time.Now()
			time.Sleep(d)
			return p.each(a, func(c *simnet.Custodian) error {
				for _, n := range c.Notices.About("heartbeat") {
					if n.Time.After(began) {
						return fmt.Errorf("a heartbeat: %s", n.Text)
					}
				}
				return nil
			})
		}},
	}
	all = append(all, fact("messages KINDS about CODE at WHO…", (*player).told)...)
	return append(all, fact("CODE stands naming WORD on WHO…", (*player).stands)...)
}

// stands: an alert whose cause has not gone says so.
func (p *player) stands(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		err := fmt.Errorf("%s does not stand", a["CODE"])
		for _, al := range c.Node.Alerts() {
			if al.Code != a["CODE"] || al.Over {
				continue
			}
			if strings.Contains(al.Text, a["WORD"]) {
				return nil
			}
			err = fmt.Errorf("%s says: %s", al.Code, al.Text)
		}
		return err
	})
}

// told: the custodian's webhook got these messages about a code, in this order, and no others.
func (p *player) told(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		var kinds []string
		for _, n := range c.Notices.About(a["CODE"]) {
			kinds = append(kinds, string(n.Kind))
		}
		if got := strings.Join(kinds, ","); got != a["KINDS"] {
			return fmt.Errorf("messages about %s: %q", a["CODE"], got)
		}
		return nil
	})
}
