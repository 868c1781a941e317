package tss

import (
	"fmt"
	"slices"

	"github.com/bnb-chain/tss-lib/v3/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/resharing"
	tsslib "github.com/bnb-chain/tss-lib/v3/tss"
	"github.com/ethereum/go-ethereum/common"
)

// handedOver is what a member that leaves ends with.
type handedOver struct{}

// acknowledged is the library's note of a new member to the old ones that it has their commitments. It never travels: the
// member's material, which both committees read, says as much.
const acknowledged = resharePackage + "DGRound2Message2"

// resharingParty is one member's run of a resharing: a state machine of the library for each part that the member has. One that
// stays in the committee has both, with two numbers, and they talk to each other here.
type resharingParty struct {
	self  common.Address
	old   *libraryParty // nil for who is no dealer
	new   *libraryParty // nil for who leaves
	local []checked     // what one part said that the other must hear, with the round's messages of others

	gave   bool
	result any
}

// newResharing prepares the parts of a member.
func newResharing(self common.Address, req ReshareRequest) (*resharingParty, error) {
	dealers, err := partyOrder(req.Dealers, req.OldEpoch)
	if err != nil {
		return nil, err
	}
	members, err := partyOrder(req.Members, req.Epoch)
	if err != nil {
		return nil, err
	}
	p := &resharingParty{self: self}
	if me := slices.Index(dealers, self); me >= 0 {
		// A copy: the library zeroes the share that it is given.
		if p.old, err = newReshareParty(dealers, members, me, true, req, req.Share.library()); err != nil {
			return nil, err
		}
	}
	if me := slices.Index(members, self); me >= 0 {
		save := keygen.NewLocalPartySaveData(len(members))
		save.LocalPreParams = req.PreParams.library()
		if p.new, err = newReshareParty(dealers, members, me, false, req, save); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// newReshareParty prepares one part; dealers and members are in the library's order, and me is the index in the part's own.
func newReshareParty(dealers, members []common.Address, me int, deals bool, req ReshareRequest, save keygen.LocalPartySaveData) (*libraryParty, error) {
	old, new := libraryIDs(dealers, req.OldEpoch), libraryIDs(members, req.Epoch)
	own := new
	if deals {
		own = old
	}
	p := &libraryParty{plan: resharePlan(), ids: own, peers: map[string]common.Address{}}
	p.out = make(chan tsslib.Message, p.plan.messages(len(dealers)+len(members)))
	for i, id := range old {
		p.peers[string(id.Key)] = dealers[i]
	}
	for i, id := range new {
		p.peers[string(id.Key)] = members[i]
	}
	end := make(chan *keygen.LocalPartySaveData, 1)
	err := p.construct(func() tsslib.Party {
		params := tsslib.NewReSharingParameters(tsslib.S256(), tsslib.NewPeerContext(old), tsslib.NewPeerContext(new), own[me],
			len(dealers), req.OldThreshold-1, len(members), req.Threshold-1)
		params.SetSessionNonce(nonce(req.ID()))
		return resharing.NewLocalParty(params, save, p.out, end)
	})
	p.done = func() (any, bool) {
		select {
		case save := <-end:
			if deals {
				return handedOver{}, true
			}
			return rawShareOf(save), true
		default:
			return nil, false
		}
	}
	return p, err
}

// parts are the state machines that this member has.
func (p *resharingParty) parts() []*libraryParty {
	return slices.DeleteFunc([]*libraryParty{p.old, p.new}, func(l *libraryParty) bool { return l == nil })
}

// start begins the run of each part.
func (p *resharingParty) start() step {
	for _, part := range p.parts() {
		err := part.call(common.Address{}, func() (bool, *tsslib.Error) {
			err := part.lib.Start()
			return err == nil, err
		})
		if err != nil {
			return step{err: err}
		}
	}
	return p.collect()
}

// feed gives each part what is meant for it: what others said in the round, and what the own other part did.
func (p *resharingParty) feed(batch []checked) step {
	batch = append(slices.Clone(batch), p.local...)
	p.local = nil
	for _, m := range batch {
		for _, d := range p.deliveries(m) {
			if err := d.part.call(m.from, func() (bool, *tsslib.Error) { return d.part.lib.Update(d.msg) }); err != nil {
				return step{err: err}
			}
		}
	}
	return p.collect()
}

// delivery is one message for one part.
type delivery struct {
	part *libraryParty
	msg  tsslib.ParsedMessage
}

// deliveries says which parts a message is for. A part has its own broadcasts already.
func (p *resharingParty) deliveries(m checked) (out []delivery) {
	add := func(part *libraryParty, msg tsslib.ParsedMessage) {
		if part != nil {
			out = append(out, delivery{part, msg})
		}
	}
	others := p.new
	if m.from == p.self {
		others = nil
	}
	switch m.msg.Content().(type) {
	case *resharing.DGRound1Message, *resharing.DGRound3Message1, *resharing.DGRound3Message2:
		add(p.new, m.msg)
	case *resharing.DGRound2Message1:
		add(p.old, resharing.NewDGRound2Message2(nil, m.msg.GetFrom()))
		add(others, m.msg)
	case *resharing.DGRound4Message1:
		add(others, m.msg)
	case *resharing.DGRound4Message2:
		add(p.old, m.msg)
		add(others, m.msg)
	}
	return out
}

// collect takes what the parts have said since the last call, and how they ended. The run is over when both parts are.
func (p *resharingParty) collect() step {
	var s step
	for _, part := range p.parts() {
		if err := p.drain(part, &s.out); err != nil {
			return step{err: err}
		}
		if result, ok := part.done(); ok {
			if _, gave := result.(handedOver); gave {
				p.gave = true
			} else {
				p.result = result
			}
		}
	}
	gaveAll, tookAll := p.old == nil || p.gave, p.new == nil || p.result != nil
	switch {
	case !gaveAll || !tookAll:
	case p.new != nil:
		s.result = p.result
	default:
		s.result = handedOver{}
	}
	return s
}

// drain takes the messages of one part, and keeps what the own other part must hear.
func (p *resharingParty) drain(part *libraryParty, out *[]outgoing) *libraryError {
	for {
		select {
		case msg := <-part.out:
			if msg.Type() == acknowledged {
				continue
			}
			bytes, _, err := msg.WireBytes()
			s, known := part.plan.byName(msg.Type())
			if err != nil || !known || s.broadcast != msg.IsBroadcast() {
				return &libraryError{cause: fmt.Errorf("unexpected message %s of the library", msg.Type())}
			}
			o := outgoing{spec: s, payload: bytes}
			if !s.broadcast {
				o.to = part.peers[string(msg.GetTo()[0].Key)]
			}
			if s.broadcast || o.to == p.self {
				own, err := tsslib.ParseWireMessage(bytes, msg.GetFrom(), s.broadcast)
				if err != nil {
					return &libraryError{cause: fmt.Errorf("own message: %w", err)}
				}
				p.local = append(p.local, checked{p.self, own})
			}
			if o.to != p.self {
				*out = append(*out, o)
			}
		default:
			return nil
		}
	}
}
