package relay

import (
	"context"
	"fmt"
	"time"

	"conclave/ledger"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

const (
	// maxListSpans bounds the runs of pending and of missing requests that are read again and again; the oldest go first.
	maxListSpans = 65_536
	// maxKnown bounds each of two generations of rows whose content is remembered, so that what was read again unchanged
	// costs no write; a row that was forgotten is compared by the requests' keeper once more.
	maxKnown = 65_536
)

// List is what the list follower reads: [Client] is one.
type List interface {
	Withdrawals(ctx context.Context, after uint64, limit int) (rows []ledger.Withdrawal, aside []*Refusal, err error)
}

// Requests keeps the rows of the withdrawal list.
type Requests interface {
	// PutWithdrawals stores rows that are new or differ from when they were last read. A known row may change its status
	// only: another content is for the keeper to refuse as hostile. An error makes the follower read again.
	PutWithdrawals(ctx context.Context, rows []ledger.Withdrawal) error
}

// ListConfig sets a list follower up. Zero values mean the defaults.
type ListConfig struct {
	Page   int
	Poll   time.Duration
	Alert  func(Alert)
	Failed func(error)
}

// ListFollower keeps the withdrawal list current. Rows are handed over as they appear, in any status, for the list has no
// order to keep: what binds a request is its type-6 event. The Relay tells no changes, so pending rows are read again until
// they are decided, and missing ids for ever: one page of each with a poll, in turn. A page of the whole list every five
// seconds finds a decided row that changes behind everybody's back. It keeps nothing on disk: a start reads the whole list,
// which compares every row with what was stored. Run or Poll it from one goroutine.
type ListFollower struct {
	list List
	keep Requests
	cfg  ListConfig

	cursor  uint64
	pending spans
	missing spans
	known   map[uint64]common.Hash // digests of rows as they were last handed over
	older   map[uint64]common.Hash // the generation before
	lookP   uint64                 // the id that the last re-read of pending rows ended with
	lookM   uint64                 // the same for missing ids
	looked  time.Time              // when missing ids were last looked for
	walk    uint64                 // the id that the last page of the walk over the whole list ended with
	walked  time.Time              // when that was
}

// NewListFollower checks the configuration.
func NewListFollower(list List, keep Requests, cfg ListConfig) (*ListFollower, error) {
	if cfg.Page == 0 {
		cfg.Page = DefaultPage
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.Page < 1 || cfg.Page > MaxPage || cfg.Poll < 0 {
		return nil, fmt.Errorf("list follower: page of %d rows, poll %s: out of range", cfg.Page, cfg.Poll)
	}
	if cfg.Alert == nil {
		cfg.Alert = func(Alert) {}
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	return &ListFollower{list: list, keep: keep, cfg: cfg, known: map[uint64]common.Hash{}}, nil
}

// Run polls until ctx ends.
func (f *ListFollower) Run(ctx context.Context) error {
	return poll(ctx, f.cfg.Poll, f.cfg.Failed, f.Poll)
}

// Poll reads what is new, at most pagesPerPoll pages, then one page of pending rows, and now and then one of missing ids and
// one of everything.
func (f *ListFollower) Poll(ctx context.Context) (more bool, err error) {
	for range pagesPerPoll {
		n, _, err := f.read(ctx, f.cursor)
		if err != nil {
			return false, err
		}
		if more = n == f.cfg.Page; !more {
			break
		}
	}
	if err := f.again(ctx, &f.pending, &f.lookP); err != nil {
		return false, err
	}
	if time.Since(f.looked) >= lookEvery {
		if err := f.again(ctx, &f.missing, &f.lookM); err != nil {
			return false, err
		}
		f.looked = time.Now()
	}
	if more {
		return true, nil
	}
	return false, f.walkOn(ctx)
}

// walkOn reads the next page of the whole list, from the start again behind its end.
func (f *ListFollower) walkOn(ctx context.Context) error {
	if time.Since(f.walked) < walkEvery {
		return nil
	}
	n, last, err := f.read(ctx, f.walk)
	if err != nil {
		return err
	}
	f.walk, f.walked = last, time.Now()
	if n < f.cfg.Page {
		f.walk = 0
	}
	return nil
}

// again reads one page from the next id of a set on, and starts over at its end.
func (f *ListFollower) again(ctx context.Context, set *spans, look *uint64) error {
	id, ok := set.after(*look)
	if !ok {
		if id, ok = set.after(0); !ok {
			return nil
		}
	}
	_, last, err := f.read(ctx, id-1)
	*look = max(id, last)
	return err
}

// read takes one page: n rows, the last with the id last.
func (f *ListFollower) read(ctx context.Context, after uint64) (n int, last uint64, err error) {
	rows, aside, err := f.list.Withdrawals(ctx, after, f.cfg.Page)
	if err != nil {
		return 0, 0, err
	}
	fresh := make([]ledger.Withdrawal, 0, len(rows))
	for _, w := range rows {
		if !f.knows(w) {
			fresh = append(fresh, w)
		}
	}
	if len(fresh) > 0 {
		if err := f.keep.PutWithdrawals(ctx, fresh); err != nil {
			return 0, 0, fmt.Errorf("record withdrawal list: %w", err)
		}
		f.learn(fresh)
	}
	// Both slices rise by id; an id is missing when it is in neither.
	for len(rows)+len(aside) > 0 {
		if len(rows) == 0 || (len(aside) > 0 && aside[0].ID < rows[0].ID) {
			last = f.spoilt(aside[0])
			aside = aside[1:]
		} else {
			last = f.note(rows[0])
			rows = rows[1:]
		}
		n++
	}
	return n, last, nil
}

// spoilt passes over a row that could not be read.
func (f *ListFollower) spoilt(r *Refusal) uint64 {
	if r.ID > f.cursor || f.missing.has(r.ID) {
		f.cfg.Alert(Alert{AlertAside, r.ID, r.Error()})
	}
	f.passed(r.ID)
	return r.ID
}

// note remembers a row as far as it must be read again.
func (f *ListFollower) note(w ledger.Withdrawal) uint64 {
	f.passed(w.ID)
	if w.Status != ledger.StatusPending {
		f.pending = f.pending.remove(w.ID)
	} else if !f.pending.has(w.ID) {
		f.pending = f.pending.add(w.ID, w.ID).newest(maxListSpans)
	}
	return w.ID
}

// knows reports whether a row was handed over as it is.
func (f *ListFollower) knows(w ledger.Withdrawal) bool {
	h, ok := f.known[w.ID]
	if !ok {
		h, ok = f.older[w.ID]
	}
	return ok && h == digest(w)
}

// learn remembers rows that were handed over.
func (f *ListFollower) learn(rows []ledger.Withdrawal) {
	for _, w := range rows {
		if len(f.known) >= maxKnown {
			f.older, f.known = f.known, map[uint64]common.Hash{}
		}
		f.known[w.ID] = digest(w)
	}
}

// passed moves the cursor and keeps the set of missing ids.
func (f *ListFollower) passed(id uint64) {
	if id <= f.cursor {
		f.missing = f.missing.remove(id)
		return
	}
	if id > f.cursor+1 {
		f.missing = f.missing.add(f.cursor+1, id-1).newest(maxListSpans)
	}
	f.cursor = id
}

func digest(w ledger.Withdrawal) common.Hash {
	b, err := rlp.EncodeToBytes(w)
	if err != nil {
		panic("relay: encode withdrawal: " + err.Error())
	}
	return crypto.Keccak256Hash(b)
}
