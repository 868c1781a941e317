package scenario

import (
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"conclave/internal/simnet"
	"conclave/p2p/memnet"
	"conclave/quorum"
	"conclave/relay/relaysim"
)

// language is every command, in the order in which they are tried.
func language() []command {
	all := append(setting(), history()...)
	all = append(all, people()...)
	all = append(all, relayLies()...)
	all = append(all, lies()...)
	all = append(all, lessons()...)
	all = append(all, transactions()...)
	all = append(all, chains()...)
	all = append(all, faults()...)
	all = append(all, evidence()...)
	all = append(append(all, money()...), fees()...)
	all = append(all, alerts()...)
	all = append(all, watched()...)
	all = append(all, checkpoints()...)
	all = append(all, rules()...)
	all = append(all, decrees()...)
	all = append(all, rollbacks()...)
	all = append(all, memberChanges()...)
	all = append(all, sweeps()...)
	all = append(all, tokens()...)
	all = append(all, wishes()...)
	all = append(all, chaos()...)
	all = append(all, redelivery()...)
	all = append(all, batches()...)
	all = append(all, cancels()...)
	return append(all, expectations()...)
}

// setting is what comes first.
func setting() []command {
	return []command{
		{"policy KEY VALUE", true, func(p *player, a args) error {
			p.cfg.Policy[a["KEY"]] = a["VALUE"]
			return nil
		}},
		{"finality N", true, func(p *player, a args) error {
			n, err := a.number("N")
			p.cfg.Finality = uint64(n)
			return err
		}},
		{"real shares", true, func(p *player, _ args) error { p.cfg.Shares = true; return nil }},
		{"nodes 4", true, func(p *player, _ args) (err error) {
			if p.w != nil {
				return errors.New("the custodians run already")
			}
			if p.w, err = simnet.New(p.cfg); err != nil {
				return err
			}
			if err := p.w.Start(); err != nil {
				return err
			}
			time.Sleep(pause)
			return nil
		}},
		{"wait DURATION", false, func(p *player, a args) error {
			d, err := a.duration("DURATION")
			if err == nil {
				time.Sleep(d)
			}
			return err
		}},
	}
}

// people is what users do. Amounts are coins.
func people() []command {
	return []command{
		{"user NAME earns AMOUNT", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err == nil {
				p.last = p.w.Relay.CreditTask(p.w.User(a["NAME"]).Address, wei)
			}
			return err
		}},
		{"user NAME deposits AMOUNT", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			if err := p.w.Deposit(p.ctx, p.w.User(a["NAME"]), wei); err != nil {
				return err
			}
			rows := p.w.Relay.Events()
			p.last = rows[len(rows)-1].ID
			return nil
		}},
		{"user NAME binds a benefit address", false, func(p *player, a args) error { return p.w.Bind(p.ctx, p.w.User(a["NAME"])) }},
		{"user NAME pays AMOUNT for a task", false, func(p *player, a args) (err error) {
			wei, err := coins(a["AMOUNT"])
			if err == nil {
				p.last, err = p.w.Relay.PayTask(p.w.User(a["NAME"]).Address, wei.String())
			}
			return err
		}},
		{"user NAME pays OTHER AMOUNT for a task", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			_, err = p.w.Relay.RunTask(p.w.User(a["NAME"]).Address, p.w.User(a["OTHER"]).Address, wei.String())
			return err
		}},
		{"user NAME withdraws AMOUNT as REQUEST", false, func(p *player, a args) error { return p.withdraw(a, false) }},
		{"user NAME withdraws AMOUNT as REQUEST spelled in lower case", false, func(p *player, a args) error { return p.withdraw(a, true) }},
		{"user NAME posts REQUEST again as OTHER", false, func(p *player, a args) error {
			was, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			r, err := p.w.Repeat(p.ctx, was, a["OTHER"])
			if err == nil {
				p.last = r.Event
			}
			return err
		}},
	}
}

func (p *player) withdraw(a args, lower bool) error {
	wei, err := coins(a["AMOUNT"])
	if err != nil {
		return err
	}
	r, err := p.w.Withdraw(p.ctx, p.w.User(a["NAME"]), wei, a["REQUEST"], lower)
	if err == nil {
		p.last, p.request = r.Event, r
	}
	return err
}

// relayLies is what the Relay does that it should not. "The last row" is what the last user's command wrote; nobody has
// seen it yet, for the Relay keeps rows to itself for a second.
func relayLies() []command {
	to := func(do func(*player, []int, args) error) func(*player, args) error {
		return func(p *player, a args) error {
			who, err := numbers(a["WHO"])
			if err != nil {
				return err
			}
			return do(p, who, a)
		}
	}
	return []command{
		{"relay hides the last row from WHO…", false, to(func(p *player, who []int, _ args) error { return p.w.Hide(p.last, who) })},
		{"relay blanks the last row for WHO…", false, to(func(p *player, who []int, _ args) error { return p.w.Blank(p.last, who) })},
		{"relay hides REQUEST and its row from WHO…", false, to(func(p *player, who []int, a args) error {
			r, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			return errors.Join(p.w.Blank(r.Event, who), p.w.HideRequest(r, who))
		})},
		{"relay shows the last row as AMOUNT to WHO…", false, to(func(p *player, who []int, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			return p.w.ShowAs(p.last, wei.String(), who)
		})},
		{"relay commits the next row late", false, func(p *player, _ args) error { p.w.Relay.HoldNext(); return nil }},
		{"relay commits the late row of NAME", false, func(p *player, a args) error { return p.release(a["NAME"]) }},
		{"relay is silent", false, func(p *player, _ args) error { p.w.Relay.Outage(relaysim.Silence); return nil }},
		{"relay fails", false, func(p *player, _ args) error { p.w.Relay.Outage(relaysim.Fail); return nil }},
		{"relay is back", false, func(p *player, _ args) error { p.w.Relay.Outage(relaysim.Up); return nil }},
	}
}

// release commits the first row of a user that is held back.
func (p *player) release(name string) error {
	account := p.w.User(name).Address.Hex()
	for _, row := range p.w.Relay.Events() {
		if row.Address == account && p.w.Relay.Release(row.ID) == nil {
			return nil
		}
	}
	return fmt.Errorf("no row of %s is late", name)
}

// faults is what happens to custodians and between them.
func faults() []command {
	each := func(do func(*player, *simnet.Custodian) error) func(*player, args) error {
		return func(p *player, a args) error {
			who, err := numbers(a["WHO"])
			for _, i := range who {
				c, e := p.w.Custodian(i)
				if e == nil {
					e = do(p, c)
				}
				err = errors.Join(err, e)
			}
			return err
		}
	}
	return append([]command{
		{"kill WHO…", false, each(func(_ *player, c *simnet.Custodian) error { return c.Kill() })},
		{"restart WHO…", false, each(func(_ *player, c *simnet.Custodian) error { return errors.Join(c.Kill(), c.Start()) })},
		{"crash N at every step of REQUEST at least TIMES times within LIMIT", false, (*player).crash},
		{"halt WHO…", false, each(func(p *player, c *simnet.Custodian) error { return c.Node.Halt(p.ctx, "the story says so") })},
		{"resume WHO…", false, each(func(p *player, c *simnet.Custodian) error { return c.Node.Resume(p.ctx, "the story says so") })},
		{"chain is down for WHO…", false, each(func(_ *player, c *simnet.Custodian) error { c.Chain.SetDown(true); return nil })},
		{"chain is back for WHO…", false, each(func(_ *player, c *simnet.Custodian) error { c.Chain.SetDown(false); return nil })},
		{"partition GROUPS…", false, func(p *player, a args) error {
			var groups [][]int
			for _, g := range strings.Split(a["GROUPS"], "|") {
				set, err := numbers(g)
				if err != nil {
					return err
				}
				groups = append(groups, set)
			}
			return p.w.Partition(groups)
		}},
		{"heal", false, func(p *player, _ args) error { p.w.Hub.Heal(); return nil }},
		{"lose KIND", false, func(p *player, a args) error { return p.lose(a["KIND"], nil, nil) }},
		{"lose KIND from WHO…", false, func(p *player, a args) error {
			who, err := numbers(a["WHO"])
			return errors.Join(err, p.lose(a["KIND"], who, nil))
		}},
		{"lose KIND to WHO…", false, func(p *player, a args) error {
			who, err := numbers(a["WHO"])
			return errors.Join(err, p.lose(a["KIND"], nil, who))
		}},
	}, traitors()...)
}

// crash interrupts one custodian before each of its effects until the request is paid.
func (p *player) crash(a args) error {
	n, err := a.number("N")
	if err != nil {
		return err
	}
	c, err := p.w.Custodian(n)
	if err != nil {
		return err
	}
	times, err := a.number("TIMES")
	if err != nil {
		return err
	}
	limit, err := a.duration("LIMIT")
	if err != nil {
		return err
	}
	places, err := p.w.CrashEverywhere(c, limit, func() error { return p.outcome(a, "paid", relayFulfilled) })
	if err == nil && len(places) < times {
		err = fmt.Errorf("only %d steps were interrupted: %v", len(places), places)
	}
	return err
}

// lose makes a kind of message vanish until "lose nothing".
func (p *player) lose(kind string, from, to []int) error {
	says := map[string]quorum.Kind{"precommits": quorum.KindPrecommit, "prevotes": quorum.KindPrevote, "proposals": quorum.KindProposal}
	l := simnet.Loss{From: set(from), To: set(to)}
	switch {
	case kind == "nothing":
		p.w.LoseNothing()
		return nil
	case says[kind] != "":
		want := says[kind]
		l.What = func(h simnet.Heard) bool { return h.Says == want }
	case kind == "sessions": // frames of threshold sessions
		l.What = func(h simnet.Heard) bool { return h.Kind == memnet.Frame && h.Name == "tss" }
	case carried()[kind] != nil:
		l.What = carried()[kind]
	default:
		return fmt.Errorf("nothing is called %q on the wire", kind)
	}
	p.w.Lose(l)
	return nil
}

func set(list []int) map[int]bool {
	out := map[int]bool{}
	for _, i := range list {
		out[i] = true
	}
	return out
}

// traitors is what a faulty member does, or somebody who says that he is one.
func traitors() []command { return append(puppets(), strangers()...) }

// puppets are members without a node, which say what a story makes them say.
func puppets() []command {
	return []command{
		{"puppet N", false, func(p *player, a args) error {
			n, err := a.number("N")
			if err == nil {
				p.puppets[n], err = p.w.Puppet(n)
			}
			return err
		}},
		{"puppet N prevotes to WHO…", false, func(p *player, a args) error {
			x, who, err := p.puppet(a)
			if err == nil {
				x.PrevoteTo(who)
			}
			return err
		}},
		{"puppet N approves REQUEST to WHO…", false, func(p *player, a args) error {
			x, who, err := p.puppet(a)
			if err != nil {
				return err
			}
			r, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			return x.Approve(r, who)
		}},
		{"puppet N gossips a stranger's approval of REQUEST", false, func(p *player, a args) error {
			x, _, err := p.puppet(a)
			if err != nil {
				return err
			}
			r, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			s, err := p.w.Stranger()
			if err != nil {
				return err
			}
			return x.Smuggle(r, s)
		}},
	}
}

// strangers are who is no member, and who is one twice.
func strangers() []command {
	return []command{
		{"stranger knocks in vain", false, func(p *player, _ args) error {
			s, err := p.w.Stranger()
			if err != nil {
				return err
			}
			time.Sleep(pause)
			reached, err := s.Knock()
			if err == nil && len(reached) > 0 {
				err = fmt.Errorf("it reached %v", reached)
			}
			return err
		}},
		{"twin of N whose proposals reach only WHO…", false, (*player).twin},
	}
}

func (p *player) twin(a args) error {
	n, err := a.number("N")
	if err != nil {
		return err
	}
	who, err := numbers(a["WHO"])
	if err != nil {
		return err
	}
	twin, err := p.w.Twin(n, filepath.Join(p.cfg.Dir, fmt.Sprintf("twin-%d", n)))
	if err != nil {
		return err
	}
	// Neither hears what its own key says elsewhere: else both would fall silent before they vote.
	self := twin.Address
	p.w.Lose(simnet.Loss{To: set([]int{n}), What: func(h simnet.Heard) bool {
		return h.Signer == self || (h.Kind == memnet.Frame && h.Name == "facts")
	}})
	// What the first of the two proposes reaches the rest: nobody hears both.
	second, only := twin.Net.ID(), set(who)
	p.w.Lose(simnet.Loss{From: set([]int{n}), What: func(h simnet.Heard) bool {
		return h.Says == quorum.KindProposal && (h.FromNode == second) != only[h.ToIndex]
	}})
	return nil
}

func (p *player) puppet(a args) (*simnet.Puppet, []int, error) {
	n, err := a.number("N")
	if err != nil {
		return nil, nil, err
	}
	who, err := numbers(a["WHO"])
	if err == nil && p.puppets[n] == nil {
		err = fmt.Errorf("%d is no puppet", n)
	}
	return p.puppets[n], who, err
}

func coins(s string) (*big.Int, error) { return simnet.Coins(s) }
