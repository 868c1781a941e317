package simnet

import (
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/p2p/memnet"
	"conclave/quorum"
)

// Rates and waits of the world itself.
const (
	throttleDuration = time.Second
	throttleMax      = 1 << 20 // nothing here is a flood, and virtual seconds are dense
	minedWithin      = 5 * time.Second
)

// Loss is a rule that loses messages. Empty sets mean everybody.
type Loss struct {
	What     func(Heard) bool
	From, To map[int]bool // indices of members
}

// Heard is a message on the wire with what it says.
type Heard struct {
	memnet.Message
	FromIndex, ToIndex int       // of members; −1 for a stranger
	Statement          []byte    // the signed bytes that it carries; nil when it carries none, or several
	certificates       [2][]byte // that travel with a vote or proposal
	meaning
}

// meaning is what a member's signed statement says; zero for anything else.
type meaning struct {
	Says          quorum.Kind
	Signer        common.Address
	Height, Round uint64      // of a vote or proposal
	Epoch         uint64      // of a vote
	ID            common.Hash // likewise; zero for nil

	once map[string]common.Hash // what it says, by what its signer may say once
}

// wire watches everything that is sent, loses what the test wants lost, and remembers every statement that a custodian
// signed: what was sent must stand on its disk (I2).
type wire struct {
	w     *World
	index map[common.Address]int

	mu     sync.Mutex // guards what follows; the hub calls rule with its own lock held
	losses []Loss
	storm  Storm
	words  words
	locks  locks
	said   map[int]map[common.Hash]bool // by member, digests of counted statements
	known  map[common.Hash]meaning      // of statements, by the digest of their bytes: a signature is recovered once
	since  map[int]*since               // by member with a backup
	ears   []func(Heard)
	ranges map[uint64]quorum.Checkpoint // what custodians said last of each range, once somebody listens

	decreed []decreed // what was signed to govern, once somebody listens
}

func newWire(w *World) *wire {
	x := &wire{w: w, index: map[common.Address]int{}, said: map[int]map[common.Hash]bool{}, known: map[common.Hash]meaning{}, since: map[int]*since{}}
	for i, c := range w.Custodians {
		x.index[c.Address] = i
		x.said[i] = map[common.Hash]bool{}
	}
	return x
}

// latency gives each link its own few milliseconds: what different members send at one moment then comes at different
// moments, in an order that does not depend on the machine's scheduler.
func latency(m memnet.Message) time.Duration {
	return 2*time.Millisecond + time.Duration((m.FromNode*631+m.ToNode*97)%3000)*time.Microsecond
}

// Lose adds a rule.
func (w *World) Lose(l Loss) {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	w.wire.losses = append(w.wire.losses, l)
}

// LoseNothing ends all rules.
func (w *World) LoseNothing() {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	w.wire.losses = nil
}

// rule is what the hub asks of every message.
func (x *wire) rule(m memnet.Message) bool {
	x.w.canary.look("the wire", m.Data)
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.read(m)
	lost := x.storm.hits('l', x.storm.Lose, m)
	for _, l := range x.losses {
		lost = lost || ((len(l.From) == 0 || l.From[h.FromIndex]) && (len(l.To) == 0 || l.To[h.ToIndex]) && l.What(h))
	}
	// What is lost on the way has been said all the same.
	if h.FromIndex >= 0 && counted[h.Says] && h.Signer == m.From {
		x.said[h.FromIndex][crypto.Keccak256Hash(h.Statement)] = true
	}
	x.listen(h)
	if !lost {
		x.echo(h)
	}
	for _, hear := range x.ears {
		hear(h)
	}
	return lost
}

// counted are the kinds that carry a counter, and therefore stand in the ledger before they leave.
var counted = map[quorum.Kind]bool{
	quorum.KindApprove: true, quorum.KindRefuse: true, quorum.KindProposal: true, quorum.KindPrevote: true, quorum.KindPrecommit: true,
	quorum.KindReady: true, quorum.KindOutcome: true, quorum.KindAbort: true, quorum.KindHalt: true, quorum.KindClear: true, quorum.KindCheckpoint: true,
}

// roster is everyone who was ever a member or asked to be one: whose statements a listener reads.
func (w *World) roster() quorum.Members {
	var out quorum.Members
	for _, m := range w.Genesis.Members {
		out = append(out, m.Address)
	}
	if more := w.newcomers.Load(); more != nil {
		out = append(out, *more...)
	}
	return out
}

// The messages of package node, as far as a listener needs them.
type (
	voteMsg struct{ Statement, Beside, Value, Proof []byte }
	signMsg struct {
		Kind uint8
		Body []byte
	}
	factsMsg struct{ Statements [][]byte }
)

// Package node's kinds of a signed statement and of a decision among the messages of signing.
const (
	signStatement = 1
	signDecision  = 6
)

func (x *wire) read(m memnet.Message) Heard {
	h := Heard{Message: m, FromIndex: x.indexOf(m.From), ToIndex: x.indexOf(m.To)}
	switch {
	case m.Name == "votes":
		var v voteMsg
		if rlp.DecodeBytes(m.Data, &v) == nil {
			h.Statement, h.certificates = v.Statement, [2][]byte{v.Beside, v.Proof}
		}
	case m.Name == "facts" && m.Kind == memnet.Gossip:
		h.Statement = m.Data
	case m.Name == "signing":
		var s signMsg
		if rlp.DecodeBytes(m.Data, &s) == nil && s.Kind == signStatement {
			h.Statement = s.Body
		}
	}
	if h.Statement != nil {
		h.meaning = x.meaningOf(h.Statement)
	}
	return h
}

func (x *wire) meaningOf(raw []byte) meaning {
	id := crypto.Keccak256Hash(raw)
	m, ok := x.known[id]
	if !ok {
		m = x.w.open(raw)
		x.known[id] = m
	}
	return m
}

func (x *wire) indexOf(a common.Address) int {
	if i, ok := x.index[a]; ok {
		return i
	}
	return -1
}
