package scenario

import (
	"fmt"

	"conclave/node"
	"conclave/relay/relaysim"
)

// lessons are the words that the stories about the replaced wallet need beside those for a Relay that lies.
func lessons() []command {
	about := func(p *player, a args) error { a["TEXT"] = fmt.Sprintf("event %d ", p.last); return p.alert(a) }
	return []command{
		// "nothing" is the empty text.
		{"relay spells the last row's amount as TEXT", false, func(p *player, a args) error {
			text := a["TEXT"]
			if text == "nothing" {
				text = ""
			}
			return p.w.ShowAs(p.last, text, []int{0, 1, 2, 3})
		}},
		{"two lanes", true, func(p *player, _ args) error { p.cfg.OtherLane = true; return nil }},
		{"user NAME withdraws AMOUNT on the other lane as REQUEST", false, func(p *player, a args) error {
			r, err := p.w.WithdrawOther(p.ctx, p.w.User(a["NAME"]), a["AMOUNT"], a["REQUEST"])
			if err == nil {
				p.last, p.request = r.Event, r
			}
			return err
		}},
		// The text that was signed is another one then; amount and destination stay right.
		{"relay shows REQUEST as signed a second later", false, func(p *player, a args) error {
			r, err := p.w.Request(a["REQUEST"])
			if err != nil {
				return err
			}
			for _, c := range p.w.Custodians {
				c.Relay.LieAboutRequests(relaysim.AlterRequest(r.ID, func(row *relaysim.RequestRow) { row.Timestamp++ }))
			}
			return nil
		}},
		{"expect alert CODE about the last row on WHO…", false, func(p *player, a args) error {
			return p.w.Until(patience, func() error { return about(p, a) })
		}},
		{"wait within LIMIT for alert CODE about the last row on WHO…", false, func(p *player, a args) error {
			limit, err := a.duration("LIMIT")
			if err != nil {
				return err
			}
			return p.w.Until(limit, func() error { return about(p, a) })
		}},
	}
}

// transactions is what can be asked of a request's transaction.
func transactions() []command {
	return []command{
		{"chain forgets what waits", false, func(p *player, _ args) error { p.w.Chain.Forget(); return nil }},
		{"expect REQUEST at nonce N", false, func(p *player, a args) error {
			n, err := a.number("N")
			if err != nil {
				return err
			}
			return p.withdrawals(a, func(v node.WithdrawalView) error {
				if v.Nonce == nil || *v.Nonce != uint64(n) {
					return fmt.Errorf("not at nonce %d: %s", n, why(v))
				}
				return nil
			})
		}},
		// What was signed first is compared with what every custodian shows later: the hash covers the signature too.
		{"remember the transaction of REQUEST", false, func(p *player, a args) error {
			return p.withdrawals(a, func(v node.WithdrawalView) error {
				if v.Tx == nil {
					return fmt.Errorf("not signed: %s", why(v))
				}
				p.tx = *v.Tx
				return nil
			})
		}},
		{"expect the very transaction of REQUEST", false, func(p *player, a args) error {
			return p.withdrawals(a, func(v node.WithdrawalView) error {
				if v.Tx == nil || *v.Tx != p.tx {
					return fmt.Errorf("%v, want %s: %s", v.Tx, p.tx, why(v))
				}
				return nil
			})
		}},
	}
}
