package scenario

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/simnet"
	"conclave/node"
)

// checkpoints is the words about ranges of the log.
func checkpoints() []command {
	all := []command{
		{"relay skips N ids", false, func(p *player, a args) error {
			n, err := a.number("N")
			if err == nil {
				p.w.Relay.Burn(uint64(n))
			}
			return err
		}},
		{"hear checkpoints", false, func(p *player, _ args) error { p.w.HearCheckpoints(); return nil }},
		{"puppet N says of range RANGE what the others say", false, func(p *player, a args) error { return p.sayRange(a, false) }},
		{"puppet N says of range RANGE something else", false, func(p *player, a args) error { return p.sayRange(a, true) }},
	}
	for _, f := range []struct {
		what string
		is   func(*player, args) error
	}{
		{"one log", (*player).oneLog},
		{"evidence about range RANGE kind KIND names NAME on WHO…", (*player).rangeEvidence},
		{"no evidence about ranges on WHO…", (*player).noRangeEvidence},
		{"alert over CODE on WHO…", (*player).alertOver},
	} {
		all = append(all,
			command{"expect " + f.what, false, func(p *player, a args) error {
				return p.w.Until(patience, func() error { return f.is(p, a) })
			}},
			command{"wait within LIMIT for " + f.what, false, func(p *player, a args) error {
				limit, err := a.duration("LIMIT")
				if err != nil {
					return err
				}
				return p.w.Until(limit, func() error { return errors.Join(p.alive(), f.is(p, a)) })
			}})
	}
	return all
}

func (p *player) sayRange(a args, odd bool) error {
	n, err := a.number("N")
	if err != nil {
		return err
	}
	r, err := a.number("RANGE")
	if err == nil && p.puppets[n] == nil {
		err = fmt.Errorf("%d is no puppet", n)
	}
	if err != nil {
		return err
	}
	return p.puppets[n].Checkpoint(uint64(r), odd)
}

// oneLog: everybody's books hold the same rows.
func (p *player) oneLog(a args) error {
	var first common.Hash
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		if first == (common.Hash{}) {
			first = s.Books.Root
		}
		if s.Books.Root != first {
			return fmt.Errorf("root %s, another has %s", s.Books.Root, first)
		}
		return nil
	})
}

// rangeEvidence: exactly one row differs, it is the user's, the evidence verifies without a database, and nobody else waits.
func (p *player) rangeEvidence(a args) error {
	u := p.w.User(a["NAME"])
	return p.each(a, func(c *simnet.Custodian) error {
		all, err := c.Node.Evidence("")
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.Range == nil || fmt.Sprint(e.Range.Range) != a["RANGE"] || e.Kind != a["KIND"] {
				continue
			}
			if verdict, err := node.VerifyEvidence(p.w.Genesis, e); err != nil || verdict != node.EvidenceProves {
				return fmt.Errorf("evidence %s: %s: %w", e.ID, verdict, err)
			}
			if len(e.Range.Rows) != 1 || e.Range.MoreRows != 0 {
				return fmt.Errorf("%d rows differ", len(e.Range.Rows))
			}
			return touches(e.Range, u.Address)
		}
		return fmt.Errorf("%d pieces of evidence, none of them", len(all))
	})
}

func touches(r *node.RangeEvidence, account common.Address) error {
	for _, other := range r.Frozen {
		if other != account {
			return fmt.Errorf("%s is frozen too", other)
		}
	}
	for _, side := range []*node.Exhibit{r.Rows[0].Here, r.Rows[0].There} {
		if side != nil && !strings.Contains(side.Says, account.Hex()) {
			return fmt.Errorf("the row is %q", side.Says)
		}
	}
	return nil
}

func (p *player) noRangeEvidence(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		all, err := c.Node.Evidence("")
		for _, e := range all {
			if e.Range != nil {
				return fmt.Errorf("evidence about range %d", e.Range.Range)
			}
		}
		return err
	})
}

// alertOver: the alert was raised and its cause is gone.
func (p *player) alertOver(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		for _, al := range c.Node.Alerts() {
			if al.Code == a["CODE"] {
				if al.Over {
					return nil
				}
				return fmt.Errorf("%s stands: %s", al.Code, al.Text)
			}
		}
		return errors.New("there was no such alert")
	})
}
