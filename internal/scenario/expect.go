package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"conclave/internal/simnet"
	"conclave/node"
	"conclave/p2p"
)

// Statuses of a request at the Relay.
const (
	relayFulfilled = 1
	relayRejected  = 2
)

// patience is how long "expect" looks again: what others still have to hear within a moment.
const patience = 3 * time.Second

// expectations look at every honest custodian that runs, unless a line names some.
func expectations() []command {
	var out []command
	// Each fact can be waited for and expected; "never" is left to the invariants and to "unpaid".
	for _, f := range []struct {
		what string
		is   func(*player, args) error
	}{
		{"paid REQUEST", func(p *player, a args) error { return p.outcome(a, "paid", relayFulfilled) }},
		{"rejected REQUEST", func(p *player, a args) error { return p.outcome(a, "rejected", relayRejected) }},
		{"decided REQUEST", func(p *player, a args) error {
			return p.withdrawals(a, func(v node.WithdrawalView) error {
				if v.Height == nil {
					return fmt.Errorf("not decided: %s", why(v))
				}
				return nil
			})
		}},
		{"waiting REQUEST code CODE", func(p *player, a args) error { return p.waits(a) }},
		{"waiting REQUEST code CODE on WHO…", func(p *player, a args) error { return p.waits(a) }},
		{"frozen NAME code CODE", func(p *player, a args) error { return p.frozen(a, a["CODE"]) }},
		{"frozen NAME code CODE on WHO…", func(p *player, a args) error { return p.frozen(a, a["CODE"]) }},
		{"free NAME", func(p *player, a args) error { return p.frozen(a, "") }},
		{"halted WHO…", func(p *player, a args) error { return p.halted(a, true) }},
		{"nobody halted", func(p *player, a args) error { return p.halted(a, false) }},
		{"held WHO…", func(p *player, a args) error { return p.held(a) }},
		{"alert CODE on WHO…", func(p *player, a args) error { return p.alert(a) }},
		{"evidence KIND on WHO…", func(p *player, a args) error {
			return p.alert(args{"CODE": "evidence", "TEXT": ": " + a["KIND"] + " by", "WHO": a["WHO"]})
		}},
		{"refused from N on WHO…", func(p *player, a args) error { return p.refused(a) }},
	} {
		out = append(out, expectation(f.what, f.is)...)
	}
	return append(out, command{"expect unpaid REQUEST", false, (*player).unpaid},
		command{"expect unpaid REQUEST on WHO…", false, (*player).unpaid})
}

// those are the custodians that a line names; none named means all honest ones that run.
func (p *player) those(a args) ([]*simnet.Custodian, error) {
	if a["WHO"] == "" {
		return p.w.Honest(), nil
	}
	who, err := numbers(a["WHO"])
	var out []*simnet.Custodian
	for _, i := range who {
		c, e := p.w.Custodian(i)
		if e == nil && !c.Running() {
			e = fmt.Errorf("%s does not run", c.Name)
		}
		out, err = append(out, c), errors.Join(err, e)
	}
	return out, err
}

func (p *player) each(a args, is func(*simnet.Custodian) error) error {
	cs, err := p.those(a)
	if err != nil {
		return err
	}
	if len(cs) == 0 {
		return errors.New("no custodian runs")
	}
	for _, c := range cs {
		if err := is(c); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}

func (p *player) withdrawals(a args, is func(node.WithdrawalView) error) error {
	r, err := p.w.Request(a["REQUEST"])
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		v, err := c.Node.Withdrawal(p.ctx, r.ID)
		if err != nil {
			return err
		}
		return is(v)
	})
}

// outcome: every custodian knows it, and the Relay was told.
func (p *player) outcome(a args, want string, status int) error {
	err := p.withdrawals(a, func(v node.WithdrawalView) error {
		if v.Outcome != want {
			return fmt.Errorf("not %s: %s", want, why(v))
		}
		return nil
	})
	if err != nil {
		return err
	}
	r, err := p.w.Request(a["REQUEST"])
	if err != nil {
		return err
	}
	if row, _, _ := p.w.Relay.Withdrawal(r.ID); row.Status != status {
		return fmt.Errorf("the Relay shows status %d of %s", row.Status, r.Name)
	}
	if want != "paid" {
		return nil
	}
	return p.w.Arrived(r)
}

func why(v node.WithdrawalView) string {
	parts := []string{v.Stage}
	for _, r := range v.WhyNotYet {
		parts = append(parts, r.Code+" ("+r.Text+")")
	}
	return strings.Join(parts, ", ")
}

func (p *player) waits(a args) error {
	return p.withdrawals(a, func(v node.WithdrawalView) error {
		if v.Outcome == "" && slices.ContainsFunc(v.WhyNotYet, func(r node.Reason) bool { return r.Code == a["CODE"] }) {
			return nil
		}
		return fmt.Errorf("%s", why(v))
	})
}

// unpaid: nobody decided it, and the chain has not moved for it.
func (p *player) unpaid(a args) error {
	return p.withdrawals(a, func(v node.WithdrawalView) error {
		if v.Height != nil {
			return fmt.Errorf("decided at height %d: %s", *v.Height, why(v))
		}
		return nil
	})
}

func (p *player) frozen(a args, code string) error {
	u := p.w.User(a["NAME"])
	return p.each(a, func(c *simnet.Custodian) error {
		v, err := c.Node.Account(u.Address)
		if err != nil {
			return err
		}
		var codes []string
		for _, f := range v.Frozen {
			codes = append(codes, f.Code)
		}
		if code == "" && len(codes) > 0 || code != "" && !slices.Contains(codes, code) {
			return fmt.Errorf("frozen for %v", codes)
		}
		return nil
	})
}

func (p *player) halted(a args, want bool) error {
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err == nil && s.Halted != want {
			err = fmt.Errorf("halted: %t", s.Halted)
		}
		return err
	})
}

func (p *player) held(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err == nil && !s.Books.Held {
			err = errors.New("intake goes on")
		}
		return err
	})
}

func (p *player) alert(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		var codes []string
		for _, al := range c.Node.Alerts() {
			if al.Code == a["CODE"] && strings.Contains(al.Text, a["TEXT"]) {
				return nil
			}
			codes = append(codes, al.Code)
		}
		return fmt.Errorf("alerts are %v", codes)
	})
}

func (p *player) refused(a args) error {
	n, err := a.number("N")
	if err != nil {
		return err
	}
	from, err := p.w.Custodian(n)
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		at := slices.IndexFunc(c.Net.Peers(), func(s p2p.PeerStatus) bool { return s.Address == from.Address })
		if at < 0 || c.Net.Peers()[at].Refused == 0 {
			return errors.New("nothing was refused")
		}
		return nil
	})
}

// expectation makes the two commands of a fact: it holds now, within patience, or within a limit.
func expectation(what string, is func(*player, args) error) []command {
	pattern, on := what, ""
	if at := strings.Index(pattern, " WHO…"); at >= 0 {
		pattern, on = pattern[:at], " WHO…"
	}
	return []command{
		{"expect " + pattern + on, false, func(p *player, a args) error {
			return p.w.Until(patience, func() error { return is(p, a) })
		}},
		// The limit stands before the list of custodians, which takes the rest of the line.
		{"wait within LIMIT for " + pattern + on, false, func(p *player, a args) error {
			limit, err := a.duration("LIMIT")
			if err != nil {
				return err
			}
			return p.w.Until(limit, func() error { return errors.Join(p.alive(), is(p, a)) })
		}},
	}
}
