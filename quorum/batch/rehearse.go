package batch

import (
	"errors"

	"conclave/quorum"
)

// Rehearsal runs governors and shares over payouts that were decided under another policy: what would they have kept
// waiting? A payout that waits is taken as paid when its bucket has refilled, so that one that is too much does not hide
// those behind it.
type Rehearsal struct {
	s State
}

// NewRehearsal starts with full buckets.
func NewRehearsal(p quorum.Policy) *Rehearsal {
	return &Rehearsal{State{Policy: p, governors: newGovernors(p.Governors)}}
}

// Batch rehearses one decided batch, in the order of decisions. queued is told of each item that a governor would have kept
// waiting; the error is the shares' word on the batch as a whole.
func (r *Rehearsal) Batch(b Batch, queued func(item int, q *Queued)) error {
	shares := r.s.shared(b)
	g := &r.s.governors
	d := g.draft(b.Time)
	for i, it := range b.Items {
		keys := g.bucketsOf(it.Content, b.Lane)
		if err := d.take(keys, it.Content.Amount); err != nil {
			var q *Queued
			if errors.As(err, &q) {
				queued(i, q)
			}
			d.drain(keys)
		}
		g.paid.add(it.Content)
	}
	g.keep(d)
	g.sweep(b.Time)
	return shares
}

// drain empties the buckets of a payout that waited for them: it was paid in their first full moment.
func (d draft) drain(keys []bucketKey) {
	for _, k := range keys {
		d.owed[k] = d.g.rules[k.rule].Capacity
	}
}
