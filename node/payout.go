package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

// signer turns decided slots into signed transactions, one after the other: the key allows one session at a time. It is
// part of the core; nil before the network is founded.
type signer struct {
	old      *tss.KeyShare // of the key of the payer that is being emptied
	share    *tss.KeyShare // nil when the vault has none: this node then verifies and broadcasts, and never signs
	attempts *tss.Attempts
	cancel   context.CancelFunc // of the live session
	live     common.Hash        // the batch that it signs
	opened   time.Time          // when the slot that is open was
	kick     func(network string)
	stuck    string
	sessions SessionStats

	convicted map[common.Address]bool // whose exclusion is on disk
}

// openKey begins to sign with the key in force.
func (c *core) openKey() error {
	if c.signer != nil && c.signer.cancel != nil {
		c.signer.cancel() // no session outlives its epoch
	}
	var action quorum.MembersAction
	if err := c.led.View(func(tx *ledger.Tx) (err error) { _, action, _, err = tx.CurrentEpoch(); return err }); err != nil {
		return fmt.Errorf("read epoch: %w", err)
	}
	share, err := c.vault.ShareOf(action.Transcript)
	if errors.Is(err, ErrNoShare) && !c.member() {
		c.alerts.recover(codeNoShare) // nobody expects one
	} else if errors.Is(err, ErrNoShare) {
		c.alerts.raise(alertNoShare(c.state.Payer))
	} else if err != nil && !errors.Is(err, ErrSealed) { // unseal comes here again
		return fmt.Errorf("open key share: %w", err)
	} else {
		c.alerts.recover(codeNoShare)
	}
	if c.ceremony != nil && c.ceremony.target.Epoch <= c.state.Roster.Epoch {
		c.ceremony.end()
		c.ceremony = nil
	}
	c.signer = &signer{share: share, kick: c.kick, attempts: tss.NewAttempts(tss.AttemptsConfig{
		Network: c.network, Epoch: c.state.Roster.Epoch, Key: c.state.Key, Self: c.self, Members: c.state.Roster.IDs(),
	})}
	if err := c.openOld(); err != nil {
		return fmt.Errorf("open key share of the old payer: %w", err)
	}
	err = c.led.View(func(tx *ledger.Tx) error {
		return tx.Aborts(c.state.Roster.Epoch, func(raw []byte) error {
			s, err := quorum.Open[quorum.Abort](c.network, c.state.Roster.IDs(), raw)
			if err == nil {
				c.signer.attempts.HearAbort(s)
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("reload aborts: %w", err)
	}
	if err := c.reloadConvictions(); err != nil {
		return fmt.Errorf("reload convictions: %w", err)
	}
	c.signer.next(c)
	return nil
}

// decided looks at new slots.
func (s *signer) decided(c *core) {
	if s != nil {
		s.next(c)
	}
}

// reconsider follows a change of halts: a halted node leaves its session at once.
func (s *signer) reconsider(c *core) {
	if s == nil {
		return
	}
	if s.cancel != nil && (!c.joins() || c.stopped(s.live)) {
		s.cancel()
	}
	s.next(c)
}

// next opens what is signed next, of whatever lane: one key, one session. See [ledger.Tx.NextTurn] for the order. The slot that is
// open already stays as it is: its attempt and its READYs must survive the decision of another slot.
func (s *signer) next(c *core) {
	if s.share == nil || !c.joins() || c.halted() {
		s.attempts.Close()
		return
	}
	if s.attempts.Live() {
		return // its end comes back here
	}
	var turn ledger.Turn
	var found bool
	var attempt, height uint64
	var holder common.Hash // what was decided for the slot last: its batch, or a CANCEL
	err := c.led.View(func(tx *ledger.Tx) error {
		var err error
		if turn, found, err = tx.NextTurn(c.due); err != nil || !found {
			return err
		}
		holder, height = turn.Slot.Last()
		last, ok, err := tx.HighestAttempt(holder, turn.K)
		if ok {
			attempt = last + 1
		}
		return err
	})
	if err != nil {
		c.stop(err)
		return
	}
	if !found {
		s.attempts.Close()
		return
	}
	first := turn.Slot
	key, ok := s.keyOf(c, first.Key.Payer)
	if !ok {
		s.attempts.Close()
		return
	}
	r, err := c.renderAt(height, turn.K)
	if err != nil {
		c.stop(err)
		return
	}
	if open := s.attempts.Slot(); open == nil || open.Batch != holder {
		s.opened = c.now()
	}
	s.attempts.Open(tss.Slot{
		Chain: first.Key.ChainID, Nonce: first.Key.Nonce, Height: height, Batch: holder, K: turn.K,
		Digest: r.Digest, Key: key, Attempt: attempt,
	}, c.now())
	s.tick(c, c.now())
}

// tick does what the machine of attempts asks for.
func (s *signer) tick(c *core, now time.Time) {
	if s == nil || s.share == nil || c.fatal != nil || s.attempts.Slot() == nil {
		return
	}
	s.run(c, s.attempts.Tick(now, c.connected()))
}

func (s *signer) run(c *core, fx tss.Effects) {
	s.keepConvictions(c)
	if fx.Ready != nil {
		s.ready(c, *fx.Ready)
	}
	if fx.Abort != nil {
		s.abort(c, *fx.Abort)
	}
	if fx.Stuck != "" && fx.Stuck != s.stuck {
		s.stuck = fx.Stuck
		c.alerts.raise(alertStuck(fx.Stuck))
	}
	if fx.Start != nil {
		c.sendAll(protoSigning, marshal(signMsg{signStart, marshal(*fx.Start)}))
	}
	if fx.Join != nil {
		s.join(c, *fx.Join)
	}
}

// ready records, signs and sends this node's READY; the same again sends the same bytes.
func (s *signer) ready(c *core, body quorum.Ready) {
	var raw []byte
	ok := c.attempt("record ready", func(tx *ledger.Tx) (err error) {
		raw, err = tx.Ready(body, func(b quorum.Ready) (quorum.Signed[quorum.Ready], error) {
			return quorum.Sign(c.key, c.network, b)
		})
		return err
	})
	if !ok {
		return
	}
	c.sendAll(protoSigning, marshal(signMsg{signStatement, raw}))
	if own, err := quorum.Open[quorum.Ready](c.network, c.state.Roster.IDs(), raw); err == nil {
		s.attempts.Hear(own, c.now())
	}
}

func (s *signer) abort(c *core, body quorum.Abort) {
	var raw []byte
	ok := c.attempt("record abort", func(tx *ledger.Tx) (err error) {
		raw, err = tx.Abort(body.Epoch, body.Session, func(b quorum.Abort) (quorum.Signed[quorum.Abort], error) {
			return quorum.Sign(c.key, c.network, b)
		})
		return err
	})
	if !ok {
		return
	}
	c.sendAll(protoSigning, marshal(signMsg{signStatement, raw}))
	if own, err := quorum.Open[quorum.Abort](c.network, c.state.Roster.IDs(), raw); err == nil {
		s.attempts.HearAbort(own)
	}
}

// join records the intent, makes the warrant from it and the decision, and signs off the core.
func (s *signer) join(c *core, session quorum.Session) {
	w, err := c.warrant(session)
	if err != nil && !isRule(err) {
		// Not a rule's word: the disk, or a record that contradicts the decision. Nothing may be signed on either.
		c.stop(fmt.Errorf("join session: %w", err))
		return
	}
	if err != nil {
		c.log.Error("session not joined", zap.Uint64("height", s.attempts.Slot().Height), zap.Error(err))
		s.run(c, s.attempts.Ended(tss.Outcome{Ending: tss.NotStarted}, session, c.now()))
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	s.cancel, s.live = cancel, session.Batch
	share, began, opened := s.shareOf(session.Key), c.now(), s.opened
	c.spawn(func() {
		out := c.engine.Sign(ctx, w, share, c.roundTimeout)
		cancel()
		ended := c.now()
		c.post(func() {
			s.sessions.add(out.Ending == tss.Signed, ended.Sub(began), ended.Sub(opened))
			s.ended(c, session, out)
		})
	})
}

// SessionStats counts the signing sessions that this process took part in.
type SessionStats struct {
	Signed uint64 `json:"signed"`
	Failed uint64 `json:"failed"`
	WallMS uint64 `json:"wall_ms"` // of the signed ones, in all
	OpenMS uint64 `json:"open_ms"` // likewise, from the opening of their slots on: READYs, failed attempts and intents count too
}

func (s *SessionStats) add(signed bool, took, open time.Duration) {
	if !signed {
		s.Failed++
		return
	}
	s.Signed++
	s.WallMS += uint64(took.Milliseconds())
	s.OpenMS += uint64(open.Milliseconds())
}

// warrant is the authority for one session: the stored decision verified again, and an intent that is on disk.
func (c *core) warrant(session quorum.Session) (tss.Warrant, error) {
	slot := c.signer.attempts.Slot()
	committed, err := c.decisionAt(slot.Height)
	if err != nil {
		return tss.Warrant{}, err
	}
	payer, err := session.Key.Address()
	if err != nil {
		return tss.Warrant{}, err
	}
	intent, err := c.led.RecordIntent(ledger.IntentFields{
		Slot:  ledger.SlotKey{ChainID: session.Chain, Payer: payer, Nonce: session.Nonce},
		Batch: session.Batch, K: session.K, Attempt: session.Attempt, Session: session.Hash(), Set: session.Set,
		Digest: session.Digest,
	})
	if err != nil {
		return tss.Warrant{}, err
	}
	return tss.NewWarrant(committed, intent, session, func(value []byte, k uint64) (common.Hash, error) {
		r, err := c.render(value, k)
		return r.Digest, err
	})
}

func (s *signer) ended(c *core, session quorum.Session, out tss.Outcome) {
	s.cancel = nil
	c.keepSession(out.Evidence)
	if out.Ending == tss.Signed {
		c.storeSigned(doneMsg{Batch: session.Batch, K: session.K, Sig: out.Signature}, true)
	} else {
		c.log.Warn("signing session failed", zap.Stringer("ending", out.Ending), zap.Uint64("attempt", session.Attempt),
			zap.Uint64("nonce", session.Nonce), zap.Stringers("silent", out.Silent), zap.Error(out.Err))
	}
	s.run(c, s.attempts.Ended(out, session, c.now()))
	// Another member may have shown the signed transaction while this node was in the session.
	s.next(c)
}

// stopped reports whether a decided batch may not be signed any more: a halt covers it, or a CANCEL takes its nonce.
func (c *core) stopped(batch common.Hash) bool {
	cancelled := false
	err := c.led.View(func(tx *ledger.Tx) error {
		slot, ok, err := tx.SlotOfBatch(batch)
		if err != nil || !ok {
			return err
		}
		last, _ := slot.Last()
		cancelled = last != batch
		return tx.MaySignSlot(slot)
	})
	if err != nil && !errors.Is(err, ledger.ErrHalted) {
		c.stop(err)
	}
	return cancelled || err != nil
}

// storeSigned keeps a signed transaction, own or shown, and hands it to the watcher for broadcast. The signature is
// checked against this node's own rendering of the decided batch.
func (c *core) storeSigned(m doneMsg, own bool) {
	var slot ledger.Slot
	var known, ok bool
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		if slot, ok, err = tx.SlotOfBatch(m.Batch); err != nil || !ok {
			return err
		}
		_, known, err = tx.Signed(m.Batch, m.K)
		return err
	})
	if err != nil {
		c.stop(err)
		return
	}
	if !ok || known {
		return
	}
	height, _ := slot.HeightOf(m.Batch)
	r, err := c.renderAt(height, m.K)
	if err != nil {
		return
	}
	signed, err := r.Assemble(m.Sig[:])
	if err != nil {
		c.log.Warn("signed transaction refused", zap.Stringer("batch", m.Batch), zap.Error(err))
		return
	}
	if !c.update("store signed bytes", func(tx *ledger.Tx) error { return tx.PutSigned(m.Batch, m.K, signed.Raw, signed.Hash) }) {
		return
	}
	if c.alerts.recover(codeStuck); c.signer != nil {
		c.signer.stuck = ""
	}
	c.log.Info("signed", zap.Uint64("height", height), zap.Uint64("nonce", slot.Key.Nonce), zap.Stringer("tx", signed.Hash))
	if own {
		c.sendAll(protoSigning, marshal(signMsg{signDone, marshal(m)}))
	}
	if c.signer != nil && c.signer.attempts.Slot() != nil && c.signer.attempts.Slot().Batch == m.Batch && !c.signer.attempts.Live() {
		c.signer.next(c)
	}
	c.kick(slot.Network)
}

// hearReady takes a READY. For what is signed the answer is the bytes; for a batch that is not known, the way to it.
func (c *core) hearReady(from common.Address, s quorum.Signed[quorum.Ready]) {
	b := s.Body()
	if b.Height > c.state.Height {
		c.behind[from] = max(c.behind[from], b.Height)
		return
	}
	var signed ledger.Signed
	var ok bool
	err := c.led.View(func(tx *ledger.Tx) (err error) { signed, ok, err = tx.Signed(b.Batch, b.KMax); return err })
	if err != nil {
		c.stop(err)
		return
	}
	if ok {
		tx, err := chain.DecodeTx(signed.Raw)
		if err == nil {
			c.send(from, protoSigning, marshal(signMsg{signDone, marshal(doneMsg{b.Batch, signed.K, quorum.Signature(tx.Signature)})}))
		}
		return
	}
	if c.signer != nil && c.signer.share != nil {
		c.signer.attempts.Hear(s, c.now())
		c.signer.tick(c, c.now())
	}
}

// decisionAt returns a stored decision, its certificate verified again by the roster of its epoch.
func (c *core) decisionAt(height uint64) (quorum.Committed, error) {
	var d quorum.UncheckedDecision
	err := c.led.View(func(tx *ledger.Tx) (err error) {
		var ok bool
		if d, ok, err = tx.Decision(height); err == nil && !ok {
			err = fmt.Errorf("decision %d: %w", height, ledger.ErrNotFound)
		}
		return err
	})
	if err != nil {
		return quorum.Committed{}, err
	}
	roster, err := c.rosterAt(height)
	if err != nil {
		return quorum.Committed{}, err
	}
	return d.Verify(c.network, roster)
}

// rosterAt is who decided a height: the founders before the first MEMBERS took effect.
func (c *core) rosterAt(height uint64) (roster quorum.Roster, err error) {
	var ok bool
	if err := c.led.View(func(tx *ledger.Tx) (err error) { roster, ok, err = tx.EpochAt(height); return err }); err != nil || ok {
		return roster, err
	}
	return c.genesis.Roster()
}

// renderAt renders the transaction of a decided slot.
func (c *core) renderAt(height, k uint64) (chain.Rendered, error) {
	committed, err := c.decisionAt(height)
	if err != nil {
		return chain.Rendered{}, err
	}
	return c.render(committed.Value(), k)
}

func (c *core) render(value []byte, k uint64) (chain.Rendered, error) {
	p, err := paymentOf(c.network, value, c.state.Lanes)
	if err != nil {
		return chain.Rendered{}, err
	}
	return chain.Render(p, uint(k))
}
