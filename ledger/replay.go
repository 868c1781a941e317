package ledger

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"
)

// Bounds of a replay's memory. A commit costs two syncs and writes every page that it touched, so larger ones are cheaper
// by the event.
const (
	// replayEvents bounds the events of one commit.
	replayEvents = 49_152
	// replayPages bounds the pages that one commit changes, as estimated, replayPagesLarge those in books of many accounts:
	// there nearly each account is on a page of its own, which is held twice until it is written.
	replayPages      = 16_384
	replayPagesLarge = 4_096
	// replayLarge is how many accounts are many.
	replayLarge = 250_000
	// replayMemory is what the collector should aim at in books of few accounts, replayMemoryLarge in those of many. What a
	// commit holds is near the lower one: aimed at that, a replay of few accounts spends four tenths of its time collecting.
	replayMemory      = 512 << 20
	replayMemoryLarge = 150 << 20
	// replayAccounts bounds the accounts that stay at hand between commits, replayAccountsLarge those of books with many.
	replayAccounts      = 131_072
	replayAccountsLarge = 49_152

	// perPage is a low guess at how many accounts or links a page holds.
	perPage = 24
)

// ReplayMemory is what a process that replays books of so many accounts should ask of the collector: to stay below a limit in
// bytes ([debug.SetMemoryLimit]), for the kernel has better use for the rest, as page cache, and to run when the heap grew by so
// many percent ([debug.SetGCPercent]).
func ReplayMemory(accounts uint64) (limit int64, percent int) {
	if accounts < replayLarge {
		return replayMemory, 300
	}
	return replayMemoryLarge, 100
}

// Replayed says what a replay did.
type Replayed struct {
	Events  uint64
	Commits uint64
	Alerts  uint64
}

// Replay books a recorded log, ids ascending, with many events to a commit; each commit is durable. What lies in the books
// already is compared, so an interrupted replay goes on where it ended. It reads and encodes the next events while the
// ones before are booked. The log must not pass the policy's uncovered maximum: a replay that would wait is an error.
// progress, which may be nil, is told after each commit how many events were taken so far.
func (l *Ledger) Replay(ctx context.Context, log iter.Seq2[Event, error], in Intake, progress func(events uint64)) (Replayed, error) {
	return l.replay(ctx, log, in, nil, progress)
}

// replay is Replay; with excluded, which is not nil, these debits stand in the log only, and no other.
func (l *Ledger) replay(ctx context.Context, log iter.Seq2[Event, error], in Intake, excluded map[uint64]bool, progress func(events uint64)) (out Replayed, err error) {
	kept := newWarm()
	size := &replaySize{tight: debug.SetMemoryLimit(-1) <= replayMemoryLarge} // asks, and changes nothing
	err = pipelined(ctx, log, size, func(page []entry) error {
		var done Appended
		err := l.Update(func(tx *Tx) (err error) {
			tx.warm, tx.excluded = kept, excluded
			if done, err = tx.append(page, in); err != nil {
				return err
			}
			return size.learn(tx)
		})
		if err != nil {
			return err
		}
		forget(kept.accounts, size.atHand())
		out.Events += uint64(len(page))
		out.Commits++
		out.Alerts += uint64(len(done.Alerts))
		if progress != nil {
			progress(out.Events)
		}
		if done.Hold != nil {
			return fmt.Errorf("replay: event %d would leave %s wei uncovered, %s may be", done.Hold.Event, done.Hold.Uncovered.Dec(), done.Hold.Max.Dec())
		}
		return nil
	})
	return out, err
}

// forget drops accounts, whichever come first, down to a number.
func forget(accounts map[common.Address]*openAcct, most int) {
	for a := range accounts {
		if len(accounts) <= most {
			return
		}
		delete(accounts, a)
	}
}

// replaySize tells how many pages a commit may change, by how large the books are.
type replaySize struct {
	accounts, links atomic.Uint64
	tight           bool // the process was told to live in little memory
}

// large reports whether the bounds of large books hold.
func (s *replaySize) large() bool { return s.tight || s.accounts.Load() >= replayLarge }

func (s *replaySize) learn(tx *Tx) error {
	accounts, links := tx.b.Bucket(bucketAccounts), tx.b.Bucket(bucketDebits)
	if !accounts.readSum() || !links.readSum() {
		return tx.b.corrupt
	}
	s.accounts.Store(accounts.sum.count)
	s.links.Store(links.sum.count)
	return nil
}

// atHand is how many accounts may stay in memory between commits.
func (s *replaySize) atHand() int {
	if s.large() {
		return replayAccountsLarge
	}
	return replayAccounts
}

// full reports whether a commit would change as many pages as it may: each account and link is on a page of its own, but
// there are no more pages than there are.
func (s *replaySize) full(accounts, links int) bool {
	all := s.accounts.Load()
	pages := min(uint64(accounts), (all+uint64(accounts))/perPage) + min(uint64(links), (s.links.Load()+uint64(links))/perPage)
	if s.large() {
		return pages >= replayPagesLarge
	}
	return pages >= replayPages
}

// pipelined reads a log on a goroutine of its own, one page ahead of take.
func pipelined(ctx context.Context, log iter.Seq2[Event, error], size *replaySize, take func([]entry) error) error {
	ctx, stop := context.WithCancel(ctx)
	pages := make(chan []entry)
	failed := make(chan error, 1)
	go func() {
		defer close(pages)
		failed <- produce(ctx, log, size, pages)
	}()
	var err error
	for page := range pages {
		if err = take(page); err != nil {
			break
		}
	}
	stop()
	for range pages { // the producer may stand before a send
	}
	if read := <-failed; err == nil {
		err = read
	}
	return err
}

// produce cuts a log into pages that one commit takes.
func produce(ctx context.Context, log iter.Seq2[Event, error], size *replaySize, pages chan<- []entry) error {
	var page []entry
	var buffer []byte
	links, touched := 0, map[common.Address]struct{}{}
	send := func() error {
		if err := ctx.Err(); err != nil || len(page) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case pages <- page:
		}
		page, buffer, links = make([]entry, 0, len(page)), make([]byte, 0, len(buffer)), 0
		clear(touched)
		return nil
	}
	for e, err := range log {
		if err != nil {
			return err
		}
		// A buffer that grows moves, and what was cut from it before stays as it was.
		at := len(buffer)
		buffer = appendEvent(buffer, &e)
		page = append(page, entry{e, buffer[at:len(buffer):len(buffer)]})
		touched[e.Account] = struct{}{}
		if e.Kind.Debit() {
			links++
		}
		if len(page) == replayEvents || size.full(len(touched), links) {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}
