package scenario

import "conclave/internal/simnet"

// history is what happened at the Relay before the network was founded; it makes a genesis document with a cut-over.
func history() []command {
	past := func(of func(args) simnet.Past) func(*player, args) error {
		return func(p *player, a args) error {
			p.cfg.History = append(p.cfg.History, of(a))
			return nil
		}
	}
	return []command{
		{"history NAME earned AMOUNT", true, past(func(a args) simnet.Past { return simnet.Past{User: a["NAME"], Earned: a["AMOUNT"]} })},
		{"history NAME was paid AMOUNT as REQUEST", true, past(func(a args) simnet.Past {
			return simnet.Past{User: a["NAME"], Amount: a["AMOUNT"], As: a["REQUEST"], Paid: true}
		})},
		{"history NAME withdrew AMOUNT as REQUEST", true, past(func(a args) simnet.Past {
			return simnet.Past{User: a["NAME"], Amount: a["AMOUNT"], As: a["REQUEST"]}
		})},
	}
}
