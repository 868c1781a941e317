package node

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
)

const (
	// askAgain is how long a member is left alone that gave no answer, or none that proves its height.
	askAgain = time.Second
	// lateAnswers is how long this node stays silent for answers beyond those that it must have: q−1 of them may all come from members that
	// did not hear what it said last.
	lateAnswers = 2 * time.Second
	// unansweredAfter is how long the others may be silent at the start before a person hears of it: members that start
	// together need a moment to find each other.
	unansweredAfter = time.Minute
	// recheckEvery is how often a member is asked again: two processes that were started from one disk hear of each other in
	// this way at the latest.
	recheckEvery = time.Minute
)

// fuseTwin is the fuse of a node whose key speaks elsewhere.
const fuseTwin = "twin"

// question is what this node asks of every other member before it speaks, and again in a quarantine: how far it has spoken,
// and at which height they are. It belongs to the core; its zero value bars nothing and asks nobody.
type question struct {
	begun   bool
	closed  bool // since the start fewer than q−1 others have answered: nothing new is signed
	turn    int  // answers to an earlier question say nothing about now
	since   time.Time
	answers map[common.Address]heardBack
	pending map[common.Address]bool
	next    map[common.Address]time.Time

	record       ledger.Quarantine // the last one; Since is 0 without
	noVerdicts   bool              // the record bars them, as of the last decision
	noSessions   bool
	twinOfRecord bool // the record waits for this node's operator
}

// beginQuestion is called at the start, before anything may leave.
func (c *core) beginQuestion() error {
	c.question = question{begun: true, closed: true}
	c.question.anew(c.now())
	c.startSealed()
	if err := c.reviewQuarantine(); err != nil {
		return fmt.Errorf("recall quarantine: %w", err)
	}
	return nil
}

// anew forgets the answers.
func (q *question) anew(now time.Time) {
	q.turn++
	q.since = now
	q.answers, q.pending, q.next = map[common.Address]heardBack{}, map[common.Address]bool{}, map[common.Address]time.Time{}
}

// quarantined reports whether the record bars anything.
func (q *question) quarantined(height uint64) bool {
	return !q.record.Votes(height) || q.noVerdicts || q.noSessions
}

// lacks reports whether a member's answer is waited for: at the start every member's is, in a quarantine its height must be
// proven.
func (q *question) lacks(of common.Address) bool {
	a, ok := q.answers[of]
	return !ok || (!a.proven && q.wantsHeights())
}

// asks reports whether a member is to be asked now.
func (q *question) asks(of common.Address, now time.Time) bool {
	if next, asked := q.next[of]; q.pending[of] || (asked && now.Before(next)) {
		return false
	}
	return q.lacks(of) || !now.Before(q.next[of].Add(recheckEvery-askAgain))
}

func (q *question) wantsHeights() bool {
	return q.record.Since != 0 && !q.record.Known && !q.twinOfRecord
}

// needed is how many others must answer before this node speaks: with itself a quorum, so that one of them heard what a
// quorum followed. For n ≤ 3 these are all.
func (c *core) needed() int { return c.state.Roster.Q() - 1 }

// votes reports whether this node may take part in agreement on the running height.
func (c *core) votes() bool {
	return c.member() && !c.question.closed && c.question.record.Votes(c.state.Height+1)
}

// joins reports whether this node may take part in signing sessions and ceremonies.
func (c *core) joins() bool { return !c.question.closed && !c.question.noSessions }

// tickQuestion asks whom it has to, and goes on when enough have answered.
func (c *core) tickQuestion(now time.Time) {
	q := &c.question
	if !q.begun || c.fatal != nil {
		return
	}
	c.settleQuestion()
	c.followWord(now)
	if c.member() && q.closed && len(q.answers) < c.needed() && now.Sub(q.since) >= unansweredAfter {
		c.alerts.ensure(alertUnanswered(len(q.answers), c.needed()))
	}
	if q.twinOfRecord && !q.closed {
		return // what the others hold is the other process's word; the operator comes first
	}
	for _, p := range c.net.Peers() {
		peer := p.Address
		if !p.Connected || !q.asks(peer, now) || !c.state.Roster.IDs().Has(peer) {
			continue
		}
		q.pending[peer] = true
		turn, ask := q.turn, syncReq{What: syncNewest, ID: common.BytesToHash(c.self[:])}
		c.spawn(func() {
			var m newestMsg
			err := c.request(peer, ask, &m)
			c.post(func() { c.hearAnswer(turn, peer, m, err) })
		})
	}
}

// hearAnswer takes what a member holds of this one.
func (c *core) hearAnswer(turn int, peer common.Address, m newestMsg, err error) {
	q := &c.question
	if turn != q.turn || c.fatal != nil {
		return
	}
	delete(q.pending, peer)
	q.next[peer] = c.now().Add(askAgain)
	var a heardBack
	if err == nil {
		a, err = m.open(c.network, c.self, c.rosterAt)
	}
	if err != nil {
		c.log.Debug("not told how far this node has spoken", zap.Stringer("peer", peer), zap.Error(err))
		return
	}
	if a.height > c.state.Height+1 {
		c.behind[peer] = max(c.behind[peer], a.height-1)
	}
	news, err := c.isNews(a)
	if err != nil {
		c.stop(err)
		return
	}
	if _, again := q.answers[peer]; news && again && !q.closed {
		c.twin(a.counter) // this process spoke in between, and is not alone
		return
	}
	if news {
		c.enterQuarantine(fmt.Sprintf("member %s holds statement %d of this node, which its database does not", c.nameOf(peer), a.counter),
			q.twinOfRecord, a.counter)
		return // the next answers are given after it
	}
	q.answers[peer] = a
	c.settleQuestion()
}

// isNews reports whether an answer shows more than this node remembers of itself, or knows to be missing.
func (c *core) isNews(a heardBack) (bool, error) {
	known := c.question.record.Floor
	if c.question.closed {
		known = c.question.record.Shown // nothing was signed behind the leap yet: it can begin higher
	}
	if len(a.statement) == 0 || a.counter <= known {
		return false, nil
	}
	own, err := c.ownStatement(a.counter)
	return err == nil && !bytes.Equal(own, a.statement), err
}

func (c *core) ownStatement(counter uint64) (own []byte, err error) {
	err = c.led.View(func(tx *ledger.Tx) (err error) { own, _, err = tx.OwnStatement(counter); return err })
	return own, err
}

// settleQuestion goes on when enough members have answered.
func (c *core) settleQuestion() {
	q := &c.question
	if q.closed && !c.sealed && c.heardEnough() {
		c.speakUp()
	}
	if q.closed || !q.wantsHeights() {
		return
	}
	highest, proven := uint64(0), 0
	for _, a := range q.answers {
		if a.proven {
			proven++
			highest = max(highest, a.height)
		}
	}
	if proven < c.state.Roster.Q() || !c.update("record heights", func(tx *ledger.Tx) error { return tx.Shown(highest) }) {
		return
	}
	c.log.Info("others showed their heights", zap.Uint64("height", highest), zap.Uint64("votes_from", highest+2))
	c.followQuarantine()
	c.rejoin()
}

// heardEnough reports whether this node may speak: everybody has answered, or enough have and the others had time to.
func (c *core) heardEnough() bool {
	q := &c.question
	if len(q.answers) < c.needed() {
		return false
	}
	others := len(c.state.Roster.Members)
	if c.member() {
		others--
	}
	return len(q.answers) >= others || c.now().Sub(q.since) >= lateAnswers
}

// speakUp ends the silence of the start.
func (c *core) speakUp() {
	q := &c.question
	q.closed = false
	c.led.Release()
	c.alerts.recover(codeUnanswered)
	c.log.Info("others told how far this node has spoken", zap.Int("answers", len(q.answers)), zap.Duration("after", c.now().Sub(q.since)))
	c.nextView = time.Time{}
	c.tripPostponed()
	c.rejoin()
	c.signer.reconsider(c)
}

// tripPostponed tells the others of the fuses that blew while nothing could be signed.
func (c *core) tripPostponed() {
	var all []quorum.Halt
	if err := c.led.View(func(tx *ledger.Tx) (err error) { all, err = tx.Postponed(); return err }); err != nil {
		c.stop(err)
		return
	}
	for _, h := range all {
		_ = c.tripScope(h.Scope, h.Target, h.Code, h.Reason) // the core stops by itself when it fails
	}
}

// rejoin takes the running height up from the ledger: what came by while this node was silent is sent again by protocol.
func (c *core) rejoin() {
	if !c.votes() || c.fatal != nil {
		return
	}
	c.agree = nil
	if err := c.newHeight(); err != nil {
		c.stop(fmt.Errorf("rejoin: %w", err))
	}
}

// enterQuarantine is durable when it returns. Whatever runs for this node's signature ends.
func (c *core) enterQuarantine(reason string, twin bool, shown uint64) {
	err := c.led.Quarantine(ledger.Quarantine{Since: uint64(c.now().UnixMilli()), Reason: reason, Twin: twin, Shown: shown})
	if err != nil {
		c.stop(err)
		return
	}
	c.log.Error("quarantined", zap.String("reason", reason), zap.Uint64("shown", shown))
	c.question.anew(c.now())
	c.followQuarantine()
	c.signer.reconsider(c)
}

// followQuarantine is reviewQuarantine for who cannot fail.
func (c *core) followQuarantine() {
	if err := c.reviewQuarantine(); err != nil {
		c.stop(fmt.Errorf("review quarantine: %w", err))
	}
}

// reviewQuarantine reads what the record bars now. A decision may end it: the height, a policy, an epoch.
func (c *core) reviewQuarantine() error {
	q := &c.question
	barred := func(err error, into *bool) error {
		if *into = errors.Is(err, ledger.ErrQuarantined); *into || errors.Is(err, ledger.ErrAsking) || errors.Is(err, ledger.ErrNotMember) {
			return nil
		}
		return err
	}
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		if q.record, _, err = tx.Quarantined(); err != nil {
			return err
		}
		q.twinOfRecord = false
		if q.record.Twin {
			own, err := tx.OwnHalts()
			if err != nil {
				return err
			}
			for _, h := range own {
				q.twinOfRecord = q.twinOfRecord || h.Halt.Code == fuseTwin
			}
		}
		return errors.Join(barred(tx.MayJudge(), &q.noVerdicts), barred(tx.MayJoin(), &q.noSessions))
	})
	if err != nil {
		return err
	}
	if q.quarantined(c.state.Height + 1) {
		c.alerts.ensure(alertQuarantined(q.record))
	} else {
		c.alerts.recover(codeQuarantined)
	}
	return nil
}

// foreign looks at a statement under the own key that came by the wire: one that the database holds is an echo, and one of
// the life that a quarantine knows to be missing was to be expected. Any other was signed by a second process, or before a
// rollback that nobody noticed: height is that of a vote, 0 for what stands at none.
func (c *core) foreign(counter, height uint64, raw []byte) bool {
	own, err := c.ownStatement(counter)
	if err != nil {
		c.stop(err)
		return true
	}
	if bytes.Equal(own, raw) {
		return false
	}
	if q := &c.question; !q.twinOfRecord && !q.record.Missing(counter, height) {
		c.twin(counter)
	}
	return true
}

// twin is for a key that speaks elsewhere. The fuse alone would not do: a halted node votes. The quarantine alone would not
// either: it ends by itself, and the other process may be running still. So the node does both, and asks for the height from
// which it votes again only when its operator has looked and mended the fuse.
func (c *core) twin(counter uint64) {
	const reason = "statements under this node's key arrive that its database does not hold: a restored database or a second process"
	c.enterQuarantine(reason, true, counter)
	c.trip(fuseTwin, reason)
	c.followQuarantine()
}

// nameOf is a member's name, for people.
func (c *core) nameOf(member common.Address) string {
	for _, m := range c.state.Roster.Members {
		if m.Address == member {
			return m.Name
		}
	}
	return member.Hex()
}

// silence is what a node does before it is wired: it holds its tongue until it has asked, and goes into quarantine when its
// own disk shows already that the database is an older copy.
func (n *Node) silence() error {
	n.led.Hold()
	err := n.led.Rollback()
	if !errors.Is(err, ledger.ErrRolledBack) {
		return err
	}
	return n.led.Quarantine(ledger.Quarantine{Since: uint64(n.now().UnixMilli()), Reason: err.Error()})
}
