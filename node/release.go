package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// buildRelease makes the batch that frees the items of slots which q members say were final without paying them.
func (c *core) buildRelease() (batch.Batch, bool) {
	var certs []quorum.OutcomeCertificate
	err := c.led.View(func(tx *ledger.Tx) error {
		return tx.Failed(func(slot ledger.Slot, _ ledger.Payout) error {
			all, err := tx.Outcomes(slot.Key)
			if err != nil {
				return err
			}
			if cert, ok := quorum.CertifyOutcome(c.state.Roster, all); ok {
				certs = append(certs, cert)
			}
			return nil
		})
	})
	if err != nil {
		c.stop(err)
		return batch.Batch{}, false
	}
	if len(certs) == 0 || c.stops().All {
		return batch.Batch{}, false
	}
	return c.state.BuildReleases(certs, c.pool.viewList())
}

// settleReleased closes the slots that a decision releases, where this node has not closed them itself. A certificate here that says
// otherwise means that more than f members signed both: the decision is not recorded, and the node stops.
func (c *core) settleReleased(tx *ledger.Tx, fx batch.Effects) error {
	for _, u := range fx.Batch.Releases {
		cert, err := u.Verify(c.network, c.state.Roster)
		if err != nil {
			return err
		}
		if err := tx.Settle(cert); err != nil {
			return err
		}
	}
	return nil
}

func releasedKeys(fx batch.Effects) (out []ledger.SlotKey) {
	for _, r := range fx.Released {
		out = append(out, ledger.SlotKey{ChainID: r.Lane.ChainID, Payer: r.Lane.Payer, Nonce: r.Nonce})
	}
	return out
}

// released takes back what members said of withdrawals that went free: it counts again, where it is of the epoch and policy in force.
func (c *core) released(fx batch.Effects) {
	for _, key := range releasedKeys(fx) {
		c.alerts.recover(codeFailed + key.String())
		delete(c.unmined, key)
		c.alerts.recover(codeAtCap + key.String())
	}
	for _, r := range fx.Released {
		for _, wid := range r.WIDs {
			err := c.led.View(func(tx *ledger.Tx) error {
				approvals, refusals, err := tx.VerdictsInForce(wid, c.state.Policy.Ref())
				for _, s := range approvals {
					c.pool.addApproval(s)
				}
				for _, s := range refusals {
					c.pool.addRefusal(s)
				}
				return err
			})
			if err != nil {
				c.stop(err)
				return
			}
		}
	}
}

// restate looks again at slots that await their release, where this node has signed no OUTCOME in the epoch in force: those that an
// earlier epoch signed release nothing.
func (w *watcher) restate(ctx context.Context) error {
	type open struct {
		slot  ledger.Slot
		known []common.Hash
	}
	var all []open
	err := w.n.led.View(func(tx *ledger.Tx) error {
		self, _ := tx.Self()
		return tx.Failed(func(slot ledger.Slot, _ ledger.Payout) error {
			if slot.Network != w.lane.Network {
				return nil
			}
			said, err := tx.Outcomes(slot.Key)
			for _, s := range said {
				if s.Signer() == self {
					return err
				}
			}
			known, err2 := signedHashes(tx, slot)
			all = append(all, open{slot, known})
			return errors.Join(err, err2)
		})
	})
	if err != nil {
		return err
	}
	for _, o := range all {
		payments, err := w.payments(o.slot)
		if err != nil {
			return err
		}
		look, err := chain.Observe(ctx, w.end, o.known, payments...)
		if err != nil {
			return err
		}
		if look.Seen != nil && look.Seen.Ours && look.Seen.Block <= look.Final {
			seen, slot := *look.Seen, o.slot
			w.n.core.post(func() { w.n.core.stateAgain(slot, seen) })
		}
	}
	return nil
}

// stateAgain signs this node's OUTCOME of a closed slot for the epoch in force.
func (c *core) stateAgain(slot ledger.Slot, seen chain.Sighting) {
	var raw []byte
	ok := c.attempt("record outcome again", func(tx *ledger.Tx) (err error) {
		if !tx.AwaitsRelease(slot.Key) {
			return nil
		}
		raw, err = tx.Outcome(c.outcomeOf(slot, seen), c.signOutcome)
		return err
	})
	if ok && raw != nil {
		c.publish(topicFacts, raw)
	}
}

// outcomeOf is what this node says of what its endpoints show final at a slot's nonce.
func (c *core) outcomeOf(slot ledger.Slot, seen chain.Sighting) quorum.Outcome {
	return quorum.Outcome{
		Epoch: c.state.Roster.Epoch, Lane: quorum.LaneKey{ChainID: slot.Key.ChainID, Token: slot.Token, Payer: slot.Key.Payer},
		Nonce: slot.Key.Nonce, Batch: slot.Holder(seen.Of), K: seen.K, TxHash: seen.TxHash, BlockHash: seen.BlockHash, Status: seen.Status,
	}
}

func (c *core) signOutcome(b quorum.Outcome) (quorum.Signed[quorum.Outcome], error) {
	return quorum.Sign(c.key, c.network, b)
}

// contradicted trips this node's fuse when q others certify of a slot what its own endpoints, at their final block, show otherwise:
// either they lie, or more than f members do. What a certificate frees is paid a second time.
func (c *core) contradicted(key ledger.SlotKey, o quorum.Outcome) {
	var own *quorum.Outcome
	err := c.led.View(func(tx *ledger.Tx) error {
		said, err := tx.Outcomes(key)
		for _, s := range said {
			if b := s.Body(); s.Signer() == c.self && b.BlockHash == o.BlockHash {
				own = &b
			}
		}
		return err
	})
	if err != nil {
		c.stop(err)
		return
	}
	if own != nil && (own.Batch != o.Batch || own.Status != o.Status || own.TxHash != o.TxHash) {
		c.trip("outcome-contradicted", fmt.Sprintf("%s: q members certify transaction %s with status %d, own endpoints show %s with status %d",
			key, o.TxHash, o.Status, own.TxHash, own.Status))
	}
}

// payments are what may stand at a slot's nonce: its batch's payment, then those of its CANCELs.
func (w *watcher) payments(slot ledger.Slot) (out []chain.Payment, err error) {
	heights := []uint64{slot.Height}
	for _, c := range slot.Cancels {
		heights = append(heights, c.Height)
	}
	for _, h := range heights {
		var value []byte
		err := w.n.led.View(func(tx *ledger.Tx) error {
			d, _, err := tx.Decision(h)
			value = d.Value
			return err
		})
		if err != nil {
			return nil, err
		}
		p, err := paymentOf(w.n.network, value, w.n.genesis.Lanes)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
