package batch

import (
	"cmp"
	"errors"
	"slices"

	"conclave/quorum"
)

// queue is what a proposer keeps free for older withdrawals, by bucket: the withdrawal that it is kept for.
//
// A withdrawal that waits lets younger ones pass, or one bucket's trouble would hold up everybody. But a large one would
// then wait for ever behind a stream of small ones, one above the capacity above all: so when it has waited for as long
// as its bucket takes to fill, nothing younger draws on that bucket until it is paid. It then waits one more fill at most.
type queue map[bucketKey]uint64

// passes says whether a candidate that the rules answered with err may go now.
func (q queue) passes(s *State, c Candidate, lane quorum.LaneKey, err error) bool {
	var queued *Queued
	if errors.As(err, &queued) {
		q.keep(s, c, queued)
		return false
	}
	_, behind := q.behind(s, c, lane)
	return err == nil && !behind
}

// behind names the older withdrawal that a candidate's buckets are kept for.
func (q queue) behind(s *State, c Candidate, lane quorum.LaneKey) (wid uint64, ok bool) {
	for _, k := range s.governors.bucketsOf(c.Content, lane) {
		if wid, ok := q[k]; ok {
			return wid, true
		}
	}
	return 0, false
}

func (q queue) keep(s *State, c Candidate, queued *Queued) {
	own := func(k bucketKey) bool { return s.governors.rules[k.rule].Scope == quorum.BucketAccount }
	// While its own account's bucket refuses it, nobody else's payment could bring it forward.
	onlyOwn := slices.ContainsFunc(queued.waiting, own)
	for _, k := range queued.waiting {
		rule := s.governors.rules[k.rule]
		waited := queued.now - min(queued.now, c.certified())
		if _, kept := q[k]; kept || (onlyOwn && !own(k)) || waited < filling(rule, rule.Capacity) {
			continue
		}
		q[k] = c.Content.WID
	}
}

// Behind names the older withdrawal for which a governor's bucket is kept free, when a candidate waits for that alone.
func (s *State) Behind(c Candidate, all []Candidate, views []quorum.Signed[quorum.View]) (wid uint64, ok bool) {
	lane, known := s.laneFor(c.Content)
	f := s.frame(Payout, s.freshest(views, &lane))
	if !c.pays() || !known || f == nil {
		return 0, false
	}
	kept := queue{}
	for _, older := range oldestFirst(s.withResolved(all)) {
		if older.Content.WID == c.Content.WID {
			break
		}
		if at, ok := s.laneFor(older.Content); ok && older.pays() && at == lane {
			_, err := f.withItem(s, older, lane)
			kept.passes(s, older, lane, err)
		}
	}
	return kept.behind(s, c, lane)
}

// oldestFirst orders candidates by the time of their certificates.
func oldestFirst(in []Candidate) []Candidate {
	type aged struct {
		Candidate
		at uint64
	}
	all := make([]aged, len(in))
	for i, c := range in {
		all[i] = aged{c, c.certified()} // a median: once for each, not for each comparison
	}
	slices.SortStableFunc(all, func(a, b aged) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Content.WID, b.Content.WID))
	})
	sorted := make([]Candidate, len(in))
	for i, c := range all {
		sorted[i] = c.Candidate
	}
	return sorted
}
