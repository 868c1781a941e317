package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// A node that was away asks a member that is ahead for the decisions in between. They prove themselves, so one honest
// member is enough, and nobody's word is taken:
//
//	ask       off the core, a page at a time; the next page is on its way while this one is proven
//	prove     off the core, on every processor: certificates, votes and views of each decision, in the page's order
//	adopt     on the core: rules, then one transaction for some dozens of decisions, then what follows from them
//
// Whoever shows one decision that does not prove itself is not asked again for a while. Whoever keeps this node waiting is
// left to its waiting, and the next one is asked beside it.
const (
	// patience is how long one member may take for a page before another is asked too.
	syncPatience = time.Second
	// maxSyncs bounds the members that are asked at once: slow ones, and one more.
	maxSyncs = 4
	// adoptAtOnce bounds the decisions of one transaction: a commit costs as much as many records, and the core does nothing
	// else meanwhile.
	adoptAtOnce = 64
	// slowFor is how long a member that kept this node waiting, or did not show what it claimed, is asked after all others.
	slowFor = time.Minute
	// barredFor is how long a member that showed what is no decision is not asked at all. It doubles each time up to barredMax.
	barredFor = time.Minute
	barredMax = time.Hour
)

// syncs is what the core remembers of whom it asks. The zero value has asked nobody.
type syncs struct {
	live   map[common.Address]*syncing
	slow   map[common.Address]time.Time // until when
	barred map[common.Address]silenced
	turn   int // who is asked next, so that one liar's claims do not hide the others'
}

// syncing is one member being asked. Its fields belong to the core.
type syncing struct {
	peer  common.Address
	moved time.Time // when it last brought a whole page of new decisions, or was first asked
}

// silenced is a member that is not asked.
type silenced struct {
	until time.Time
	wait  time.Duration
}

// errSync means that a member showed something else than the decisions that it was asked for.
var errSync = errors.New("not the decisions that were asked for")

// maybeSync asks a member that is ahead, and one more while those that were asked keep this node waiting.
func (c *core) maybeSync() {
	if c.fatal != nil || len(c.behind) == 0 {
		return
	}
	now := c.now()
	for id, s := range c.syncs.live {
		if now.Sub(s.moved) < syncPatience {
			return
		}
		c.syncs.late(id, now)
	}
	if len(c.syncs.live) >= maxSyncs {
		return
	}
	if peer, ok := c.nextToAsk(now); ok {
		s := &syncing{peer: peer, moved: now}
		if c.syncs.live == nil {
			c.syncs.live = map[common.Address]*syncing{}
		}
		c.syncs.live[peer] = s
		from, roster := c.state.Height+1, c.state.Roster
		c.spawn(func() { c.syncFrom(s, from, roster) })
	}
}

// nextToAsk is the next in turn of those that claim to be ahead: who kept this node waiting comes last.
func (c *core) nextToAsk(now time.Time) (slow common.Address, ok bool) {
	ids := c.state.Roster.IDs()
	if !c.member() {
		ids = c.linked() // those who rule by now may all be strangers to its roster
	}
	for range ids {
		id := ids[c.syncs.turn%len(ids)]
		c.syncs.turn++
		if c.behind[id] <= c.state.Height {
			delete(c.behind, id)
			continue
		}
		switch {
		case c.syncs.live[id] != nil || now.Before(c.syncs.barred[id].until):
		case now.Before(c.syncs.slow[id]):
			if !ok {
				slow, ok = id, true
			}
		default:
			return id, true
		}
	}
	return slow, ok
}

func (s *syncs) late(peer common.Address, now time.Time) {
	if s.slow == nil {
		s.slow = map[common.Address]time.Time{}
	}
	s.slow[peer] = now.Add(slowFor)
}

func (s *syncs) bar(peer common.Address, now time.Time) {
	if s.barred == nil {
		s.barred = map[common.Address]silenced{}
	}
	wait := min(max(2*s.barred[peer].wait, barredFor), barredMax)
	s.barred[peer] = silenced{until: now.Add(wait), wait: wait}
}

// syncFrom follows one member until it has shown all that it has, off the core.
func (c *core) syncFrom(s *syncing, from uint64, roster quorum.Roster) {
	err := c.follow(s, from, roster)
	c.post(func() {
		delete(c.syncs.live, s.peer)
		delete(c.behind, s.peer) // it claims again what it has
		switch {
		case err == nil || c.ctx.Err() != nil:
		case errors.Is(err, errSync):
			c.syncs.bar(s.peer, c.now())
			c.log.Warn("member showed what is no decision", zap.Stringer("peer", s.peer), zap.Error(err))
		default:
			c.syncs.late(s.peer, c.now())
			c.log.Debug("sync ended", zap.Stringer("peer", s.peer), zap.Error(err))
		}
	})
}

// errStale ends the asking of a member that brings nothing new: another is faster, or it has less than it claimed.
var errStale = errors.New("it brings nothing new")

// shownPage is an answer.
type shownPage struct {
	shown []quorum.UncheckedDecision
	whole bool // there may be more; who shows less is at its end, or wants this node to wait
	err   error
}

// follow asks for page after page. The next one is asked for when this one has come, while this one is proven.
func (c *core) follow(s *syncing, from uint64, roster quorum.Roster) error {
	ask := func(from uint64) <-chan shownPage {
		out := make(chan shownPage, 1)
		c.spawn(func() { out <- c.askDecisions(s.peer, from) })
		return out
	}
	brought := false
	for next := ask(from); ; {
		page := <-next
		switch {
		case page.err != nil:
			return page.err
		case len(page.shown) == 0 && brought:
			return nil
		case len(page.shown) == 0:
			return errStale
		}
		from += uint64(len(page.shown))
		next = ask(from)
		fresh, err := c.take(s, page, &roster)
		if err != nil {
			return err
		}
		if !fresh {
			return errStale
		}
		brought = true
	}
}

// askDecisions asks for one page: decisions of consecutive heights, none when the member has no more.
func (c *core) askDecisions(peer common.Address, from uint64) (page shownPage) {
	ctx, cancel := context.WithTimeout(c.ctx, syncTimeout)
	defer cancel()
	raw, err := c.net.Request(ctx, peer, askSync, marshal(syncReq{What: syncDecisions, Height: from}))
	if err != nil {
		return shownPage{err: err}
	}
	if err := unmarshal(raw, &page.shown); err != nil {
		return shownPage{err: fmt.Errorf("%w: %w", errSync, err)}
	}
	if len(page.shown) > maxSyncDecision {
		return shownPage{err: fmt.Errorf("%w: %d at once", errSync, len(page.shown))}
	}
	for i, d := range page.shown {
		if d.Commit.Height != from+uint64(i) {
			return shownPage{err: fmt.Errorf("%w: height %d where %d belongs", errSync, d.Commit.Height, from+uint64(i))}
		}
	}
	page.whole = len(page.shown) == maxSyncDecision || len(raw) >= maxSyncPage/2
	return page
}

// take proves a page and hands it to the core, as far as it proves itself. fresh says whether anything in it was new.
func (c *core) take(s *syncing, page shownPage, roster *quorum.Roster) (fresh bool, err error) {
	for shown := page.shown; len(shown) > 0; {
		good, bad := proveDecisions(c.network, *roster, shown[:min(len(shown), adoptAtOnce)])
		shown = shown[len(good):]
		if len(good) > 0 {
			var news bool
			var now quorum.Roster
			err := c.ask(c.ctx, func() {
				if news = c.adopt(good); news && page.whole {
					s.moved = c.now()
				}
				now = c.state.Roster
			})
			if err != nil {
				return fresh, err
			}
			fresh, *roster = fresh || news, now
		}
		if bad != nil {
			return fresh, bad
		}
	}
	return fresh, nil
}

// shownDecision is a decision whose commit certificate was verified, with what was proven of its value.
type shownDecision struct {
	committed quorum.Committed
	value     batch.Proven
	proven    bool // false: q members committed what is no valid value; the core says so, and stops
}

// proveDecisions verifies decisions on all processors and returns those before the first that does not prove itself, with
// the reason, or up to the first that changes members: who signed what comes after is for the core to say.
func proveDecisions(network common.Hash, roster quorum.Roster, shown []quorum.UncheckedDecision) ([]shownDecision, error) {
	out, errs := make([]shownDecision, len(shown)), make([]error, len(shown))
	var at atomic.Int64
	var failed atomic.Bool
	var work sync.WaitGroup
	for range min(len(shown), runtime.GOMAXPROCS(0)) {
		work.Go(func() {
			// Whoever takes an index finishes it, so what stands before a failure is whole.
			for !failed.Load() {
				i := int(at.Add(1)) - 1
				if i >= len(shown) {
					return
				}
				if out[i], errs[i] = proveDecision(network, roster, shown[i]); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	work.Wait()
	for i := range out {
		if errs[i] != nil {
			return out[:i], errs[i]
		}
		if !out[i].proven || out[i].value.Kind() == batch.Members {
			return out[:i+1], nil
		}
	}
	return out, nil
}

func proveDecision(network common.Hash, roster quorum.Roster, d quorum.UncheckedDecision) (s shownDecision, err error) {
	if d.Commit.Epoch != roster.Epoch {
		return s, fmt.Errorf("%w: height %d of epoch %d", errStale, d.Commit.Height, d.Commit.Epoch)
	}
	if s.committed, err = d.Verify(network, roster); err != nil {
		return s, fmt.Errorf("%w: height %d: %w", errSync, d.Commit.Height, err)
	}
	s.value, err = batch.Prove(network, roster, d.Value)
	s.proven = err == nil
	return s, nil
}

// adopt takes decisions that were proven: several payouts in one transaction, anything else alone. It reports whether any of
// them was new.
func (c *core) adopt(shown []shownDecision) (fresh bool) {
	for len(shown) > 0 && c.fatal == nil {
		first := shown[0]
		if first.committed.Height() <= c.state.Height || !first.proven || first.value.Kind() != batch.Payout {
			before := c.state.Height
			if c.hearDecision(first.committed.Unchecked()) != nil {
				return fresh
			}
			fresh = fresh || c.state.Height > before
			shown = shown[1:]
			continue
		}
		n := 1
		for n < len(shown) && shown[n].proven && shown[n].value.Kind() == batch.Payout {
			n++
		}
		if first.committed.Height() != c.state.Height+1 || !c.adoptPayouts(shown[:n]) {
			return fresh
		}
		fresh, shown = true, shown[n:]
	}
	return fresh
}

// adoptPayouts applies payouts of consecutive heights, the next one first, records them together and follows them.
func (c *core) adoptPayouts(shown []shownDecision) bool {
	var ds []decided
	var fxs []batch.Effects
	var wrong error
	for _, s := range shown {
		fx, err := c.state.ApplyProven(s.committed, s.value)
		if err != nil {
			wrong = err // as in decide; what came before it stands
			break
		}
		ds, fxs = append(ds, decided{s.committed, fx}), append(fxs, fx)
	}
	if len(ds) > 0 {
		if !c.record(ds) {
			return false
		}
		c.log.Info("decisions taken over", zap.Uint64("from", ds[0].committed.Height()), zap.Uint64("to", c.state.Height))
		c.afterDecisions(fxs)
	}
	c.stop(wrong)
	return wrong == nil
}

// replayDecisions builds the state anew from the ledger. Every signature is verified again, as when it was taken over: a start trusts its
// disk no more than a peer.
func (c *core) replayDecisions(tx *ledger.Tx) error {
	var page []quorum.UncheckedDecision
	err := tx.Decisions(1, func(d quorum.UncheckedDecision) error {
		if page = append(page, d); len(page) < adoptAtOnce {
			return nil
		}
		err := c.replayPage(page)
		page = page[:0]
		return err
	})
	if err != nil {
		return err
	}
	return c.replayPage(page)
}

// replayPage proves decisions on all processors, and applies them in order. A change of members ends what one roster can prove.
func (c *core) replayPage(page []quorum.UncheckedDecision) error {
	for len(page) > 0 {
		proven, bad := proveDecisions(c.network, c.state.Roster, page)
		for _, s := range proven {
			var err error
			if s.proven {
				_, err = c.state.ApplyProven(s.committed, s.value)
			} else {
				_, err = c.state.Apply(s.committed) // says what is wrong with it
			}
			if err != nil {
				return err
			}
		}
		if bad != nil {
			return bad
		}
		page = page[len(proven):]
	}
	return nil
}
