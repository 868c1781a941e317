package tss

import (
	"bytes"
	"math/big"
	"slices"

	"github.com/bnb-chain/tss-lib/v3/ecdsa/resharing"
	tsslib "github.com/bnb-chain/tss-lib/v3/tss"
	"github.com/ethereum/go-ethereum/common"
)

// handedKey is what the guard knows of a key that changes hands. The library compares only sums, and looks at the material of
// new members less than a key generation does; what it leaves out is read here.
type handedKey struct {
	public  point
	dealers map[common.Address]partyID // as the library knows them in their old part
	// constants are what the dealers' polynomials must be at zero, λ·X, and old the material of the old committee: both known
	// to holders of an old share only.
	constants map[common.Address]point
	old       []moduli
	// ssid is the library's name of the session, as this member's own old part made it of key and request; nil for others.
	ssid func() []byte
}

// maxSSID is a hash of the library, without leading zeros.
const maxSSID = 32

// reshareGuard reads the messages of a resharing.
func reshareGuard(s *session, req ReshareRequest, development bool) (*guard, error) {
	dealers, err := partyOrder(req.Dealers, req.OldEpoch)
	if err != nil {
		return nil, err
	}
	members, err := partyOrder(req.Members, req.Epoch)
	if err != nil {
		return nil, err
	}
	public, err := decompress(req.Public)
	if err != nil {
		return nil, err
	}
	g := &guard{
		plan: s.plan, threshold: req.Threshold, self: s.self, ids: namedParties(members, req.Epoch), sieve: newSieve(),
		known: map[common.Address]moduli{}, devModuli: development,
		handed: &handedKey{public: public, dealers: namedParties(dealers, req.OldEpoch), ssid: func() []byte { return s.dealt(s.self).GetSsid() }},
	}
	if req.PreParams != nil {
		g.known[s.self] = req.PreParams.moduli()
	}
	if req.Share != nil {
		g.handed.old, g.handed.constants = req.Share.committee(), constants(req.Share, dealers)
	}
	return g, nil
}

// constants are λ·X of each dealer.
func constants(share *KeyShare, dealers []common.Address) map[common.Address]point {
	var keys []*big.Int
	for _, d := range dealers {
		keys = append(keys, partyKey(d, share.epoch))
	}
	out := map[common.Address]point{}
	for i, d := range dealers {
		out[d] = share.parties[slices.Index(share.members, d)].x.times(weight(keys, i))
	}
	return out
}

// id is the library's name of a sender in the part in which it says such a message.
func (g *guard) id(s spec, from common.Address) partyID {
	switch s.kind {
	case typeReshare1, typeReshare3Direct, typeReshare3:
		return g.handed.dealers[from]
	}
	return g.ids[from]
}

// readReshare reads a message of resharing, and reports whether it is one.
func (g *guard) readReshare(r *reading, from common.Address, content tsslib.MessageContent) bool {
	if g.handed == nil {
		return false
	}
	switch m := content.(type) {
	case *resharing.DGRound1Message:
		r.point("payer.point", m.GetEcdsaPubX(), m.GetEcdsaPubY())
		claimed := point{new(big.Int).SetBytes(m.GetEcdsaPubX()), new(big.Int).SetBytes(m.GetEcdsaPubY())}
		r.want("payer", claimed.equal(g.handed.public))
		r.hash("commitment", m.GetVCommitment())
		r.want("session", len(m.GetSsid()) > 0 && len(m.GetSsid()) <= maxSSID)
		if own := g.handed.ssid(); own != nil {
			r.want("session", bytes.Equal(own, m.GetSsid()))
		}

	case *resharing.DGRound2Message1:
		g.readMaterial(r, from, m)
		r.want("moduli.stale", r.broken != "" || !stale(g.known[from], g.handed.old))
		if r.broken == "" {
			r.modProof(m.GetModProof(), g.known[from].N)
		}

	case *resharing.DGRound3Message1:
		r.scalar("share", m.GetShare())

	case *resharing.DGRound3Message2:
		list := m.GetVDecommitment()
		r.decommitment("polynomial", list, g.threshold)
		if want, held := g.handed.constants[from]; held && r.broken == "" {
			// Otherwise only the sum would be wrong, which names nobody.
			r.want("polynomial.constant", want.equal(point{new(big.Int).SetBytes(list[1]), new(big.Int).SetBytes(list[2])}))
		}

	case *resharing.DGRound4Message1:
		r.facProof(m.GetFacProof(), g.known[from].N, g.known[g.self].NTilde)

	case *resharing.DGRound4Message2:
		// It says nothing but that it was sent.

	default:
		return false
	}
	return true
}

// acrossReshare compares what the dealers say of the session, which the library does for all but one of them, and what the new
// members bring.
func (s *session) acrossReshare(round uint8) *Outcome {
	switch round {
	case 1:
		// A dealer has compared with its own already. To who joins, two that differ look alike.
		first := s.cast.dealers[0]
		for _, d := range s.cast.dealers[1:] {
			if !bytes.Equal(s.dealt(first).GetSsid(), s.dealt(d).GetSsid()) {
				return unattributed("session", first, d)
			}
		}
	case 2:
		return s.compareMaterial(typeReshare2, s.cast.listeners)
	}
	return nil
}

// dealt is what a dealer said in round 1; nil when it said nothing that can be read.
func (s *session) dealt(dealer common.Address) *resharing.DGRound1Message {
	env, said := s.held[slot{1, typeReshare1, common.Address{}, dealer}]
	id, deals := s.guard.handed.dealers[dealer]
	if !said || !deals {
		return nil
	}
	msg, err := tsslib.ParseWireMessage(env.Payload, id, true)
	if err != nil {
		return nil
	}
	m, _ := msg.Content().(*resharing.DGRound1Message)
	return m
}
