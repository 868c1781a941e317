package scenario

import "github.com/holiman/uint256"

const gwei = 1_000_000_000

// fees is what the chain costs.
func fees() []command {
	return []command{
		{"chain costs GWEI gwei", false, func(p *player, a args) error {
			n, err := a.number("GWEI")
			if err == nil {
				p.w.Chain.Congest(*uint256.NewInt(uint64(n) * gwei))
			}
			return err
		}},
		{"destination of NAME refuses money", false, func(p *player, a args) error {
			p.w.Chain.SetReverting(p.w.User(a["NAME"]).Address)
			return nil
		}},
		{"destination of NAME takes money", false, func(p *player, a args) error {
			p.w.Chain.SetAccepting(p.w.User(a["NAME"]).Address)
			return nil
		}},
		{"chain is calm", false, func(p *player, _ args) error { p.w.Chain.Congest(uint256.Int{}); return nil }},
	}
}
