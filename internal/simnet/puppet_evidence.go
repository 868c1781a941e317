package simnet

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
	"conclave/tss"
)

// Contradict makes the puppet sign two statements of which a member may sign one, and show both to the given members only.
// kind is that of the evidence.
func (p *Puppet) Contradict(kind string, who []int) error {
	first, second, err := p.pair(kind)
	if err != nil {
		return err
	}
	for _, i := range who {
		for _, raw := range [][]byte{first, second} {
			protocol, frame := "facts", encode(factsMsg{[][]byte{raw}})
			if kind == string(quorum.RuleVotes) {
				protocol, frame = "votes", encode(voteMsg{Statement: raw})
			}
			if err := p.net.Send(p.w.Custodians[i].Address, protocol, frame); err != nil {
				return err
			}
		}
	}
	return nil
}

// pair signs the two.
func (p *Puppet) pair(kind string) (first, second []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var approve quorum.Approve
	for wid, a := range p.approvals {
		if approve.WID == 0 || wid < approve.WID {
			approve = a
		}
	}
	next := func() uint64 { p.counter++; return p.counter }
	switch kind {
	case string(quorum.RuleVotes): // of a height that nobody is at: not only agreement compares
		v := quorum.Vote{Epoch: 1, Height: 1 << 20, Phase: quorum.Precommit, ID: common.Hash{1}, Counter: next()}
		first, err = signed(p, v)
		v.ID, v.Counter = common.Hash{2}, next()
		if err == nil {
			second, err = signed(p, v)
		}
		return first, second, err
	case string(quorum.RuleCounter):
		h := quorum.Halt{Epoch: 1, Counter: next(), Scope: quorum.ScopeLane, Target: "nowhere", Code: "x", Time: uint64(time.Now().UnixMilli())}
		first, err = signed(p, h)
		h.Reason = "another"
		if err == nil {
			second, err = signed(p, h)
		}
		return first, second, err
	}
	if approve.WID == 0 {
		return nil, nil, errors.New("nobody has approved anything yet")
	}
	approve.Counter = next()
	first, err = signed(p, approve)
	other := approve
	switch other.Counter = next(); kind {
	case string(quorum.RuleVerdicts):
		other.Content = common.Hash{1}
	case string(quorum.RuleHeads):
		other.WID, other.Head = approve.WID+1_000_000, common.Hash{1}
	default:
		return nil, nil, fmt.Errorf("no evidence is called %q", kind)
	}
	if err == nil {
		second, err = signed(p, other)
	}
	return first, second, err
}

func signed[T quorum.Body](p *Puppet, body T) ([]byte, error) {
	s, err := quorum.Sign(p.key, p.w.network, body)
	return s.Bytes(), err
}

// Accuse makes the puppet show everybody evidence against a member that signed nothing wrong: its own misdeeds under the
// other's name, and an honest vote beside a forged one.
func (p *Puppet) Accuse(victim int) error {
	c, err := p.w.Custodian(victim)
	if err != nil {
		return err
	}
	first, second, err := p.pair(string(quorum.RuleVotes))
	if err != nil {
		return err
	}
	type piece struct {
		Kind          string
		Member        common.Address
		First, Second []byte
	}
	envelope := tss.Envelope{Header: tss.Header{Session: common.Hash{1}, Round: 1, Type: 18, Payload: crypto.Keccak256Hash([]byte("x"))}}
	for _, forged := range []piece{
		{string(quorum.RuleVotes), c.Address, first, second},
		{"two-tss-envelopes", c.Address, envelope.Encode(), envelope.Encode()},
	} {
		frame := encode(struct {
			Asks   bool
			Held   []common.Hash
			Full   []piece
			Pieces []piece
		}{Pieces: []piece{forged}})
		for _, m := range p.w.Genesis.Members {
			if m.Address != crypto.PubkeyToAddress(p.key.PublicKey) {
				if err := p.net.Send(m.Address, "evidence", frame); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
