package node

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/p2p"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/relay"
	"conclave/tss"
)

// Config is what a node is told.
type Config struct {
	Key     *ecdsa.PrivateKey // the member's identity
	Genesis quorum.Genesis    // verified: see package governance
	DataDir string            // holds the ledger
	Overlay quorum.Overlay    // this operator's stricter rules
	// Confirmed is the fingerprint that this node's operator confirmed, zero for none. Without that of its genesis document a node takes
	// no part in making the key.
	Confirmed quorum.Fingerprint
	// Development accepts development preparameters and other members' development moduli. Devnets only.
	Development bool
	// RoundTimeout is how long a signing round waits for a silent member; zero means the signing room's default.
	RoundTimeout time.Duration
	RelayPoll    time.Duration // between two looks at the Relay; zero means one second
	Settlement   string        // file or URL of the settlement authority's snapshots; empty: none are read
	Alerts       AlertRules    // when people are called again
	// Invited are the members that asked this node to join, when they are later than the genesis document's.
	Invited []quorum.Member
	Log     *zap.Logger
}

// Parts are the rooms' implementations that reach outside: the real ones in the daemon, ones under test control in
// simulations.
type Parts struct {
	Network func(p2p.Handlers) (p2p.Network, error)
	Relay   *relay.Client
	Chains  map[string]chain.Endpoint // by lane's network name, every lane of the genesis document
	Vault   KeyStore
	// Notifier carries alerts to people; nil: they are logged and listed.
	Notifier Notifier
	// Signer makes what runs threshold sessions; nil: package tss. A simulation may bring one that costs no computing.
	Signer func(tss.Transport) (Signer, error)
	// Steps is asked between the ledger's durable steps, Now tells the time of day, and Turns order what the node's goroutines
	// do, Random is where the nonces of ceremonies come from; nil outside simulations.
	Steps  ledger.Steps
	Now    func() time.Time
	Turns  Turns
	Random io.Reader
}

// Signer runs threshold sessions. [tss.Engine] is the only one that holds shares; its docs are the contract of another.
type Signer interface {
	Keygen(context.Context, tss.KeygenRequest) (*tss.Key, tss.Outcome)
	Reshare(context.Context, tss.ReshareRequest) (*tss.Key, tss.Outcome)
	Sign(ctx context.Context, w tss.Warrant, share *tss.KeyShare, roundTimeout time.Duration) tss.Outcome
	Receive(from common.Address, frame []byte)
}

// Node is one custodian.
type Node struct {
	cfg     Config
	genesis quorum.Genesis
	network common.Hash
	inForce atomic.Pointer[quorum.Policy] // see policy
	self    common.Address
	led     *ledger.Ledger
	net     p2p.Network
	core    *core
	relay   *relay.Client
	alerts  *alerts
	log     *zap.Logger
	now     func() time.Time
	turns   Turns
	random  io.Reader
	started time.Time

	refusals *refusals

	watchers map[string]*watcher
	judge    *judge
	reporter *reporter
	intake   *intake
	watches  *watches
}

// New opens the ledger and wires the rooms; nothing runs before Run. It fails when the database was rolled back, belongs
// to another network, or cannot be opened. Close a node that never runs.
func New(cfg Config, parts Parts) (*Node, error) {
	policy, err := quorum.ParsePolicy([]byte(cfg.Genesis.Policy))
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, genesis: cfg.Genesis, network: cfg.Genesis.ID(),
		self: crypto.PubkeyToAddress(cfg.Key.PublicKey), relay: parts.Relay, log: cfg.Log, now: time.Now, turns: parts.Turns, random: parts.Random,
		watchers: map[string]*watcher{},
	}
	if parts.Now != nil {
		n.now = parts.Now
	}
	n.inForce.Store(&policy)
	n.alerts = newAlerts(n.log, n.now)
	n.alerts.turns = n.turns
	n.alerts.configure(cfg.Alerts, Sender{n.genesis.Name, n.network, n.nameOf(n.self), n.self}, parts.Notifier)
	n.refusals = newRefusals(n.log)
	for _, l := range cfg.Genesis.Lanes {
		if parts.Chains[l.Network] == nil {
			return nil, fmt.Errorf("lane %q has no endpoints", l.Network)
		}
	}
	if n.led, err = ledger.OpenWatched(cfg.DataDir, n.network, parts.Steps); err != nil {
		return nil, err
	}
	n.alerts.load(cfg.DataDir)
	if err := n.wire(parts); err != nil {
		return nil, errors.Join(err, n.led.Close())
	}
	return n, nil
}

// wire joins the rooms. Read it as the architecture: who hears whom.
func (n *Node) wire(parts Parts) error {
	if err := errors.Join(n.silence(), n.loadPolicy()); err != nil {
		return err
	}
	if err := n.cfg.Overlay.Stricter(n.policy()); err != nil {
		return err
	}
	state, err := batch.NewState(n.genesis)
	if err != nil {
		return err
	}
	c := &core{
		key: n.cfg.Key, self: n.self, genesis: n.genesis, network: n.network, led: n.led, vault: parts.Vault,
		alerts: n.alerts, log: n.log, now: n.now, turns: n.turns, random: n.random, tasks: make(chan func(), taskQueue), state: state,
		roundTimeout: n.cfg.RoundTimeout, confirmed: n.cfg.Confirmed,
		answered: map[common.Address]time.Time{}, behind: map[common.Address]uint64{}, heard: map[common.Address]time.Time{}, lanes: map[string]laneFacts{},
	}
	c.members.invited = n.cfg.Invited
	founders := state.Roster.IDs()
	c.office.Store(&founders)
	// Before Run: handlers and questions may come as soon as there is a network.
	c.ctx, c.end = context.WithCancel(context.Background())
	n.core = c
	if n.net, err = parts.Network(n.handlers()); err != nil {
		return err
	}
	c.net = n.net
	n.led.OnEvidence(c.evidenceKept)
	if c.engine, err = n.signer(parts); err != nil {
		return err
	}

	for _, l := range n.genesis.Lanes {
		n.watchers[l.Network] = &watcher{
			n: n, lane: l, end: parts.Chains[l.Network], kick: make(chan struct{}, 1), sent: map[common.Hash]time.Time{}, odd: map[string]time.Time{},
			lost: map[ledger.SlotKey]time.Time{},
		}
	}
	n.alerts.pulse.expect(n.parts()...)
	n.judge = newJudge(n)
	if n.reporter, err = newReporter(n); err != nil {
		return err
	}
	if n.intake, err = newIntake(n); err != nil {
		return err
	}
	if n.watches, err = newWatches(n); err != nil {
		return err
	}
	c.content = n.judge.content
	c.marks, c.repair = newMarks(), n.intake.repair
	c.refused = func(peer common.Address, err error) { n.refusals.add(peer, refusedRange, err) }
	c.kick = n.kickLane
	c.onPaid = n.poke
	c.onDecision = func(batch.Effects) { n.poke() }
	c.onPolicy = func(p quorum.Policy) { n.inForce.Store(&p) }
	c.onAlerts = n.raiseBooks
	return nil
}

func (n *Node) signer(parts Parts) (Signer, error) {
	if parts.Signer != nil {
		return parts.Signer(tssTransport{n.net})
	}
	return tss.New(tss.Config{
		Key: n.cfg.Key, Network: n.network, Transport: tssTransport{n.net}, Log: n.log.Named("tss"), Development: n.cfg.Development,
	})
}

// Run serves until ctx ends or a part fails, then stops everything and closes the ledger. It returns nil after ctx ended.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n.started = n.now()
	defer context.AfterFunc(ctx, n.core.end)()

	parts := []struct {
		name string
		run  func(context.Context) error
	}{
		{"network", n.net.Run},
		{"core", n.core.run},
		{"intake", n.intake.run},
		{"judge", n.judge.run},
		{"reporter", n.reporter.run},
		{"watches", n.watches.run},
		{"questions", n.watches.questions},
		{"waits", n.watchWaits},
	}
	for _, l := range n.genesis.Lanes {
		parts = append(parts, struct {
			name string
			run  func(context.Context) error
		}{"lane " + l.Network, n.watchers[l.Network].run})
	}

	// Alerts outlive what raises them, so that the last words are kept.
	path, silence := context.WithCancel(context.WithoutCancel(ctx))
	defer silence()
	var told sync.WaitGroup
	told.Go(func() { n.alerts.run(path, n.cfg.DataDir) })

	var all sync.WaitGroup
	for _, p := range parts {
		wait := n.turns.of(p.name)
		all.Go(func() {
			wait()
			if err := p.run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", p.name, err))
			}
		})
	}
	<-ctx.Done()
	n.core.end()
	all.Wait()
	n.core.work.Wait()
	silence()
	told.Wait()
	err := n.led.Close()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// parts names what must move for a heartbeat.
func (n *Node) parts() []string {
	out := []string{"core", "intake", "judge", "watches"}
	for network := range n.watchers {
		out = append(out, "lane "+network)
	}
	return out
}

// Close frees what New opened; only for a node that never ran.
func (n *Node) Close() error {
	n.core.end()
	return n.led.Close()
}

// kickLane makes a lane's watcher look now.
func (n *Node) kickLane(network string) {
	if w := n.watchers[network]; w != nil {
		select {
		case w.kick <- struct{}{}:
		default:
		}
	}
}

// poke tells the judge that the books, the chain or the decisions changed.
func (n *Node) poke() { n.judge.wake() }

// raiseBooks passes on what the books found.
func (n *Node) raiseBooks(in []ledger.Alert) {
	for _, a := range in {
		n.alerts.raise(Alert{
			Key: fmt.Sprintf("%s%s%d", a.Code, a.Account.Hex(), a.EventID), Code: string(a.Code), Severity: a.Severity,
			Text: a.Text, Hint: a.Hint,
		})
	}
}

// tssTransport carries session frames over the peers' streams.
type tssTransport struct{ net p2p.Network }

// Send implements [tss.Transport].
func (t tssTransport) Send(to common.Address, frame []byte) error {
	return t.net.Send(to, protoTSS, frame)
}

// greet shows a peer that just connected what it may have missed.
func (c *core) greet(peer common.Address) {
	c.ceremony.show(c, peer)
	if c.members.deletion != nil {
		c.send(peer, protoSigning, marshal(signMsg{signStatement, c.members.deletion}))
	}
	c.send(peer, protoGovernance, c.heldMsg())
	if facts := c.ownFacts(); len(facts) > 0 {
		c.send(peer, protoFacts, marshal(factsMsg{Statements: facts}))
	}
	if held, err := c.heldEvidence(); err != nil {
		c.stop(err)
	} else {
		c.send(peer, protoEvidence, held)
	}
}
