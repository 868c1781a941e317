package node

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// KeygenStatus is a ceremony: the one before height 1, or that of a change of members.
type KeygenStatus struct {
	Epoch   uint64           `json:"epoch"`            // that it makes
	Change  *common.Hash     `json:"change,omitempty"` // the operators' action that it carries out
	Attempt uint64           `json:"attempt"`
	Round   int              `json:"round"`
	Rounds  int              `json:"rounds"`
	Missing []common.Address `json:"missing"` // who does not call for the attempt
	// Fingerprint is what people confirm before the key is made; empty in a change of members, which operators signed. Confirmed is
	// whether this node's operator did.
	Fingerprint string           `json:"fingerprint,omitempty"`
	Confirmed   bool             `json:"confirmed"`
	Members     []KeygenMember   `json:"members"`
	Shares      bool             `json:"shares"`           // the session is over: every new member signed its transcript
	Tried       []common.Address `json:"tried"`            // whose new share has signed a canary
	Failed      string           `json:"failed,omitempty"` // how the last attempt ended
	Done        bool             `json:"done"`             // all proofs are here: it is put to the vote
}

func (f *ceremony) describe(c *core) *KeygenStatus {
	s := &KeygenStatus{Epoch: f.target.Epoch, Attempt: f.attempt, Round: f.round, Rounds: f.rounds, Shares: f.key != nil || f.action != nil,
		Done: f.action != nil, Missing: []common.Address{}, Tried: []common.Address{}, Confirmed: f.confirmed(c), Members: f.describeStandings(c)}
	if f.founding() {
		s.Fingerprint = c.genesis.Fingerprint().Code()
	} else {
		s.Change = &f.hash
	}
	if f.failed != nil {
		s.Failed = f.failed.String()
	}
	for _, id := range f.party(c) {
		if call, ok := f.calls[id]; !s.Shares && (!ok || call.Attempt != f.attempt) {
			s.Missing = append(s.Missing, id)
		}
	}
	for _, id := range f.target.IDs() {
		if quorum.Covered(quorum.Members{id}, f.canaries) || f.action != nil {
			s.Tried = append(s.Tried, id)
		}
	}
	return s
}

// KeygenMember is one member of a ceremony, as this node knows it.
type KeygenMember struct {
	Name      string         `json:"name"`
	Member    common.Address `json:"member"`
	Connected bool           `json:"connected"`
	Confirmed bool           `json:"confirmed"` // its operator confirmed this fingerprint, or there is nothing to confirm
	Says      string         `json:"says"`      // how far it is, in its own words; empty when it said nothing of late
}

func nameIn(members []quorum.Member, id common.Address) string {
	for _, m := range members {
		if m.Address == id {
			return m.Name
		}
	}
	return id.Hex()
}

// Words say how far a member is, for people.
func (m KeygenMember) Words() string {
	switch {
	case m.Says != "":
		return m.Says
	case !m.Connected:
		return "not connected"
	case !m.Confirmed:
		return "has not confirmed"
	}
	return "connected"
}

// describeStandings lists who takes part: those who stay or join, then those who only hand the key on.
func (f *ceremony) describeStandings(c *core) []KeygenMember {
	connected := c.connected()
	names := append(c.links(), c.state.Roster.Members...)
	out := []KeygenMember{}
	for _, id := range f.party(c) {
		m := KeygenMember{Name: nameIn(names, id), Member: id, Connected: connected.Has(id), Confirmed: !f.founding()}
		heard, ok := f.standings[id]
		if id == c.self && f.confirmed(c) {
			heard, ok = heardStanding{f.standing(c), c.now()}, true
		}
		if ok && c.now().Sub(heard.at) <= standingFresh {
			m.Confirmed = !f.founding() || heard.Confirmed == c.genesis.Fingerprint()
			m.Says = heard.words()
		}
		out = append(out, m)
	}
	return out
}

// words say how far a member is.
func (m standingMsg) words() string {
	switch m.Stage {
	case stageSealed:
		return "its vault is sealed"
	case stageAsking:
		return "asks how far it has spoken"
	case stagePrimes:
		return fmt.Sprintf("looks for primes, %d s", m.Done/10*10) // in steps that people read
	case stageReady:
		return "ready"
	case stageRound:
		if m.Of == 0 {
			return "begins"
		}
		return fmt.Sprintf("round %d of %d", m.Done, m.Of)
	case stageShares:
		return "has its share, tries it"
	case stageProofs:
		return "has all proofs"
	}
	return "waits"
}
