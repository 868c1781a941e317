package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

var driftSample = quorum.Watch{DriftAllowance: 10, DriftAlarm: 1000, DriftSustained: 7 * 24 * time.Hour}

// The whole table takes most of a minute; three years say whether it measures what it says.
func TestDriftTable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, driftTable(t.Context(), &out, driftSample, 3))
	require.Contains(t, out.String(), "3 simulated years")
	require.Contains(t, out.String(), " 50 %  alert: 100 % seen")
	require.Regexp(t, `  0 %  alert: (never|.* \(lost 0 % of a usual hour)`, out.String())
}

func TestDriftSimulationIsTheSameEachTime(t *testing.T) {
	a, _ := inflated(driftSample, 7, 20)
	b, _ := inflated(driftSample, 7, 20)
	require.Equal(t, a, b)
	require.Positive(t, a.alert)
	require.GreaterOrEqual(t, a.fuse, a.alert)
}

func TestDriftIsSeenLaterWhenItIsSlower(t *testing.T) {
	fast, _ := inflated(driftSample, 3, 50)
	slow, _ := inflated(driftSample, 3, 20)
	require.Less(t, fast.alert, slow.alert)
}

func TestDriftEndsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, driftTable(ctx, &bytes.Buffer{}, driftSample, 3))
}
