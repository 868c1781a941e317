package tss

import (
	"math/big"

	"conclave/quorum"
)

// Bounds says how much the machine holds, and the most that it may, whatever members sign. A liar may abort every set that it is
// in: there are as many as there are ways to choose q members.
func (a *Attempts) Bounds() []quorum.Bound {
	n := len(a.cfg.Members)
	most, fullest := int(new(big.Int).Binomial(int64(n), int64(a.cfg.Members.Q())).Int64()), 0
	for _, said := range a.aborts {
		fullest = max(fullest, len(said))
	}
	return []quorum.Bound{
		{Name: "Attempts.readies", Held: len(a.readies), Most: n}, {Name: "Attempts.aborts", Held: len(a.aborts), Most: most},
		{Name: "Attempts.aborts of a set", Held: fullest, Most: a.cfg.Members.Q()},
		{Name: "Attempts.evidence", Held: len(a.evidence), Most: n}, {Name: "Attempts.silent", Held: len(a.silent), Most: n},
	}
}
