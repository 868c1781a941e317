package main

import (
	"context"
	"fmt"
	"slices"

	"conclave/node"
)

// silentSigns is how many signatures are made beside a custodian that hangs from before its READY on: each of the four coordinates
// once, the silent one too.
const silentSigns = 4

// silent measures what one custodian of four costs that hangs, with its connections open: before a slot opens, and in the middle of a
// session. The bound is a round's deadline and the collection of READYs, and those again when it would have been the next coordinator.
func silent(ctx context.Context) error {
	p, err := startProcesses(ctx, 4, 2*silentSigns+4)
	if err != nil {
		return err
	}
	defer p.close()
	var usual []float64
	for range silentSigns {
		s, err := p.sign(ctx, nil)
		if err != nil {
			return err
		}
		usual = append(usual, s.open)
	}
	in, err := p.silentInSession(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("silent_in_session_cost %.2f s\n", in-median(usual))
	if _, err := p.sign(ctx, nil); err != nil { // it is with the others again
		return err
	}
	if err := p.pause(0); err != nil {
		return err
	}
	var without []float64
	for range silentSigns {
		s, err := p.sign(ctx, nil)
		if err != nil {
			return err
		}
		without = append(without, s.open)
	}
	fmt.Printf("silent_before_cost %.2f s\nsilent_before_cost_max %.2f s\n", median(without)-median(usual), slices.Max(without)-median(usual))
	return p.resume(0)
}

// silentInSession lets the first custodian hang that is seen in a session, and returns how long the signature took.
func (p *processesOf) silentInSession(ctx context.Context) (float64, error) {
	paused := -1
	s, err := p.sign(ctx, func(i int, s node.Status) {
		if paused < 0 && s.Signing != nil && s.Signing.Live && p.pause(i) == nil {
			paused = i
		}
	})
	if paused >= 0 {
		_ = p.resume(paused)
	}
	return s.open, err
}
