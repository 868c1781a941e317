package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPairsRunInReversedOrderEachTime(t *testing.T) {
	var order []side
	m, err := pairs(func(s side) (float64, error) {
		order = append(order, s)
		return float64(len(order)), nil
	}, 2)
	require.NoError(t, err)
	require.Equal(t, []side{plain, full, plain, plain, full, plain}, order)
	require.Equal(t, measured{plain: []float64{1, 6}, full: []float64{2, 5}, control: []float64{3, 4}}, m)
}

func TestPairsEndWithTheFirstFailure(t *testing.T) {
	broken, calls := errors.New("broken"), 0
	_, err := pairs(func(side) (float64, error) { calls++; return 0, broken }, 12)
	require.ErrorIs(t, err, broken)
	require.Equal(t, 1, calls)
}

func TestRatioIsTheMedianOfPairs(t *testing.T) {
	// The medians of the sides would give 20/10; the pairs say something else.
	m := measured{plain: []float64{10, 20, 5}, full: []float64{11, 20, 40}}
	require.InDelta(t, 1.1, m.ratio(), 1e-9)
}

func TestNoise(t *testing.T) {
	for name, c := range map[string]struct {
		m     measured
		noisy bool
	}{
		"calm":         {measured{plain: []float64{10, 11, 12}, control: []float64{10, 11, 12}}, false},
		"one outlier":  {measured{plain: []float64{10, 11, 16}, control: []float64{10, 11, 12}}, true},
		"drifts apart": {measured{plain: []float64{10, 10, 10}, control: []float64{12, 12, 12}}, true},
	} {
		require.Equal(t, c.noisy, c.m.noise() != nil, name)
	}
}

func TestMetric(t *testing.T) {
	const out = "cpu: x\nBenchmarkSync-2   \t       1\t5781134261 ns/op\t 1720 bytes/decision\t 812.5 decisions/s\nPASS\n"
	v, err := metricOf(out, "decisions/s")
	require.NoError(t, err)
	require.InDelta(t, 812.5, v, 1e-9)
	for _, bad := range []string{"PASS\n", "BenchmarkSync 1 5 ns/op 0 decisions/s\n"} {
		_, err := metricOf(bad, "decisions/s")
		require.ErrorIs(t, err, errOutput)
	}
}

func TestParse(t *testing.T) {
	const out = "goos: linux\nBenchmarkBareSign-2   \t       1\t5781134261 ns/op\nBenchmarkBareSign-2   \t       1\t4482219306 ns/op\nPASS\n"
	times, err := parse(out, "BenchmarkBareSign")
	require.NoError(t, err)
	require.InDeltaSlice(t, []float64{5.781134261, 4.482219306}, times, 1e-9)

	for name, bad := range map[string]string{
		"nothing":          "PASS\n",
		"one figure":       "BenchmarkBareSign-2 1 5781134261 ns/op\n",
		"of another":       "BenchmarkSign-2 1 5 ns/op\nBenchmarkSign-2 1 5 ns/op\n",
		"no time":          "BenchmarkBareSign-2 1 0 ns/op\nBenchmarkBareSign-2 1 0 ns/op\n",
		"more iterations ": "BenchmarkBareSign-2 2 5 ns/op\nBenchmarkBareSign-2 2 5 ns/op\n",
	} {
		_, err := parse(bad, "BenchmarkBareSign")
		require.ErrorIs(t, err, errOutput, name)
	}
}
