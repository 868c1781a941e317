package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
	"conclave/quorum/batch"
)

// decided is a commitment that was applied, with what follows from it.
type decided struct {
	committed quorum.Committed
	fx        batch.Effects
}

// decide applies a commitment of the next height: batch state first, which judges it again, then the record.
func (c *core) decide(committed quorum.Committed) (batch.Effects, bool) {
	hear := c.linked()
	fx, err := c.apply(committed)
	if err != nil {
		// q members committed what the rules forbid: more than f are faulty, or this program is wrong.
		c.stop(err)
		return fx, false
	}
	ok := c.record([]decided{{committed, fx}})
	if ok {
		// Who left by this decision hears of it too.
		for _, id := range hear {
			c.send(id, protoSigning, marshal(signMsg{signDecision, marshal(committed.Unchecked())}))
		}
	}
	return fx, ok
}

// apply judges a commitment again. The signatures in a value that was judged before this node voted on it are not verified twice.
func (c *core) apply(committed quorum.Committed) (batch.Effects, error) {
	if p, ok := c.valueOf[committed.ID()]; ok {
		return c.state.ApplyProven(committed, p)
	}
	return c.state.Apply(committed)
}

// record makes applied decisions durable, in the order of their heights: decisions, slots and every fate in one
// transaction. Nothing may follow from any of them before.
func (c *core) record(ds []decided) bool {
	var raised []ledger.Alert
	effects := make([]ledger.DecisionEffects, len(ds))
	for i, d := range ds {
		effects[i] = c.effectsOf(d.fx, &raised)
	}
	ok := c.update("record decision", func(tx *ledger.Tx) error {
		for i, d := range ds {
			if err := c.settleReleased(tx, d.fx); err != nil {
				return err
			}
			if err := tx.Decide(d.committed, effects[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if ok && len(raised) > 0 {
		c.onAlerts(raised)
	}
	return ok
}

func (c *core) effectsOf(fx batch.Effects, raised *[]ledger.Alert) ledger.DecisionEffects {
	out := ledger.DecisionEffects{Members: fx.Members, Action: c.actionEffects(fx.Acted, raised), Released: releasedKeys(fx), Cancelled: cancelledKey(fx)}
	for _, it := range fx.Batch.Items {
		out.Items = append(out.Items, it.Content)
	}
	for _, r := range fx.Batch.Rejects {
		out.Rejects = append(out.Rejects, r.Content)
	}
	if s := fx.Slot; s != nil {
		lane, _ := c.state.ShownBy(s.Lane)
		out.Slot = &ledger.SlotFields{
			Network: lane.Network, Lane: s.Lane, Nonce: s.Nonce, Value: s.Cost.Value,
			GasLimit: fx.Batch.GasLimit, FeeCap: fx.Batch.FeeCap,
		}
	}
	return out
}

// afterDecision moves on to the next height.
func (c *core) afterDecision(fx batch.Effects) {
	c.log.Info("decided", zap.Uint64("height", c.state.Height), zap.Stringer("kind", fx.Batch.Kind),
		zap.Int("items", len(fx.Batch.Items)), zap.Int("rejects", len(fx.Batch.Rejects)))
	c.afterDecisions([]batch.Effects{fx})
}

// afterDecisions moves on to the height after several that were recorded. Only the last may change members or act for the
// operators.
func (c *core) afterDecisions(fxs []batch.Effects) {
	slot := false
	for _, fx := range fxs {
		for _, it := range fx.Batch.Items {
			c.pool.drop(it.Content.WID)
		}
		for _, r := range fx.Batch.Rejects {
			c.pool.drop(r.Content.WID)
		}
		slot = slot || fx.Slot != nil
	}
	if !c.inForce(fxs[len(fxs)-1]) {
		return
	}
	if err := c.newHeight(); err != nil {
		c.stop(fmt.Errorf("next height: %w", err))
		return
	}
	c.followQuarantine()
	if slot {
		c.signer.decided(c)
	}
	for _, fx := range fxs {
		c.released(fx)
		c.cancelled(fx)
		c.onDecision(fx)
	}
	c.maybeBegin(c.now())
}

// inForce follows what a decision changed for the heights after it.
func (c *core) inForce(fx batch.Effects) bool {
	if fx.Members != nil {
		c.pool = newPool(c.state.Roster, c.state.Policy.Ref())
		was, _, err := c.epochRoster(c.state.Roster.Epoch - 1)
		if err != nil {
			c.stop(err)
			return false
		}
		c.changedMembers(was)
		c.pruneProposals()
		if err := c.openKey(); err != nil {
			c.stop(err)
			return false
		}
		c.nextView = time.Time{}
	}
	if fx.Acted != nil {
		if err := c.acted(fx.Acted); err != nil {
			c.stop(err)
			return false
		}
	}
	return true
}

// hearDecision takes a decision that someone shows.
func (c *core) hearDecision(u quorum.UncheckedDecision) error {
	if u.Commit.Height <= c.state.Height {
		return c.compareDecision(u)
	}
	if u.Commit.Height > c.state.Height+1 {
		return fmt.Errorf("decision %d does not follow %d", u.Commit.Height, c.state.Height)
	}
	committed, err := u.Verify(c.network, c.state.Roster)
	if err != nil {
		return err
	}
	if fx, ok := c.decide(committed); ok {
		c.afterDecision(fx)
	}
	return c.fatal
}

// compareDecision looks at a decision of a height that this node has decided. Another value under a whole commit
// certificate means that more than f members signed both: nothing may be signed on either.
func (c *core) compareDecision(u quorum.UncheckedDecision) error {
	mine, err := c.decisionAt(u.Commit.Height)
	if err != nil || mine.ID() == u.Commit.ID {
		return err
	}
	roster, err := c.rosterAt(u.Commit.Height)
	if err != nil {
		return err
	}
	other, err := u.Verify(c.network, roster)
	if err != nil {
		return err
	}
	c.keepEvidence(ledger.EvidenceVotes, common.Address{}, marshal(mine.Unchecked()), marshal(other.Unchecked()))
	c.trip("fork", fmt.Sprintf("height %d was decided twice: %s and %s", u.Commit.Height, mine.ID(), other.ID()))
	return nil
}

// answerDecided shows the decision of a height to whoever still speaks in it (R7).
func (c *core) answerDecided(to common.Address, height uint64) {
	now := c.now()
	if to == c.self || now.Sub(c.answered[to]) < answerEvery {
		return
	}
	c.answered[to] = now
	var d quorum.UncheckedDecision
	var ok bool
	err := c.led.View(func(tx *ledger.Tx) (err error) { d, ok, err = tx.Decision(height); return err })
	if err == nil && ok {
		c.send(to, protoSigning, marshal(signMsg{signDecision, marshal(d)}))
	}
}

// request asks a peer and decodes its answer. It runs off the core.
func (c *core) request(peer common.Address, req syncReq, into any) error {
	ctx, cancel := context.WithTimeout(c.ctx, syncTimeout)
	defer cancel()
	raw, err := c.net.Request(ctx, peer, askSync, marshal(req))
	if err != nil {
		return err
	}
	return unmarshal(raw, into)
}

// syncTimeout bounds one question to a peer.
const syncTimeout = 10 * time.Second

// maxFetching bounds the values that are asked for at one time: agreement wants two, and asks again each second.
const maxFetching = 16

// storedValue is a value that this node voted for, from its ledger; nil when it holds none.
func (c *core) storedValue(height uint64, id common.Hash) (raw []byte) {
	if err := c.led.View(func(tx *ledger.Tx) error { raw, _ = tx.Value(height, id); return nil }); err != nil {
		c.stop(err)
		return nil
	}
	return raw
}

// fetched holds a value that agreement asked for.
func (c *core) fetched(raw []byte) {
	c.forgetValues()
	id, valid := c.holdValue(raw)
	c.step(agreement.ValueReady{ID: id, Valid: valid})
}

// fetchValue asks the voters of a value for its bytes, one after the other, off the core.
func (c *core) fetchValue(f agreement.Fetch) {
	if raw, ok := c.values[f.ID]; ok && raw != nil {
		c.step(agreement.ValueReady{ID: f.ID, Valid: true})
		return
	}
	height := c.state.Height + 1
	if raw := c.storedValue(height, f.ID); raw != nil {
		c.fetched(raw)
		return
	}
	if c.fetching[f.ID] || len(c.fetching) >= maxFetching {
		return
	}
	c.fetching[f.ID] = true
	c.spawn(func() {
		for _, peer := range f.From {
			if peer == c.self {
				continue
			}
			var raw []byte
			if c.request(peer, syncReq{What: syncValue, Height: height, ID: f.ID}, &raw) != nil ||
				quorum.ValueID(c.network, raw) != f.ID {
				continue
			}
			c.post(func() {
				delete(c.fetching, f.ID)
				if c.state.Height+1 == height {
					c.fetched(raw)
				}
			})
			return
		}
		c.post(func() { delete(c.fetching, f.ID) })
	})
}

// errUnknownRequest refuses a question by name.
var errUnknownRequest = errors.New("unknown question")

// answer serves a peer's question. It reads the ledger and asks the core; it changes nothing.
func (c *core) answer(ctx context.Context, raw []byte) ([]byte, error) {
	var req syncReq
	if err := unmarshal(raw, &req); err != nil {
		return nil, err
	}
	switch req.What {
	case syncDecisions:
		return c.answerDecisions(req.Height)
	case syncValue:
		var value []byte
		err := c.led.View(func(tx *ledger.Tx) error { value, _ = tx.Value(req.Height, req.ID); return nil })
		if err == nil && value == nil {
			err = c.ask(ctx, func() { value = c.values[req.ID] })
		}
		return marshal(value), err
	case syncFacts:
		var m factsMsg
		err := c.ask(ctx, func() { m.Statements = c.ownFacts() })
		return marshal(m), err
	case syncOutcomes:
		return c.answerOutcomes(req.Height)
	case syncNewest:
		return c.answerNewest(common.BytesToAddress(req.ID[:]))
	}
	return c.answerRange(req)
}

// enough ends a walk.
var errEnough = errors.New("enough")

func (c *core) answerDecisions(from uint64) ([]byte, error) {
	var out []quorum.UncheckedDecision
	size := 0
	err := c.led.View(func(tx *ledger.Tx) error {
		return tx.Decisions(from, func(d quorum.UncheckedDecision) error {
			size += len(d.Value) + decisionHead + ballotSize*len(d.Commit.Votes)
			if len(out) == maxSyncDecision || (size > maxSyncPage && len(out) > 0) {
				return errEnough
			}
			out = append(out, d)
			return nil
		})
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return marshal(out), nil
}

// What a decision takes in a page beside its value, at the most: the certificate's fields, and each of its votes.
const (
	decisionHead = 128
	ballotSize   = 80
)
