package node

import (
	"bytes"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/ledger"
	"conclave/quorum"
)

// maxOverheard bounds the newest statements of each member that are remembered to catch two that it may not both sign. The
// ledger remembers verdicts and their like for longer; votes and READYs are too many to be written down one by one, and
// agreement itself compares only those of the height that it is at.
const maxOverheard = 1024

// overheard remembers what members said lately. Its zero value has heard nothing; it belongs to the core.
type overheard map[common.Address]*window

// window is one member's newest statements. The keys of all three maps leave with their statement.
type window struct {
	byCounter map[uint64][]byte
	byPlace   map[quorum.VotePlace][]byte
	seen      map[common.Hash]bool
	order     []spoken // oldest first
}

type spoken struct {
	counter uint64
	place   quorum.VotePlace // zero for what is no vote
	id      common.Hash
}

// overhear compares another member's verified statement with what it said before: under the same counter, or for the same
// height, round and kind. What contradicts is kept, and told.
func (c *core) overhear(member common.Address, counter uint64, place quorum.VotePlace, raw []byte) {
	if member == c.self {
		return
	}
	if c.overheard == nil {
		c.overheard = overheard{}
	}
	w := c.overheard[member]
	if w == nil {
		w = &window{byCounter: map[uint64][]byte{}, byPlace: map[quorum.VotePlace][]byte{}, seen: map[common.Hash]bool{}}
		c.overheard[member] = w
	}
	id := crypto.Keccak256Hash(raw)
	if w.seen[id] {
		return
	}
	said := spoken{counter: counter, place: place, id: id}
	if was := w.byCounter[counter]; was != nil {
		c.contradicts(was, raw)
	} else {
		w.byCounter[counter] = raw
	}
	if was := w.byPlace[place]; place != (quorum.VotePlace{}) && was != nil {
		c.contradicts(was, raw)
	} else if place != (quorum.VotePlace{}) {
		w.byPlace[place] = raw
	}
	w.remember(said, raw)
}

// remember drops the oldest statement when there are too many.
func (w *window) remember(s spoken, raw []byte) {
	w.seen[s.id] = true
	if w.order = append(w.order, s); len(w.order) <= maxOverheard {
		return
	}
	old := w.order[0]
	w.order = w.order[1:]
	delete(w.seen, old.id)
	if crypto.Keccak256Hash(w.byCounter[old.counter]) == old.id {
		delete(w.byCounter, old.counter)
	}
	if crypto.Keccak256Hash(w.byPlace[old.place]) == old.id {
		delete(w.byPlace, old.place)
	}
}

// overhearFact is overhear for a statement about the world, which the door has authenticated.
func (c *core) overhearFact(kind quorum.Kind, raw []byte) {
	if kind == quorum.KindView {
		return // the one fact without a counter
	}
	if counter, signer, err := quorum.CounterOf(c.network, c.state.Roster.IDs(), raw); err == nil {
		c.overhear(signer, counter, quorum.VotePlace{}, raw)
	}
}

// contradicts keeps two statements of one member if anybody can see that it may not have signed both.
func (c *core) contradicts(was, now []byte) {
	rule, who, err := quorum.Conflict(c.network, c.committeeOf, was, now)
	if err != nil {
		if !errors.Is(err, quorum.ErrNoConflict) {
			c.log.Debug("statements do not compare")
		}
		return
	}
	c.keepEvidence(ledger.EvidenceKind(rule), who, was, now)
}

// gainsaid keeps a verdict on a decided withdrawal as evidence when its signer said something else before.
func (c *core) gainsaid(wid uint64, signer common.Address, epoch uint64, policy quorum.PolicyRef, raw []byte) {
	var was []byte
	err := c.led.View(func(tx *ledger.Tx) error {
		return tx.Verdicts(wid, func(v ledger.Verdict) error {
			if v.Signer == signer && v.Epoch == epoch && v.Policy == policy && !bytes.Equal(v.Raw, raw) {
				was = v.Raw
			}
			return nil
		})
	})
	if err != nil {
		c.stop(err)
		return
	}
	if was != nil {
		c.contradicts(was, raw)
	}
}
