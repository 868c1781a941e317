package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
)

// Version is the program's version, as `conclave version` and custodian_status show it.
const Version = "0.1.0"

// Status is what custodian_status answers.
type Status struct {
	Node    NodeStatus     `json:"node"`
	Version string         `json:"version"`
	Network NetworkStatus  `json:"network"`
	Epoch   uint64         `json:"epoch"`
	Quorum  int            `json:"quorum"`
	Members []MemberStatus `json:"members"`
	Books   BooksStatus    `json:"books"`
	Lanes   []LaneStatus   `json:"lanes"`
	Height  uint64         `json:"height"`
	Round   RoundStatus    `json:"agreement"`
	Signing *SigningStatus `json:"signing,omitempty"`
	Session SessionStats   `json:"sessions"`
	Keygen  *KeygenStatus  `json:"keygen,omitempty"`
	Member  bool           `json:"member"`  // this node is one of the committee in force
	Removed bool           `json:"removed"` // it was one, and is not any more
	Halted  bool           `json:"halted"`
	Vault   *VaultStatus   `json:"vault,omitempty"`
	Silence *SilenceStatus `json:"silence,omitempty"` // what this node may not sign; absent when nothing is barred
	Refused []Refused      `json:"refused"`           // members' messages that broke their contract
	Reasons []Reason       `json:"reasons"`
}

// NodeStatus says which node answers.
type NodeStatus struct {
	Name    string         `json:"name"`
	Address common.Address `json:"address"`
	Uptime  string         `json:"uptime"`
	Time    time.Time      `json:"time"`
}

// NetworkStatus says which network it serves.
type NetworkStatus struct {
	Name   string      `json:"name"`
	ID     common.Hash `json:"id"`
	Policy uint64      `json:"policy"`
}

// MemberStatus is one member as this node sees it.
type MemberStatus struct {
	Name      string         `json:"name"`
	Address   common.Address `json:"address"`
	Peer      []string       `json:"peer"`
	Self      bool           `json:"self"`
	Connected bool           `json:"connected"`
	LastSeen  *time.Time     `json:"last_seen"`
	Settled   uint64         `json:"settled_id"`
	Height    uint64         `json:"height"`
	Halted    bool           `json:"halted"`
}

// BooksStatus is the books in a few numbers.
type BooksStatus struct {
	LastID      uint64      `json:"last_id"`
	SettledID   uint64      `json:"settled_id"`
	Gaps        int         `json:"gaps"`
	Root        common.Hash `json:"root"`
	Events      uint64      `json:"events"`
	Accounts    uint64      `json:"accounts"`
	Frozen      uint64      `json:"frozen_accounts"`
	Liabilities string      `json:"liabilities"`
	Uncovered   string      `json:"uncovered"`
	Held        bool        `json:"intake_held"`
}

// LaneStatus is one lane with its payer.
type LaneStatus struct {
	Network  string          `json:"network"`
	ChainID  uint64          `json:"chain_id"`
	Token    common.Address  `json:"token"`
	Way      string          `json:"way"`       // single, or batch
	Allowed  string          `json:"allowance"` // what the contract of a batch lane may take of a token at the final block; 0 elsewhere
	Payer    *common.Address `json:"payer"`
	Nonce    uint64          `json:"nonce"`     // final
	Next     uint64          `json:"next"`      // of the next decision
	InFlight uint64          `json:"in_flight"` // decided, not final
	Balance  string          `json:"balance"`
	Gas      string          `json:"gas"`
	Queue    int             `json:"queue"` // certified, undecided
	Block    uint64          `json:"final_block"`
	Flows    []FlowStatus    `json:"flows"` // what was there, came, went and is left, by token

	Endpoints []EndpointStatus `json:"endpoints"` // in the order of the configuration; empty when there is one
}

// RoundStatus is the running height.
type RoundStatus struct {
	Height   uint64           `json:"height"`
	Round    uint64           `json:"round"`
	Step     string           `json:"step"`
	Proposer common.Address   `json:"proposer"`
	Silent   []common.Address `json:"silent"`
}

// SigningStatus is the slot that is being signed.
type SigningStatus struct {
	Height  uint64           `json:"height"`
	Nonce   uint64           `json:"nonce"`
	Attempt uint64           `json:"attempt"`
	Ready   []common.Address `json:"ready"`
	Live    bool             `json:"live"`
}

// Reason is why something does not go on, and what a person can do.
type Reason struct {
	Code  string     `json:"code"`
	Text  string     `json:"text"`
	Since *time.Time `json:"since,omitempty"`
	Hint  string     `json:"hint,omitempty"`
}

// Health is what custodian_health and /readyz answer.
type Health struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons"`
}

// Status describes the node. It asks the core, so it also shows that the core lives.
func (n *Node) Status(ctx context.Context) (Status, error) {
	s := Status{
		Node:    NodeStatus{Address: n.self, Time: n.now().UTC(), Uptime: n.now().Sub(n.started).Round(time.Second).String()},
		Version: Version,
		Network: NetworkStatus{Name: n.genesis.Name, ID: n.network, Policy: n.policy().Version},
	}
	if err := n.core.ask(ctx, func() { n.core.describe(&s) }); err != nil {
		return Status{}, err
	}
	err := n.led.View(func(tx *ledger.Tx) error { return errors.Join(n.describeBooks(tx, &s), n.describeFlows(tx, &s)) })
	if err != nil {
		return Status{}, err
	}
	for i, l := range s.Lanes {
		s.Lanes[i].Endpoints = n.watchers[l.Network].endpoints()
	}
	s.Books.Gaps = n.intake.gaps()
	s.Refused = n.refusals.list()
	s.Vault = n.vaultStatus()
	s.Reasons = n.reasons(s)
	return s, nil
}

// describe fills what the core knows.
func (c *core) describe(s *Status) {
	s.Epoch, s.Quorum, s.Height = c.state.Roster.Epoch, c.state.Roster.Q(), c.state.Height
	s.Halted = c.halted()
	s.Silence = c.describeSilence()
	st := agreement.Status{Height: c.state.Height + 1}
	if c.agree != nil {
		st = c.agree.Status()
	}
	s.Round = RoundStatus{Height: st.Height, Round: st.Round, Step: st.Step.String(), Proposer: st.Proposer, Silent: []common.Address{}}
	if st.Step != agreement.StepWaiting {
		s.Round.Silent = append(s.Round.Silent, st.Silent...)
	}
	c.describeMembers(s)
	c.describeLanes(s)
	if c.signer != nil {
		s.Session = c.signer.sessions
	}
	if c.signer != nil && c.signer.attempts.Slot() != nil {
		slot := c.signer.attempts.Slot()
		s.Signing = &SigningStatus{Height: slot.Height, Nonce: slot.Nonce, Attempt: c.signer.attempts.Attempt(),
			Ready: append([]common.Address{}, c.signer.attempts.Ready()...), Live: c.signer.attempts.Live()}
	}
	s.Member = c.member()
	s.Removed = !s.Member && c.ruledBefore()
	if f := c.ceremony; f != nil {
		s.Keygen = f.describe(c)
	}
}

func (c *core) describeMembers(s *Status) {
	peers := map[common.Address]MemberStatus{}
	for _, p := range c.net.Peers() {
		m := MemberStatus{Connected: p.Connected}
		if !p.LastSeen.IsZero() {
			at := p.LastSeen.UTC()
			m.LastSeen = &at
		}
		peers[p.Address] = m
	}
	for _, m := range c.state.Roster.Members {
		out := peers[m.Address]
		out.Name, out.Address, out.Peer, out.Self = m.Name, m.Address, m.Multiaddrs, m.Address == c.self
		out.Connected = out.Connected || out.Self
		if v, ok := c.pool.views[m.Address]; ok {
			out.Settled, out.Height = v.Body().Settled, v.Body().Height
			at := time.UnixMilli(int64(v.Body().Time)).UTC()
			out.LastSeen = &at
		}
		s.Members = append(s.Members, out)
		if out.Self {
			s.Node.Name = m.Name
		}
	}
}

func (c *core) describeLanes(s *Status) {
	for _, l := range c.state.Lanes {
		out := LaneStatus{Network: l.Network, ChainID: l.ChainID, Token: l.Token, Way: l.Way, Allowed: "0", Balance: "0", Gas: "0", Flows: []FlowStatus{}}
		if c.state.Founded() {
			payer, key := c.state.Payer, l.Key(c.state.Payer)
			out.Payer, out.Next = &payer, c.state.NextNonce(key.Nonces())
			if f, ok := c.lanes[l.Network]; ok {
				out.Nonce, out.Block = f.view.Nonce, f.view.Block
				out.Balance, out.Gas, out.Allowed = f.view.Balance.Dec(), f.view.Gas.Dec(), f.view.Allowance.Dec()
				out.InFlight = out.Next - min(out.Next, out.Nonce)
			}
		}
		for wid := range c.pool.pay {
			if b, ok := c.pool.bookedOn(wid, c.network, c.content); ok && b.content.Network == l.Network {
				out.Queue++
			}
		}
		s.Lanes = append(s.Lanes, out)
	}
}

func (n *Node) describeBooks(tx *ledger.Tx, s *Status) error {
	t, err := tx.Totals()
	if err != nil {
		return err
	}
	s.Books = BooksStatus{LastID: t.LastID, SettledID: t.SettledID, Root: t.Root, Events: t.Events, Accounts: t.Accounts,
		Frozen: tx.FrozenAccounts(), Liabilities: t.Liabilities.Dec(), Uncovered: t.Uncovered.Dec()}
	if _, s.Books.Held, err = tx.HoldSince(); err != nil {
		return err
	}
	halted := map[common.Address]bool{}
	err = tx.Halts(func(h ledger.HaltRecord) error {
		halted[h.Signer] = halted[h.Signer] || h.Stands()
		return nil
	})
	for i := range s.Members {
		s.Members[i].Halted = halted[s.Members[i].Address]
	}
	return err
}

// reasons collects why payouts do not go on: the alerts that stand, and what the numbers say.
func (n *Node) reasons(s Status) []Reason {
	out := []Reason{}
	if len(s.Members) < 4 {
		out = append(out, Reason{Code: "small-committee", Text: "one node down stops payouts: a committee of 2 or 3 is for pilots only"})
	}
	connected := 0
	for _, m := range s.Members {
		if m.Connected {
			connected++
		}
	}
	if s.Member && connected < s.Quorum {
		out = append(out, Reason{Code: "no-quorum", Text: fmt.Sprintf("%d of %d members are connected, %d are needed: nothing can be decided or signed", connected, len(s.Members), s.Quorum),
			Hint: "ask the operators of the missing members"})
	}
	out = append(out, s.changeReasons(n.connected())...)
	if s.Halted {
		out = append(out, Reason{Code: "halted", Text: "this node's fuse or f+1 halts stop verdicts and signing", Hint: "conclave resume --local mends this node's own fuse; once f+1 members halted, q operators sign conclave resume --halts all"})
	}
	out = append(out, s.Vault.reasons()...)
	out = append(out, s.Silence.reasons(s)...)
	if s.Books.Held {
		out = append(out, Reason{Code: "intake-held", Text: "debits without credit exceed the policy's maximum: no further event is booked", Hint: "see conclave alerts"})
	}
	for _, r := range n.alerts.reasons() {
		if r.Code == codeSealed || r.Code == codeLockedOut {
			continue // said above
		}
		if s.Silence == nil || (r.Code != codeQuarantined && r.Code != codeUnanswered) { // said above, with what ends it
			out = append(out, r)
		}
	}
	return out
}

// notReady lists the reasons that make a node unready, as opposed to those that an operator should merely know.
var notReady = map[string]bool{reasonInvited: true, codeRemoved: true, "no-quorum": true, "no-key": true, "halted": true, codeSealed: true, codeLockedOut: true, reasonAsking: true, codeQuarantined: true, "intake-held": true, codeRelayDown: true, codeChainDown: true, codeNoShare: true}

// Health says whether the node can do its part now.
func (n *Node) Health(ctx context.Context) (Health, error) {
	s, err := n.Status(ctx)
	if err != nil {
		return Health{}, err
	}
	h := Health{Ready: true, Reasons: []Reason{}}
	for _, r := range s.Reasons {
		if notReady[r.Code] {
			h.Ready = false
			h.Reasons = append(h.Reasons, r)
		}
	}
	return h, nil
}

// Peer is one other member's connection.
type Peer struct {
	Address    common.Address `json:"address"`
	Multiaddrs []string       `json:"multiaddrs"`
	Connected  bool           `json:"connected"`
	Since      time.Time      `json:"since"`
	Refused    uint64         `json:"refused"`
	Throttled  uint64         `json:"throttled"`
	Dropped    uint64         `json:"dropped"`
}

// Peers lists the connections.
func (n *Node) Peers() []Peer {
	out := []Peer{}
	for _, p := range n.net.Peers() {
		out = append(out, Peer{p.Address, p.Multiaddrs, p.Connected, p.Since.UTC(), p.Refused, p.Throttled, p.Dropped})
	}
	return out
}

// Alerts lists what called for people.
func (n *Node) Alerts() []Alert { return n.alerts.list() }

// AlertsRaised counts what called for people since the process began, in no order.
func (n *Node) AlertsRaised() []AlertCount { return n.alerts.raised() }

// Halt blows this node's fuse on its operator's word.
func (n *Node) Halt(ctx context.Context, reason string) error {
	var tripped error
	err := n.core.ask(ctx, func() { tripped = n.core.tripScope(quorum.ScopeAll, "", "operator", reason) })
	return errors.Join(err, tripped)
}

// Resume mends this node's fuse on its operator's word. It fails with [ledger.ErrNotFound] when nothing is blown and with
// [ledger.ErrNetworkHalted] when f+1 members have halted.
func (n *Node) Resume(ctx context.Context, reason string) error {
	var err error
	if asked := n.core.ask(ctx, func() { err = n.core.clear(reason) }); asked != nil {
		return asked
	}
	return err
}

// Founded waits until the committee has a key, reporting the ceremony's progress, and returns the payer.
func (n *Node) Founded(ctx context.Context, progress func(KeygenStatus)) (common.Address, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := n.Status(ctx)
		if err != nil {
			return common.Address{}, err
		}
		if s.Lanes[0].Payer != nil {
			return *s.Lanes[0].Payer, nil
		}
		if s.Keygen != nil { // a newcomer's is over before its node has read the decision
			progress(*s.Keygen)
		}
		select {
		case <-ctx.Done():
			return common.Address{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// Roster returns the members in force.
func (n *Node) Roster(ctx context.Context) (r quorum.Roster, err error) {
	err = n.core.ask(ctx, func() { r = n.core.state.Roster })
	return r, err
}
