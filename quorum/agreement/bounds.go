package agreement

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// maxFetched is how many values are asked for at once: that of the highest prevotes, and that of the precommits that decide.
const maxFetched = 2

// MaxHeld bounds the values that count as held: one proposed in each round that is kept, one that each member proposed ahead, and the
// locked, the valid, the highest certified, the decided and the own one.
func MaxHeld(members int) int { return members + keepRounds + 1 + 5 }

// Bounds says how much a height holds, and the most that it may, whatever members say in however many rounds.
func (s *State) Bounds() []quorum.Bound {
	n := len(s.ids)
	return []quorum.Bound{
		{Name: "State.rounds", Held: len(s.rounds), Most: keepRounds + 1},
		{Name: "State.ahead", Held: len(s.ahead), Most: n},
		{Name: "State.heard", Held: len(s.heard), Most: n},
		{Name: "State.held", Held: len(s.held), Most: MaxHeld(n)},
		{Name: "State.ended", Held: len(s.ended), Most: n},
		{Name: "State.fetched", Held: len(s.fetched), Most: maxFetched},
	}
}

// Holds reports whether the driver must keep a value's bytes: it can still be voted on, proposed or decided.
func (s *State) Holds(id common.Hash) bool { return s.held[id] }
