package relay

import (
	"math"
	"slices"
	"testing"

	"conclave/ledger"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSpansAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s spans
		model := map[uint64]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			from := rapid.Uint64Range(1, 60).Draw(t, "from")
			if rapid.Bool().Draw(t, "add") {
				to := from + rapid.Uint64Range(0, 9).Draw(t, "more")
				s = s.add(from, to)
				for id := from; id <= to; id++ {
					model[id] = true
				}
			} else {
				s = s.remove(from)
				delete(model, from)
			}
			next, has := uint64(0), false
			for id := uint64(80); id > 0; id-- {
				if n, ok := s.after(id); ok != has || n != next {
					t.Fatalf("after %d: %d %v, want %d %v in %v", id, n, ok, next, has, s)
				}
				if s.has(id) != model[id] {
					t.Fatalf("has %d: %v in %v", id, s.has(id), s)
				}
				if model[id] {
					next, has = id, true
				}
			}
			for i := 1; i < len(s); i++ {
				if s[i-1].To+1 >= s[i].From {
					t.Fatalf("not disjoint: %v", s)
				}
			}
		}
	})
}

func row(id uint64) ledger.Event { return ledger.Event{ID: id, Amount: "1"} }

func rows(ids ...uint64) (out []ledger.Event) {
	for _, id := range ids {
		out = append(out, row(id))
	}
	return out
}

func ids(events []ledger.Event) (out []uint64) {
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

// A world of rows that become visible at times of their own (or never), read in sweeps with pages of any size: what is
// handed over rises, comes once, is complete, and nothing passes a missing id before the grace.
func TestForwardAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n, grace = 40, uint64(10)
		cutOver := rapid.Uint64Range(0, 10).Draw(t, "cutOver")
		limit := rapid.IntRange(1, 15).Draw(t, "limit")
		visible := make([]uint64, n+1) // when an id appears
		for id := 1; id <= n; id++ {
			visible[id] = uint64(id)
			if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
				visible[id] = rapid.SampledFrom([]uint64{uint64(id) + 3, uint64(id) + 9, uint64(id) + 30, math.MaxUint64}).Draw(t, "when")
			}
		}
		missingSince := map[uint64]uint64{} // when a higher id was first seen without it
		var s FollowState
		var handed []uint64
		for now := uint64(1); now < 120; now += rapid.Uint64Range(1, 4).Draw(t, "pause") {
			s.Answered = now
			for at := s.Settled; ; {
				var page []ledger.Event
				for id := at + 1; id <= n && len(page) < limit; id++ {
					if visible[id] <= now {
						page = append(page, row(id))
					}
				}
				before := s.clone()
				out := s.forward(logPage{at, page, now, now}, cutOver, grace)
				require.NoError(t, s.check())
				require.False(t, out.full)
				require.Empty(t, out.vanished)
				require.GreaterOrEqual(t, s.Settled, before.Settled)
				stored, err := DecodeFollowState(s.Encode())
				require.NoError(t, err)
				require.True(t, stored.same(s))
				if len(page) > 0 {
					for id := at + 1; id < page[len(page)-1].ID; id++ {
						if _, ok := missingSince[id]; !ok && visible[id] > now {
							missingSince[id] = now
						}
					}
				}
				for _, e := range out.hand {
					if len(handed) > 0 {
						require.Greater(t, e.ID, handed[len(handed)-1])
					}
					handed = append(handed, e.ID)
				}
				for id := before.Settled + 1; id <= s.Settled; id++ {
					if !slices.Contains(handed, id) {
						since, ok := missingSince[id]
						require.True(t, ok && (id <= cutOver || now-since >= grace), "id %d given up at %d, missing since %d", id, now, since)
					}
				}
				if len(page) < limit {
					break
				}
				at = page[len(page)-1].ID
			}
		}
		last := uint64(0)
		for id := uint64(1); id <= n; id++ {
			if visible[id] < 100 {
				last = id
			}
		}
		require.Equal(t, last, s.Settled) // all is settled in the end
	})
}

func TestVanishedRowIsWaitedForAgain(t *testing.T) {
	var s FollowState
	s.forward(logPage{0, rows(1, 3, 5), 0, 0}, 0, 10)
	out := s.forward(logPage{1, rows(2, 5), 1, 1}, 0, 10)
	require.Equal(t, []uint64{3}, out.vanished)
	require.Equal(t, []uint64{2}, ids(out.hand))
	require.Equal(t, []Gap{{3, 3, 1}, {4, 4, 0}}, s.Gaps)
	out = s.forward(logPage{2, rows(3, 4, 5), 2, 2}, 0, 10)
	require.Equal(t, []uint64{3, 4, 5}, ids(out.hand))
}

func TestGapSetIsBounded(t *testing.T) {
	var s FollowState
	var page []ledger.Event
	for id := uint64(2); id <= 2*MaxGaps+10; id += 2 {
		page = append(page, row(id))
	}
	out := s.forward(logPage{0, page, 0, 0}, 0, 10)
	require.True(t, out.full)
	require.Len(t, s.Gaps, MaxGaps)
	require.Equal(t, uint64(2*MaxGaps), s.Cursor)
	require.NoError(t, s.check())
	s.Answered = 10
	out = s.forward(logPage{0, page, 10, 10}, 0, 10)
	require.False(t, out.full) // the old ones expire, and it goes on
	require.Equal(t, uint64(2*MaxGaps), s.Settled)
	require.Len(t, s.Expired, MaxExpired)

	// A page that splits gaps cannot get past the bound either.
	s = FollowState{}
	for i := range uint64(MaxGaps) {
		s.Gaps = append(s.Gaps, Gap{10*i + 1, 10*i + 8, 0})
	}
	s.Cursor = 10 * MaxGaps
	require.True(t, s.forward(logPage{0, rows(5, 20), 0, 0}, 0, 10).full)
	require.Len(t, s.Gaps, MaxGaps)
}

// A leap over a billion ids is one gap, not a billion.
func TestLeap(t *testing.T) {
	var s FollowState
	s.forward(logPage{0, rows(1, 1<<60), 0, 0}, 0, 10)
	require.Equal(t, []Gap{{2, 1<<60 - 1, 0}}, s.Gaps)
	out := s.forward(logPage{1, rows(1 << 60), 10, 10}, 0, 10)
	require.Equal(t, []uint64{1 << 60}, ids(out.hand))
}

// Asked for before the grace was over, answered after it: that is no proof.
func TestGraceCountsFromTheAsking(t *testing.T) {
	var s FollowState
	s.forward(logPage{0, rows(2), 0, 5}, 0, 10)
	require.Empty(t, s.forward(logPage{0, rows(2), 14, 30}, 0, 10).hand)
	require.Equal(t, []uint64{2}, ids(s.forward(logPage{0, rows(2), 15, 31}, 0, 10).hand))
}

// A page that ends below a gap says nothing about it, for the Relay stops at a pending row.
func TestPendingRowIsNoProof(t *testing.T) {
	var s FollowState
	s.forward(logPage{0, rows(1, 3), 0, 0}, 0, 10)
	require.Equal(t, uint64(1), s.Settled)
	s.forward(logPage{1, nil, 50, 50}, 0, 10)
	require.Len(t, s.Gaps, 1)
	require.Equal(t, []uint64{2, 3}, ids(s.forward(logPage{1, rows(2, 3), 60, 60}, 0, 10).hand))
}

func FuzzFollowState(f *testing.F) {
	f.Add(FollowState{Settled: 1, Cursor: 9, Gaps: []Gap{{2, 3, 4}}, Expired: []Span{{1, 1}}, Answered: 5}.Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeFollowState(b)
		if err == nil && len(b) > 0 {
			require.Equal(t, b, s.Encode())
			s.forward(logPage{s.Settled, nil, s.Answered, s.Answered}, 0, 10)
			require.NoError(t, s.check())
		}
	})
}
