package scenario

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/simnet"
	"conclave/ledger"
	"conclave/node"
	"conclave/relay/relaysim"
)

// lies are the words for a Relay that misbehaves, and for what custodians say about it.
func lies() []command {
	return slices.Concat(relayModes(), relayActs(), chainLies(), lateStarts(), knowledge())
}

// relayModes put custodians' views of the Relay into a mode of relaysim. Views with one seed are shown the same lie.
func relayModes() []command {
	var out []command
	// The list of custodians takes the rest of the line, so it stands last.
	for _, about := range []string{"", " about NAME", " about NAME by AMOUNT", " by AMOUNT", " seed SEED"} {
		out = append(out, command{"relay lies MODE" + about + " to WHO…", false, (*player).lie})
	}
	return append(out, command{"relay is honest to WHO…", false, func(p *player, a args) error {
		who, err := numbers(a["WHO"])
		if err != nil {
			return err
		}
		return p.w.Repent(who)
	}})
}

func (p *player) lie(a args) error {
	who, err := numbers(a["WHO"])
	if err != nil {
		return err
	}
	mode, err := relaysim.ParseMode(a["MODE"])
	if err != nil {
		return err
	}
	l := relaysim.Lie{Mode: mode, Seed: 1}
	if a["NAME"] != "" {
		l.About = p.w.User(a["NAME"]).Address
	}
	for key, into := range map[string]*uint64{"AMOUNT": &l.Amount, "SEED": &l.Seed} {
		if a[key] != "" {
			n, err := a.number(key)
			if err != nil {
				return err
			}
			*into = uint64(n)
		}
	}
	if rewrites(l) {
		for _, i := range who {
			p.histories[i] = append(p.histories[i], l)
		}
	}
	return p.w.Misbehave(l, who)
}

// relayActs are rows and outcomes that the Relay books for everybody.
func relayActs() []command {
	kinds := map[string]int{"fee-income": int(ledger.WithdrawalFeeIncome), "refund": int(ledger.WithdrawRefund), "delegation": int(ledger.UserDelegation),
		"dao-share": int(ledger.DaoTaskShare), "task-refund": int(ledger.TaskRefund)}
	decide := func(reject bool) func(*player, args) error {
		return func(p *player, a args) error {
			r, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			return p.w.DecideAtRelay(r, reject)
		}
	}
	return append([]command{
		{"relay books AMOUNT of KIND for NAME", false, func(p *player, a args) error {
			kind, ok := kinds[a["KIND"]]
			wei, err := coins(a["AMOUNT"])
			if err == nil && !ok {
				err = fmt.Errorf("no row is called %q", a["KIND"])
			}
			if err == nil {
				p.last = p.w.Relay.Emit(kind, p.account(a["NAME"]), wei)
			}
			return err
		}},
		{"relay lets NAME have AMOUNT that nobody is shown", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			p.last = p.w.Relay.CreditTask(p.w.User(a["NAME"]).Address, wei)
			return p.w.Blank(p.last, []int{0, 1, 2, 3})
		}},
		{"somebody rejects REQUEST at the Relay", false, decide(true)},
		{"somebody fulfils REQUEST at the Relay", false, decide(false)},
	}, vestings()...)
}

// vestings are schedules and what is released of them.
func vestings() []command {
	vest := func(forged bool) func(*player, args) error {
		return func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			id, e1 := a.number("ID")
			days, e2 := a.number("DAYS")
			ago, e3 := a.number("AGO")
			if err := errors.Join(e1, e2, e3); err != nil {
				return err
			}
			return p.w.Vest(uint64(id), p.w.User(a["NAME"]), wei, uint64(days), uint64(ago), forged)
		}
	}
	return []command{
		{"relay vests AMOUNT to NAME as ID over DAYS days since AGO days ago", false, vest(false)},
		{"relay vests AMOUNT to NAME as ID over DAYS days since AGO days ago without the admin", false, vest(true)},
		{"relay vests ID again as OTHER", false, func(p *player, a args) error {
			id, e1 := a.number("ID")
			as, e2 := a.number("OTHER")
			if err := errors.Join(e1, e2); err != nil {
				return err
			}
			return p.w.VestAgain(uint64(id), uint64(as))
		}},
		{"relay releases AMOUNT of vesting ID to NAME", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			id, err := a.number("ID")
			if err == nil {
				p.last = p.w.Relay.ReleaseVesting(uint64(id), p.w.User(a["NAME"]).Address, wei)
			}
			return err
		}},
	}
}

// account is a user's, or one of the genesis document's.
func (p *player) account(name string) common.Address {
	if name == "@fee" {
		return p.w.Genesis.FeeAddress
	}
	return p.w.User(name).Address
}

// chainLies is what goes wrong between custodians and the chain.
func chainLies() []command {
	each := func(do func(*simnet.Custodian)) func(*player, args) error {
		return func(p *player, a args) error {
			who, err := numbers(a["WHO"])
			for _, i := range who {
				c, e := p.w.Custodian(i)
				if e == nil {
					do(c)
				}
				err = errors.Join(err, e)
			}
			return err
		}
	}
	return []command{
		{"endpoints N", true, func(p *player, a args) (err error) {
			p.cfg.Endpoints, err = a.number("N")
			return err
		}},
		{"one endpoint lies to WHO…", false, each(func(c *simnet.Custodian) { c.SetEndpoint(simnet.EndpointLies) })},
		{"no endpoint lies to WHO…", false, each(func(c *simnet.Custodian) { c.SetEndpoint(simnet.EndpointHonest) })},
		{"broadcasts seem to fail for WHO…", false, each(func(c *simnet.Custodian) { c.BroadcastsSeemToFail.Store(true) })},
		{"broadcasts work for WHO…", false, each(func(c *simnet.Custodian) { c.BroadcastsSeemToFail.Store(false) })},
		{"chain loses N blocks and what was in them", false, func(p *player, a args) error {
			n, err := a.number("N")
			if err != nil {
				return err
			}
			return p.w.Chain.Reorg(uint64(n), true)
		}},
		{"chain is too dear for any payment", false, func(p *player, _ args) error { p.w.Overprice(true); return nil }},
		{"chain is cheap again", false, func(p *player, _ args) error { p.w.Overprice(false); return nil }},
	}
}

// lateStarts is how a story begins before its custodians do.
func lateStarts() []command {
	return []command{
		{"nodes 4 that start later", true, func(p *player, _ args) (err error) {
			if p.w != nil {
				return errors.New("the custodians run already")
			}
			p.w, err = simnet.New(p.cfg)
			return err
		}},
		{"start WHO…", false, func(p *player, a args) error {
			who, err := numbers(a["WHO"])
			for _, i := range who {
				c, e := p.w.Custodian(i)
				if e == nil {
					e = c.Start()
				}
				err = errors.Join(err, e)
			}
			time.Sleep(pause)
			return err
		}},
	}
}

// knowledge is what custodians know, beside the fate of a request.
func knowledge() []command {
	var out []command
	for _, f := range []struct {
		what string
		is   func(*player, args) error
	}{
		{"balance NAME AMOUNT", (*player).balance},
		{"balance NAME AMOUNT on WHO…", (*player).balance},
		{"certified REQUEST", (*player).certified},
		{"paid REQUEST on WHO…", func(p *player, a args) error { return p.outcome(a, "paid", relayFulfilled) }},
		{"arrived REQUEST", (*player).arrived},
		{"arrived REQUEST on WHO…", (*player).arrived},
		{"free NAME on WHO…", func(p *player, a args) error { return p.frozen(a, "") }},
		{"alert CODE naming WORD on WHO…", (*player).alertNaming},
		{"same books on WHO…", (*player).sameBooks},
		{"relay shows REQUEST STATUS", (*player).relayShows},
		{"chain shows REQUEST", func(p *player, a args) error {
			r, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			return p.w.Arrived(r)
		}},
		{"signed REQUEST", (*player).signed},
		{"not signed REQUEST", func(p *player, a args) error {
			return p.withdrawals(a, func(v node.WithdrawalView) error {
				if v.Tx != nil {
					return fmt.Errorf("signed: %s", why(v))
				}
				return nil
			})
		}},
	} {
		out = append(out, expectation(f.what, f.is)...)
	}
	return append(out, command{"expect no alert CODE on WHO…", false, func(p *player, a args) error {
		if err := p.alert(a); err == nil {
			return fmt.Errorf("somebody alerts about %s", a["CODE"])
		}
		return nil
	}})
}

// balance: what the books owe an account, no more and no less. An account that they do not know has nothing.
func (p *player) balance(a args) error {
	want, err := coins(a["AMOUNT"])
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		v, err := c.Node.Account(p.account(a["NAME"]))
		if errors.Is(err, node.ErrUnknown) {
			v.Balance, err = "0", nil
		}
		if err == nil && v.Balance != want.String() {
			err = fmt.Errorf("has %s wei, short by %s", v.Balance, v.Short)
		}
		return err
	})
}

// arrived: those custodians know that it was paid, and the chain shows it, whatever the Relay says.
func (p *player) arrived(a args) error {
	err := p.withdrawals(a, func(v node.WithdrawalView) error {
		if v.Outcome != "paid" {
			return fmt.Errorf("not paid: %s", why(v))
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
	return p.w.Arrived(r)
}

func (p *player) certified(a args) error {
	return p.withdrawals(a, func(v node.WithdrawalView) error {
		if !v.Certified {
			return fmt.Errorf("not certified: %s", why(v))
		}
		return nil
	})
}

func (p *player) alertNaming(a args) error { a["TEXT"] = a["WORD"]; return p.alert(a) }

// sameBooks: equal logs, booked alike.
func (p *player) sameBooks(a args) error {
	first := ""
	return p.each(a, func(c *simnet.Custodian) error {
		s, err := c.Node.Status(p.ctx)
		if err != nil {
			return err
		}
		now := fmt.Sprintf("%+v", []any{s.Books.Root, s.Books.Events})
		if first == "" {
			first = now
		}
		if now != first {
			return fmt.Errorf("has %s, another has %s", now, first)
		}
		return nil
	})
}

func (p *player) relayShows(a args) error {
	r, err := p.w.Request(a["REQUEST"])
	if err != nil {
		return err
	}
	row, _, _ := p.w.Relay.Withdrawal(r.ID)
	if now := []string{"pending", "fulfilled", "rejected"}[row.Status]; now != a["STATUS"] {
		return fmt.Errorf("the Relay shows it as %s", now)
	}
	return nil
}

// signed: a transaction stands for it.
func (p *player) signed(a args) error {
	return p.withdrawals(a, func(v node.WithdrawalView) error {
		if v.Tx == nil {
			return fmt.Errorf("not signed: %s", why(v))
		}
		return nil
	})
}
