package simnet

import (
	"fmt"

	"conclave/p2p/memnet"
	"conclave/relay/relaysim"
)

// Blank makes the Relay show custodians, in place of a row, one that is nothing to anybody: a task income of zero. No id is
// missing, so nobody waits for it.
func (w *World) Blank(id uint64, who []int) error {
	return w.lie(who, relaysim.Alter(id, func(r *relaysim.EventRow) {
		r.Address, r.Amount, r.Type, r.Payload = place("nobody").Hex(), "0", 0, "{}"
	}))
}

// Hide makes the Relay leave a row out for custodians: an id that is missing.
func (w *World) Hide(id uint64, who []int) error { return w.lie(who, relaysim.Hide(id)) }

// ShowAs makes the Relay show custodians a row with another amount.
func (w *World) ShowAs(id uint64, wei string, who []int) error {
	return w.lie(who, relaysim.Alter(id, func(r *relaysim.EventRow) { r.Amount = wei }))
}

func (w *World) lie(who []int, lie relaysim.EventLie) error {
	for _, i := range who {
		c, err := w.Custodian(i)
		if err != nil {
			return err
		}
		c.Relay.Lie(lie)
	}
	return nil
}

// HideRequest makes the Relay leave a request out of the list for custodians.
func (w *World) HideRequest(r *Request, who []int) error {
	for _, i := range who {
		c, err := w.Custodian(i)
		if err != nil {
			return err
		}
		c.Relay.LieAboutRequests(relaysim.HideRequest(r.ID))
	}
	return nil
}

// Partition cuts the custodians into groups that hear only themselves.
func (w *World) Partition(groups [][]int) error {
	var sets [][]*memnet.Node
	for _, g := range groups {
		var set []*memnet.Node
		for _, i := range g {
			c, err := w.Custodian(i)
			if err != nil {
				return err
			}
			if c.Net == nil {
				return fmt.Errorf("%s never ran", c.Name)
			}
			set = append(set, c.Net)
		}
		sets = append(sets, set)
	}
	w.Hub.Partition(sets...)
	return nil
}
