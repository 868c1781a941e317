package simnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/p2p"
	"conclave/p2p/memnet"
	"conclave/quorum"
)

// Puppet is a member without a node: it holds the member's key and says what a test makes it say. It hears everything that
// it is sent and otherwise keeps silent.
type Puppet struct {
	w     *World
	index int
	key   *ecdsa.PrivateKey
	net   *memnet.Node
	stop  context.CancelFunc
	done  chan error

	mu        sync.Mutex                // guards what follows
	counter   uint64                    // of its own statements
	approvals map[uint64]quorum.Approve // what others approved, by withdrawal
	echo      []common.Address          // whom it tells its prevotes; none: it casts none
	voted     map[uint64]bool           // heights in which it has cast one
}

// Puppet crashes a custodian for good and puts a puppet in its place. The member counts as faulty from now on.
func (w *World) Puppet(index int) (*Puppet, error) {
	c, err := w.Custodian(index)
	if err != nil {
		return nil, err
	}
	if err := c.Kill(); err != nil {
		return nil, err
	}
	w.faulty[index] = true
	p := &Puppet{w: w, index: index, key: c.key, done: make(chan error, 1), counter: 1 << 40,
		approvals: map[uint64]quorum.Approve{}, voted: map[uint64]bool{}}
	return p, p.join(peers(w.keys))
}

// Stranger is somebody without a seat who knows everybody's address.
func (w *World) Stranger() (*Puppet, error) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave simnet stranger, for tests only")))
	if err != nil {
		return nil, err
	}
	p := &Puppet{w: w, index: -1, key: key, done: make(chan error, 1), approvals: map[uint64]quorum.Approve{}, voted: map[uint64]bool{}}
	return p, p.join(append(peers(w.keys), p2p.NewPeer(&key.PublicKey)))
}

func (p *Puppet) join(members []p2p.Peer) error {
	nothing := errors.New("a puppet answers nothing")
	var err error
	p.net, err = p.w.join(p.key, members, p2p.Handlers{
		Check:  func(_ string, raw []byte) (common.Address, error) { return p.w.open(raw).Signer, nil },
		Gossip: func(_ string, _, _ common.Address, raw []byte) { p.hear(raw) },
		Frame: func(protocol string, _ common.Address, raw []byte) {
			var m voteMsg
			if protocol == "votes" && rlp.DecodeBytes(raw, &m) == nil {
				p.hearVote(m.Statement)
			}
		},
		Request: func(context.Context, string, common.Address, []byte) ([]byte, error) { return nil, nothing },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(p.w.ctx)
	p.stop = cancel
	p.w.work.Go(func() { p.done <- p.net.Run(ctx) })
	return nil
}

func (p *Puppet) hear(raw []byte) {
	s, err := quorum.Open[quorum.Approve](p.w.network, p.w.roster(), raw)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.approvals[s.Body().WID] = s.Body()
}

// PrevoteTo makes the puppet prevote, once in each height, for the first value that anybody prevotes, and tell nobody but
// the given members.
func (p *Puppet) PrevoteTo(who []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range who {
		p.echo = append(p.echo, p.w.Custodians[i].Address)
	}
}

func (p *Puppet) hearVote(raw []byte) {
	s, err := quorum.Open[quorum.Vote](p.w.network, p.w.roster(), raw)
	if err != nil {
		return
	}
	v := s.Body()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.echo) == 0 || v.Phase != quorum.Prevote || v.ID == (common.Hash{}) || p.voted[v.Height] {
		return
	}
	p.voted[v.Height] = true
	p.counter++
	v.Counter = p.counter
	own, err := quorum.Sign(p.key, p.w.network, v)
	if err != nil {
		return
	}
	for _, to := range p.echo {
		// Not reached is not told: a puppet has no duties.
		_ = p.net.Send(to, "votes", encode(voteMsg{Statement: own.Bytes()}))
	}
	p.w.Tracef("puppet %d prevotes in height %d, to %d member(s) only", p.index, v.Height, len(p.echo))
}

// Approve signs what another member approved, and tells the given members only.
func (p *Puppet) Approve(r *Request, who []int) error {
	p.mu.Lock()
	body, ok := p.approvals[r.ID]
	p.counter++
	body.Counter = p.counter
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("nobody has approved %s yet", r.Name)
	}
	s, err := quorum.Sign(p.key, p.w.network, body)
	if err != nil {
		return err
	}
	for _, i := range who {
		if err := p.net.Send(p.w.Custodians[i].Address, "facts", encode(factsMsg{[][]byte{s.Bytes()}})); err != nil {
			return err
		}
	}
	return nil
}

// Smuggle gossips, as the puppet's own, an approval that somebody else signs.
func (p *Puppet) Smuggle(r *Request, signer *Puppet) error {
	p.mu.Lock()
	body, ok := p.approvals[r.ID]
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("nobody has approved %s yet", r.Name)
	}
	body.Counter = 1
	s, err := quorum.Sign(signer.key, p.w.network, body)
	if err != nil {
		return err
	}
	if err := p.net.Publish("facts", s.Bytes()); err != nil {
		return err
	}
	for _, to := range p.w.roster() {
		if err := p.net.Send(to, "facts", encode(factsMsg{[][]byte{s.Bytes()}})); err != nil && !errors.Is(err, p2p.ErrUnknownPeer) && !errors.Is(err, p2p.ErrNotConnected) {
			return err
		}
	}
	return nil
}

// Knock tries to talk to everybody and returns whom it reached.
func (p *Puppet) Knock() (reached []int, err error) {
	if err := p.net.Publish("facts", []byte("let me in")); err != nil {
		return nil, err
	}
	for i, c := range p.w.Custodians {
		err := p.net.Send(c.Address, "facts", []byte("let me in"))
		if err == nil {
			reached = append(reached, i)
		} else if !errors.Is(err, p2p.ErrNotConnected) {
			return nil, err
		}
	}
	return reached, nil
}

// Custodian returns the custodian of an index.
func (w *World) Custodian(i int) (*Custodian, error) {
	if i < 0 || i >= len(w.Custodians) {
		return nil, fmt.Errorf("there is no custodian %d", i)
	}
	return w.Custodians[i], nil
}

// Twin starts a second process with the same key on another disk: what two machines restored from one backup are. The
// member counts as faulty.
func (w *World) Twin(index int, dir string) (*Custodian, error) {
	of, err := w.Custodian(index)
	if err != nil {
		return nil, err
	}
	c, err := w.newCustodian(index, of.key, dir)
	if err != nil {
		return nil, err
	}
	c.Name, c.Relay, c.Chain = of.Name+"'", of.Relay, of.Chain
	w.faulty[index] = true
	w.Custodians = append(w.Custodians, c)
	return c, c.Start()
}

// Honest are the custodians that run and that no test made misbehave.
func (w *World) Honest() []*Custodian {
	return slices.DeleteFunc(slices.Clone(w.Custodians), func(c *Custodian) bool { return !c.Running() || w.faulty[c.Index] })
}

func encode(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(fmt.Sprintf("simnet: encode %T: %v", v, err)) // our own types
	}
	return b
}
