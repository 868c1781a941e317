package scenario

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"conclave/internal/simnet"
	"conclave/node"
	"conclave/p2p/memnet"
	"conclave/quorum"
)

// carried are kinds of messages that can be lost, by what they are for.
func carried() map[string]func(simnet.Heard) bool {
	return map[string]func(simnet.Heard) bool{
		// Everything of agreement, and what beside it shows a decision.
		"agreement": func(h simnet.Heard) bool {
			return h.Says == quorum.KindProposal || h.Says == quorum.KindPrevote || h.Says == quorum.KindPrecommit || decision(h)
		},
		"decisions": decision,
	}
}

// decision reports whether a message shows a decision, asks for one, or answers.
func decision(h simnet.Heard) bool {
	return h.Decision() || h.Kind == memnet.Request || h.Kind == memnet.Reply
}

// redelivery is about what was signed once and comes again, and about operators who know less than they think.
func redelivery() []command {
	all := []command{
		{"hear decrees", false, func(p *player, _ args) error { p.w.HearDecrees(); return nil }},
		{"everything signed comes again", false, func(p *player, _ args) error {
			_, err := p.w.Redeliver(false)
			return err
		}},
		{"everything signed comes again in vain", false, (*player).again},
		{"operators meet at N", false, func(p *player, a args) error {
			n, err := a.number("N")
			return errors.Join(err, p.w.Meet(n))
		}},
		{"operators go home", false, func(p *player, _ args) error { return p.w.Meet(-1) }},
		// What the line asks for may be refused, by whoever knows better.
		{"try LINE…", false, func(p *player, a args) error {
			c, inner, err := find(strings.Fields(a["LINE"]))
			if err != nil {
				return err
			}
			if err := c.do(p, inner); err != nil {
				p.w.Tracef("refused: %v", err)
			}
			return nil
		}},
	}
	all = append(all, expectation("locked WHO…", (*player).locked)...)
	all = append(all, expectation("height N on WHO…", (*player).atHeight)...)
	return append(all, expectation("settled REQUEST", func(p *player, a args) error {
		return p.withdrawals(a, func(v node.WithdrawalView) error {
			if v.Outcome == "" {
				return fmt.Errorf("no outcome: %s", why(v))
			}
			return nil
		})
	})...)
}

// locked: these honest custodians, and no others, precommitted a value in a height that they have not decided.
func (p *player) locked(a args) error {
	who, err := numbers(a["WHO"])
	if err != nil {
		return err
	}
	want := set(who)
	for _, c := range p.w.Honest() {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		if is := p.w.Precommitted(c.Index) > s.Height; is != want[c.Index] {
			return fmt.Errorf("%s locked: %t", c.Name, is)
		}
	}
	return nil
}

func (p *player) atHeight(a args) error {
	want, err := a.number("N")
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err == nil && s.Height != uint64(want) {
			err = fmt.Errorf("height %d", s.Height)
		}
		return err
	})
}

// again shows everything that was signed to govern a second time, in its order and backwards: no custodian may hold
// anything else than before.
func (p *player) again(args) error {
	ruled := func() (out []string, err error) {
		for _, c := range p.w.Honest() {
			s, e := c.Ruled(p.ctx)
			out, err = append(out, c.Name+": "+s), errors.Join(err, e)
		}
		return out, err
	}
	before, err := ruled()
	if err != nil {
		return err
	}
	for _, backwards := range []bool{false, true} {
		n, err := p.w.Redeliver(backwards)
		if err == nil && n == 0 {
			err = errors.New("nothing was heard")
		}
		if err != nil {
			return err
		}
		time.Sleep(pause)
		after, err := ruled()
		if err != nil {
			return err
		}
		for i := range before {
			if before[i] != after[i] {
				return fmt.Errorf("%s\nis after it came again\n%s", before[i], after[i])
			}
		}
	}
	return nil
}
