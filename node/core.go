package node

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/p2p"
	"conclave/quorum"
	"conclave/quorum/agreement"
	"conclave/quorum/batch"
)

// Rhythms of the core.
const (
	tickEvery   = 100 * time.Millisecond // how late a timeout may be noticed
	viewEvery   = 5 * time.Second
	gossipEvery = 10 * time.Second
	// taskQueue bounds what waits for the core. Messages of peers are dropped when it is full, and are resent by protocol.
	taskQueue = 4096
)

// errStop ends the core for a reason that the node must not survive.
var errStop = errors.New("the core stopped")

// core owns what the protocol remembers between messages. Everything below runs on its one goroutine; other goroutines
// reach it by posting tasks.
type core struct {
	key     *ecdsa.PrivateKey
	self    common.Address
	genesis quorum.Genesis
	network common.Hash
	led     *ledger.Ledger
	net     p2p.Network
	engine  Signer
	vault   KeyStore
	alerts  *alerts
	log     *zap.Logger
	now     func() time.Time
	turns   Turns
	random  io.Reader // of nonces, in simulations; nil: crypto/rand

	roundTimeout time.Duration // of a signing round

	tasks chan func()
	fatal error
	ctx   context.Context // ends with Run; sessions and fetches hang on it
	end   context.CancelFunc
	work  sync.WaitGroup // what spawn started

	state *batch.State
	pool  *pool
	inbox inbox // verdicts on their way into it
	known known // facts that passed the door lately

	overheard     overheard     // what members said lately, to catch them saying two things
	shownEvidence evidenceTurns // when each peer was last shown what evidence it lacks
	evidenceEpoch evidenceEpoch // when it is asked for again

	question question // how far this node has spoken, and what a quarantine bars
	sealed   bool     // the vault is: see startSealed
	said     said     // what members said last, for those who ask that

	proposals proposals                    // of the operators, not decided yet
	shown     map[common.Address]time.Time // when each peer was last shown what it lacks of them

	agree    *agreement.State
	wake     time.Time
	values   map[common.Hash][]byte
	valueOf  map[common.Hash]batch.Proven
	roundOf  map[uint64]common.Hash // whose value came first in a round
	building *uint64                // the round that asked for a value which could not be built yet
	certSeen time.Time
	seenQC   common.Hash
	answered map[common.Address]time.Time // R7, once per peer and second
	fetching map[common.Hash]bool

	ceremony *ceremony
	// confirmed is by this node's operator: see [ceremony.confirmed].
	confirmed quorum.Fingerprint

	members membership
	swept   sweep
	// allowTried is when an ALLOW could last not be decided.
	allowTried time.Time
	// retiring is swept's payer, for the watchers; nil without one.
	retiring atomic.Pointer[common.Address]

	office  atomic.Pointer[quorum.Members] // who rules; read off the core too
	signer  *signer
	unmined unmined
	marks   *marks
	syncs   syncs
	behind  map[common.Address]uint64    // heights that peers claim, to sync from
	heard   map[common.Address]time.Time // when each member's latest VIEW came, by this node's clock

	lanes    map[string]laneFacts // by network name, from the watchers
	nextView time.Time
	nextTell time.Time
	started  time.Time
	told     uint64 // the last withdrawal whose own verdict was told again

	// content gives the fields of a withdrawal as the own books and judgement have them.
	content func(wid uint64) (quorum.Content, bool)
	// changed tells other goroutines what happened; none of them may block.
	onDecision func(batch.Effects)
	onPolicy   func(quorum.Policy)
	onPaid     func()
	onAlerts   func([]ledger.Alert)
	kick       func(network string)
	// repair books rows that a certificate brought, by the rules for late rows; refused counts a member's wrong answer. Both
	// are called off the core.
	repair  func(ctx context.Context, rows []ledger.Event) error
	refused func(peer common.Address, err error)
}

// laneFacts is what a watcher last read.
type laneFacts struct {
	view quorum.LaneView
	at   time.Time
}

// post hands a task to the core and waits for room.
func (c *core) post(task func()) {
	select {
	case c.tasks <- task:
	case <-c.ctx.Done():
	}
}

// offer hands a task to the core unless it is full. Peers resend.
func (c *core) offer(task func()) bool {
	select {
	case c.tasks <- task:
		return true
	default:
		return false
	}
}

// spawn runs what would hold up the core. Run waits for it; its answer comes back by post.
func (c *core) spawn(fn func()) {
	wait := c.turns.of("errand")
	c.work.Go(func() { wait(); fn() })
}

// ask runs fn on the core and waits for it.
func (c *core) ask(ctx context.Context, fn func()) error {
	done := make(chan struct{})
	select {
	case c.tasks <- func() { fn(); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return errStop
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return errStop
	}
}

// run is the core's loop. It returns nil when ctx ends, and an error when the node must stop: a ledger that cannot be
// written, or a decision that contradicts the rules.
func (c *core) run(ctx context.Context) error {
	if err := c.resume(); err != nil {
		return err
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for c.fatal == nil {
		select { // what time makes due goes before what waits: a queue that never empties must not hold a timeout back
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.tick()
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return nil
		case task := <-c.tasks:
			c.turns.wait("core")
			task()
		case <-tick.C:
			c.tick()
		}
	}
	return fmt.Errorf("%w: %w", errStop, c.fatal)
}

// stop ends the core after the present task. The first reason stands.
func (c *core) stop(err error) {
	if c.fatal == nil && err != nil {
		c.fatal = err
		c.log.Error("core stops", zap.Error(err))
	}
}

// update is the ledger's commit point for the core. A failure stops the node before anything leaves.
func (c *core) update(what string, fn func(*ledger.Tx) error) bool {
	if err := c.led.Update(fn); err != nil {
		c.stop(fmt.Errorf("%s: %w", what, err))
		return false
	}
	return true
}

// attempt is update for what a rule of the ledger may refuse: a statement of another epoch, a full share, a halt. A
// refusal changes nothing and is no reason to stop; anything else is.
func (c *core) attempt(what string, fn func(*ledger.Tx) error) bool {
	err := c.led.Update(fn)
	if err == nil {
		return true
	}
	if !isRule(err) {
		c.stop(fmt.Errorf("%s: %w", what, err))
		return false
	}
	c.log.Debug("refused by rule", zap.String("what", what), zap.Error(err))
	return false
}

// isRule reports whether an error is a rule's word on the content, not a failure of the disk or of this program.
func isRule(err error) bool {
	for _, rule := range []error{
		ledger.ErrHalted, ledger.ErrNetworkHalted, ledger.ErrNotInForce, ledger.ErrOrder, ledger.ErrFull, ledger.ErrNoSlot,
		ledger.ErrDecided, ledger.ErrNotFound, ledger.ErrEventUsed, ledger.ErrMessageUsed, ledger.ErrBooksBehind,
		ledger.ErrContent, ledger.ErrNotMember, ledger.ErrVerdict, ledger.ErrSigned, ledger.ErrNotEarliest, ledger.ErrNotDue, ledger.ErrAsking, ledger.ErrQuarantined,
	} {
		if errors.Is(err, rule) {
			return true
		}
	}
	return false
}

// resume rebuilds the core from the ledger: decisions, the running height, the slots.
func (c *core) resume() error {
	if err := c.led.View(c.replayDecisions); err != nil {
		return fmt.Errorf("replay decisions: %w", err)
	}
	c.started = c.now()
	c.recallHalts()
	if err := c.beginQuestion(); err != nil {
		return err
	}
	c.pool = newPool(c.state.Roster, c.state.Policy.Ref())
	if err := c.reloadVerdicts(); err != nil {
		return fmt.Errorf("reload verdicts: %w", err)
	}
	if err := c.loadProposals(); err != nil {
		return fmt.Errorf("reload proposals: %w", err)
	}
	c.settleMembership()
	if err := c.newHeight(); err != nil {
		return err
	}
	if c.state.Founded() {
		return c.openKey()
	}
	return c.resumeFounding()
}

// reloadVerdicts fills the pool from the ledger. Own verdicts never come back by gossip, and without them a committee that
// restarted with one member down would certify nothing.
func (c *core) reloadVerdicts() error {
	return c.led.View(func(tx *ledger.Tx) error {
		return tx.OpenWithdrawals(func(wid uint64) error {
			approvals, refusals, err := tx.VerdictsInForce(wid, c.state.Policy.Ref())
			for _, s := range approvals {
				c.pool.addApproval(s)
			}
			for _, s := range refusals {
				c.pool.addRefusal(s)
			}
			return err
		})
	})
}

// tick does what is due.
func (c *core) tick() {
	now := c.now()
	c.tickQuestion(now)
	c.tickEvidence(now)
	if !c.wake.IsZero() && !now.Before(c.wake) {
		c.step(agreement.Tick{})
	}
	if !now.Before(c.nextView) {
		c.speakView(now)
	}
	if !now.Before(c.nextTell) {
		c.nextTell = now.Add(gossipEvery)
		c.tellAgain()
	}
	c.tickMembership(now)
	c.ceremony.tick(c, now)
	c.signer.tick(c, now)
	c.marks.tick(c, now)
	c.maybeBegin(now)
	c.maybeSync()
	c.alerts.moved("core")
}

// connected returns the members that this node is connected to, itself included.
func (c *core) connected() quorum.Members {
	out := quorum.Members{c.self}
	for _, p := range c.net.Peers() {
		if p.Connected {
			out = append(out, p.Address)
		}
	}
	slices.SortFunc(out, func(a, b common.Address) int { return a.Cmp(b) })
	return out
}

// sendAll queues a frame for every other member. Who is not reached asks later.
func (c *core) sendAll(protocol string, frame []byte) {
	for _, id := range c.state.Roster.IDs() {
		if id != c.self {
			c.send(id, protocol, frame)
		}
	}
}

func (c *core) send(to common.Address, protocol string, frame []byte) {
	err := c.net.Send(to, protocol, frame)
	if err != nil && !errors.Is(err, p2p.ErrNotConnected) && !errors.Is(err, p2p.ErrNotRunning) {
		c.log.Debug("frame not sent", zap.String("protocol", protocol), zap.Stringer("to", to), zap.Error(err))
	}
}

func (c *core) publish(topic string, data []byte) {
	if err := c.net.Publish(topic, data); err != nil && !errors.Is(err, p2p.ErrNotRunning) {
		c.log.Debug("gossip not published", zap.String("topic", topic), zap.Error(err))
	}
}

// halted reports whether this node's fuse or f+1 halts stop everything.
func (c *core) halted() bool { return c.haltedOn("") }

// haltedOn is halted for one network, whose own halts count too.
func (c *core) haltedOn(network string) bool {
	err := c.led.View(func(tx *ledger.Tx) error { return tx.MaySign(network, common.Address{}) })
	return errors.Is(err, ledger.ErrHalted)
}
