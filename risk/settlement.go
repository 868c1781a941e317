package risk

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/quorum"
)

// Keys of what settlement stores.
const (
	keySettlement = "settlement/state"
	keySums       = "settlement/sum/"
)

const (
	settlementVersion = 1
	// settlementQuiet is how long after its delay a snapshot may be the newest one: an authority that fell silent watches
	// nobody.
	settlementQuiet = 24 * time.Hour
	// settlementAhead is how far an authority's clock may be ahead of this node's. A snapshot that is dated later is a slip,
	// and would keep every true one out until its time comes.
	settlementAhead = 5 * time.Minute
)

// Settlement compares snapshots with what the log adds up to here. The sums are kept by range of ids, so the totals up to
// any id are those of whole ranges and of the rows of one; a late row enters its own range.
type Settlement struct {
	m     settlementMemory
	dirty map[uint64]Settled // what was counted since the last flush, by range
	anew  bool               // the whole log is being counted: the next flush adds to nothing
}

// settlementMemory is what stands in the database.
type settlementMemory struct {
	Version uint64
	Taken   uint64 // of the newest snapshot that was judged, unix seconds
	Event   uint64
	Digest  common.Hash
	Since   uint64     // when a deviation was first seen, unix seconds by the own clock; 0: none
	Fused   bool       // the fuse was tripped for it
	Late    bool       // the newest snapshot's event is not here though it should be
	Text    string     // how ours and theirs stand
	Waiting []Snapshot // at most one: newer, and too young to be judged

	Authority common.Address `rlp:"optional"` // whose snapshots the above are of
}

// NewSettlement returns one that has seen nothing.
func NewSettlement() *Settlement {
	return &Settlement{m: settlementMemory{Version: settlementVersion}, dirty: map[uint64]Settled{}}
}

// LoadSettlement reads what was stored; fresh is true when nothing was, or of another version: then count the whole log.
func LoadSettlement(each Each) (s *Settlement, fresh bool, err error) {
	s, fresh = NewSettlement(), true
	err = each([]byte(keySettlement), func(_, value []byte) error {
		var m settlementMemory
		if err := rlp.DecodeBytes(value, &m); err != nil {
			return fmt.Errorf("load settlement: %w", err)
		}
		if m.Version == settlementVersion {
			s.m, fresh = m, false
		}
		return nil
	})
	s.anew = fresh
	return s, fresh, err
}

// Policy puts another policy's authority in force. What the one before it signed last is nothing that the new one must be
// newer than; a deviation that stands goes on until the new one agrees.
func (s *Settlement) Policy(p quorum.Settlement) {
	if p.Authority == s.m.Authority || p.Authority == (common.Address{}) {
		return
	}
	if s.m.Authority != (common.Address{}) {
		s.m.Taken, s.m.Event, s.m.Digest, s.m.Waiting, s.m.Late = 0, 0, common.Hash{}, nil, false
	}
	s.m.Authority = p.Authority
}

// Row counts a row that the books did not hold before.
func (s *Settlement) Row(e ledger.Event) {
	r := e.ID / ledger.RangeSize
	sum := s.dirty[r]
	was := sum
	if sum.Add(e); sum != was {
		s.dirty[r] = sum
	}
}

// Flush adds what was counted to what is stored.
func (s *Settlement) Flush(get func(key []byte) []byte, put Put) error {
	for r, add := range s.dirty {
		var sum Settled
		if !s.anew {
			var err error
			if sum, err = decodeSum(get(sumKey(r))); err != nil {
				return err
			}
		}
		sum.Credits.Add(&sum.Credits, &add.Credits)
		sum.Debits.Add(&sum.Debits, &add.Debits)
		if err := put(sumKey(r), encodeRLP(sum)); err != nil {
			return fmt.Errorf("store settlement: %w", err)
		}
	}
	clear(s.dirty)
	s.anew = false
	if err := put([]byte(keySettlement), encodeRLP(s.m)); err != nil {
		return fmt.Errorf("store settlement: %w", err)
	}
	return nil
}

func sumKey(r uint64) []byte { return binary.BigEndian.AppendUint64([]byte(keySums), r) }

func decodeSum(raw []byte) (sum Settled, err error) {
	if raw == nil {
		return sum, nil
	}
	if err := rlp.DecodeBytes(raw, &sum); err != nil {
		return sum, fmt.Errorf("load settlement: %w", err)
	}
	return sum, nil
}

// SettledUpTo sums the log up to and with an id, of what is stored: each reads the sums, rows calls its function for the
// booked rows from an id on.
func SettledUpTo(id uint64, each Each, rows func(from uint64, fn func(ledger.Event) error) error) (out Settled, err error) {
	open := id / ledger.RangeSize
	err = each([]byte(keySums), func(key, value []byte) error {
		if len(key) != len(keySums)+8 || binary.BigEndian.Uint64(key[len(keySums):]) >= open {
			return nil
		}
		sum, err := decodeSum(value)
		out.Credits.Add(&out.Credits, &sum.Credits)
		out.Debits.Add(&out.Debits, &sum.Debits)
		return err
	})
	if err != nil {
		return out, err
	}
	err = rows(open*ledger.RangeSize, func(e ledger.Event) error {
		if e.ID > id {
			return errEnough
		}
		out.Add(e)
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return out, err
}

var errEnough = fmt.Errorf("enough rows")

// Offer hands in a verified snapshot. One that is newer than what was judged waits until it is as old as the policy's delay,
// and keeps its place: an authority that signs one each hour must not keep all of them too young. One that is dated ahead of
// the own clock fails with [ErrSnapshot].
func (s *Settlement) Offer(snap Snapshot, now uint64) (taken bool, err error) {
	if snap.Taken > now+seconds(settlementAhead) {
		return false, fmt.Errorf("%w: it is taken at %d, which is still to come", ErrSnapshot, snap.Taken)
	}
	if len(s.m.Waiting) > 0 || snap.Taken < s.m.Taken || snap.Event < s.m.Event || snap.Digest() == s.m.Digest {
		return false, nil
	}
	s.m.Waiting = []Snapshot{snap}
	return true, nil
}

// Due returns the snapshot that is old enough to be judged: rows that it counts should be here.
func (s *Settlement) Due(p quorum.Settlement, now uint64) (snap Snapshot, ok bool) {
	if len(s.m.Waiting) == 0 || now < s.m.Waiting[0].Taken+seconds(p.Delay) {
		return snap, false
	}
	return s.m.Waiting[0], true
}

// Judge compares the snapshot that is due with our sums up to its event. reached is false when our settled log ends before it.
// A deviation in either direction counts: more credits than the authority knows of are invented ones, fewer debits are
// tasks that nobody paid, and the reverse says that one of both counts wrongly.
func (s *Settlement) Judge(p quorum.Settlement, snap Snapshot, ours Settled, reached bool, now uint64) []Finding {
	s.m.Taken, s.m.Digest, s.m.Waiting = snap.Taken, snap.Digest(), nil
	began := s.m.Since == 0
	s.m.Late = !reached
	if !reached {
		// Its id says nothing about the next one: a slip in it must not keep every true snapshot out.
		s.m.Text = fmt.Sprintf("event %d of the snapshot has not settled here", snap.Event)
		return nil
	}
	s.m.Event = snap.Event
	credits, debits := apart(ours.Credits, snap.Credits), apart(ours.Debits, snap.Debits)
	s.m.Text = fmt.Sprintf("up to event %d: credits %s here, %s there; debits %s here, %s there",
		snap.Event, ours.Credits.Dec(), snap.Credits.Dec(), ours.Debits.Dec(), snap.Debits.Dec())
	if !credits.Gt(&p.Tolerance) && !debits.Gt(&p.Tolerance) {
		s.m.Since, s.m.Fused = 0, false
		return nil
	}
	if began {
		s.m.Since = now
		return append([]Finding{s.finding(p, false)}, s.Tick(p, now)...)
	}
	return s.Tick(p, now)
}

// Tick trips the fuse when a deviation has lasted. It lasts until a snapshot agrees: an authority that falls silent, or is
// cut off, does not end it.
func (s *Settlement) Tick(p quorum.Settlement, now uint64) []Finding {
	off := p.Authority == (common.Address{}) || p.Sustained == 0
	if off || s.m.Since == 0 || s.m.Fused || now < s.m.Since+seconds(p.Sustained) {
		return nil
	}
	s.m.Fused = true
	return []Finding{s.finding(p, true)}
}

// apart is how far two amounts differ.
func apart(a, b uint256.Int) (d uint256.Int) {
	if a.Lt(&b) {
		a, b = b, a
	}
	return *d.Sub(&a, &b)
}

func (s *Settlement) finding(p quorum.Settlement, fuse bool) Finding {
	st := s.standing(p)
	x := Explanation{Rule: ruleSettlement, Outcome: Waits, Threshold: st.Threshold, Observed: s.m.Text, Evidence: []uint64{s.m.Event},
		Do: "ask the authority and the Relay's operator which rows they count; clear the fuse once it is known who is wrong"}
	a := ledger.Alert{Code: AlertSettlement, Severity: ledger.Warning, EventID: s.m.Event, Hint: x.Do, Text: "the Relay's log and the authority's snapshot differ: " + s.m.Text}
	if fuse {
		a.Severity = ledger.Critical
		a.Text = fmt.Sprintf("the Relay's log and the authority's snapshots differ since %s: %s", clock(s.m.Since), s.m.Text)
	}
	return Finding{Explanation: x, Alert: a, Fuse: fuse}
}

// Stale reports whether the newest snapshot is too old to say anything.
func (s *Settlement) Stale(p quorum.Settlement, now uint64) bool {
	return now > s.m.Taken+seconds(p.Delay)+seconds(settlementQuiet)
}

func (s *Settlement) standing(p quorum.Settlement) Standing {
	return Standing{Rule: ruleSettlement, Code: AlertSettlement, Threshold: fmt.Sprintf("%s wei apart after %s", p.Tolerance.Dec(), p.Delay),
		Observed: s.m.Text, Since: s.m.Since, Breached: s.m.Since != 0}
}

// Standing says where settlement stands; ok is false when the policy names no authority.
func (s *Settlement) Standing(p quorum.Settlement, now uint64) (st Standing, ok bool) {
	st = s.standing(p)
	if st.Observed == "" {
		st.Observed = "no snapshot yet"
	} else if s.Stale(p, now) {
		st.Observed += "; the newest snapshot is of " + clock(s.m.Taken)
	}
	return st, p.Authority != (common.Address{})
}

// Late reports whether the newest snapshot counts rows that have not settled here.
func (s *Settlement) Late() (what string, late bool) { return s.m.Text, s.m.Late }
