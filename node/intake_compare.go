package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/rlp"

	"conclave/ledger"
)

// Compare implements [relay.Compared]: what the books hold of a stretch of settled log against what the Relay shows of it
// now. It writes nothing, so that reading history again costs no commit. Rows that this node's Relay never showed are not
// gone: people hear of all of them at once.
func (in *intake) Compare(_ context.Context, after, upTo uint64, rows []ledger.Event) (same bool, gone []uint64, err error) {
	if after >= upTo {
		return true, nil, nil
	}
	same = true
	var never []uint64
	err = in.n.led.View(func(tx *ledger.Tx) error {
		i := 0
		err := tx.Events(after+1, func(e ledger.Event) error {
			if e.ID > upTo {
				return errEnough
			}
			for ; i < len(rows) && rows[i].ID < e.ID; i++ {
				same = false // the books hold it back, or never saw it
			}
			if i == len(rows) || rows[i].ID > e.ID {
				if tx.Brought(e.ID) {
					never = append(never, e.ID)
				} else {
					gone = append(gone, e.ID)
				}
				return nil
			}
			equal, err := sameEvent(e, rows[i])
			same = same && equal
			i++
			return err
		})
		same = same && i == len(rows)
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil {
		in.hidden.seen(in.n.alerts, after, upTo, never)
	}
	return same, gone, err
}

// hidden are the rows that the members certified, or operators resolved, and that this node's Relay keeps from it. It is
// the follower's goroutine's own.
type hidden struct {
	ids    map[uint64]bool
	rounds bool // the settled log was read again from its start at least once
}

// seen takes what one page of settled log showed to be hidden: one alert stands while any row is.
func (h *hidden) seen(alerts *alerts, after, upTo uint64, never []uint64) {
	if after == 0 {
		if h.rounds && len(h.ids) == 0 {
			alerts.recover(codeHidden)
		}
		h.rounds = true
	}
	before := len(h.ids)
	maps.DeleteFunc(h.ids, func(id uint64, _ bool) bool { return id > after && id <= upTo && !slices.Contains(never, id) })
	fell := len(h.ids) < before
	if h.ids == nil {
		h.ids = map[uint64]bool{}
	}
	known := len(h.ids)
	for _, id := range never {
		h.ids[id] = true
	}
	switch {
	case fell && len(h.ids) == 0:
		alerts.recover(codeHidden)
	case len(h.ids) > known:
		alerts.raise(Alert{Code: codeHidden, Text: fmt.Sprintf("%s that the others certified, or operators resolved, stand in these books "+
			"and are not shown by this node's Relay: event %d and on", count(len(h.ids), "row"), slices.Min(slices.Collect(maps.Keys(h.ids))))})
	}
}

// sameEvent compares what would be stored.
func sameEvent(a, b ledger.Event) (bool, error) {
	x, err := rlp.EncodeToBytes(a)
	if err != nil {
		return false, err
	}
	y, err := rlp.EncodeToBytes(b)
	return bytes.Equal(x, y), err
}
