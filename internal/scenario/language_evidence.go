package scenario

import (
	"fmt"

	"conclave/internal/simnet"
	"conclave/node"
)

// evidence is the words for who says two things, and for what the others can show of it.
func evidence() []command {
	all := []command{
		{"puppet N contradicts itself by KIND to WHO…", false, func(p *player, a args) error {
			x, who, err := p.puppet(a)
			if err != nil {
				return err
			}
			return x.Contradict(a["KIND"], who)
		}},
		{"puppet N accuses VICTIM of what it did itself", false, func(p *player, a args) error {
			a["WHO"] = a["VICTIM"]
			x, who, err := p.puppet(a)
			if err != nil {
				return err
			}
			return x.Accuse(who[0])
		}},
	}
	all = append(all, treasons()...)
	for _, f := range []struct {
		what string
		is   func(*player, args) error
	}{
		{"record of KIND against N on WHO…", (*player).recorded},
		{"record of a foreign payment on WHO…", func(p *player, a args) error {
			a["KIND"], a["N"] = "unrendered-payment", ""
			return p.recorded(a)
		}},
		{"theft named on WHO…", (*player).named},
		{"proof of KIND against N on WHO…", (*player).proven},
		{"no proof against N on WHO…", (*player).unproven},
		{"proof of a foreign payment on WHO…", func(p *player, a args) error {
			a["KIND"], a["N"] = "unrendered-payment", ""
			return p.proven(a)
		}},
	} {
		all = append(all, expectation(f.what, f.is)...)
	}
	return append(all, fact("proof of REQUEST shows CLAIM", (*player).shown)...)
}

// shown: what every custodian hands to an auditor about a withdrawal proves so much by the genesis document alone.
func (p *player) shown(a args) error {
	r, err := p.w.Request(a["REQUEST"])
	if err != nil {
		return err
	}
	return p.each(a, func(c *simnet.Custodian) error {
		proof, err := c.Node.Payment(r.ID)
		if err != nil {
			return err
		}
		got, err := node.VerifyProof(p.w.Genesis, proof)
		if err != nil || got.Proves != a["CLAIM"] {
			return fmt.Errorf("what is shown proves %q: %w", got.Proves, err)
		}
		return nil
	})
}

// proven: the custodians show evidence of that kind against that member, or against nobody, and it verifies by the genesis
// document alone, with both sides in it.
func (p *player) proven(a args) error { return p.judged(a, node.EvidenceProves) }

// recorded: likewise, but it is the word of the custodian that shows it.
func (p *player) recorded(a args) error { return p.judged(a, node.EvidenceRecord) }

func (p *player) judged(a args, want node.EvidenceVerdict) error {
	return p.each(a, func(c *simnet.Custodian) error {
		all, err := c.Node.Evidence("")
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.Kind != a["KIND"] || !p.isAbout(e, a["N"]) {
				continue
			}
			verdict, err := node.VerifyEvidence(p.w.Genesis, e)
			if err != nil || verdict != want || len(e.First) == 0 || want == node.EvidenceProves && len(e.Second) == 0 && a["KIND"] != "bad-tss-message" {
				return fmt.Errorf("evidence %s: %s: %w", e.ID, verdict, err)
			}
			return nil
		}
		return fmt.Errorf("%d pieces of evidence, none of them", len(all))
	})
}

func (p *player) isAbout(e node.EvidenceView, index string) bool {
	if index == "" {
		return e.Member == nil
	}
	for i, c := range p.w.Custodians {
		if fmt.Sprint(i) == index {
			return e.Member != nil && *e.Member == c.Address
		}
	}
	return false
}

func (p *player) unproven(a args) error {
	return p.each(a, func(c *simnet.Custodian) error {
		all, err := c.Node.Evidence("")
		for _, e := range all {
			if p.isAbout(e, a["N"]) {
				return fmt.Errorf("evidence %s: %s", e.ID, e.Kind)
			}
		}
		return err
	})
}
