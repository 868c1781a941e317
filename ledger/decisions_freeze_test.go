package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// TestADecisionEndsItsOwnFreeze: a member that was away judges, while it reads the log, what the others have paid. The freeze
// for that very withdrawal ends with its decision, for nobody judges it again; every other reason stands.
func TestADecisionEndsItsOwnFreeze(t *testing.T) {
	p := newProtoNet(t, 4)
	one, two := p.content(1), p.content(2)
	left := []Freeze{{Code: FreezeOverdraft, Ref: 3, Evidence: []uint64{}}, {Code: FreezeHead, Ref: 1, Evidence: []uint64{}}}
	p.update(func(tx *Tx) error {
		for _, c := range []quorum.Content{one, two} {
			for _, f := range append([]Freeze{{Code: FreezeOverdraft, Ref: c.WID}}, left...) {
				if _, err := tx.Freeze(c.Account, f); err != nil {
					return err
				}
			}
		}
		return nil
	})
	p.decide(DecisionEffects{Items: []quorum.Content{one}, Rejects: []quorum.Content{two}, Slot: p.slot(0)})
	for _, c := range []quorum.Content{one, two} {
		p.view(func(tx *Tx) error {
			is, err := tx.Freezes(c.Account)
			require.ElementsMatch(t, left, is)
			return err
		})
	}
}
