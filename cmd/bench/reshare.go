package main

import (
	"context"
	"fmt"
)

// reshare compares handing a key from 3 of 4 members over to 4 of 5, envelopes, guard, echo and signed transcript on, with the
// same by the bare library; both in one process each, without a network. On two cores it takes twenty minutes.
func reshare(ctx context.Context) error {
	bench, err := build(ctx, "./tss")
	if err != nil {
		return err
	}
	defer bench.close()
	names := map[side]string{plain: "BenchmarkBareReshare", full: "BenchmarkReshare"}
	return untilQuiet(ctx, func(s side) (float64, error) { return bench.time(ctx, names[s]) }, func(m measured) {
		fmt.Printf("reshare_overhead_4to5 %.3f ratio\nreshare_4to5 %.3f s\n", m.ratio(), median(m.full))
	})
}
