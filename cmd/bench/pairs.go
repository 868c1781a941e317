package main

import (
	"fmt"
	"slices"
)

// side is one of the two things that are compared.
type side int

const (
	plain side = iota
	full
)

// What makes a ratio honest.
const (
	// minPairs is how many pairs a median needs.
	minPairs = 12
	// maxSpread is how far the plain side's slowest run may be from its fastest.
	maxSpread = 1.5
	// maxDrift is how far the plain side's two medians may differ.
	maxDrift = 0.10
)

// measured holds seconds, index by index of one pair.
type measured struct {
	plain, control, full []float64
}

// pairs measures plain, full and plain again, n times, in reversed order each time, so that a machine that grows slower
// favours neither. measure warms up by itself.
func pairs(measure func(side) (float64, error), n int) (measured, error) {
	m := measured{plain: make([]float64, n), control: make([]float64, n), full: make([]float64, n)}
	for i := range n {
		order := []struct {
			side side
			into []float64
		}{{plain, m.plain}, {full, m.full}, {plain, m.control}}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, o := range order {
			seconds, err := measure(o.side)
			if err != nil {
				return measured{}, err
			}
			o.into[i] = seconds
		}
	}
	return m, nil
}

// ratio is the median of the pairs' ratios.
func (m measured) ratio() float64 {
	ratios := make([]float64, len(m.full))
	for i := range m.full {
		ratios[i] = m.full[i] / m.plain[i]
	}
	return median(ratios)
}

// noise says why the figures mean nothing; nil when they do.
func (m measured) noise() error {
	all := slices.Concat(m.plain, m.control)
	if spread := slices.Max(all) / slices.Min(all); spread > maxSpread {
		return fmt.Errorf("the plain side spreads by %.2f, at most %.1f is fit", spread, maxSpread)
	}
	a, b := median(m.plain), median(m.control)
	if drift := max(a, b)/min(a, b) - 1; drift > maxDrift {
		return fmt.Errorf("the plain side differs from itself by %.0f %%, at most %.0f %% is fit", 100*drift, 100*maxDrift)
	}
	return nil
}

// median is the lower one.
func median(in []float64) float64 {
	s := slices.Sorted(slices.Values(in))
	return s[(len(s)-1)/2]
}
