package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// maxClockLead is how far ahead of this node's clock a VIEW may be before it is passed over, in ms. A member whose clock
// runs ahead would otherwise pin its own latest view.
const maxClockLead = 60_000

// speakView signs and gossips what this node sees: liveness, clock and funds. It goes on while halted.
func (c *core) speakView(now time.Time) {
	if c.question.closed || !c.member() {
		return // it carries no counter, but nothing is signed before the others have answered
	}
	c.nextView = now.Add(viewEvery)
	view := quorum.View{Epoch: c.state.Roster.Epoch, Time: uint64(now.UnixMilli()), Height: c.state.Height}
	err := c.led.View(func(tx *ledger.Tx) (err error) { view.Settled, err = settled(tx); return err })
	if err != nil {
		c.stop(err)
		return
	}
	for _, l := range c.state.Lanes {
		if f, ok := c.lanes[l.Network]; ok && c.state.Founded() && now.Sub(f.at) < 2*viewEvery {
			view.Lanes = append(view.Lanes, f.view)
		}
	}
	view.Lanes = append(view.Lanes, c.oldViews(now)...)
	s, err := quorum.Sign(c.key, c.network, view)
	if err != nil {
		c.stop(err)
		return
	}
	c.pool.addView(s)
	c.publish(topicFacts, s.Bytes())
}

// laneSeen takes what a watcher read of a lane. A payer's nonce that moved makes room in flight, so others hear at once.
func (c *core) laneSeen(network string, view quorum.LaneView) {
	old, known := c.lanes[network]
	c.lanes[network] = laneFacts{view: view, at: c.now()}
	if !known || old.view.Nonce != view.Nonce || old.view.Lane != view.Lane || grew(old.view, view) {
		c.speakView(c.now())
	}
}

// grew reports whether the payer's funds rose, or what a contract may take of them: a committee that waited for it can go on.
func grew(old, now quorum.LaneView) bool {
	return now.Balance.Gt(&old.Balance) || now.Gas.Gt(&old.Gas) || now.Allowance.Gt(&old.Allowance)
}

// hearFact takes one signed statement about the world. Its signature was verified at the door.
func (c *core) hearFact(raw []byte) {
	kind, err := quorum.PeekKind(raw)
	if err != nil {
		return
	}
	if isVerdict(kind) {
		c.hearFacts([][]byte{raw})
		return
	}
	c.overhearFact(kind, raw)
	members := c.state.Roster.IDs()
	switch kind {
	case quorum.KindView:
		if s, err := quorum.Open[quorum.View](c.network, members, raw); err == nil {
			c.hearView(s)
		}
	case quorum.KindOutcome:
		if s, err := quorum.Open[quorum.Outcome](c.network, members, raw); err == nil {
			c.hearOutcome(s)
		}
	case quorum.KindHalt:
		if s, err := quorum.Open[quorum.Halt](c.network, members, raw); err == nil {
			c.hearHalt(s)
		}
	case quorum.KindClear:
		if s, err := quorum.Open[quorum.Clear](c.network, members, raw); err == nil {
			c.hearClear(s)
		}
	case quorum.KindCheckpoint:
		if s, err := quorum.Open[quorum.Checkpoint](c.network, members, raw); err == nil {
			c.hearCheckpoint(s)
		}
	}
}

func (c *core) hearView(s quorum.Signed[quorum.View]) {
	v := s.Body()
	if v.Time > uint64(c.now().UnixMilli())+maxClockLead {
		c.alerts.raise(alertClock(s.Signer(), v.Time))
		return
	}
	c.alerts.recover(codeClock + s.Signer().Hex())
	if c.pool.addView(s) {
		c.heard[s.Signer()] = c.now()
	}
	if v.Height > c.state.Height {
		c.behind[s.Signer()] = max(c.behind[s.Signer()], v.Height)
	}
}

func (c *core) hearHalt(s quorum.Signed[quorum.Halt]) {
	if s.Signer() == c.self {
		c.foreign(s.Body().Counter, 0, s.Bytes())
		return
	}
	var added bool
	if c.attempt("record halt", func(tx *ledger.Tx) (err error) { added, err = tx.PutHalt(s); return err }) && added {
		c.alerts.raise(alertHalt(s.Signer(), s.Body()))
		c.signer.reconsider(c)
	}
}

func (c *core) hearClear(s quorum.Signed[quorum.Clear]) {
	if s.Signer() == c.self {
		c.foreign(s.Body().Counter, 0, s.Bytes())
		return
	}
	var added bool
	if c.attempt("record clear", func(tx *ledger.Tx) (err error) { added, err = tx.PutClear(s); return err }) && added {
		c.recallHalts()
		c.log.Info("halt cleared", zap.Stringer("by", s.Signer()), zap.String("reason", s.Body().Reason))
		c.signer.reconsider(c)
	}
}

// trip blows this node's fuse: durable first, then everyone is told.
func (c *core) trip(code, reason string) {
	_ = c.tripScope(quorum.ScopeAll, "", code, reason) // the core stops by itself when it fails
}

// tripScope fails when no more lanes and accounts can be halted. Whatever else goes wrong stops the node.
func (c *core) tripScope(scope quorum.Scope, target, code, reason string) error {
	var raw []byte
	body := quorum.Halt{
		Epoch: c.state.Roster.Epoch, Scope: scope, Target: target, Code: quorum.ClipText(code), Reason: quorum.ClipText(reason),
		Time: uint64(c.now().UnixMilli()),
	}
	err := c.led.Update(func(tx *ledger.Tx) (err error) {
		raw, err = tx.TripFuse(body, func(b quorum.Halt) (quorum.Signed[quorum.Halt], error) {
			return quorum.Sign(c.key, c.network, b)
		})
		return err
	})
	switch {
	case errors.Is(err, ledger.ErrFull) && scope != quorum.ScopeAll:
		return fmt.Errorf("%w: too many lanes and accounts are halted: halt everything, or resume some", err)
	case err != nil:
		c.stop(fmt.Errorf("trip fuse: %w", err))
		return err
	}
	c.alerts.raise(alertFuse(body))
	if raw != nil {
		c.publish(topicFacts, raw)
	}
	c.signer.reconsider(c)
	return nil
}

// clear mends this node's fuse on its operator's word.
func (c *core) clear(reason string) error {
	var raws [][]byte
	err := c.led.Update(func(tx *ledger.Tx) (err error) {
		raws, err = tx.ClearHalt(reason, func(b quorum.Clear) (quorum.Signed[quorum.Clear], error) {
			return quorum.Sign(c.key, c.network, b)
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, raw := range raws {
		c.publish(topicFacts, raw)
	}
	c.alerts.recover(codeFuse)
	c.followQuarantine()
	c.signer.reconsider(c)
	return nil
}

// Bounds of what is told again at once; together they fit one bundle.
const (
	maxToldHalts    = 32
	maxToldVerdicts = maxBundle - maxToldHalts - 1
)

// ownFacts returns what this node said that still matters to others: its view, its halts and their ends, and open
// verdicts, the next ones with each call when there are many.
func (c *core) ownFacts() [][]byte {
	var ended, halts, verdicts [][]byte
	var last uint64
	err := c.led.View(func(tx *ledger.Tx) error {
		err := tx.OwnVerdicts(func(wid uint64, raw []byte) error {
			if wid > c.told && len(verdicts) < maxToldVerdicts {
				verdicts, last = append(verdicts, raw), wid
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Halts(func(h ledger.HaltRecord) error {
			switch {
			case h.Signer != c.self:
			case h.Stands():
				halts = append(halts, h.Raw)
			case len(h.Cleared) > 0:
				ended = append(ended, h.Cleared) // who missed it would count this member as halted for ever
			}
			return nil
		})
	})
	if err != nil {
		c.stop(err)
		return nil
	}
	c.told = last
	if len(verdicts) < maxToldVerdicts {
		c.told = 0
	}
	halts = append(ended, halts...) // what stands matters most
	out := append(halts[max(0, len(halts)-maxToldHalts):], verdicts...)
	if v, ok := c.pool.views[c.self]; ok {
		out = append(out, v.Bytes())
	}
	return out
}

// tellAgain gossips own open verdicts and halts: a member that was away has not heard them.
func (c *core) tellAgain() {
	for _, raw := range c.ownFacts() {
		c.publish(topicFacts, raw)
	}
	c.sendAll(protoGovernance, c.heldMsg())
	c.outcomesAgain()
}

// tellCarried shows every member what a batch would carry, so that whoever proposes can propose it.
func (c *core) tellCarried(b batch.Batch) {
	m := factsMsg{Statements: slices.Clone(b.Views)}
	for _, it := range b.Items {
		m.Statements = append(m.Statements, statements(c.pool, c.pool.approvals[it.Content.WID])...)
	}
	for _, r := range b.Rejects {
		m.Statements = append(m.Statements, statements(c.pool, c.pool.refusals[r.Content.WID])...)
	}
	if len(m.Statements) > maxBundle {
		m.Statements = m.Statements[:maxBundle]
	}
	c.sendAll(protoFacts, marshal(m))
}

// keepEvidence stores a proof; what follows when it is new, see evidenceKept.
func (c *core) keepEvidence(kind ledger.EvidenceKind, member common.Address, first, second []byte) {
	e := ledger.Evidence{Kind: kind, Member: member, First: first, Second: second}
	wanted := false // a commit for each of what a liar repeats would be its to spend
	if err := c.led.View(func(tx *ledger.Tx) (err error) { wanted, err = tx.WantsEvidence(e); return err }); err != nil {
		c.stop(err)
		return
	}
	if wanted {
		c.update("keep evidence", func(tx *ledger.Tx) error { _, err := tx.AddEvidence(e); return err })
	}
}
