package node

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
	"conclave/quorum/batch"
)

// maxOpenPerMember bounds the undecided withdrawals on which one member's verdicts are held. An honest member has as many
// as the Relay has open requests; a lying one fills its own share and nobody else's.
const maxOpenPerMember = 8192

// pool holds what members said about undecided things. It belongs to the core. After a restart verdicts are
// taken from the ledger, own ones and others'; views come by gossip again.
type pool struct {
	roster quorum.Roster
	policy quorum.PolicyRef

	approvals map[uint64]map[common.Address]quorum.Signed[quorum.Approve]
	refusals  map[uint64]map[common.Address]quorum.Signed[quorum.Refuse]
	held      map[common.Address]int
	views     map[common.Address]quorum.Signed[quorum.View]

	pay    map[uint64]quorum.Certificate
	refuse map[uint64]quorum.RefusalCertificate

	raws  map[common.Hash]bool // digests of all statements that are held
	books map[uint64]booked    // what the own books say of certified withdrawals
}

// booked is a withdrawal as the own books have it.
type booked struct {
	content quorum.Content
	hash    common.Hash
}

func newPool(roster quorum.Roster, policy quorum.PolicyRef) *pool {
	return &pool{
		roster: roster, policy: policy,
		approvals: map[uint64]map[common.Address]quorum.Signed[quorum.Approve]{},
		refusals:  map[uint64]map[common.Address]quorum.Signed[quorum.Refuse]{},
		held:      map[common.Address]int{},
		views:     map[common.Address]quorum.Signed[quorum.View]{},
		pay:       map[uint64]quorum.Certificate{},
		refuse:    map[uint64]quorum.RefusalCertificate{},
		raws:      map[common.Hash]bool{},
		books:     map[uint64]booked{},
	}
}

// addApproval keeps the first approval of a member for a withdrawal and reports whether it is new.
func (p *pool) addApproval(s quorum.Signed[quorum.Approve]) bool {
	b := s.Body()
	if b.Epoch != p.roster.Epoch || b.Policy != p.policy || !keep(p, p.approvals, b.WID, s) {
		return false
	}
	if _, done := p.pay[b.WID]; done {
		return true
	}
	all := make([]quorum.Signed[quorum.Approve], 0, len(p.approvals[b.WID]))
	for _, a := range p.approvals[b.WID] {
		all = append(all, a)
	}
	if cert, ok := quorum.Certify(p.roster, all); ok {
		p.pay[b.WID] = cert
	}
	return true
}

// addRefusal is addApproval for refusals.
func (p *pool) addRefusal(s quorum.Signed[quorum.Refuse]) bool {
	b := s.Body()
	if b.Epoch != p.roster.Epoch || b.Policy != p.policy || !keep(p, p.refusals, b.WID, s) {
		return false
	}
	if _, done := p.refuse[b.WID]; done {
		return true
	}
	all := make([]quorum.Signed[quorum.Refuse], 0, len(p.refusals[b.WID]))
	for _, r := range p.refusals[b.WID] {
		all = append(all, r)
	}
	if cert, ok := quorum.CertifyRefusal(p.roster, all); ok {
		p.refuse[b.WID] = cert
	}
	return true
}

// keep stores the first statement of a signer about a withdrawal, within the signer's share.
func keep[T quorum.Body](p *pool, in map[uint64]map[common.Address]quorum.Signed[T], wid uint64, s quorum.Signed[T]) bool {
	if _, known := in[wid][s.Signer()]; known || p.held[s.Signer()] >= maxOpenPerMember {
		return false
	}
	if in[wid] == nil {
		in[wid] = map[common.Address]quorum.Signed[T]{}
	}
	in[wid][s.Signer()] = s
	p.held[s.Signer()]++
	p.raws[crypto.Keccak256Hash(s.Bytes())] = true
	return true
}

// holds reports whether these very bytes are held. What is held was verified.
func (p *pool) holds(raw []byte) bool { return p.raws[crypto.Keccak256Hash(raw)] }

// addView keeps a member's latest view and reports whether it is the latest.
func (p *pool) addView(s quorum.Signed[quorum.View]) bool {
	old, ok := p.views[s.Signer()]
	if s.Body().Epoch != p.roster.Epoch || (ok && old.Body().Time >= s.Body().Time) {
		return false
	}
	p.views[s.Signer()] = s
	return true
}

// viewList returns the latest views in the members' order.
func (p *pool) viewList() []quorum.Signed[quorum.View] {
	var out []quorum.Signed[quorum.View]
	for _, id := range p.roster.IDs() {
		if v, ok := p.views[id]; ok {
			out = append(out, v)
		}
	}
	return out
}

// statements is what members said about one withdrawal, in the members' order.
func statements[T quorum.Body](p *pool, by map[common.Address]quorum.Signed[T]) (out [][]byte) {
	for _, id := range p.roster.IDs() {
		if s, ok := by[id]; ok {
			out = append(out, s.Bytes())
		}
	}
	return out
}

// drop forgets everything about a decided withdrawal.
func (p *pool) drop(wid uint64) {
	for signer, s := range p.approvals[wid] {
		p.held[signer]--
		delete(p.raws, crypto.Keccak256Hash(s.Bytes()))
	}
	for signer, s := range p.refusals[wid] {
		p.held[signer]--
		delete(p.raws, crypto.Keccak256Hash(s.Bytes()))
	}
	delete(p.approvals, wid)
	delete(p.refusals, wid)
	delete(p.pay, wid)
	delete(p.refuse, wid)
	delete(p.books, wid)
}

// bookedOn is what the own books say of a certified withdrawal. They are asked until they know it, and then no more: what they say of a
// withdrawal never changes, and a batch is built many times while a thousand wait.
func (p *pool) bookedOn(wid uint64, network common.Hash, content func(wid uint64) (quorum.Content, bool)) (booked, bool) {
	b, ok := p.books[wid]
	if !ok {
		if b.content, ok = content(wid); ok {
			b.hash = b.content.Hash(network)
			p.books[wid] = b
		}
	}
	return b, ok
}

// candidates returns what is certified and not decided. content gives the fields behind a certified hash, from the own
// books: a node that was shown something else has nothing to carry, and others carry it.
func (p *pool) candidates(network common.Hash, content func(wid uint64) (quorum.Content, bool)) []batch.Candidate {
	var out []batch.Candidate
	for wid, cert := range p.pay {
		if b, ok := p.bookedOn(wid, network, content); ok && b.hash == cert.Unchecked().Content {
			out = append(out, batch.Candidate{Content: b.content, Pay: &cert})
		}
	}
	for wid, cert := range p.refuse {
		if b, ok := p.bookedOn(wid, network, content); ok && b.hash == cert.Unchecked().Content {
			out = append(out, batch.Candidate{Content: b.content, Refuse: &cert})
		}
	}
	return out
}
