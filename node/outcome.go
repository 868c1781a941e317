package node

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
)

// finalSeen takes what this node's own endpoints show at a slot's nonce, once it is final: the record first, then the
// signed OUTCOME.
func (c *core) finalSeen(slot ledger.Slot, seen chain.Sighting) {
	body := c.outcomeOf(slot, seen)
	var raw []byte
	var broken error // what was final is not, or not the same
	ok := c.attempt("record outcome", func(tx *ledger.Tx) error {
		p, _, err := tx.Payout(slot.Key)
		if err != nil || p.Stage >= ledger.StageSettled {
			return err
		}
		err = tx.Track(slot.Key, ledger.Payout{
			Stage: ledger.StageFinal, K: seen.K, TxHash: seen.TxHash, Block: seen.Block, BlockHash: seen.BlockHash, Status: seen.Status,
		})
		if errors.Is(err, ledger.ErrConflict) {
			broken = err
			return nil
		}
		if err != nil {
			return err
		}
		raw, err = tx.Outcome(body, c.signOutcome)
		return err
	})
	switch {
	case broken != nil:
		c.trip(fuseFinality, broken.Error())
	case ok && raw != nil:
		c.publish(topicFacts, raw)
		c.maybeSettle(slot.Key)
	}
}

// hearOutcome takes another member's OUTCOME.
func (c *core) hearOutcome(s quorum.Signed[quorum.Outcome]) {
	if s.Signer() == c.self {
		c.foreign(s.Body().Counter, 0, s.Bytes())
		return
	}
	key := slotOf(s.Body())
	if c.heardOutcome(key, s.Bytes()) {
		return // told again every ten seconds; each write would cost a commit
	}
	var added bool
	ok := c.attempt("keep outcome", func(tx *ledger.Tx) (err error) {
		if _, settled, err := tx.OutcomeOf(key); err != nil || (settled && !tx.AwaitsRelease(key)) {
			return err
		}
		added, err = tx.PutOutcome(s)
		return err
	})
	if ok && added {
		c.maybeSettle(key)
	}
}

// heardOutcome reports whether the ledger holds this very statement.
func (c *core) heardOutcome(key ledger.SlotKey, raw []byte) bool {
	known := false
	err := c.led.View(func(tx *ledger.Tx) error {
		all, err := tx.Outcomes(key)
		for _, s := range all {
			known = known || bytes.Equal(s.Bytes(), raw)
		}
		return err
	})
	if err != nil {
		c.stop(err)
	}
	return known
}

func slotOf(o quorum.Outcome) ledger.SlotKey {
	return ledger.SlotKey{ChainID: o.Lane.ChainID, Payer: o.Lane.Payer, Nonce: o.Nonce}
}

// answerOutcome shows a member that gossips about a settled slot what settled it. Only gossip is answered: what is shown to
// one peer is an answer itself, and two members that know everything would go on telling each other.
func (c *core) answerOutcome(raw []byte) {
	s, err := quorum.Open[quorum.Outcome](c.network, c.state.Roster.IDs(), raw)
	if err != nil || s.Signer() == c.self {
		return
	}
	key, settled := slotOf(s.Body()), false
	err = c.led.View(func(tx *ledger.Tx) (err error) { _, settled, err = tx.OutcomeOf(key); return err })
	if err == nil && settled {
		c.showOutcomes(s.Signer(), key)
	}
}

func (c *core) showOutcomes(to common.Address, key ledger.SlotKey) {
	var m factsMsg
	err := c.led.View(func(tx *ledger.Tx) error {
		all, err := tx.Outcomes(key)
		for _, s := range all {
			m.Statements = append(m.Statements, s.Bytes())
		}
		return err
	})
	if err == nil && len(m.Statements) > 0 {
		c.send(to, protoFacts, marshal(m))
	}
}

// maybeSettle closes a slot when q OUTCOMEs agree: payment, books and the Relay's call in one transaction.
func (c *core) maybeSettle(key ledger.SlotKey) {
	var cert quorum.OutcomeCertificate
	var slot ledger.Slot
	var ok bool
	if !c.attempt("settle", func(tx *ledger.Tx) error {
		if _, done, err := tx.OutcomeOf(key); err != nil || done {
			return err
		}
		all, err := tx.Outcomes(key)
		if err != nil {
			return err
		}
		if cert, ok = quorum.CertifyOutcome(c.state.Roster, all); !ok {
			return nil
		}
		slot, err = settle(tx, key, cert)
		return err
	}) || !ok {
		return
	}
	c.settled(key, slot, cert.Outcome())
}

// settle closes a slot by a certificate, books included.
func settle(tx *ledger.Tx, key ledger.SlotKey, cert quorum.OutcomeCertificate) (slot ledger.Slot, err error) {
	if slot, _, err = tx.Slot(key); err != nil {
		return slot, err
	}
	if err := tx.Settle(cert); err != nil {
		return slot, err
	}
	if cert.Outcome().Status != 1 || cert.Outcome().Batch != slot.Batch {
		return slot, nil
	}
	for _, wid := range slot.Items {
		if err := tx.BookPaid(wid); err != nil {
			return slot, err
		}
	}
	return slot, nil
}

// settled tells what became of a slot.
func (c *core) settled(key ledger.SlotKey, slot ledger.Slot, o quorum.Outcome) {
	delete(c.unmined, key)
	c.alerts.recover(codeAtCap + key.String())
	c.contradicted(key, o)
	if o.Batch != slot.Batch {
		c.log.Info("cancelled", zap.Uint64s("withdrawals", slot.Items), zap.Uint64("nonce", key.Nonce), zap.Stringer("tx", o.TxHash))
		return
	}
	if allows(slot) {
		// What it gave, members see at the final block: see checkAllowance.
		c.log.Info("allowance asked for", zap.Uint64("status", o.Status), zap.Uint64("nonce", key.Nonce), zap.Stringer("tx", o.TxHash))
		return
	}
	if o.Status != 1 {
		c.alerts.raise(Alert{Key: codeFailed + key.String(), Code: codeFailed, Severity: ledger.Critical,
			Text: fmt.Sprintf("the transaction at %s reverted: %s; its withdrawals %v wait", key, o.TxHash, slot.Items),
			Hint: "nothing was paid and the nonce is spent; they are released and paid once more, what reverts again waits for a RESOLVE"})
		return
	}
	c.log.Info("paid", zap.Uint64s("withdrawals", slot.Items), zap.Uint64("nonce", key.Nonce), zap.Stringer("tx", o.TxHash))
	c.onPaid()
}

// outcomesAgain settles what has all that it needs, which a process that died behind its own statement has left, and gossips
// own OUTCOMEs of slots that are not settled.
func (c *core) outcomesAgain() {
	var final []ledger.SlotKey
	err := c.led.View(func(tx *ledger.Tx) error {
		return tx.OpenSlots(func(slot ledger.Slot, p ledger.Payout) error {
			if p.Stage != ledger.StageFinal {
				return nil
			}
			final = append(final, slot.Key)
			all, err := tx.Outcomes(slot.Key)
			for _, s := range all {
				if s.Signer() == c.self {
					c.publish(topicFacts, s.Bytes())
				}
			}
			return err
		})
	})
	if err != nil {
		c.stop(err)
		return
	}
	for _, key := range final {
		c.maybeSettle(key)
	}
}
