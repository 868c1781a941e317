package simnet

import (
	"context"
	"errors"
	"slices"

	"conclave/node"
)

// Ruling is a running honest custodian that knows the latest epoch, what it shows operators, and who rules in it, by index.
func (w *World) Ruling(ctx context.Context) (knows *Custodian, shown node.CommitteeView, ruling []int, err error) {
	for _, c := range w.Honest() {
		view, err := c.Node.Committee(ctx)
		if err != nil {
			return nil, shown, nil, err
		}
		if knows == nil || view.Epoch > shown.Epoch {
			knows, shown = c, view
		}
	}
	if knows == nil {
		return nil, shown, nil, errors.New("no custodian runs")
	}
	for _, c := range w.Custodians {
		if slices.ContainsFunc(shown.Members, func(m node.OperatorView) bool { return m.Member == c.Address }) {
			ruling = append(ruling, c.Index)
		}
	}
	slices.Sort(ruling)
	return knows, shown, slices.Compact(ruling), nil // a twin is its member
}
