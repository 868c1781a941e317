package simnet

import "conclave/quorum/batch"

// releasedItems takes what a decision releases out of the items that stand in a payout: I6. Each slot goes free once. That its transaction did not
// pay it is told by the final look at the chain: nobody got more than once.
func (w *World) releasedItems(values map[uint64]batch.Batch, h uint64, items map[uint64]uint64) error {
	for _, u := range values[h].Releases {
		found := false
		for at, b := range values {
			if at >= h || b.Kind != batch.Payout || b.Lane != u.Outcome.Lane || b.Nonce != u.Outcome.Nonce || len(b.Items) == 0 {
				continue
			}
			found = true
			for _, it := range b.Items {
				if items[it.Content.WID] != at {
					return broken("I6", "height %d releases withdrawal %d of height %d, where it does not stand", h, it.Content.WID, at)
				}
				delete(items, it.Content.WID)
			}
		}
		if !found {
			return broken("I6", "height %d releases nonce %d, which pays nobody", h, u.Outcome.Nonce)
		}
	}
	return nil
}
