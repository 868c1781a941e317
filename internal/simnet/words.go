package simnet

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/p2p/memnet"
	"conclave/quorum"
)

// words is everything that members said, by what may be said once: the wire hears a contradiction at the moment at which
// it is sent, whatever the disks hold later.
type words struct {
	said   map[string]common.Hash // by member and place
	heard  map[common.Hash]bool   // statements that were looked at
	broken []contradiction
}

// contradiction is a member's second word.
type contradiction struct {
	member int
	err    error
}

// listen looks at every statement of a message, once.
func (x *wire) listen(h Heard) {
	if h.Statement != nil {
		x.weigh(h.FromIndex, h.Statement)
		return
	}
	var m factsMsg
	if h.Name == "facts" && h.Kind == memnet.Frame && rlp.DecodeBytes(h.Data, &m) == nil {
		for _, raw := range m.Statements {
			x.weigh(h.FromIndex, raw)
		}
	}
}

// weigh compares a statement with what its signer said before.
func (x *wire) weigh(from int, raw []byte) {
	id := crypto.Keccak256Hash(raw)
	if from < 0 || x.words.heard[id] {
		return
	}
	if x.words.said == nil {
		x.words.said, x.words.heard = map[string]common.Hash{}, map[common.Hash]bool{}
	}
	x.words.heard[id] = true
	signer, places := x.w.places(raw)
	if signer < 0 {
		return
	}
	for place, what := range places {
		key := fmt.Sprintf("%d %s", signer, place)
		was, ok := x.words.said[key]
		if ok && was != what {
			x.words.broken = append(x.words.broken, contradiction{signer, broken(invariantOf(place), "n%d said two things of %s: %s and %s", signer, place, was, what)})
		}
		x.words.said[key] = what
	}
}

// invariantOf is the invariant that a place's name begins with.
func invariantOf(place string) string {
	name := ""
	_, _ = fmt.Sscan(place, &name)
	return name
}

// places are what a statement says, by what its signer may say once. signer is −1 for what is no member's.
func (w *World) places(raw []byte) (signer int, out map[string]common.Hash) {
	kind, by, err := quorum.Authenticate(w.network, w.roster(), raw)
	if err != nil {
		return -1, nil
	}
	out = map[string]common.Hash{}
	counter := uint64(0)
	switch kind {
	case quorum.KindPrevote, quorum.KindPrecommit:
		if s, err := quorum.Open[quorum.Vote](w.network, w.roster(), raw); err == nil {
			b := s.Body()
			counter = b.Counter
			out[fmt.Sprintf("I2 the %s of height %d round %d", b.Phase, b.Height, b.Round)] = b.ID
		}
	case quorum.KindProposal:
		if s, err := quorum.Open[quorum.Proposal](w.network, w.roster(), raw); err == nil {
			b := s.Body()
			counter = b.Counter
			out[fmt.Sprintf("I2 the proposal of height %d round %d", b.Height, b.Round)] = b.ID
		}
	case quorum.KindApprove:
		if s, err := quorum.Open[quorum.Approve](w.network, w.roster(), raw); err == nil {
			b := s.Body()
			counter = b.Counter
			out[fmt.Sprintf("I4 withdrawal %d", b.WID)] = b.Content
			out[fmt.Sprintf("I4 withdrawal %d in epoch %d under policy %d", b.WID, b.Epoch, b.Policy.Version)] = crypto.Keccak256Hash(raw)
			out[fmt.Sprintf("I4 the head of %s at debit %d under policy %d", b.Account, b.Seq, b.Policy.Version)] = b.Head
		}
	case quorum.KindRefuse:
		if s, err := quorum.Open[quorum.Refuse](w.network, w.roster(), raw); err == nil {
			b := s.Body()
			counter = b.Counter
			out[fmt.Sprintf("I4 withdrawal %d", b.WID)] = b.Content
			out[fmt.Sprintf("I4 withdrawal %d in epoch %d under policy %d", b.WID, b.Epoch, b.Policy.Version)] = crypto.Keccak256Hash(raw)
		}
	case quorum.KindReady:
		if s, err := quorum.Open[quorum.Ready](w.network, w.roster(), raw); err == nil {
			counter = s.Body().Counter
		}
	case quorum.KindOutcome:
		if s, err := quorum.Open[quorum.Outcome](w.network, w.roster(), raw); err == nil {
			counter = s.Body().Counter
		}
	}
	if counter > 0 {
		out[fmt.Sprintf("I12 counter %d", counter)] = crypto.Keccak256Hash(raw)
	}
	return w.wire.indexOf(by), out
}

// Heard is what honest members contradicted themselves in so far; nil is nothing.
func (w *World) contradictions() error {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	var errs []error
	for _, c := range w.wire.words.broken {
		if !w.faulty[c.member] {
			errs = append(errs, c.err)
		}
	}
	return errors.Join(errs...)
}
