package node

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// policy is the policy in force: that of the genesis document until a decision replaces it. Ask anew for each use: what
// was read before a decision is another policy's.
func (n *Node) policy() quorum.Policy { return *n.inForce.Load() }

// loadPolicy reads the policy that the last decision put in force, before anything runs.
func (n *Node) loadPolicy() error {
	var rec ledger.PolicyRecord
	var ok bool
	err := n.led.View(func(tx *ledger.Tx) (err error) { rec, ok, err = tx.PolicyInForce(); return err })
	if err != nil || !ok {
		return err
	}
	p, err := quorum.ParsePolicy(rec.File)
	if err != nil {
		return fmt.Errorf("policy in force: %w", err)
	}
	n.inForce.Store(&p)
	return nil
}

const (
	// maxProposed bounds the open actions that one operator's signature keeps alive: those that it signed last.
	maxProposed = 8
	// showEvery is how often one peer is shown what it lacks: it asks every ten seconds, and the answer may be megabytes.
	showEvery = 5 * time.Second
	// buildEvery is how often a signed action is tried that cannot be decided yet: each try recovers every signature.
	buildEvery = time.Second
)

// proposal is an action that operators signed and that no decision holds yet.
type proposal struct {
	v     quorum.VerifiedAction
	hash  common.Hash
	copy  common.Hash // of the encoding with all signatures
	tried time.Time   // when a batch was last tried
	waits string      // why this node does not follow a READMIT; empty before it tried
}

// proposals are the open actions, bounded by their signers.
type proposals map[common.Hash]*proposal

// Errors of actions that are not taken.
var (
	// errProposal refuses an action; the text says why.
	errProposal = errors.New("the action cannot be decided here")
	// errCrowded refuses an action whose operators signed too many later ones.
	errCrowded = fmt.Errorf("%d others were signed later by each of its operators", maxProposed)
)

// govMsg is one message of the operators' actions between members.
type govMsg struct {
	Held    []govHeld // what the sender holds: who holds more answers with it
	Actions [][]byte  // signed actions
}

// govHeld names one copy of an action.
type govHeld struct{ Hash, Copy common.Hash }

// maxHeld bounds the list of one message.
const maxHeld = maxProposed * quorum.MaxMembers

func (c *core) newProposal(v quorum.VerifiedAction) *proposal {
	return &proposal{v: v, hash: v.Action().Hash(c.network), copy: quorum.ValueID(c.network, v.Signed().Encode())}
}

// loadProposals takes the open actions back from the ledger, and forgets there those that stand no more: a node that died
// right behind a decision has not.
func (c *core) loadProposals() error {
	c.proposals, c.shown = proposals{}, map[common.Address]time.Time{}
	var gone []common.Hash
	err := c.led.View(func(tx *ledger.Tx) error {
		return tx.Proposals(func(raw []byte) error {
			s, err := quorum.DecodeSignedAction(raw)
			if err != nil {
				return err
			}
			if v, err := s.Open(c.network, c.state.Roster); err == nil && c.state.CheckAction(v) == nil {
				p := c.newProposal(v)
				c.proposals[p.hash] = p
			} else {
				gone = append(gone, s.Action.Hash(c.network))
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return c.dropProposals(gone)
}

// dropProposals forgets actions in the ledger.
func (c *core) dropProposals(gone []common.Hash) error {
	if len(gone) == 0 {
		return nil
	}
	return c.led.Update(func(tx *ledger.Tx) (err error) {
		for _, h := range gone {
			err = errors.Join(err, tx.DropProposal(h))
		}
		return err
	})
}

// propose takes an action with at least one operator's signature, from its operator or from another member. New
// signatures are kept and passed on. It fails with [errProposal] for what cannot be decided here.
func (c *core) propose(s quorum.SignedAction) (*proposal, error) {
	v, err := s.Open(c.network, c.state.Roster)
	if err == nil {
		err = errors.Join(c.state.CheckAction(v), c.spokenThere(v), undialable(v))
	}
	if _, to := batch.Timeliness(uint64(c.now().UnixMilli())); err == nil && len(v.Within(0, to).Operators()) != len(v.Operators()) {
		err = errors.New("a signature is from the future: look at the clock that gave its time")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProposal, err)
	}
	p := c.newProposal(v)
	if held, ok := c.proposals[p.hash]; ok {
		joined, added := held.v.Join(v)
		if !added {
			return held, nil
		}
		p = c.newProposal(joined)
	}
	drop := c.proposals.crowdedBy(p)
	if slices.Contains(drop, p.hash) {
		return nil, fmt.Errorf("%w: %w", errProposal, errCrowded)
	}
	ok := c.update("keep proposal", func(tx *ledger.Tx) error {
		err := tx.PutProposal(p.hash, p.v.Signed().Encode())
		for _, h := range drop {
			err = errors.Join(err, tx.DropProposal(h))
		}
		return err
	})
	if !ok {
		return nil, c.fatal
	}
	for _, h := range drop {
		delete(c.proposals, h)
	}
	if c.proposals == nil {
		c.proposals = proposals{}
	}
	c.proposals[p.hash] = p
	c.log.Info("action signed", zap.Stringer("action", p.v.Action()), zap.Stringer("hash", p.hash), zap.Int("operators", len(p.v.Operators())))
	c.sendAll(protoGovernance, marshal(govMsg{Actions: [][]byte{p.v.Signed().Encode()}}))
	c.followChange(c.now())
	c.maybeBegin(c.now())
	return p, nil
}

// crowdedBy names what goes when p comes: what stands, for each of its signers, behind [maxProposed] others that this one
// signed later. What is kept follows from the signatures alone, not from the order in which they came: members that are
// shown the same keep the same, and an operator that signs without end crowds out nobody else's.
func (ps proposals) crowdedBy(p *proposal) (out []common.Hash) {
	all := map[common.Address][]*proposal{}
	with := maps.Clone(ps)
	if with == nil {
		with = proposals{}
	}
	with[p.hash] = p
	for _, one := range with {
		for _, by := range one.v.Operators() {
			all[by] = append(all[by], one)
		}
	}
	kept := map[common.Hash]bool{}
	for by, own := range all {
		slices.SortFunc(own, func(a, b *proposal) int {
			x, _ := a.v.SignedAt(by)
			y, _ := b.v.SignedAt(by)
			return cmp.Or(cmp.Compare(y, x), bytes.Compare(a.hash[:], b.hash[:]))
		})
		for _, one := range own[:min(len(own), maxProposed)] {
			kept[one.hash] = true
		}
	}
	for hash := range with {
		if !kept[hash] {
			out = append(out, hash)
		}
	}
	return out
}

// sorted returns the open actions by serial, then by hash: every member tries them in one order.
func (ps proposals) sorted() []*proposal {
	out := make([]*proposal, 0, len(ps))
	for _, p := range ps {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *proposal) int {
		return cmp.Or(cmp.Compare(a.v.Action().Serial, b.v.Action().Serial), bytes.Compare(a.hash[:], b.hash[:]))
	})
	return out
}

// hearGovernance takes a member's message about actions. Operators sign them, so it does not matter who brings them.
func (c *core) hearGovernance(from common.Address, m govMsg) error {
	for _, raw := range m.Actions {
		s, err := quorum.DecodeSignedAction(raw)
		if err != nil {
			return err
		}
		if held, ok := c.proposals[s.Action.Hash(c.network)]; ok && held.copy == quorum.ValueID(c.network, raw) {
			continue
		}
		// What cannot be decided here may be right where the sender stands: one of the two is behind.
		if _, err := c.propose(s); err != nil && !errors.Is(err, batch.ErrInvalid) && !errors.Is(err, errCrowded) {
			return err
		}
	}
	now := c.now()
	if len(m.Actions) > 0 || now.Sub(c.shown[from]) < showEvery {
		return nil
	}
	c.shown[from] = now
	theirs := map[common.Hash]common.Hash{}
	for _, h := range m.Held {
		theirs[h.Hash] = h.Copy
	}
	for _, p := range c.proposals.sorted() {
		if theirs[p.hash] != p.copy {
			c.send(from, protoGovernance, marshal(govMsg{Actions: [][]byte{p.v.Signed().Encode()}}))
		}
	}
	return nil
}

// heldMsg says what this node holds; who holds more sends it.
func (c *core) heldMsg() []byte {
	var m govMsg
	for _, p := range c.proposals.sorted() {
		m.Held = append(m.Held, govHeld{p.hash, p.copy})
	}
	return marshal(m)
}

// buildAction makes the decision of the first action that q operators signed. It goes on while halted.
func (c *core) buildAction() (batch.Batch, bool) {
	now := c.now()
	for _, p := range c.proposals.sorted() {
		if len(p.v.Operators()) < c.state.Roster.Q() || now.Sub(p.tried) < buildEvery {
			continue
		}
		b, err := c.state.BuildAction(p.v, c.pool.viewList())
		if err == nil {
			return b, true
		}
		p.tried = now
		c.log.Debug("action waits", zap.Stringer("action", p.v.Action()), zap.Error(err))
	}
	return batch.Batch{}, false
}

// actionEffects is what the ledger records of a decided action; raised collects what people should see of it.
func (c *core) actionEffects(a *batch.Acted, raised *[]ledger.Alert) *ledger.ActionEffects {
	if a == nil {
		return nil
	}
	out := &ledger.ActionEffects{
		Serial: a.Action.Serial, Kind: a.Action.Kind, File: a.File, Policy: a.Policy.Ref(),
		Intake: ledger.Intake{
			Now: uint64(c.now().UnixMilli()), Policy: a.Policy, FeeAddress: c.genesis.FeeAddress, VestingAdmins: c.genesis.VestingAdmins, VestingTerms: c.genesis.VestingTerms,
			History: c.genesis.Cutover,
		},
		Raise: func(x ledger.Alert) { *raised = append(*raised, x) },
	}
	for _, h := range a.Halts {
		out.Resumed = append(out.Resumed, h.ID)
	}
	if r, ok := a.Body.(quorum.Resolve); ok {
		out.Resolve = &r
	}
	return out
}

// acted follows a decision of the operators: another policy, ended halts. Call it when the decision is on disk.
func (c *core) acted(a *batch.Acted) error {
	if a.File != nil {
		views := c.pool.views
		c.pool = newPool(c.state.Roster, c.state.Policy.Ref())
		c.pool.views = views
		// Members that decided first may have signed anew already.
		if err := c.reloadVerdicts(); err != nil {
			return fmt.Errorf("reload verdicts: %w", err)
		}
		c.onPolicy(c.state.Policy)
	}
	c.pruneProposals()
	if len(a.Halts) > 0 {
		c.recallHalts()
	}
	c.signer.reconsider(c)
	return nil
}

// pruneProposals forgets the actions that can no longer be decided: another one took their serial, or the policy changed.
func (c *core) pruneProposals() {
	var gone []common.Hash
	for _, p := range c.proposals.sorted() {
		if p.v.Action().Epoch != c.state.Roster.Epoch || c.state.CheckAction(p.v) != nil {
			gone = append(gone, p.hash)
			delete(c.proposals, p.hash)
		}
	}
	if err := c.dropProposals(gone); err != nil {
		c.stop(fmt.Errorf("forget proposals: %w", err))
	}
}

// stops reads what halts forbid now.
func (c *core) stops() ledger.Stops {
	var out ledger.Stops
	err := c.led.View(func(tx *ledger.Tx) (err error) { out, err = tx.Stops(); return err })
	if err != nil {
		c.stop(err)
		out.All = true
	}
	return out
}

// refrains reports whether this node does not ask for a batch: a halt covers something that it pays or rejects.
func (c *core) refrains(b batch.Batch) bool {
	if b.Kind != batch.Payout && b.Kind != batch.Allow {
		return false
	}
	stops := c.stops()
	if lane, ok := c.state.LaneOf(b.Lane); stops.All || b.Kind == batch.Allow && ok && stops.Covers(lane.Network, common.Address{}) {
		return true
	}
	for _, it := range b.Items {
		if stops.Covers(it.Content.Network, it.Content.Account) {
			return true
		}
	}
	return slices.ContainsFunc(b.Rejects, func(r batch.Reject) bool { return stops.Covers(r.Content.Network, r.Content.Account) })
}
