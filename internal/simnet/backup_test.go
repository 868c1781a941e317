package simnet

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/p2p/memnet"
)

// TestARollbackThatNobodyHeardOfIsAFault: what a member said behind its backup bars it only from what others heard of.
func TestARollbackThatNobodyHeardOfIsAFault(t *testing.T) {
	for name, deaf := range map[string][]int{"nobody": {1, 2, 3}, "one": {1, 2}, "two": {1}, "all": {}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *World) {
				require.NoError(t, w.Custodians[0].Backup())
				require.NoError(t, w.Until(time.Minute, func() error {
					s, err := w.Custodians[0].Node.Status(t.Context())
					if err == nil && s.Silence != nil {
						err = errors.New("it signs nothing yet")
					}
					return err
				}))
				lost := Loss{What: func(h Heard) bool {
					bundle := h.Name == "facts" && h.Kind == memnet.Frame // others pass its verdicts on
					return h.Signer == w.Custodians[0].Address || bundle
				}, To: map[int]bool{}}
				for _, i := range deaf {
					lost.To[i] = true
				}
				if len(deaf) > 0 {
					w.Lose(lost)
				}
				alice := w.User("alice")
				earned, err := Coins("100")
				require.NoError(t, err)
				w.Relay.CreditTask(alice.Address, earned)
				amount, err := Coins("10")
				require.NoError(t, err)
				r, err := w.Withdraw(t.Context(), alice, amount, "w1", false)
				require.NoError(t, err)
				require.NoError(t, w.Until(time.Minute, func() error {
					for _, c := range w.Custodians {
						if v, err := c.Node.Withdrawal(t.Context(), r.ID); err != nil || v.Outcome != "paid" {
							return fmt.Errorf("%s: %s, %w", c.Name, v.Stage, err)
						}
					}
					return nil
				}))
				require.NoError(t, w.Custodians[0].RestoreDisk())
				require.Equal(t, len(deaf) > 1, w.faulty[0])
			})
		})
	}
}
