package risk

import (
	"github.com/ethereum/go-ethereum/common"
)

// Bounds of a window's memory.
const (
	// windowSlots is into how many parts a window is cut. What is counted is the last one to one and a sixtieth windows: a
	// spike is never missed, and what is a little longer than the window may pass for one.
	windowSlots = 60
	// windowAccounts bounds the pairs of slot and address that are counted, some 10 MB; beyond it the oldest slots forget
	// whose their rows were, and only the ceiling on all rows still sees them.
	windowAccounts = 1 << 16
)

// window counts rows over a sliding stretch of time. Times may come in any order; what is older than the window is not
// counted.
type window struct {
	step  uint64 // seconds of a slot
	live  uint64 // slots that count: the window's, and the one that is under way
	head  uint64 // the newest slot
	slots [windowSlots + 1]windowSlot

	rows, unseen uint64
	by           map[common.Address]uint64
	pairs        int
}

type windowSlot struct {
	at           uint64 // its number
	rows, unseen uint64
	by           map[common.Address]uint64
}

func newWindow(seconds uint64) *window {
	step := max(1, (seconds+windowSlots-1)/windowSlots)
	return &window{step: step, live: (seconds+step-1)/step + 1, by: map[common.Address]uint64{}}
}

// advance moves the window up to a time; it never goes back.
func (w *window) advance(at uint64) {
	slot := at / w.step
	if slot <= w.head {
		return
	}
	for i := range w.slots {
		if s := &w.slots[i]; s.at+w.live <= slot {
			w.clear(s)
		}
	}
	w.head = slot
}

// time is the beginning of the newest slot, unix seconds.
func (w *window) time() uint64 { return w.head * w.step }

// rewind begins anew when the newest slot is so far ahead of the time that what happens now would not be counted.
func (w *window) rewind(now uint64) {
	if now/w.step+w.live <= w.head {
		*w = window{step: w.step, live: w.live, head: now / w.step, by: map[common.Address]uint64{}}
	}
}

func (w *window) clear(s *windowSlot) {
	w.rows -= s.rows
	w.unseen -= s.unseen
	w.forget(s)
	*s = windowSlot{}
}

// forget drops whose a slot's rows were.
func (w *window) forget(s *windowSlot) {
	for a, n := range s.by {
		if w.by[a] -= n; w.by[a] == 0 {
			delete(w.by, a)
		}
	}
	w.pairs -= len(s.by)
	s.by = nil
}

// add counts a row and returns how many of its account's the window holds.
func (w *window) add(at uint64, account common.Address, unseen bool) (ofAccount uint64) {
	w.advance(at)
	slot := at / w.step
	if slot+w.live <= w.head {
		return w.by[account]
	}
	s := &w.slots[slot%uint64(len(w.slots))]
	s.at = slot
	s.rows++
	w.rows++
	if unseen {
		s.unseen++
		w.unseen++
	}
	if s.by == nil {
		s.by = map[common.Address]uint64{}
	}
	if s.by[account] == 0 {
		w.pairs++
	}
	s.by[account]++
	w.by[account]++
	w.trim(s)
	return w.by[account]
}

// trim forgets the oldest slots' accounts, never the one just written to.
func (w *window) trim(keep *windowSlot) {
	for w.pairs > windowAccounts {
		var oldest *windowSlot
		for i := range w.slots {
			if s := &w.slots[i]; s != keep && s.by != nil && (oldest == nil || s.at < oldest.at) {
				oldest = s
			}
		}
		if oldest == nil {
			// One slot alone is too many accounts: the ceiling on new addresses is there for that.
			w.forget(keep)
			return
		}
		w.forget(oldest)
	}
}
