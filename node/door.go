package node

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/p2p"
	"conclave/quorum"
)

// handlers is the door of the wire: what is authenticated here goes to the core, or is dropped by name.
func (n *Node) handlers() p2p.Handlers {
	return p2p.Handlers{
		Check: n.check,
		Gossip: func(topic string, author, via common.Address, data []byte) {
			if topic == topicFacts && n.verdict(via, data) {
				return
			}
			n.take(via, func() {
				if topic == topicVotes {
					n.hearVoteFrame(data)
					return
				}
				n.core.hearFact(data)
				if kind, err := quorum.PeekKind(data); err == nil && kind == quorum.KindOutcome {
					n.core.answerOutcome(data)
				}
			})
		},
		Frame: n.frame,
		Request: func(ctx context.Context, _ string, _ common.Address, body []byte) ([]byte, error) {
			return n.core.answer(ctx, body)
		},
		Connected: func(peer common.Address, up bool) {
			if up {
				n.core.offer(func() { n.core.greet(peer) })
			}
		},
	}
}

// errKind refuses a statement that has no place where it came.
var errKind = errors.New("a statement of another kind belongs here")

// check authenticates gossip before anything of it is decoded further.
func (n *Node) check(topic string, data []byte) (common.Address, error) {
	if topic == topicFacts {
		kind, signer, err := n.core.known.authenticate(n.network, n.members(), data)
		if err == nil && !factKinds[kind] {
			err = fmt.Errorf("%w: %s on %s", errKind, kind, topic)
		}
		return signer, err
	}
	var m voteMsg
	if err := unmarshal(data, &m); err != nil {
		return common.Address{}, err
	}
	kind, signer, err := quorum.Authenticate(n.network, n.members(), m.Statement)
	if err != nil {
		return signer, err
	}
	if !voteKinds[kind] {
		return signer, fmt.Errorf("%w: %s on %s", errKind, kind, topic)
	}
	return signer, nil
}

var (
	factKinds = map[quorum.Kind]bool{
		quorum.KindApprove: true, quorum.KindRefuse: true, quorum.KindView: true, quorum.KindOutcome: true,
		quorum.KindHalt: true, quorum.KindClear: true, quorum.KindCheckpoint: true,
	}
	voteKinds = map[quorum.Kind]bool{quorum.KindProposal: true, quorum.KindPrevote: true, quorum.KindPrecommit: true}
)

// members are the ids of the committee in force, as far as this node has followed the decisions.
func (n *Node) members() quorum.Members {
	if n.core != nil {
		if ids := n.core.office.Load(); ids != nil {
			return *ids
		}
	}
	founders, err := n.genesis.Roster()
	if err != nil {
		return nil // no node is made with such a document
	}
	return founders.IDs()
}

func (n *Node) hearVoteFrame(data []byte) {
	var m voteMsg
	if unmarshal(data, &m) == nil {
		n.core.hearVote(m)
	}
}

// frame takes one frame of an authenticated peer. Signatures are checked here, on the peer's own goroutine: a peer that
// sends nonsense spends its time, not the core's.
func (n *Node) frame(protocol string, from common.Address, frame []byte) {
	switch protocol {
	case protoTSS:
		n.core.engine.Receive(from, frame)
	case protoVotes:
		if _, err := n.check(topicVotes, frame); err != nil {
			n.refusals.add(from, refusedVote, err)
			return
		}
		n.take(from, func() { n.hearVoteFrame(frame) })
	case protoFacts:
		n.bundle(from, frame)
	case protoGovernance:
		n.governance(from, frame)
	case protoEvidence:
		if err := n.hearEvidence(from, frame); err != nil {
			n.refusals.add(from, refusedEvidence, err)
		}
	case protoSigning:
		var m signMsg
		if err := unmarshal(frame, &m); err != nil {
			n.refusals.add(from, refusedSigning, err)
			return
		}
		n.take(from, func() {
			if err := n.core.hearSigning(from, m); err != nil {
				n.refusals.add(from, refusedSigning, err)
			}
		})
	}
}

// take hands a peer's message to the core, or counts it as lost: the peer sends it again.
func (n *Node) take(from common.Address, task func()) {
	if !n.core.offer(task) {
		n.refusals.add(from, refusedFull, errCoreFull)
	}
}

func (n *Node) bundle(from common.Address, frame []byte) {
	var m factsMsg
	if err := unmarshal(frame, &m); err != nil || len(m.Statements) > maxBundle {
		n.refusals.add(from, refusedFact, errors.Join(err, fmt.Errorf("%d statements", len(m.Statements))))
		return
	}
	for _, raw := range m.Statements {
		if _, err := n.check(topicFacts, raw); err != nil {
			n.refusals.add(from, refusedFact, err)
			return
		}
	}
	n.take(from, func() { n.core.hearFacts(m.Statements) })
}

// What a member's message may be refused as, after the wire let it in: a closed set for metrics and status.
const (
	refusedVote    = "vote"
	refusedFact    = "fact"
	refusedSigning = "signing"
	refusedRange   = "range"
	refusedFull    = "core-full"

	refusedEvidence = "evidence"
)

var errCoreFull = errors.New("the core's queue is full")

// refusals counts what members sent that broke its contract, by sender and name.
type refusals struct {
	log *zap.Logger

	mu     sync.Mutex // guards counts; its keys are members times a closed set
	counts map[refusal]uint64
}

type refusal struct {
	from common.Address
	what string
}

func newRefusals(log *zap.Logger) *refusals {
	return &refusals{log: log, counts: map[refusal]uint64{}}
}

func (r *refusals) add(from common.Address, what string, why error) {
	r.mu.Lock()
	r.counts[refusal{from, what}]++
	r.mu.Unlock()
	r.log.Debug("message refused", zap.Stringer("from", from), zap.String("what", what), zap.Error(why))
}

// Refused is how many messages of one member were refused as what.
type Refused struct {
	From  common.Address `json:"from"`
	What  string         `json:"what"`
	Count uint64         `json:"count"`
}

// list returns the counts in a fixed order.
func (r *refusals) list() []Refused {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Refused, 0, len(r.counts))
	for k, n := range r.counts {
		out = append(out, Refused{k.from, k.what, n})
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].From != out[j].From {
			return out[i].From.Cmp(out[j].From) < 0
		}
		return out[i].What < out[j].What
	})
	return out
}
