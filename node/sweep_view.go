package node

import (
	"github.com/ethereum/go-ethereum/common"
)

// SweepView is how far a removal for cause is, behind the decided change that ordered a new key.
type SweepView struct {
	Payer    common.Address  `json:"payer"`                // in force
	Old      *common.Address `json:"old,omitempty"`        // the payer that is being emptied; none while the new key is made
	Ordered  *common.Hash    `json:"ordered_by,omitempty"` // the decided change, until there is a new key
	Ceremony *KeygenStatus   `json:"ceremony,omitempty"`   // of the new key
	Waits    string          `json:"waits,omitempty"`      // why no SWEEP can be decided now
}

// viewSweep describes a sweep; nil while there is none.
func (c *core) viewSweep() *SweepView {
	s := c.state
	out := &SweepView{Payer: s.Payer}
	switch {
	case s.Old != nil:
		out.Old = &s.Old.Payer
		if _, err := s.BuildSweep(c.pool.viewList()); err != nil {
			out.Waits = err.Error()
		}
	case s.Ordered != (common.Hash{}):
		out.Ordered = &s.Ordered
		if f := c.ceremony; f != nil && f.rekeys {
			out.Ceremony = f.describe(c)
		}
	default:
		return nil
	}
	return out
}
