package agreement

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// proposal is what is known of a proposal: what was signed, and what the driver thinks of it.
type proposal struct {
	signed  quorum.Signed[quorum.Proposal]
	valid   bool
	refrain bool
	pol     quorum.QC // fits the proposal, or zero
}

// word is all that one member said in one round. The first statement of each kind counts, a second is evidence.
type word struct {
	proposal *proposal
	votes    [2]quorum.Signed[quorum.Vote] // prevote, precommit; see slot
	caught   [3]bool                       // evidence was given out: of votes, and of the proposal
}

const caughtProposal = 2

func slot(p quorum.Phase) int {
	if p == quorum.Precommit {
		return 1
	}
	return 0
}

func spoken(v quorum.Signed[quorum.Vote]) bool { return v.Signer() != (common.Address{}) }

// round is all that was said in one round, by member in the roster's order, so that nothing depends on map order.
type round struct {
	words []word
	qc    quorum.QC // prevotes for a value, from the votes here or as it travelled
}

func newRound(n int) *round { return &round{words: make([]word, n)} }

// count returns how many members cast a vote of the phase that fits.
func (r *round) count(p quorum.Phase, fits func(common.Hash) bool) int {
	n := 0
	for i := range r.words {
		if v := r.words[i].votes[slot(p)]; spoken(v) && fits(v.Body().ID) {
			n++
		}
	}
	return n
}

func anyValue(common.Hash) bool { return true }

func exactly(id common.Hash) func(common.Hash) bool {
	return func(other common.Hash) bool { return other == id }
}

// votes returns the votes of the phase in the roster's order.
func (r *round) votes(p quorum.Phase) []quorum.Signed[quorum.Vote] {
	var out []quorum.Signed[quorum.Vote]
	for i := range r.words {
		if v := r.words[i].votes[slot(p)]; spoken(v) {
			out = append(out, v)
		}
	}
	return out
}

// ahead is what one member said in the highest round beyond ours that it spoke in. One is enough: as soon as f+1 members
// are ahead we follow, so what is forgotten here is only what at most f members said.
type ahead struct {
	round uint64
	word  word
}
