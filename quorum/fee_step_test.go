package quorum_test

import (
	"testing"

	"conclave/quorum"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Each step raises both prices by at least the tenth that mempools ask for, and the last one is the highest within the cap.
func TestFeeSteps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tip := rapid.Uint64Range(1, 1<<40).Draw(rt, "tip")
		offer := tip + rapid.Uint64Range(0, 1<<40).Draw(rt, "above the tip")
		top := offer + rapid.Uint64Range(0, 1<<46).Draw(rt, "up to the cap")
		k, lastTip := quorum.LastStep(*uint256.NewInt(offer), *uint256.NewInt(tip), *uint256.NewInt(top))
		price, paid := *uint256.NewInt(offer), *uint256.NewInt(tip)
		for range k {
			next := quorum.FeeStep(price)
			require.GreaterOrEqual(rt, next.Uint64()*10, price.Uint64()*11)
			price, paid = next, quorum.FeeStep(paid)
		}
		require.LessOrEqual(rt, price.Uint64(), top)
		require.Equal(rt, paid, lastTip)
		if next := quorum.FeeStep(price); k < quorum.MaxBumps {
			require.Greater(rt, next.Uint64(), top, "another step fits")
		}
	})
	k, _ := quorum.LastStep(*uint256.NewInt(1), *uint256.NewInt(1), *new(uint256.Int).SetAllOne())
	require.EqualValues(t, quorum.MaxBumps, k)
}
