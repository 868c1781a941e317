package simnet

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnePayment(t *testing.T) {
	key, err := LoadFixture()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		w, err := New(Config{Key: key, Dir: t.TempDir(), Trace: func(line string) { t.Log(line) }})
		require.NoError(t, err)
		require.NoError(t, w.Start())
		alice := w.User("alice")
		earned, err := Coins("100")
		require.NoError(t, err)
		w.Relay.CreditTask(alice.Address, earned)
		time.Sleep(3 * time.Second)
		amount, err := Coins("10")
		require.NoError(t, err)
		r, err := w.Withdraw(t.Context(), alice, amount, "w1", false)
		require.NoError(t, err)
		require.NoError(t, w.Until(time.Minute, func() error {
			for _, c := range w.Custodians {
				v, err := c.Node.Withdrawal(t.Context(), r.ID)
				if err != nil {
					return err
				}
				if v.Outcome != "paid" {
					return fmt.Errorf("%s: %s %v", c.Name, v.Stage, v.WhyNotYet)
				}
			}
			return nil
		}))
		w.Tracef("all paid")
		time.Sleep(3 * time.Second)
		require.NoError(t, w.Close())
		report, err := w.Check()
		require.NoError(t, err)
		require.Equal(t, 1, report.Paid)
	})
}
