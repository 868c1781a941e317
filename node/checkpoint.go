package node

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
)

// Rhythms and bounds of checkpoints.
const (
	checkpointEvery = time.Second      // between two looks at what is due and what differs
	askEvery        = 10 * time.Second // between two questions about ranges that are not certified here
	sweepEvery      = time.Hour        // all ranges are asked about at the start, and then so often
	// signAtOnce bounds the ranges that are signed in one commit: two million rows of a replay, and a few milliseconds.
	signAtOnce = 256
	// gossipAtOnce bounds own checkpoints that are told in one round: a node that replays years tells of the newest, and who
	// misses the others asks for them.
	gossipAtOnce = 8
	// lookAtOnce bounds the ranges that are looked at in one round; each costs a signature check for every word on it.
	lookAtOnce = 16
	// heardPerSecond bounds the gossiped checkpoints of one member that are taken in a second: each costs a commit.
	heardPerSecond = 32
	// tryAgain is how long one version of a range is left alone after members could not show their rows of it.
	tryAgain = time.Minute
	// maxRemembered bounds the versions of ranges whose age is remembered; beyond it all start anew, which only costs time.
	maxRemembered = 4096
)

// marks is what the core remembers of checkpoints beside the ledger: when to look next, and since when versions differ.
type marks struct {
	nextLook, nextTell, nextAsk, nextSweep time.Time

	look    uint64 // the range at which the walk over open ranges goes on
	told    uint64 // likewise of telling again
	sweep   uint64 // likewise of asking about all ranges
	swept   bool   // the present sweep is done
	turn    int    // who is asked next
	asking  bool
	busy    bool // a comparison with a peer is under way
	since   map[common.Hash]time.Time
	tried   map[common.Hash]time.Time
	heard   map[common.Address]int // gossiped checkpoints taken since the last look
	differs map[string]bool        // keys of alerts that this walk found standing
	odd     map[string]bool
}

func newMarks() *marks {
	return &marks{since: map[common.Hash]time.Time{}, tried: map[common.Hash]time.Time{}, heard: map[common.Address]int{},
		differs: map[string]bool{}, odd: map[string]bool{}}
}

// tick does what is due. Checkpoints go on while halted: they decide nothing, and a halt is when people look at them.
func (m *marks) tick(c *core, now time.Time) {
	if !c.state.Founded() || c.fatal != nil || now.Before(m.nextLook) {
		return
	}
	m.nextLook = now.Add(checkpointEvery)
	clear(m.heard)
	m.sign(c)
	m.review(c, now)
	if !now.Before(m.nextTell) {
		m.nextTell = now.Add(gossipEvery)
		m.tellAgain(c)
	}
	if !m.asking && !now.Before(m.nextAsk) {
		m.nextAsk = now.Add(askEvery)
		m.ask(c, now)
	}
}

// sign gives this node's word on what is due: in one transaction, then the newest are gossiped.
func (m *marks) sign(c *core) {
	due := false
	if err := c.led.View(func(tx *ledger.Tx) error { due = tx.CheckpointsDue(); return nil }); err != nil {
		c.stop(err)
		return
	}
	if !due || c.question.closed {
		return
	}
	var raws [][]byte
	ok := c.update("sign checkpoints", func(tx *ledger.Tx) error {
		raws = raws[:0]
		ranges, err := tx.DueCheckpoints(signAtOnce)
		if err != nil {
			return err
		}
		for _, r := range ranges {
			raw, err := tx.Checkpoint(r, c.signCheckpoint)
			if err != nil {
				return err
			}
			raws = append(raws, raw)
		}
		return nil
	})
	if !ok {
		return
	}
	for _, raw := range raws[max(0, len(raws)-gossipAtOnce):] {
		c.publish(topicFacts, raw)
	}
}

func (c *core) signCheckpoint(b quorum.Checkpoint) (quorum.Signed[quorum.Checkpoint], error) {
	return quorum.Sign(c.key, c.network, b)
}

// tellAgain gossips own words on ranges that are still open, some each time: a member that was away has not heard them.
func (m *marks) tellAgain(c *core) {
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		m.told, err = tx.OpenRanges(m.told, gossipAtOnce, func(s ledger.RangeState) error {
			for _, w := range s.Said {
				if w.Signer() == c.self {
					c.publish(topicFacts, w.Bytes())
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		c.stop(err)
	}
}

// hearCheckpoint takes another member's word on a range.
func (c *core) hearCheckpoint(s quorum.Signed[quorum.Checkpoint]) {
	if s.Signer() == c.self {
		c.foreign(s.Body().Counter, 0, s.Bytes())
		return
	}
	known := false
	if err := c.led.View(func(tx *ledger.Tx) (err error) { known, err = tx.HasCheckpoint(s); return err }); err != nil {
		c.stop(err)
		return
	}
	if known || c.marks.heard[s.Signer()] >= heardPerSecond {
		return
	}
	c.marks.heard[s.Signer()]++
	c.attempt("keep checkpoint", func(tx *ledger.Tx) error { _, _, err := tx.PutCheckpoint(s); return err })
}

// review looks at some of the ranges on which members differ, or that nobody has certified.
func (m *marks) review(c *core, now time.Time) {
	var states []ledger.RangeState
	next := uint64(0)
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		next, err = tx.OpenRanges(m.look, lookAtOnce, func(s ledger.RangeState) error { states = append(states, s); return nil })
		return err
	})
	if err != nil {
		c.stop(err)
		return
	}
	for _, s := range states {
		if s.Settled {
			m.judge(c, s, now)
		}
	}
	if m.look = next; next != 0 {
		return
	}
	// The walk is round: what it did not find standing is over.
	c.alerts.recoverAll(codeRange, m.differs)
	c.alerts.recoverAll(codeOdd, m.odd)
	clear(m.differs)
	clear(m.odd)
}

// remember notes a time, and forgets all others when there are too many.
func remember(in map[common.Hash]time.Time, key common.Hash, now time.Time) {
	if len(in) >= maxRemembered {
		clear(in)
	}
	in[key] = now
}

// quarrel is one version of a range against this node's.
type quarrel struct {
	level  ledger.DisputeLevel
	own    ledger.RangeSum
	theirs quorum.Checkpoint
	cert   *quorum.UncheckedCheckpoint
	said   []quorum.Signed[quorum.Checkpoint]
	peers  []common.Address // who holds that version
}

// key names the two versions: another row on either side makes it another quarrel.
func (q quarrel) key() common.Hash {
	theirs := q.theirs
	theirs.Counter = 0
	return quorum.Digest("checkpoint", common.Hash{}, []any{uint64(q.level), q.own, theirs})
}

// judge sorts who differs from whom on one range. A difference younger than gap_grace is left alone: a late row reaches the
// members one after the other.
func (m *marks) judge(c *core, s ledger.RangeState, now time.Time) {
	m.oweEmpty(c, s)
	for _, q := range c.quarrels(s) {
		key := q.key()
		since, known := m.since[key]
		if !known {
			remember(m.since, key, now)
			since = now
		}
		alert := q.alert(c)
		if q.level == ledger.DisputeOne {
			m.odd[alert.Key] = true
		} else {
			m.differs[alert.Key] = true
		}
		if now.Sub(since) < c.state.Policy.GapGrace {
			continue
		}
		c.alerts.ensure(alert)
		if tried, ok := m.tried[key]; m.busy || (ok && now.Sub(tried) < tryAgain) {
			continue
		}
		remember(m.tried, key, now)
		m.compare(c, q)
	}
}

// oweEmpty makes this node say that it has no rows where another member has.
func (m *marks) oweEmpty(c *core, s ledger.RangeState) {
	if s.Own.Count > 0 || len(s.Said) == 0 {
		return
	}
	for _, w := range s.Said {
		if w.Signer() == c.self {
			return
		}
	}
	c.attempt("owe checkpoint", func(tx *ledger.Tx) error { return tx.OweCheckpoint(s.Range) })
}

// quarrels lists the versions of a range that are not this node's, the weightiest reason first.
func (c *core) quarrels(s ledger.RangeState) (out []quarrel) {
	if s.Differs() {
		q := quarrel{level: ledger.DisputeCertified, own: s.Own, theirs: s.Certified.Checkpoint, cert: s.Certified}
		if cert, err := s.Certified.Verify(c.network, c.state.Roster); err == nil {
			q.peers = cert.Signers()
		}
		return append(out, q)
	}
	groups := map[quorum.Checkpoint]*quarrel{}
	var order []quorum.Checkpoint
	for _, w := range s.Said {
		b := w.Body()
		if w.Signer() == c.self || (b.Count == s.Own.Count && b.Hash == s.Own.Hash) {
			continue
		}
		b.Counter = 0
		if groups[b] == nil {
			groups[b] = &quarrel{level: ledger.DisputeOne, own: s.Own, theirs: b}
			order = append(order, b)
		}
		groups[b].said = append(groups[b].said, w)
		groups[b].peers = append(groups[b].peers, w.Signer())
	}
	for _, b := range order {
		q := groups[b]
		// Where q members certified this node's version, nobody else's word weighs anything.
		if s.Certified == nil && len(q.peers) > c.state.Roster.F() {
			q.level = ledger.DisputeSplit
		}
		out = append(out, *q)
	}
	return out
}

// alert is what a person reads before the rows are known.
func (q quarrel) alert(c *core) Alert {
	r := q.theirs.Range
	where := fmt.Sprintf("range %d (events %d to %d)", r, r*ledger.RangeSize, r*ledger.RangeSize+ledger.RangeSize-1)
	if q.level == ledger.DisputeOne {
		return Alert{Key: codeOdd + q.peers[0].Hex(), Code: codeOdd, Severity: ledger.Warning,
			Text: fmt.Sprintf("%s: %s says %d rows, %s; this node holds %d, %s", where, q.peers[0], q.theirs.Count, q.theirs.Hash, q.own.Count, q.own.Hash)}
	}
	who := fmt.Sprintf("%d members agree on", len(q.peers))
	if q.level == ledger.DisputeCertified {
		who = fmt.Sprintf("%d members certified", c.state.Roster.Q())
	}
	return Alert{Key: fmt.Sprintf("%s%d", codeRange, r), Code: codeRange, Severity: ledger.Critical,
		Text: fmt.Sprintf("%s: %s %d rows, %s; this node holds %d, %s", where, who, q.theirs.Count, q.theirs.Hash, q.own.Count, q.own.Hash)}
}

// Codes of alerts about ranges.
const (
	codeRange = "range-differs"
	codeOdd   = "checkpoint-odd"
)

// ask asks one member for the state of ranges: of all of them at the start and every hour, else from the lowest that is not
// certified here. The answers of an hour's sweep also name ranges that are empty here.
func (m *marks) ask(c *core, now time.Time) {
	from := m.sweep
	if m.swept && !now.Before(m.nextSweep) {
		m.swept, m.sweep, from = false, 0, 0
	}
	if m.swept {
		found := false
		err := c.led.View(func(tx *ledger.Tx) error {
			_, err := tx.OpenRanges(0, lookAtOnce, func(s ledger.RangeState) error {
				if !found && s.Settled && s.Certified == nil {
					found, from = true, s.Range
				}
				return nil
			})
			return err
		})
		if err != nil {
			c.stop(err)
		}
		if err != nil || !found {
			return
		}
	}
	peer, ok := m.nextPeer(c)
	if !ok {
		return
	}
	m.asking = true
	sweeping, roster := !m.swept, c.state.Roster
	c.spawn(func() {
		state, next, err := c.askRanges(peer, from, roster)
		c.post(func() {
			m.asking = false
			if err != nil {
				c.log.Info("member showed no ranges", zap.Stringer("peer", peer), zap.Uint64("from", from), zap.Error(err))
				return
			}
			taken := c.takeRanges(state)
			if taken > 0 {
				m.nextAsk = c.now().Add(checkpointEvery)
			}
			if !sweeping {
				return
			}
			if m.sweep = next; next == 0 {
				m.swept, m.nextSweep = true, c.now().Add(sweepEvery)
				return
			}
			m.nextAsk = c.now().Add(checkpointEvery)
		})
	})
}

// nextPeer is the next connected member in turn.
func (m *marks) nextPeer(c *core) (common.Address, bool) {
	up := c.connected()
	for range up {
		m.turn++
		if peer := up[m.turn%len(up)]; peer != c.self {
			return peer, true
		}
	}
	return common.Address{}, false
}
