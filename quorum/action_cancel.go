package quorum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// CancelSlot is the operators' word that a decided slot shall pay nobody: from its decision on, only a transfer of nothing to the payer
// itself is signed at the nonce. What was signed before may still be mined; the final chain says which of them it was.
type CancelSlot struct {
	Lane   LaneKey
	Nonce  uint64
	Batch  common.Hash // what was decided for the nonce last: a word given on one batch cancels no other
	Reason string
}

// Action implements ActionBody.
func (CancelSlot) Action() ActionKind { return ActionCancel }

// Check implements ActionBody.
func (c CancelSlot) Check() error {
	switch {
	case c.Lane.ChainID == 0 || c.Lane.Payer == (common.Address{}) || c.Batch == (common.Hash{}):
		return errors.New("a chain, a payer and a batch")
	case c.Reason == "" || len(c.Reason) > MaxText || !printable(c.Reason):
		return fmt.Errorf("a reason of 1 to %d bytes of printable text", MaxText)
	}
	return nil
}

func (c CancelSlot) typed(t *TypedStruct) {
	t.Name = "Cancel"
	t.Fields = append(t.Fields, TypedField{"chainId", c.Lane.ChainID}, TypedField{"token", c.Lane.Token}, TypedField{"payer", c.Lane.Payer},
		TypedField{"nonce", c.Nonce}, TypedField{"batch", c.Batch}, TypedField{"reason", c.Reason})
}
