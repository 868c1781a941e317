package tss

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"go.uber.org/zap"
)

// Bounds of what the engine remembers.
const (
	// maxPeers is twice the largest committee: the old and the new one.
	maxPeers = 32
	// maxEnded is how many ended sessions are remembered, so that their late messages are known as such. Ids are never used
	// twice by honest nodes; the durable record of attempts is the caller's.
	maxEnded = 1024
)

// Transport sends one frame to one peer. Frames to one peer arrive in order or not at all; Send never blocks and never
// keeps the frame's memory from being shared between peers (it must not write to it).
type Transport interface {
	Send(to common.Address, frame []byte) error
}

// Config is what an engine needs.
type Config struct {
	Key       *ecdsa.PrivateKey // the member's identity; its address is the member's id
	Network   common.Hash
	Transport Transport
	Log       *zap.Logger // nil logs nothing
	// Development accepts preparameters and peers' moduli whose factors are published with this project. Devnets only.
	Development bool
}

// Engine runs the sessions of one node. It is safe for concurrent use; its methods block until their session ends.
type Engine struct {
	self        common.Address
	key         *ecdsa.PrivateKey
	network     common.Hash
	transport   Transport
	log         *zap.Logger
	development bool
	drops       drops

	// wrap replaces the library in tests of what happens when it misbehaves.
	wrap func(machine) machine

	calls sync.WaitGroup // of workers, those that ended sessions left behind too

	mu    sync.Mutex               // guards what follows
	live  map[common.Hash]*session // by session id
	taken map[string]bool          // what live sessions have for themselves
	turns map[string]turn          // to compute with a key
	ended map[common.Hash]bool
	queue []common.Hash // ended, oldest first
	early early
}

// New makes an engine. It fails unless key and transport are given.
func New(c Config) (*Engine, error) {
	if c.Key == nil || c.Transport == nil {
		return nil, errors.New("tss engine: key and transport are required")
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return &Engine{
		self: crypto.PubkeyToAddress(c.Key.PublicKey), key: c.Key, network: c.Network, transport: c.Transport,
		log: c.Log, development: c.Development,
		live: map[common.Hash]*session{}, taken: map[string]bool{}, turns: map[string]turn{}, ended: map[common.Hash]bool{},
		early: early{peers: map[common.Address]*earlyPeer{}},
	}, nil
}

// Self is the member that this engine signs for.
func (e *Engine) Self() common.Address { return e.self }

// Drops returns how many frames were dropped since the start, by reason.
func (e *Engine) Drops() map[Drop]uint64 { return e.drops.snapshot() }

// Wait returns once no library call is under way. A session that was cancelled ends at once, and may leave one behind for
// some seconds; nobody needs to wait for it but who must not leave a goroutine. No session may start meanwhile.
func (e *Engine) Wait() { e.calls.Wait() }

// Receive takes a frame from an authenticated peer. It never blocks and never keeps more than its bounds; what it does not
// want, it drops and counts.
func (e *Engine) Receive(from common.Address, frame []byte) {
	env, err := parseFrame(frame)
	switch {
	case len(frame) > MaxKeygenFrame:
		e.drops.add(DropOversized)
		return
	case err != nil:
		e.drops.add(DropMalformed)
		return
	}
	r := received{from: from, env: env, size: len(frame)}

	e.mu.Lock()
	defer e.mu.Unlock()
	id := env.Header.Session
	switch s := e.live[id]; {
	case s != nil:
		e.deliver(s, r)
	case e.ended[id]:
		e.drops.add(DropLate)
	default:
		displaced, kept := e.early.add(r)
		for range displaced {
			e.drops.add(DropUnknownSession)
		}
		if !kept {
			e.drops.add(DropQueue)
		}
	}
}

// deliver puts an envelope into a live session's mailbox.
func (e *Engine) deliver(s *session, r received) {
	switch {
	case r.size > s.plan.maxFrame:
		e.drops.add(DropOversized)
	case !s.has(r.from):
		e.drops.add(DropNotParticipant)
	case !s.mail.push(r):
		e.drops.add(DropQueue)
	}
}

// newSession prepares what both protocols share.
func (e *Engine) newSession(id common.Hash, p plan, sorted []common.Address, timeout time.Duration) *session {
	return &session{
		id: id, network: e.network, self: e.self, key: e.key, transport: e.transport,
		log: e.log.With(zap.Stringer("session", id), zap.String("protocol", p.name)), drops: &e.drops,
		plan: p, order: sorted, timeout: timeout, mail: newMailbox(), calls: &e.calls,
	}
}

// run registers a session, drives it to its end, and forgets it. Sessions with the same key compute in turn; no two that claim the same
// are live at once.
func (e *Engine) run(ctx context.Context, s *session, key string, claims ...string) Outcome {
	if err := e.register(s, key, claims); err != nil {
		return Outcome{Ending: NotStarted, Session: s.id, Err: err}
	}
	defer e.unregister(s, claims)
	if e.wrap != nil {
		s.machine = e.wrap(s.machine)
	}
	return s.run(ctx)
}

// register makes the session live and hands it what came before it.
func (e *Engine) register(s *session, key string, claims []string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ended[s.id] || e.live[s.id] != nil:
		return ErrSessionUsed
	case slices.ContainsFunc(claims, func(c string) bool { return e.taken[c] }):
		return ErrBusy
	}
	if e.turns[key] == nil {
		e.turns[key] = newTurn()
	}
	for _, c := range claims {
		e.taken[c] = true
	}
	e.live[s.id], s.turn = s, e.turns[key]
	for _, r := range e.early.take(s.id) {
		e.deliver(s, r)
	}
	return nil
}

func (e *Engine) unregister(s *session, claims []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.live, s.id)
	for _, c := range claims {
		delete(e.taken, c)
	}
	if len(e.queue) >= maxEnded {
		delete(e.ended, e.queue[0])
		e.queue = e.queue[1:]
	}
	e.ended[s.id], e.queue = true, append(e.queue, s.id)
}
