package relay

import (
	"slices"
	"sort"
)

// Span is a run of ids, both ends included.
type Span struct {
	From, To uint64
}

// spans is a set of ids as disjoint runs by rising id, so that a leap over a billion ids costs one entry.
type spans []Span

// add puts ids from..to into the set.
func (s spans) add(from, to uint64) spans {
	i := sort.Search(len(s), func(i int) bool { return s[i].To >= from || s[i].To+1 == from })
	j := i
	for ; j < len(s) && (s[j].From <= to || s[j].From == to+1); j++ {
		from, to = min(from, s[j].From), max(to, s[j].To)
	}
	return slices.Replace(s, i, j, Span{from, to})
}

// remove takes an id out.
func (s spans) remove(id uint64) spans {
	i := s.search(id)
	if i == len(s) || s[i].From > id {
		return s
	}
	var rest []Span
	if s[i].From < id {
		rest = append(rest, Span{s[i].From, id - 1})
	}
	if id < s[i].To {
		rest = append(rest, Span{id + 1, s[i].To})
	}
	return slices.Replace(s, i, i+1, rest...)
}

// search finds the first run that ends at or after an id.
func (s spans) search(id uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].To >= id })
}

func (s spans) has(id uint64) bool {
	i := s.search(id)
	return i < len(s) && s[i].From <= id
}

// after returns the lowest id of the set above id.
func (s spans) after(id uint64) (uint64, bool) {
	i := s.search(id + 1)
	if i == len(s) {
		return 0, false
	}
	return max(id+1, s[i].From), true
}

// newest keeps the n highest runs.
func (s spans) newest(n int) spans {
	if len(s) <= n {
		return s
	}
	return slices.Delete(s, 0, len(s)-n)
}
