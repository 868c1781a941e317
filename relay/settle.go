package relay

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"conclave/ledger"

	"github.com/ethereum/go-ethereum/rlp"
)

// Bounds of the follower's memory.
const (
	// MaxGaps bounds the runs of missing ids that wait to appear or to expire: some 100 KB. An honest Relay that rolls back
	// this many transactions within one grace is in trouble itself; the follower then takes no higher row until some resolve.
	MaxGaps = 4096
	// MaxExpired bounds the runs of ids that were given up and are still looked for. The oldest are forgotten first; what
	// appears there then is found by comparing the log with other custodians.
	MaxExpired = 4096
)

// maxAnswered is a bound for the answered clock, some 30 years of milliseconds.
const maxAnswered = 1 << 40

// Gap is a run of ids that were not there when higher ones were.
type Gap struct {
	From, To uint64
	Seen     uint64 // on the answered clock, see FollowState.Answered
}

// FollowState is what the follower of the account log remembers. It is stored with the events that it counts as settled.
type FollowState struct {
	Settled  uint64 // every id up to here has been handed over or given up
	Cursor   uint64 // the highest id seen
	Gaps     []Gap  // unresolved, all in (Settled, Cursor], by rising id, disjoint
	Expired  []Span // given up after CutOver, by rising id
	Answered uint64 // milliseconds during which the Relay answered: the clock on which gaps age
}

// Encode gives the stored form.
func (s FollowState) Encode() []byte {
	b, err := rlp.EncodeToBytes(s)
	if err != nil {
		panic("relay: encode follow state: " + err.Error())
	}
	return b
}

// DecodeFollowState reads the stored form and checks it; no bytes are the state before the first event.
func DecodeFollowState(b []byte) (FollowState, error) {
	var s FollowState
	if len(b) == 0 {
		return s, nil
	}
	if err := rlp.DecodeBytes(b, &s); err != nil {
		return FollowState{}, fmt.Errorf("decode follow state: %w", err)
	}
	if err := s.check(); err != nil {
		return FollowState{}, fmt.Errorf("decode follow state: %w", err)
	}
	return s, nil
}

func (s FollowState) check() error {
	if s.Settled > s.Cursor || len(s.Gaps) > MaxGaps || len(s.Expired) > MaxExpired || s.Answered > maxAnswered {
		return errors.New("out of bounds")
	}
	at := s.Settled
	for _, g := range s.Gaps {
		if g.From <= at || g.To < g.From || g.To >= s.Cursor || g.Seen > s.Answered {
			return fmt.Errorf("gap %d to %d out of place", g.From, g.To)
		}
		at = g.To
	}
	at = 0
	for _, e := range s.Expired {
		if e.From <= at || e.To < e.From || e.To >= s.Cursor {
			return fmt.Errorf("expired ids %d to %d out of place", e.From, e.To)
		}
		at = e.To
	}
	return nil
}

// same reports whether nothing but the clock differs.
func (s FollowState) same(o FollowState) bool {
	return s.Settled == o.Settled && s.Cursor == o.Cursor && slices.Equal(s.Gaps, o.Gaps) && slices.Equal(s.Expired, o.Expired)
}

func (s FollowState) clone() FollowState {
	s.Gaps, s.Expired = slices.Clone(s.Gaps), slices.Clone(s.Expired)
	return s
}

// logPage is a page that the Relay gave, with the answered clock at the moments when it was asked for and when it came.
type logPage struct {
	after       uint64
	rows        []ledger.Event
	asked, came uint64
}

// step is what an answer led to.
type step struct {
	hand     []ledger.Event // for the books: newly settled ones in id order, and on a look back what is below
	vanished []uint64       // ids that were served before, are not settled, and are gone
	full     bool           // the gap set is full: rows from some point on were not looked at
}

// forward takes an answer from the front on: after lies in [Settled, Cursor]. Only ids below the last row of the page are
// known to be missing: behind it there may be a pending row, which the Relay stops at.
func (s *FollowState) forward(p logPage, cutOver, grace uint64) (out step) {
	seen := s.Cursor
	at, last := p.after, p.after
	for _, e := range p.rows {
		if !s.lacking(at+1, e.ID-1, seen, p, cutOver, grace, &out) || (len(s.Gaps) >= MaxGaps && s.splits(e.ID)) {
			out.full = true
			break
		}
		s.appeared(e.ID)
		s.Cursor = max(s.Cursor, e.ID)
		at, last = e.ID, e.ID
	}
	s.Expired = spans(s.Expired).newest(MaxExpired)

	// Hand over only from a page that begins at the front: behind a gap, rows before the page have not been handed over.
	if p.after <= s.Settled {
		front := last
		if len(s.Gaps) > 0 {
			front = min(front, s.Gaps[0].From-1)
		}
		for _, e := range p.rows {
			if e.ID > s.Settled && e.ID <= front {
				out.hand = append(out.hand, e)
			}
		}
		s.Settled = max(s.Settled, front)
	}
	return out
}

// lacking notes that ids from..to are not in an answer that shows a higher one. It returns false when the gap set is full.
func (s *FollowState) lacking(from, to, seen uint64, p logPage, cutOver, grace uint64, out *step) bool {
	// History has been agreed on by its root: nobody waits for what is missing there.
	for from = max(from, cutOver+1); from <= to; {
		i := sort.Search(len(s.Gaps), func(i int) bool { return s.Gaps[i].To >= from })
		if i < len(s.Gaps) && s.Gaps[i].From <= from {
			g := s.Gaps[i]
			end := min(g.To, to)
			if p.asked >= g.Seen && p.asked-g.Seen >= grace {
				s.cutGap(from, end)
				s.Expired = spans(s.Expired).add(from, end)
			}
			from = end + 1
			continue
		}
		end := to
		if i < len(s.Gaps) {
			end = min(end, s.Gaps[i].From-1)
		}
		if e := spans(s.Expired).search(from); e < len(s.Expired) && s.Expired[e].From <= end {
			if s.Expired[e].From <= from {
				from = min(end, s.Expired[e].To) + 1
				continue
			}
			end = s.Expired[e].From - 1
		}
		if from <= seen {
			end = min(end, seen)
			out.vanished = append(out.vanished, from)
		}
		if !s.addGap(Gap{from, end, p.came}) {
			return false
		}
		from = end + 1
	}
	return true
}

// appeared takes an id out of what is missing.
func (s *FollowState) appeared(id uint64) {
	s.cutGap(id, id)
	s.Expired = spans(s.Expired).remove(id)
}

// cutGap takes ids out of the gap that holds them, if one does.
func (s *FollowState) cutGap(from, to uint64) {
	i := sort.Search(len(s.Gaps), func(i int) bool { return s.Gaps[i].To >= from })
	if i == len(s.Gaps) || s.Gaps[i].From > from {
		return
	}
	g := s.Gaps[i]
	var rest []Gap
	if g.From < from {
		rest = append(rest, Gap{g.From, from - 1, g.Seen})
	}
	if to < g.To {
		rest = append(rest, Gap{to + 1, g.To, g.Seen})
	}
	s.Gaps = slices.Replace(s.Gaps, i, i+1, rest...)
}

// splits reports whether an id lies inside a gap, which would become two.
func (s *FollowState) splits(id uint64) bool {
	i := sort.Search(len(s.Gaps), func(i int) bool { return s.Gaps[i].To >= id })
	return i < len(s.Gaps) && s.Gaps[i].From < id && id < s.Gaps[i].To
}

func (s *FollowState) addGap(g Gap) bool {
	if len(s.Gaps) >= MaxGaps {
		return false
	}
	i := sort.Search(len(s.Gaps), func(i int) bool { return s.Gaps[i].From > g.From })
	s.Gaps = slices.Insert(s.Gaps, i, g)
	return true
}

// back takes an answer from below the front: everything settled in it goes to the books again, which compare what they
// have and book what comes late.
func (s *FollowState) back(p logPage) (out step) {
	for _, e := range p.rows {
		if e.ID > s.Settled {
			break
		}
		s.Expired = spans(s.Expired).remove(e.ID)
		out.hand = append(out.hand, e)
	}
	s.Expired = spans(s.Expired).newest(MaxExpired)
	return out
}
