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

// decide applies a commitment of the next height: batch state first, which judges it again, then one transaction with the
// decision, the slot and every fate.
func (c *core) decide(committed quorum.Committed) (batch.Effects, bool) {
	fx, err := c.state.Apply(committed)
	if err != nil {
		// q members committed what the rules forbid: more than f are faulty, or this program is wrong.
		c.stop(err)
		return fx, false
	}
	var raised []ledger.Alert
	effects := ledger.DecisionEffects{Members: fx.Members, Action: c.actionEffects(fx.Acted, &raised)}
	for _, it := range fx.Batch.Items {
		effects.Items = append(effects.Items, it.Content)
	}
	for _, r := range fx.Batch.Rejects {
		effects.Rejects = append(effects.Rejects, r.Content)
	}
	if s := fx.Slot; s != nil {
		lane, _ := c.state.LaneOf(s.Lane)
		effects.Slot = &ledger.SlotFields{
			Network: lane.Network, Lane: s.Lane, Nonce: s.Nonce, Value: s.Cost.Value,
			GasLimit: fx.Batch.GasLimit, FeeCap: fx.Batch.FeeCap,
		}
	}
	ok := c.update("record decision", func(tx *ledger.Tx) error { return tx.Decide(committed, effects) })
	if ok {
		if len(raised) > 0 {
			c.onAlerts(raised)
		}
		c.sendAll(protoSigning, marshal(signMsg{signDecision, marshal(committed.Unchecked())}))
	}
	return fx, ok
}

// afterDecision moves on to the next height.
func (c *core) afterDecision(fx batch.Effects) {
	c.log.Info("decided", zap.Uint64("height", c.state.Height), zap.Stringer("kind", fx.Batch.Kind),
		zap.Int("items", len(fx.Batch.Items)), zap.Int("rejects", len(fx.Batch.Rejects)))
	for _, it := range fx.Batch.Items {
		c.pool.drop(it.Content.WID)
	}
	for _, r := range fx.Batch.Rejects {
		c.pool.drop(r.Content.WID)
	}
	if fx.Members != nil {
		c.pool = newPool(c.state.Roster, c.state.Policy.Ref())
		if err := c.openKey(); err != nil {
			c.stop(err)
			return
		}
		c.nextView = time.Time{}
	}
	if fx.Acted != nil {
		if err := c.acted(fx.Acted); err != nil {
			c.stop(err)
			return
		}
	}
	if err := c.newHeight(); err != nil {
		c.stop(fmt.Errorf("next height: %w", err))
		return
	}
	c.signer.decided(c, fx)
	c.onDecision(fx)
	c.maybeBegin(c.now())
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

// maybeSync asks a peer that is ahead for the decisions in between.
func (c *core) maybeSync() {
	if c.syncing || c.fatal != nil {
		return
	}
	ids := c.state.Roster.IDs()
	for range ids {
		id := ids[c.turn%len(ids)]
		c.turn++
		if c.behind[id] <= c.state.Height {
			delete(c.behind, id)
			continue
		}
		c.syncing = true
		from := c.state.Height + 1
		c.spawn(func() { c.syncFrom(id, from) })
		return
	}
}

func (c *core) syncFrom(peer common.Address, from uint64) {
	var found []quorum.UncheckedDecision
	err := c.request(peer, syncReq{What: syncDecisions, Height: from}, &found)
	c.post(func() {
		c.syncing = false
		if err != nil {
			delete(c.behind, peer)
			c.log.Debug("sync failed", zap.Stringer("peer", peer), zap.Error(err))
			return
		}
		if len(found) == 0 {
			delete(c.behind, peer)
		}
		for _, d := range found {
			if err := c.hearDecision(d); err != nil {
				delete(c.behind, peer)
				c.log.Warn("peer showed a bad decision", zap.Stringer("peer", peer), zap.Error(err))
				return
			}
		}
	})
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

// fetchValue asks the voters of a value for its bytes, one after the other, off the core.
func (c *core) fetchValue(f agreement.Fetch) {
	if raw, ok := c.values[f.ID]; ok && raw != nil {
		c.step(agreement.ValueReady{ID: f.ID, Valid: true})
		return
	}
	if c.fetching[f.ID] {
		return
	}
	c.fetching[f.ID] = true
	height := c.state.Height + 1
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
					_, valid := c.holdValue(raw)
					c.step(agreement.ValueReady{ID: f.ID, Valid: valid})
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
			size += len(d.Value) + 2048
			if len(out) == maxSyncDecision || (size > maxSyncReply/2 && len(out) > 0) {
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
