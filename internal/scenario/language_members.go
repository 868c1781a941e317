package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"conclave/internal/simnet"
	"conclave/quorum"
)

// memberChanges is how a committee changes.
func memberChanges() []command {
	all := []command{
		// It is the custodian with the next index, and starts at once.
		{"a newcomer starts", false, func(p *player, _ args) error {
			c, err := p.w.Newcomer()
			if err != nil {
				return err
			}
			return c.Start()
		}},
		{"operators propose members LIST by WHO…", false, signed(committeeOf)},
		// With a serial above the proposals that are open.
		{"operators propose again members LIST by WHO…", false, func(p *player, a args) error {
			p.w.Serial(1)
			defer p.w.Serial(0)
			return signed(committeeOf)(p, a)
		}},
	}
	all = append(all, expectation("epoch N of LIST on WHO…", (*player).rules)...)
	all = append(all, expectation("no link with N on WHO…", (*player).unlinked)...)
	return append(all, expectation("change lacks N on WHO…", (*player).lacks)...)
}

// unlinked: neither side of a connection has it.
func (p *player) unlinked(a args) error {
	n, err := a.number("N")
	if err != nil {
		return err
	}
	out, err := p.w.Custodian(n)
	if err != nil {
		return err
	}
	for _, peer := range out.Node.Peers() {
		if peer.Connected && peer.Address != out.Address {
			return fmt.Errorf("%d is connected with %s", n, peer.Address)
		}
	}
	return p.each(a, func(c *simnet.Custodian) error {
		for _, peer := range c.Node.Peers() {
			if peer.Connected && peer.Address == out.Address {
				return fmt.Errorf("%s is connected with it", c.Name)
			}
		}
		return nil
	})
}

// rules: an epoch's members, its shares, and no ceremony that goes on.
func (p *player) rules(a args) error {
	epoch, err := a.number("N")
	if err != nil {
		return err
	}
	members, err := numbers(strings.ReplaceAll(a["LIST"], ",", " "))
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err == nil {
			err = c.Rules(s, uint64(epoch), members)
		}
		if err == nil && s.Keygen != nil {
			err = errors.New("a ceremony goes on")
		}
		return err
	})
}

// lacks: a ceremony waits for a custodian.
func (p *player) lacks(a args) error {
	n, err := a.number("N")
	if err != nil {
		return err
	}
	missing, err := p.w.Custodian(n)
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		switch {
		case err != nil:
			return err
		case s.Keygen == nil:
			return errors.New("no ceremony goes on")
		case !slices.Contains(s.Keygen.Missing, missing.Address):
			return fmt.Errorf("it waits for %v", s.Keygen.Missing)
		}
		return nil
	})
}

func committeeOf(p *player, a args) (quorum.ActionBody, error) {
	members, err := numbers(strings.ReplaceAll(a["LIST"], ",", " "))
	if err != nil {
		return nil, err
	}
	return p.w.Change(members, "a story")
}
