package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/holiman/uint256"

	"conclave/internal/simnet"
	"conclave/node"
	"conclave/quorum"
)

// decrees is what operators sign. A line that names fewer than three of them asks for less than a quorum.
func decrees() []command {
	all := append([]command{
		{"operators resume everything by WHO…", false, signed(func(p *player, _ args) (quorum.ActionBody, error) { return p.w.Halts(p.ctx) })},
		{"policy KEY becomes VALUE by WHO…", false, signed(func(p *player, a args) (quorum.ActionBody, error) {
			file, err := p.w.NextPolicy(p.ctx, a["KEY"], a["VALUE"])
			return quorum.PolicyChange{File: file}, err
		})},
		{"the last action is replayed at serial N in vain", false, (*player).replay},
		{"lane is halted by WHO…", false, scoped(func(*player, args) node.HaltTarget { return node.HaltTarget{Lane: simnet.Network} })},
		{"account NAME is halted by WHO…", false, scoped(func(p *player, a args) node.HaltTarget {
			address := p.w.User(a["NAME"]).Address
			return node.HaltTarget{Account: &address}
		})},
	}, resolves()...)
	return append(all, decided()...)
}

// signed lets the operators that a line names sign an action.
func signed(body func(*player, args) (quorum.ActionBody, error)) func(*player, args) error {
	return func(p *player, a args) error {
		who, err := numbers(a["WHO"])
		if err != nil {
			return err
		}
		what, err := body(p, a)
		if err != nil {
			return err
		}
		p.decree, err = p.w.Decree(p.ctx, what, who)
		return err
	}
}

// resolves are the RESOLVEs, one line of the list each.
func resolves() []command {
	resolve := func(fill func(*player, args, *quorum.Resolve) error) func(*player, args) error {
		return signed(func(p *player, a args) (quorum.ActionBody, error) {
			r, err := p.w.Resolve(p.ctx, quorum.Resolve{})
			if err == nil {
				err = fill(p, a, &r)
			}
			return r, err
		})
	}
	return []command{
		{"resolve pays REQUEST as N sees it by WHO…", false, resolve(fate(true))},
		{"resolve rejects REQUEST as N sees it by WHO…", false, resolve(fate(false))},
		{"resolve rewrites NAME as N sees it by WHO…", false, resolve(func(p *player, a args, r *quorum.Resolve) error {
			c, err := p.asked(a)
			if err != nil {
				return err
			}
			w, err := c.RewriteOf(p.w.User(a["NAME"]))
			r.Accounts = append(r.Accounts, w)
			return err
		})},
		{"resolve waives AMOUNT by WHO…", false, resolve(func(_ *player, a args, r *quorum.Resolve) error {
			wei, err := coins(a["AMOUNT"])
			if err == nil {
				r.Uncovered = *uint256.MustFromBig(wei)
			}
			return err
		})},
	}
}

// fate decides a request.
func fate(pay bool) func(*player, args, *quorum.Resolve) error {
	return func(p *player, a args, r *quorum.Resolve) error {
		req, err := p.w.Request(a["REQUEST"])
		if err != nil {
			return err
		}
		c, err := p.asked(a)
		if err != nil {
			return err
		}
		f, err := c.FateOf(req, pay)
		r.Contents = append(r.Contents, f)
		return err
	}
}

func (p *player) asked(a args) (*simnet.Custodian, error) {
	n, err := a.number("N")
	if err != nil {
		return nil, err
	}
	c, err := p.w.Custodian(n)
	if err == nil && !c.Running() {
		err = fmt.Errorf("%s does not run", c.Name)
	}
	return c, err
}

func scoped(target func(*player, args) node.HaltTarget) func(*player, args) error {
	return func(p *player, a args) error {
		cs, err := p.those(a)
		if err != nil {
			return err
		}
		for _, c := range cs {
			if err := c.Node.HaltOn(p.ctx, target(p, a), "the story says so"); err != nil {
				return err
			}
		}
		return nil
	}
}

// replay shows the signatures of the last action at another serial: every custodian must refuse it.
func (p *player) replay(a args) error {
	n, err := a.number("N")
	if err != nil {
		return err
	}
	s := p.decree
	s.Action.Serial = uint64(n)
	for _, c := range p.w.Honest() {
		if err := c.Submit(p.ctx, s); err == nil {
			return fmt.Errorf("%s took it", c.Name)
		} else if !errors.Is(err, node.ErrAction) {
			return err
		}
	}
	time.Sleep(pause)
	return nil
}

// decided is what every honest custodian that runs must know of the operators' decisions.
func decided() []command {
	var out []command
	for _, what := range []string{"serial", "version"} {
		is := func(p *player, a args) error {
			want, err := a.number("N")
			if err != nil {
				return err
			}
			return p.each(args{}, func(c *simnet.Custodian) error {
				v, err := c.Node.Committee(p.ctx)
				if err != nil {
					return err
				}
				got := v.Serial
				if what == "version" {
					got = v.PolicyVersion
				}
				if got != uint64(want) {
					return fmt.Errorf("%s %d, want %d", what, got, want)
				}
				return nil
			})
		}
		out = append(out,
			command{"expect " + what + " N", false, func(p *player, a args) error { return p.w.Until(patience, func() error { return is(p, a) }) }},
			command{"wait within LIMIT for " + what + " N", false, func(p *player, a args) error {
				limit, err := a.duration("LIMIT")
				if err != nil {
					return err
				}
				return p.w.Until(limit, func() error { return errors.Join(p.alive(), is(p, a)) })
			}})
	}
	return out
}
