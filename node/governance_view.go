package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
)

// refusedAction counts members' messages about actions that broke their contract.
const refusedAction = "action"

// governance takes a frame about actions. What is not even shaped like one costs its sender's goroutine, not the core.
func (n *Node) governance(from common.Address, frame []byte) {
	var m govMsg
	err := unmarshal(frame, &m)
	if err == nil && len(m.Held) > maxHeld {
		err = fmt.Errorf("%w: %d held actions", errFrame, len(m.Held))
	}
	if err != nil {
		n.refusals.add(from, refusedAction, err)
		return
	}
	n.take(from, func() {
		if err := n.core.hearGovernance(from, m); err != nil {
			n.refusals.add(from, refusedAction, err)
		}
	})
}

// Errors of the operators' questions.
var (
	// ErrAction means that what was submitted cannot be decided here; the text says why.
	ErrAction = errProposal
	// ErrTarget means that a halt's lane or account does not exist here.
	ErrTarget = errors.New("nothing here has that name")
)

// CommitteeView is what operators sign against: the network, its members, the place in history of the next action.
type CommitteeView struct {
	Network       common.Hash    `json:"network_id"`
	Name          string         `json:"name"`
	Epoch         uint64         `json:"epoch"`
	Height        uint64         `json:"height"`
	Need          int            `json:"need"` // operators' signatures under an action
	Members       []OperatorView `json:"members"`
	Records       []RecordView   `json:"records"`         // of the members, whole
	Deletions     []DeletionView `json:"deletions"`       // of the shares of the epoch before, by who held one
	Sweep         *SweepView     `json:"sweep,omitempty"` // behind a removal for cause, until the old payer is empty
	PolicyVersion uint64         `json:"policy_version"`
	PolicyHash    common.Hash    `json:"policy_hash"`
	PolicyFile    string         `json:"policy_file"`
	Serial        uint64         `json:"serial"`       // of the last decided action
	ResumeDelay   uint64         `json:"resume_delay"` // ms between the halts' median time and the operators'
	Halts         []HaltView     `json:"halts"`        // that stand, as this node knows them
	Decided       []DecidedView  `json:"decided"`      // the last actions, the newest first
}

// OperatorView is one member's operator.
type OperatorView struct {
	Name     string         `json:"name"`
	Member   common.Address `json:"member"`
	Operator common.Address `json:"operator"`
}

// HaltView is a halt that stands.
type HaltView struct {
	ID        common.Hash    `json:"id"`
	Member    common.Address `json:"member"`
	Name      string         `json:"name"`
	Scope     string         `json:"scope"`
	Target    string         `json:"target"`
	Code      string         `json:"code"`
	Reason    string         `json:"reason"`
	Time      time.Time      `json:"time"`
	Statement string         `json:"statement"` // 0x-hex: the signed HALT, which a RESUME carries
}

// DecidedView is a decided action.
type DecidedView struct {
	Serial uint64 `json:"serial"`
	Kind   string `json:"kind"`
	Height uint64 `json:"height"`
}

// ProposalView is an action that operators signed and that is not decided yet.
type ProposalView struct {
	Hash    common.Hash    `json:"hash"`
	Kind    string         `json:"kind"`
	Epoch   uint64         `json:"epoch"`
	Policy  uint64         `json:"policy_version"`
	Serial  uint64         `json:"serial"`
	Signed  []OperatorView `json:"signed"`
	Missing []OperatorView `json:"missing"`
	Need    int            `json:"need"`
	Waits   string         `json:"waits"`            // why it is not decided; empty when nothing is known to be in its way
	Change  *ChangeView    `json:"change,omitempty"` // of a MEMBERS
	RLP     string         `json:"rlp"`              // 0x-hex of the action with its signatures: what it does is read from these bytes
}

// maxDecidedShown bounds the list of decided actions in one answer.
const maxDecidedShown = 20

// Committee describes what operators sign against.
func (n *Node) Committee(ctx context.Context) (CommitteeView, error) {
	out := CommitteeView{Network: n.network, Name: n.genesis.Name, Members: []OperatorView{}, Records: []RecordView{}, Halts: []HaltView{}, Decided: []DecidedView{}}
	err := n.core.ask(ctx, func() {
		s := n.core.state
		out.Epoch, out.Height, out.Need, out.Serial = s.Roster.Epoch, s.Height, s.Roster.Q(), s.Serial
		out.PolicyVersion, out.PolicyHash, out.ResumeDelay = s.Policy.Version, s.Policy.Hash, uint64(s.Policy.ResumeDelay.Milliseconds())
		for _, m := range s.Roster.Members {
			out.Members = append(out.Members, OperatorView{m.Name, m.Address, m.Operator})
			out.Records = append(out.Records, ViewRecord(m))
		}
		out.Sweep = n.core.viewSweep()
	})
	if err != nil {
		return out, err
	}
	err = n.led.View(func(tx *ledger.Tx) (err error) {
		out.PolicyFile = n.genesis.Policy
		if out.Deletions, err = deletionsOf(tx, out.Epoch); err != nil {
			return err
		}
		if p, ok, err := tx.PolicyInForce(); err != nil {
			return err
		} else if ok {
			out.PolicyFile = string(p.File)
		}
		err = tx.Halts(func(h ledger.HaltRecord) error {
			if h.Stands() {
				out.Halts = append(out.Halts, HaltView{h.ID, h.Signer, n.nameOf(h.Signer), h.Halt.Scope.String(), h.Halt.Target,
					h.Halt.Code, h.Halt.Reason, time.UnixMilli(int64(h.Halt.Time)).UTC(), hexBytes(h.Raw)})
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Actions(func(a ledger.DecidedAction) error {
			out.Decided = append(out.Decided, DecidedView{a.Serial, a.Kind.String(), a.Height})
			return nil
		})
	})
	slices.Reverse(out.Decided)
	out.Decided = out.Decided[:min(len(out.Decided), maxDecidedShown)]
	return out, err
}

// Proposals lists the actions that are not decided yet, by serial.
func (n *Node) Proposals(ctx context.Context) ([]ProposalView, error) {
	out := []ProposalView{}
	err := n.core.ask(ctx, func() {
		for _, p := range n.core.proposals.sorted() {
			out = append(out, n.core.viewProposal(p))
		}
	})
	return out, err
}

// Proposal returns one; it fails with [ErrUnknown].
func (n *Node) Proposal(ctx context.Context, hash common.Hash) (ProposalView, error) {
	var out ProposalView
	var ok bool
	err := n.core.ask(ctx, func() {
		var p *proposal
		if p, ok = n.core.proposals[hash]; ok {
			out = n.core.viewProposal(p)
		}
	})
	if err == nil && !ok {
		err = fmt.Errorf("action %s: %w: it is decided, given up, or nobody signed it", hash, ErrUnknown)
	}
	return out, err
}

// Submit takes a signed action from an operator, 0x-hex of its RLP. It fails with [ErrAction].
func (n *Node) Submit(ctx context.Context, text string) (ProposalView, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return ProposalView{}, fmt.Errorf("%w: want 0x and hex digits", ErrAction)
	}
	s, err := quorum.DecodeSignedAction(raw)
	if err != nil {
		return ProposalView{}, fmt.Errorf("%w: %w", ErrAction, err)
	}
	return n.submit(ctx, func() (quorum.SignedAction, error) { return s, nil })
}

// Endorse adds an operator's signature, given at a time in unix ms, to an action that this node holds.
func (n *Node) Endorse(ctx context.Context, hash common.Hash, at uint64, sig quorum.Signature) (ProposalView, error) {
	return n.submit(ctx, func() (quorum.SignedAction, error) {
		p, ok := n.core.proposals[hash]
		if !ok {
			return quorum.SignedAction{}, fmt.Errorf("action %s: %w: it is decided, given up, or nobody signed it", hash, ErrUnknown)
		}
		return quorum.SignedAction{Action: p.v.Action(), Signatures: []quorum.Endorsed{{Time: at, Sig: sig}}}, nil
	})
}

func (n *Node) submit(ctx context.Context, what func() (quorum.SignedAction, error)) (out ProposalView, err error) {
	asked := n.core.ask(ctx, func() {
		var s quorum.SignedAction
		if s, err = what(); err != nil {
			return
		}
		var p *proposal
		if p, err = n.core.propose(s); err == nil {
			out = n.core.viewProposal(p)
		}
	})
	if asked != nil {
		return out, asked
	}
	return out, err
}

func (c *core) viewProposal(p *proposal) ProposalView {
	a := p.v.Action()
	out := ProposalView{Hash: p.hash, Kind: a.Kind.String(), Epoch: a.Epoch, Policy: a.Policy, Serial: a.Serial, Signed: []OperatorView{},
		Missing: []OperatorView{}, Need: c.state.Roster.Q(), Change: c.viewChange(p), RLP: hexBytes(p.v.Signed().Encode())}
	by := p.v.Operators()
	for _, m := range c.state.Roster.Members {
		v := OperatorView{m.Name, m.Address, m.Operator}
		if slices.Contains(by, m.Operator) {
			out.Signed = append(out.Signed, v)
		} else {
			out.Missing = append(out.Missing, v)
		}
	}
	if len(out.Signed) < out.Need {
		out.Waits = fmt.Sprintf("%d of %d operators signed", len(out.Signed), out.Need)
	} else if out.Change != nil && out.Change.State != changeWaits {
		out.Waits = out.Change.waits()
	} else if word, ok := p.v.Body().(quorum.Readmit); ok {
		out.Waits = c.readmitWaits(p, word)
	} else if _, err := c.state.BuildAction(p.v, c.pool.viewList()); err != nil {
		out.Waits = err.Error()
	}
	return out
}

// CaseView is what a RESOLVE needs to know of withdrawals and accounts, as this node's books have them.
type CaseView struct {
	Contents []FateView    `json:"contents"`
	Accounts []RewriteView `json:"accounts"`
}

// FateView is a withdrawal with every field that its content hash covers.
type FateView struct {
	WID     uint64         `json:"wid"`
	Account common.Address `json:"account"`
	Network string         `json:"network"`
	Token   common.Address `json:"token"`
	To      common.Address `json:"to"`
	Amount  string         `json:"amount"`
	Fee     string         `json:"fee"`
	EventID uint64         `json:"event_id"`
	Message common.Hash    `json:"message"`
	Spent   []uint64       `json:"spent"` // the account's decided withdrawals so far
	Pay     bool           `json:"pay"`   // to be filled in; false in what a node answers
}

// Fate is the view as operators sign it. It fails on malformed amounts.
func (v FateView) Fate() (quorum.Fate, error) {
	amount, okA := quorum.ParseWei(v.Amount)
	fee, okF := quorum.ParseWei(v.Fee)
	if !okA || !okF {
		return quorum.Fate{}, fmt.Errorf("withdrawal %d: amounts %q and %q are not in wei", v.WID, v.Amount, v.Fee)
	}
	return quorum.Fate{Pay: v.Pay, Spent: v.Spent, Content: quorum.Content{WID: v.WID, Account: v.Account, Network: v.Network, Token: v.Token,
		To: v.To, Amount: amount, Fee: fee, EventID: v.EventID, Message: v.Message}}, nil
}

// RewriteView is an account's debits up to an id.
type RewriteView struct {
	Account common.Address `json:"account"`
	UpTo    uint64         `json:"up_to"`
	Debits  []DebitView    `json:"debits"`
}

// Rewrite is the view as operators sign it.
func (v RewriteView) Rewrite() quorum.Rewrite {
	out := quorum.Rewrite{Account: v.Account, UpTo: v.UpTo}
	for _, d := range v.Debits {
		out.Debits = append(out.Debits, quorum.Debit{ID: d.ID, Kind: d.Kind, Amount: d.Amount})
	}
	return out
}

// DebitView is one debit.
type DebitView struct {
	ID     uint64 `json:"id"`
	Kind   uint8  `json:"type"`
	Amount string `json:"amount"`
}

// CaseQuery names what a RESOLVE is about.
type CaseQuery struct {
	Withdrawals []uint64         `json:"withdrawals"`
	Accounts    []common.Address `json:"accounts"`
	UpTo        uint64           `json:"up_to"` // 0: up to the last settled event
}

// Case answers a [CaseQuery] from the own books. It fails with [ErrUnknown] for what they do not hold.
func (n *Node) Case(q CaseQuery) (CaseView, error) {
	out := CaseView{Contents: []FateView{}, Accounts: []RewriteView{}}
	if len(q.Withdrawals) > quorum.MaxResolved || len(q.Accounts) > quorum.MaxResolved {
		return out, fmt.Errorf("%w: at most %d withdrawals and accounts", ErrAction, quorum.MaxResolved)
	}
	err := n.led.View(func(tx *ledger.Tx) error {
		if q.UpTo == 0 {
			t, err := tx.Totals()
			if err != nil {
				return err
			}
			q.UpTo = t.SettledID
		}
		for _, wid := range q.Withdrawals {
			f, err := n.caseOf(tx, wid)
			if err != nil {
				return err
			}
			out.Contents = append(out.Contents, f)
		}
		for _, a := range q.Accounts {
			r := RewriteView{Account: a, UpTo: q.UpTo, Debits: []DebitView{}}
			debits, err := tx.DebitsUpTo(a, q.UpTo)
			if err != nil {
				return err
			}
			for _, d := range debits {
				r.Debits = append(r.Debits, DebitView{d.ID, d.Kind, d.Amount})
			}
			out.Accounts = append(out.Accounts, r)
		}
		return nil
	})
	return out, err
}

func (n *Node) caseOf(tx *ledger.Tx, wid uint64) (FateView, error) {
	w, ok, err := tx.Withdrawal(wid)
	if err != nil || !ok {
		return FateView{}, errors.Join(err, fmt.Errorf("withdrawal %d: %w", wid, ErrUnknown))
	}
	lane, ok := n.genesis.LaneOf(w.Network)
	if !ok {
		return FateView{}, fmt.Errorf("withdrawal %d: %w: no lane pays on %q", wid, ErrUnknown, w.Network)
	}
	c := w.Content(lane.Token)
	out := FateView{WID: c.WID, Account: c.Account, Network: c.Network, Token: c.Token, To: c.To, Amount: c.Amount.Dec(), Fee: c.Fee.Dec(),
		EventID: c.EventID, Message: c.Message, Spent: []uint64{}}
	err = tx.SpentOf(c.Account, func(s ledger.Spent) error { out.Spent = append(out.Spent, s.Content.WID); return nil })
	slices.Sort(out.Spent)
	return out, err
}

// HaltTarget is how much an operator's halt stops: a lane by its network's name, an account, or, when neither is named,
// everything.
type HaltTarget struct {
	Lane    string          `json:"lane,omitempty"`
	Account *common.Address `json:"account,omitempty"`
}

// HaltOn blows this node's fuse for a lane or an account, or for everything. It fails with [ErrTarget], and with
// [ledger.ErrFull] when hundreds of them are halted.
func (n *Node) HaltOn(ctx context.Context, t HaltTarget, reason string) error {
	scope, target := quorum.ScopeAll, ""
	switch {
	case t.Lane != "" && t.Account != nil:
		return fmt.Errorf("%w: a halt names a lane or an account", ErrTarget)
	case t.Lane != "":
		if _, ok := n.genesis.LaneOf(t.Lane); !ok {
			return fmt.Errorf("%w: lane %q", ErrTarget, t.Lane)
		}
		scope, target = quorum.ScopeLane, t.Lane
	case t.Account != nil:
		scope, target = quorum.ScopeAccount, t.Account.Hex()
	}
	var tripped error
	err := n.core.ask(ctx, func() { tripped = n.core.tripScope(scope, target, "operator", reason) })
	return errors.Join(err, tripped)
}
