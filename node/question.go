package node

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
)

// syncNewest asks for the newest counted statement of the member ID that the other holds, and for the height that it is at,
// as newestMsg.
const syncNewest syncWhat = 7

// newestMsg is the answer to [syncNewest], and proves itself.
type newestMsg struct {
	Statement []byte // the statement with the highest counter; empty: none is held
	Height    uint64 // the height that the other works on
	Commit    []byte // the commit certificate of the height before; empty at height 1
	Vote      []byte // the vote or proposal of the member in the highest height that the other holds; empty: none
}

// said remembers, of each member, the newest counted statement that came by in this process. What a rule keeps stands in the
// ledger too; votes and READYs are put there with the next own vote, for a commit of their own would cost a sync each.
type said struct {
	mu    sync.Mutex // guards the maps, whose keys are members; answers are given off the core
	of    map[common.Address]newest
	votes map[common.Address]newest // of the highest height
	new   map[common.Address]bool   // not in the ledger yet
}

type newest struct {
	counter uint64
	height  uint64 // of a vote
	raw     []byte
}

// note remembers a verified statement; at is zero for what is no vote.
func (s *said) note(member common.Address, counter uint64, at quorum.VotePlace, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of, s.votes, s.new = map[common.Address]newest{}, map[common.Address]newest{}, map[common.Address]bool{}
	}
	if counter > s.of[member].counter {
		s.of[member], s.new[member] = newest{counter, at.Height, raw}, true
	}
	if at.Height > s.votes[member].height {
		s.votes[member], s.new[member] = newest{counter, at.Height, raw}, true
	}
}

// keep puts what is new into the ledger, in a transaction that is made anyway.
func (s *said) keep(tx *ledger.Tx) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for member := range s.new {
		for _, n := range []newest{s.of[member], s.votes[member]} {
			if n.raw == nil {
				continue
			}
			if _, err := tx.Hear(member, n.counter, n.raw); err != nil {
				return err
			}
		}
	}
	clear(s.new)
	return nil
}

// answerNewest is given in any state, and by the goroutine of whoever asked: members that start together all ask, and each
// must hear of the others before it speaks.
func (c *core) answerNewest(member common.Address) ([]byte, error) {
	var m newestMsg
	err := c.led.View(func(tx *ledger.Tx) error {
		counter, raw, _ := tx.Newest(member)
		c.said.mu.Lock()
		if n := c.said.of[member]; n.counter > counter {
			raw = n.raw
		}
		c.said.mu.Unlock()
		var err error
		if m.Vote, _, err = c.newestVote(tx, member); err != nil {
			return err
		}
		m.Statement, m.Height = raw, tx.LastHeight()+1
		d, ok, err := tx.Decision(m.Height - 1)
		if ok {
			m.Commit = marshal(d.Commit)
		}
		return err
	})
	return marshal(m), err
}

// newestVote is what this node holds of a member's votes: one of the highest height, and that height; 0 without.
func (c *core) newestVote(tx *ledger.Tx, member common.Address) (raw []byte, height uint64, err error) {
	raw, ok, err := tx.NewestVote(member)
	if err != nil {
		return nil, 0, err
	}
	if ok {
		at, _, err := quorum.VotePlaceOf(c.network, quorum.Members{member}, raw)
		if err != nil {
			return nil, 0, err
		}
		height = at.Height
	}
	c.said.mu.Lock()
	defer c.said.mu.Unlock()
	if n := c.said.votes[member]; n.height > height {
		return n.raw, n.height, nil
	}
	return raw, height, nil
}

// errAnswer refuses an answer that does not prove what it says.
var errAnswer = errors.New("an answer that proves nothing")

// heardBack is an answer after its proofs were looked at.
type heardBack struct {
	counter   uint64 // 0: the other holds no statement of this node
	statement []byte
	height    uint64 // what it claims
	proven    bool   // by a certificate of an epoch that is known here
	voted     uint64 // the highest height in which the other holds a vote of this node; 0 for none
}

// open verifies an answer. roster gives who decided a height, as far as this node knows.
func (m newestMsg) open(network common.Hash, self common.Address, roster func(height uint64) (quorum.Roster, error)) (heardBack, error) {
	out := heardBack{height: m.Height, statement: m.Statement}
	if len(m.Statement) > 0 {
		counter, _, err := quorum.CounterOf(network, quorum.Members{self}, m.Statement)
		if err != nil {
			return heardBack{}, fmt.Errorf("%w: its statement: %w", errAnswer, err)
		}
		out.counter = counter
	}
	if len(m.Vote) > 0 {
		at, ok, err := quorum.VotePlaceOf(network, quorum.Members{self}, m.Vote)
		if err != nil || !ok {
			return heardBack{}, errors.Join(fmt.Errorf("%w: its vote", errAnswer), err)
		}
		out.voted = at.Height
	}
	if m.Height <= 1 {
		if m.Height == 0 || len(m.Commit) > 0 {
			return heardBack{}, fmt.Errorf("%w: height %d with a certificate of %d bytes", errAnswer, m.Height, len(m.Commit))
		}
		out.proven = true
		return out, nil
	}
	var u quorum.UncheckedQC
	if err := unmarshal(m.Commit, &u); err != nil {
		return heardBack{}, fmt.Errorf("%w: its certificate: %w", errAnswer, err)
	}
	if u.Height != m.Height-1 || u.Phase != quorum.Precommit || u.ID == (common.Hash{}) {
		return heardBack{}, fmt.Errorf("%w: height %d by a certificate of height %d", errAnswer, m.Height, u.Height)
	}
	r, err := roster(u.Height)
	if err != nil {
		return heardBack{}, err
	}
	if u.Epoch != r.Epoch {
		return out, nil // of an epoch that this node has to reach first
	}
	if _, err := u.Verify(network, r); err != nil {
		return heardBack{}, fmt.Errorf("%w: %w", errAnswer, err)
	}
	out.proven = true
	return out, nil
}
