package node

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// TestNobodyWaitsWithoutTurns: outside simulations they cost nothing.
func TestNobodyWaitsWithoutTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var none Turns
		none.wait("core")
		none.of("errand")()
		require.Zero(t, time.Since(began))
	})
}

// TestErrandsTakeTurnsInOrder: the turn is taken where the errand is given, not where it runs.
func TestErrandsTakeTurnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := 0
		c := &core{log: zap.NewNop(), turns: func(who string) func() {
			require.Equal(t, "errand", who)
			given++
			mine := given
			return func() { time.Sleep(time.Duration(mine) * time.Millisecond) }
		}}
		c.ctx, c.end = context.WithCancel(t.Context())
		defer c.end()
		var ran []int
		for i := range 5 {
			c.spawn(func() { ran = append(ran, i) })
		}
		require.Equal(t, 5, given)
		c.work.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4}, ran)
	})
}
