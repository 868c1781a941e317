package agreement

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// ErrRecord means that a height's record and the own statements beside it do not fit together, or not to the roster. A
// node that meets it must not sign: its disk is not what it wrote.
var ErrRecord = errors.New("record of the height is damaged")

// Durable is what must survive a restart, beside the own statements as signed bytes. It is stored as RLP.
type Durable struct {
	Height      uint64
	Round       uint64
	Step        Step
	LockedRound uint64 // round + 1, zero when unlocked
	LockedID    common.Hash
	Valid       *quorum.UncheckedQC `rlp:"nil"` // the valid value and round are those of its certificate
	Proof       *quorum.UncheckedQC `rlp:"nil"` // the certificate that the own proposal of Round shows
	Ended       [][]byte            // q precommits of one earlier round, as signed bytes: why we left it
}

// Encode returns the canonical RLP.
func (d Durable) Encode() []byte {
	b, err := rlp.EncodeToBytes(d)
	if err != nil {
		panic("agreement: encode durable: " + err.Error())
	}
	return b
}

// DecodeDurable reads what [Durable.Encode] wrote and nothing else.
func DecodeDurable(b []byte) (Durable, error) {
	var d Durable
	if err := rlp.DecodeBytes(b, &d); err != nil {
		return Durable{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if !bytes.Equal(d.Encode(), b) {
		return Durable{}, fmt.Errorf("%w: not the canonical encoding", ErrRecord)
	}
	return d, nil
}

// Own is everything that this node signed at a height, from its disk. Of rounds long past it may be incomplete.
type Own struct {
	Proposals []quorum.Signed[quorum.Proposal]
	Votes     []quorum.Signed[quorum.Vote]
}

// New returns the state of a height in which this node has signed nothing. It waits for [Begin].
func New(c Config) (*State, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	ids := c.Roster.IDs()
	s := &State{
		cfg:    c,
		ids:    ids,
		self:   indexOf(ids, c.Self),
		rounds: map[uint64]*round{},
		ahead:  make([]ahead, len(ids)),
		heard:  make([]uint64, len(ids)),
		held:   map[common.Hash]bool{},
	}
	s.rounds[0] = newRound(len(ids))
	return s, nil
}

// Resume returns the state of a height that this node has a record of, whose locked and valid value the driver holds. Give it
// [Begin] next. It fails with [ErrRecord] when the record does not fit the statements: the two are written in one
// transaction, so that means a damaged disk.
func Resume(c Config, d Durable, own Own) (*State, error) {
	s, err := New(c)
	if err != nil {
		return nil, err
	}
	if d.Height != c.Height || d.Round > maxRound || d.Step < StepPropose || d.Step > StepPrecommit {
		return nil, fmt.Errorf("%w: height %d, round %d, %s", ErrRecord, d.Height, d.Round, d.Step)
	}
	s.round, s.step = d.Round, d.Step
	s.rounds = map[uint64]*round{d.Round: newRound(len(s.ids))}
	s.lockedRound, s.lockedID = d.LockedRound, d.LockedID

	if s.valid, err = s.reopen(d.Valid); err != nil {
		return nil, err
	}
	if s.proof, err = s.reopen(d.Proof); err != nil {
		return nil, err
	}
	s.high = s.valid
	if !s.valid.Zero() && s.valid.Round() == s.round {
		s.rounds[s.round].qc = s.valid
	}
	s.hold(d.LockedID)
	s.hold(s.valid.ID())

	for _, raw := range d.Ended {
		v, err := quorum.Open[quorum.Vote](c.Network, s.ids, raw)
		if err != nil {
			return nil, fmt.Errorf("%w: ended: %w", ErrRecord, err)
		}
		s.ended = append(s.ended, v)
	}
	return s, s.readopt(own)
}

func (s *State) reopen(u *quorum.UncheckedQC) (quorum.QC, error) {
	if u == nil {
		return quorum.QC{}, nil
	}
	qc, err := u.Verify(s.cfg.Network, s.cfg.Roster)
	if err != nil {
		return quorum.QC{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if u.Height != s.cfg.Height || u.Phase != quorum.Prevote || u.ID == (common.Hash{}) {
		return quorum.QC{}, fmt.Errorf("%w: a certificate that locks nothing", ErrRecord)
	}
	return qc, nil
}

// readopt takes the own statements of the current round back in, and checks that the step says the same as they do.
func (s *State) readopt(own Own) error {
	w := &s.rounds[s.round].words[s.self]
	for _, p := range own.Proposals {
		b := p.Body()
		if err := s.ownFits(p.Signer(), b.Epoch, b.Height, b.Round); err != nil {
			return err
		}
		if b.Round == s.round {
			w.proposal = &proposal{signed: p, valid: true, pol: s.proof}
			s.asked.proposal = true
			s.hold(b.ID)
		}
	}
	for _, v := range own.Votes {
		b := v.Body()
		if err := s.ownFits(v.Signer(), b.Epoch, b.Height, b.Round); err != nil {
			return err
		}
		if b.Round == s.round {
			w.votes[slot(b.Phase)] = v
			s.asked.votes[slot(b.Phase)] = true
			s.hold(b.ID)
		}
	}
	if s.asked.votes[slot(quorum.Prevote)] != (s.step >= StepPrevote) || s.asked.votes[slot(quorum.Precommit)] != (s.step >= StepPrecommit) {
		return fmt.Errorf("%w: the step is %s, the votes on disk say otherwise", ErrRecord, s.step)
	}
	return nil
}

func (s *State) ownFits(signer common.Address, epoch, height, round uint64) error {
	if signer != s.cfg.Self || epoch != s.cfg.Roster.Epoch || height != s.cfg.Height || round > s.round {
		return fmt.Errorf("%w: a statement of %s, epoch %d, height %d, round %d", ErrRecord, signer, epoch, height, round)
	}
	return nil
}

// Durable returns the record as it must now stand on disk.
func (s *State) Durable() Durable {
	d := Durable{Height: s.cfg.Height, Round: s.round, Step: s.step, LockedRound: s.lockedRound, LockedID: s.lockedID}
	d.Valid, d.Proof = plain(s.valid), plain(s.proof)
	for _, v := range s.ended {
		d.Ended = append(d.Ended, v.Bytes())
	}
	return d
}

func plain(qc quorum.QC) *quorum.UncheckedQC {
	if qc.Zero() {
		return nil
	}
	u := qc.Unchecked()
	return &u
}
