package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/internal/devnet"
)

func TestStagesReadInOrder(t *testing.T) {
	require.Equal(t, "decided +1.50 s, final +2.00 s", inOrder([]devnet.Stage{{Name: "decided", Seconds: 1.5}, {Name: "final", Seconds: 2}}))
	require.Empty(t, inOrder(nil))
}

// TestSharesOfAProfile: the line that says what a focus accounts for, as the tool prints it.
func TestSharesOfAProfile(t *testing.T) {
	const out = "Active filters:\n   focus=x\nShowing nodes accounting for 0.26s, 3.19% of 8.16s total\n      flat  flat%\n"
	require.Equal(t, []string{"3.19", "8.16s"}, accounted.FindStringSubmatch(out)[1:])
	for _, room := range rooms() {
		require.NotEmpty(t, room[0])
		require.NotEmpty(t, room[1])
	}
	_, err := profiled(t.Context(), t.TempDir()+"/none")
	require.Error(t, err)
	require.Error(t, payout(t.Context(), []string{"-rate", "0"}))
}
