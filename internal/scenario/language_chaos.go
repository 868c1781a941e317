package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/simnet"
	"conclave/ledger"
	"conclave/node"
	"conclave/relay/relaysim"
)

// chaos is bad weather, blows, and the day after.
func chaos() []command {
	return append(append(weather(), blows()...), recovery()...)
}

// weather is what happens on the way and to clocks.
func weather() []command {
	storm := func(p *player, a args) error {
		var s simnet.Storm
		for key, into := range map[string]*uint64{"SEED": &s.Seed, "LOSS": &s.Lose, "TWICE": &s.Double} {
			n, err := a.number(key)
			if err != nil {
				return err
			}
			*into = uint64(n)
		}
		if s.Lose > 100 || s.Double > 100 {
			return errors.New("more than a hundred percent")
		}
		var err error
		if s.Delay, err = a.duration("DELAY"); err == nil {
			p.w.Storm(s)
		}
		return err
	}
	skew := func(sign time.Duration) func(*player, args) error {
		return func(p *player, a args) error {
			d, err := a.duration("DURATION")
			if err != nil {
				return err
			}
			c, err := p.custodian(a)
			if err == nil {
				c.Skew(sign * d)
			}
			return err
		}
	}
	return []command{
		{"turns SEED", true, func(p *player, a args) error {
			n, err := a.number("SEED")
			p.cfg.Turns = uint64(n)
			return err
		}},
		{"storm SEED loses LOSS percent and doubles TWICE percent and delays up to DELAY", false, storm},
		{"storm ends", false, func(p *player, _ args) error { p.w.Storm(simnet.Storm{}); return nil }},
		{"clock of N is DURATION ahead", false, skew(1)},
		{"clock of N is DURATION behind", false, skew(-1)},
		{"clock of N is right", false, func(p *player, a args) error {
			c, err := p.custodian(a)
			if err == nil {
				c.Skew(0)
			}
			return err
		}},
	}
}

func (p *player) custodian(a args) (*simnet.Custodian, error) {
	n, err := a.number("N")
	if err != nil {
		return nil, err
	}
	return p.w.Custodian(n)
}

// blows are ends of a process. Whoever is dead already is left alone: a schedule does not know who is.
func blows() []command {
	strike := func(do func(*player, *simnet.Custodian, args) error) func(*player, args) error {
		return func(p *player, a args) error {
			c, err := p.custodian(a)
			if err != nil || !c.Running() {
				return err
			}
			return do(p, c, a)
		}
	}
	return []command{
		{"crash N before its next EFFECT…", false, strike(func(_ *player, c *simnet.Custodian, a args) error {
			c.CrashBefore(a["EFFECT"])
			return nil
		})},
		{"operator of N halts it", false, strike(func(p *player, c *simnet.Custodian, _ args) error {
			// One that has just started signs nothing before it has asked the others.
			if err := c.Node.Halt(p.ctx, "the schedule says so"); err != nil {
				p.w.Tracef("%s: its operator cannot halt it: %v", c.Name, err)
			}
			return nil
		})},
		{"power cut of N with seed SEED", false, strike(func(p *player, c *simnet.Custodian, a args) error {
			seed, err := a.number("SEED")
			if err != nil {
				return err
			}
			return p.w.PowerCut(c, uint64(seed))
		})},
		{"disk of N fails at its next STEP", false, strike(func(_ *player, c *simnet.Custodian, a args) error {
			at := ledger.Step(a["STEP"])
			if at != ledger.StepCommit && at != ledger.StepMark && at != ledger.StepReplace {
				return fmt.Errorf("a commit has no step %q", at)
			}
			c.FailDisk(at)
			return nil
		})},
	}
}

// recovery is how a schedule ends.
func recovery() []command {
	return []command{
		{"everything is healed", false, (*player).heal},
		{"relay answers all as it should", false, (*player).answer},
		{"whoever is dead starts", false, func(p *player, _ args) error { return p.w.Revive() }},
		{"operators end every halt within LIMIT", false, func(p *player, a args) error {
			limit, err := a.duration("LIMIT")
			if err != nil {
				return err
			}
			return p.w.Until(limit, func() error { return errors.Join(p.alive(), p.endHalts()) })
		}},
		{"wait within LIMIT until all is paid that was asked for by NAMES…", false, func(p *player, a args) error {
			limit, err := a.duration("LIMIT")
			if err != nil {
				return err
			}
			// Whether the Relay was told is cheap to ask; why not, and whether everybody knows, is not.
			if p.w.Until(limit, func() error { return errors.Join(p.alive(), p.fulfilled(a)) }) == nil {
				limit = hearsay
			} else {
				limit = 0
			}
			return p.w.Until(limit, func() error { return errors.Join(p.alive(), p.paidInFull(a)) })
		}},
	}
}

// hearsay is how long a custodian that was away may need until it knows what the others know: statements are told again
// every ten seconds, and the Relay's whole list is read again more rarely.
const hearsay = 2 * time.Minute

// heal ends everything that a schedule may have begun, but for halts and members that turned.
func (p *player) heal(args) error {
	p.w.Hub.Heal()
	p.w.Storm(simnet.Storm{})
	p.w.LoseNothing()
	p.w.Overprice(false)
	p.w.Relay.Outage(relaysim.Up)
	p.w.Relay.ShiftClock(0)
	if err := p.answer(nil); err != nil {
		return err
	}
	for _, c := range p.w.Custodians {
		c.Chain.SetDown(false)
		c.SetEndpoint(simnet.EndpointHonest)
		c.BroadcastsSeemToFail.Store(false)
		c.Spare()
		if err := c.SetRight(); err != nil {
			return err
		}
	}
	return p.w.Revive()
}

// answer ends every lie but those about one account's history: rows that change after they were shown would stop everybody.
func (p *player) answer(args) error {
	for _, c := range p.w.Custodians {
		c.Relay.Repent()
		c.Relay.Outage(relaysim.Up)
		for _, l := range p.histories[c.Index] {
			if err := c.Relay.Misbehave(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrites are the lies that change what rows hold.
func rewrites(l relaysim.Lie) bool {
	return l.About != (common.Address{}) && (l.Mode == relaysim.Forked || l.Mode == relaysim.OddAmounts || l.Mode == relaysim.Inflating)
}

// endHalts does what operators do with halts that nobody needs any more. It returns what still halts.
func (p *player) endHalts() error {
	var halted error
	network := false
	rulers, operators, err := p.rulers()
	if err != nil {
		return err
	}
	for _, c := range rulers {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		if !s.Halted {
			continue
		}
		halted = fmt.Errorf("%s is halted", c.Name)
		switch err := c.Node.Resume(p.ctx, "the schedule is over"); {
		case errors.Is(err, ledger.ErrNetworkHalted):
			network = true
		case err != nil && !errors.Is(err, ledger.ErrNotFound):
			return err
		}
	}
	if !network || !p.decreeDue() {
		return halted
	}
	now, err := p.w.Halts(p.ctx)
	if err != nil || len(now.Halts) == 0 {
		return errors.Join(halted, err)
	}
	if _, err := p.w.Decree(p.ctx, now, operators); err != nil && !errors.Is(err, node.ErrAction) {
		return errors.Join(halted, err)
	}
	return halted
}

// decreeEvery is how long operators wait before they sign another RESUME: the first may be under way.
const decreeEvery = 20 * time.Second

func (p *player) decreeDue() bool {
	due := time.Since(p.decreed) >= decreeEvery
	if due {
		p.decreed = time.Now()
	}
	return due
}

// fulfilled: the Relay shows every request of these users as paid.
func (p *player) fulfilled(a args) error {
	for _, name := range strings.Fields(a["NAMES"]) {
		for _, r := range p.w.RequestsOf(name) {
			if row, _, _ := p.w.Relay.Withdrawal(r.ID); row.Status != relayFulfilled {
				return errors.New("somebody is not paid")
			}
		}
	}
	return nil
}

// paidInFull: every member of the latest committee knows that every request of these users is paid, and the chain shows it.
func (p *player) paidInFull(a args) error {
	rulers, _, err := p.rulers()
	if err != nil {
		return err
	}
	var who []string
	for _, c := range rulers {
		who = append(who, strconv.Itoa(c.Index))
	}
	for _, name := range strings.Fields(a["NAMES"]) {
		for _, r := range p.w.RequestsOf(name) {
			if err := p.outcome(args{"REQUEST": r.Name, "WHO": strings.Join(who, " ")}, "paid", relayFulfilled); err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
		}
	}
	return nil
}
