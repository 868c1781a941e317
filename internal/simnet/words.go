package simnet

import (
	"errors"
	"fmt"
	"slices"

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
		x.locks.beside(h.Height, h.certificates[:]...)
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

// since is who heard what a member said behind its backup.
type since struct {
	before map[common.Hash]bool // counted statements that it had said
	heard  map[int]bool         // members
}

// echo notes who hears a member that has a backup.
func (x *wire) echo(h Heard) {
	if len(x.since) == 0 || h.ToIndex < 0 {
		return
	}
	all := [][]byte{h.Statement}
	var m factsMsg
	if h.Statement == nil && h.Name == "facts" && h.Kind == memnet.Frame && rlp.DecodeBytes(h.Data, &m) == nil {
		all = m.Statements
	}
	for _, raw := range all {
		said := x.meaningOf(raw)
		by := x.indexOf(said.Signer)
		if s := x.since[by]; s != nil && by != h.ToIndex && counted[said.Says] && !s.before[crypto.Keccak256Hash(raw)] {
			s.heard[h.ToIndex] = true
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
	m := x.meaningOf(raw)
	signer := x.indexOf(m.Signer)
	for place, what := range m.once {
		key := fmt.Sprintf("%d %s", signer, place)
		was, ok := x.words.said[key]
		if ok && was != what {
			x.words.broken = append(x.words.broken, contradiction{signer, broken(invariantOf(place), "n%d said two things of %s: %s and %s", signer, place, was, what)})
		}
		x.words.said[key] = what
	}
	x.locks.watch(x.w, signer, m)
}

// invariantOf is the invariant that a place's name begins with.
func invariantOf(place string) string {
	name := ""
	_, _ = fmt.Sscan(place, &name)
	return name
}

// open reads a member's statement; bytes that are none have no meaning.
func (w *World) open(raw []byte) meaning {
	kind, err := quorum.PeekKind(raw)
	if err != nil {
		return meaning{}
	}
	switch kind {
	case quorum.KindPrevote, quorum.KindPrecommit:
		return opened(w, raw, func(v quorum.Vote) meaning {
			return meaning{Epoch: v.Epoch, Height: v.Height, Round: v.Round, ID: v.ID, once: map[string]common.Hash{
				fmt.Sprintf("I2 the %s of height %d round %d", v.Phase, v.Height, v.Round): v.ID,
				counterOf(v.Counter): crypto.Keccak256Hash(raw)}}
		})
	case quorum.KindProposal:
		return opened(w, raw, func(p quorum.Proposal) meaning {
			return meaning{Height: p.Height, Round: p.Round, ID: p.ID, once: map[string]common.Hash{
				fmt.Sprintf("I2 the proposal of height %d round %d", p.Height, p.Round): p.ID,
				counterOf(p.Counter): crypto.Keccak256Hash(raw)}}
		})
	case quorum.KindApprove:
		return opened(w, raw, func(a quorum.Approve) meaning {
			once := verdictOf(raw, a.WID, a.Content, a.Epoch, a.Policy, a.Counter)
			once[fmt.Sprintf("I4 the head of %s at debit %d under policy %d", a.Account, a.Seq, a.Policy.Version)] = a.Head
			return meaning{once: once}
		})
	case quorum.KindRefuse:
		return opened(w, raw, func(r quorum.Refuse) meaning {
			return meaning{once: verdictOf(raw, r.WID, r.Content, r.Epoch, r.Policy, r.Counter)}
		})
	case quorum.KindReady:
		return opened(w, raw, func(r quorum.Ready) meaning {
			return meaning{once: map[string]common.Hash{counterOf(r.Counter): crypto.Keccak256Hash(raw)}}
		})
	case quorum.KindOutcome:
		return opened(w, raw, func(o quorum.Outcome) meaning {
			return meaning{once: map[string]common.Hash{counterOf(o.Counter): crypto.Keccak256Hash(raw)}}
		})
	}
	_, signer, err := quorum.Authenticate(w.network, w.roster(), raw)
	if err != nil {
		return meaning{}
	}
	return meaning{Says: kind, Signer: signer}
}

func opened[T quorum.Body](w *World, raw []byte, read func(T) meaning) meaning {
	s, err := quorum.Open[T](w.network, w.roster(), raw)
	if err != nil {
		return meaning{}
	}
	m := read(s.Body())
	m.Says, m.Signer = s.Body().Kind(), s.Signer()
	return m
}

func counterOf(counter uint64) string { return fmt.Sprintf("I12 counter %d", counter) }

// verdictOf is what every verdict may say once.
func verdictOf(raw []byte, wid uint64, content common.Hash, epoch uint64, policy quorum.PolicyRef, counter uint64) map[string]common.Hash {
	return map[string]common.Hash{
		fmt.Sprintf("I4 withdrawal %d", wid):                                                    content,
		fmt.Sprintf("I4 withdrawal %d in epoch %d under policy %d", wid, epoch, policy.Version): crypto.Keccak256Hash(raw),
		counterOf(counter): crypto.Keccak256Hash(raw),
	}
}

// contradictions is what honest members said against their own word so far; nil is nothing.
func (w *World) contradictions() error {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	var errs []error
	for _, c := range slices.Concat(w.wire.words.broken, w.wire.locks.broken) {
		if !w.faulty[c.member] {
			errs = append(errs, c.err)
		}
	}
	return errors.Join(errs...)
}
