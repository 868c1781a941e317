package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
)

// sweep is what the core knows of a payer that is being emptied, beside what the decisions say. See [batch.Retiring].
type sweep struct {
	payer common.Address       // zero: none
	lanes map[string]laneFacts // by network, of that payer
	tried time.Time            // when a SWEEP was last tried
}

// makesKey reports whether the ceremony makes a key: the founding one, or another one that a removal for cause ordered. Else it hands the
// key in force on.
func (f *ceremony) makesKey() bool { return f.founding() || f.rekeys }

// followOrder begins, or goes on with, the ceremony of the key that a decided change of members ordered. The order stands in the
// decisions: whoever restarts finds it there.
func (c *core) followOrder() {
	defer c.relink()
	if f := c.ceremony; f != nil && f.rekeys && f.hash == c.state.Ordered {
		return
	} else if f != nil {
		f.end()
		c.ceremony = nil
	}
	if !c.member() {
		return
	}
	f := c.newCeremony(quorum.Roster{Epoch: c.state.Roster.Epoch + 1, Members: c.state.Roster.Members})
	f.hash, f.rekeys = c.state.Ordered, true
	c.log.Info("the ceremony of another key begins", zap.Stringer("ordered by", f.hash), zap.Uint64("epoch", f.target.Epoch))
	c.ceremony = f
	if err := f.again(c, 0); err != nil {
		c.stop(err)
	}
}

// followOld follows the decisions on a payer that is being emptied: whom the watchers look at, what people hear of it, and the end of the
// shares of its key.
func (c *core) followOld() {
	now := common.Address{}
	if old := c.state.Old; old != nil {
		now = old.Payer
	}
	was := c.swept.payer
	if now == was {
		return
	}
	c.swept = sweep{payer: now, lanes: map[string]laneFacts{}}
	if now != (common.Address{}) {
		c.retiring.Store(&now)
		c.log.Info("the old payer is being emptied", zap.Stringer("payer", now), zap.Stringer("to", c.state.Payer))
		c.alerts.ensure(alertOldPayer(now, c.state.Payer))
		return
	}
	c.retiring.Store(nil)
	c.alerts.recover(codeOldPayer)
	c.log.Info("the old payer is empty; the shares of its key are destroyed", zap.Stringer("payer", was))
	c.members.nextDelete = c.now()
	if c.signer != nil {
		c.signer.old = nil
	}
}

// openOld takes the share of the key of the payer that is being emptied. Without it this node verifies and broadcasts.
func (c *core) openOld() error {
	old := c.state.Old
	if old == nil {
		return nil
	}
	var t quorum.Transcript
	err := c.led.View(func(tx *ledger.Tx) error {
		_, action, _, ok, err := tx.EpochRecord(old.Epoch)
		if t = action.Transcript; err == nil && !ok {
			err = fmt.Errorf("%w: epoch %d", ledger.ErrNotFound, old.Epoch)
		}
		return err
	})
	if err != nil {
		return err
	}
	share, err := c.vault.ShareOf(t)
	switch {
	case err == nil:
		c.signer.old = share
	case errors.Is(err, ErrNoShare) && c.member():
		c.alerts.raise(alertNoShare(old.Payer))
	case !errors.Is(err, ErrNoShare) && !errors.Is(err, ErrSealed): // unseal comes here again
		return err
	}
	return nil
}

// shareOf is this node's share of a key that is in force, or of the old payer's.
func (s *signer) shareOf(key quorum.PublicKey) *tss.KeyShare {
	for _, share := range []*tss.KeyShare{s.share, s.old} {
		if share != nil && share.PublicKey() == key {
			return share
		}
	}
	return nil
}

// keyOf is the key that signs for a payer; ok is false when this node has no share of it.
func (s *signer) keyOf(c *core, payer common.Address) (key quorum.PublicKey, ok bool) {
	key, _, ok = c.state.Paying(payer)
	return key, ok && s.shareOf(key) != nil
}

// oldViews is what this node saw of the old payer lately, for its VIEW.
func (c *core) oldViews(now time.Time) (out []quorum.LaneView) {
	for _, l := range c.state.Lanes {
		if f, ok := c.swept.lanes[l.Network]; ok && c.state.Old != nil && f.view.Lane == l.Key(c.state.Old.Payer) && now.Sub(f.at) < 2*viewEvery {
			out = append(out, f.view)
		}
	}
	return out
}

// oldSeen takes what a watcher read of the old payer.
func (c *core) oldSeen(network string, view quorum.LaneView) {
	if c.swept.payer != view.Lane.Payer {
		return
	}
	was, known := c.swept.lanes[network]
	c.swept.lanes[network] = laneFacts{view: view, at: c.now()}
	if !known || was.view.Nonce != view.Nonce || grew(was.view, view) {
		c.speakView(c.now())
	}
}

// buildSweep makes the next SWEEP. A halted node asks for none: what may not be signed is not decided.
func (c *core) buildSweep() (batch.Batch, bool) {
	now := c.now()
	if c.state.Old == nil || now.Sub(c.swept.tried) < buildEvery || c.stops().All {
		return batch.Batch{}, false
	}
	b, err := c.state.BuildSweep(c.pool.viewList())
	if err != nil {
		c.swept.tried = now
		c.log.Debug("the sweep waits", zap.Error(err))
	}
	return b, err == nil
}

// sweepPayment is the transaction of a SWEEP, from its bytes alone: a plain transfer from the old payer to the new one.
func sweepPayment(b batch.Batch, lanes []quorum.Lane) (chain.Payment, error) {
	moves, err := quorum.DecodeSweepAction(b.Action)
	if err != nil {
		return chain.Payment{}, err
	}
	for _, l := range lanes {
		if l.ChainID != b.Lane.ChainID || (l.Token != b.Lane.Token && b.Lane.Token != (common.Address{})) {
			continue
		}
		on := chainLane(l)
		on.Token = b.Lane.Token
		return chain.Transfer(on, b.Lane.Payer, b.Nonce, moves.To, moves.Value, b.GasLimit, chain.Fees{Offer: b.Offer, Tip: b.Tip, FeeCap: b.FeeCap}), nil
	}
	return chain.Payment{}, fmt.Errorf("no lane of chain %d", b.Lane.ChainID)
}

// codeOldPayer: see the catalogue.
const codeOldPayer = "old-payer"

func alertOldPayer(old, payer common.Address) Alert {
	return Alert{Code: codeOldPayer, Text: fmt.Sprintf("payer %s pays now, and payer %s is being emptied", payer, old),
		Hint: "send nothing to the old payer any more; give the new one what it needs"}
}
