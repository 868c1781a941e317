package simnet

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/tss/tsstest"

	"github.com/ethereum/go-ethereum/crypto"
)

// inWorld runs a test in a bubble with a world whose custodians run. It checks nothing when the test is over.
func inWorld(t *testing.T, do func(t *testing.T, w *World)) {
	key, err := LoadFixture()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		w, err := New(Config{Key: key, Dir: t.TempDir(), Trace: func(line string) { t.Log(line) }})
		require.NoError(t, err)
		require.NoError(t, w.Start())
		do(t, w)
		require.NoError(t, w.Close())
	})
}

// payOne has alice earn and withdraw, and waits until every custodian knows it paid.
func payOne(t *testing.T, w *World) {
	alice := w.User("alice")
	earned, err := Coins("100")
	require.NoError(t, err)
	w.Relay.CreditTask(alice.Address, earned)
	amount, err := Coins("10.5")
	require.NoError(t, err)
	r, err := w.Withdraw(t.Context(), alice, amount, "w1", false)
	require.NoError(t, err)
	require.NoError(t, w.Until(time.Minute, func() error {
		for _, c := range w.Honest() {
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
	require.NoError(t, w.Arrived(r))
}

func TestOnePayment(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World) {
		payOne(t, w)
		_, err := w.Check()
		require.ErrorContains(t, err, "still runs")
		require.NoError(t, w.Close())
		report, err := w.Check()
		require.NoError(t, err)
		require.Equal(t, 1, report.Paid)
		require.Equal(t, 2, report.Decisions)
		require.NotZero(t, report.Said)
	})
}

// TestCheckNamesWhatIsBroken breaks one invariant after the other behind the custodians' backs.
func TestCheckNamesWhatIsBroken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World) {
		payOne(t, w)
		require.NoError(t, w.Close())

		w.Custodians[1].dir, w.Custodians[2].dir = w.Custodians[2].dir, w.Custodians[1].dir
		_, err := w.Check()
		require.ErrorContains(t, err, "I2:", "disks of others do not hold what was said")
		w.Custodians[1].dir, w.Custodians[2].dir = w.Custodians[2].dir, w.Custodians[1].dir

		w.funded.AddUint64(&w.funded, 1)
		_, err = w.Check()
		require.ErrorContains(t, err, "I9:", "a wei is missing")
		w.funded.SubUint64(&w.funded, 1)

		key, err := tsstest.PayerKey()
		require.NoError(t, err)
		_, err = w.Chain.Transfer(key, place("thief"), *uint256.NewInt(1))
		require.NoError(t, err)
		w.Chain.Mine(1)
		_, err = w.Check()
		require.ErrorContains(t, err, "I10:", "nobody decided that")
	})
}

// TestForeignPaymentHaltsEverybody: a payment that no decision explains trips the fuse of those who are caught up.
func TestForeignPaymentHaltsEverybody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World) {
		key, err := tsstest.PayerKey()
		require.NoError(t, err)
		require.Equal(t, w.payer, crypto.PubkeyToAddress(key.PublicKey))
		_, err = w.Chain.Transfer(key, place("thief"), *uint256.NewInt(1))
		require.NoError(t, err)
		require.NoError(t, w.Until(30*time.Second, func() error {
			for _, c := range w.Custodians {
				if s, err := c.Node.Status(t.Context()); err != nil || !s.Halted {
					return fmt.Errorf("%s is not halted (%v)", c.Name, err)
				}
			}
			return nil
		}))
	})
}

func TestCoins(t *testing.T) {
	for in, want := range map[string]string{"1": "1000000000000000000", "-0.5": "-500000000000000000", "0.000000000000000001": "1"} {
		got, err := Coins(in)
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
	for _, in := range []string{"", "x", "0.0000000000000000001"} {
		_, err := Coins(in)
		require.Error(t, err, in)
	}
}

var _ chain.Endpoint = chainDoor{}
