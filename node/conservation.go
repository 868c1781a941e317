package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
)

// maxCosts is how many final payer transactions are read in one look: a node that was away for long reads on with the next.
const maxCosts = 32

// fuseOutflow is the fuse's code for what left the payer and nothing explains.
const fuseOutflow = "unexplained-outflow"

// cost is what one final payer transaction took.
type cost struct {
	token common.Address
	paid  uint256.Int // of token; zero when it reverted, or is none of ours
	fee   uint256.Int // wei, by its receipt
	most  uint256.Int // wei, by its decision
}

// flows keeps a lane's running accounts: of its token, and of the chain's coin where the lane is the one to do so.
type flows struct {
	coin  bool            // this watcher keeps the account of the chain's coin
	costs map[uint64]cost // by nonce, of transactions that an account has not taken in yet
}

// newFlows: of the lanes of one chain the one that pays in the coin keeps the coin's account, else the first.
func newFlows(lane quorum.Lane, all []quorum.Lane) flows {
	keeper := lane.Network
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].ChainID == lane.ChainID {
			keeper = all[i].Network
		}
	}
	for _, l := range all {
		if l.ChainID == lane.ChainID && l.Token == (common.Address{}) {
			keeper = l.Network
		}
	}
	return flows{coin: keeper == lane.Network, costs: map[uint64]cost{}}
}

// conserve books what a survey shows: between two final blocks the payer's balance may fall by what decided transactions
// paid and cost, and rise by whatever somebody sends. Anything else halts this node.
func (w *watcher) conserve(ctx context.Context, key quorum.LaneKey, s chain.Survey) error {
	if w.flows.coin {
		asset := ledger.AssetKey{ChainID: key.ChainID, Payer: key.Payer}
		if err := w.conserveAsset(ctx, key, asset, s, s.Gas); err != nil {
			return err
		}
	}
	if key.Token == (common.Address{}) {
		return nil
	}
	return w.conserveAsset(ctx, key, ledger.AssetKey{ChainID: key.ChainID, Payer: key.Payer, Token: key.Token}, s, s.Token)
}

func (w *watcher) conserveAsset(ctx context.Context, key quorum.LaneKey, asset ledger.AssetKey, s chain.Survey, wallet uint256.Int) error {
	seen := ledger.Sighting{Block: s.Final.Number, BlockHash: s.Final.Hash, Nonce: s.Nonce, Wallet: wallet}
	var flow ledger.Flow
	var known bool
	err := w.n.led.View(func(tx *ledger.Tx) (err error) { flow, known, err = tx.Flow(asset); return err })
	switch {
	case err != nil:
		return err
	case !known:
		w.n.log.Info("the payer's account begins", zap.Stringer("asset", asset), zap.String("initial", wallet.Dec()), zap.Uint64("block", seen.Block))
		return w.putFlow(ledger.Begin(asset, seen))
	case seen.Block <= flow.Block:
		return nil
	case seen.Nonce == flow.Nonce && seen.Wallet == flow.Wallet:
		delete(w.odd, oddOutflow(asset))
		return nil // nothing moved; a commit each block would only wear the disk
	case seen.Nonce < flow.Nonce:
		return fmt.Errorf("final nonce %d at block %d, it was %d at block %d: the endpoints lag", seen.Nonce, seen.Block, flow.Nonce, flow.Block)
	}
	explained, err := w.explain(ctx, key, flow, &seen)
	if err != nil || !explained {
		return err
	}
	next, lost, err := flow.Next(seen)
	if err != nil {
		return err
	}
	if !lost.IsZero() && !w.unexplained(ctx, flow, next, lost) {
		return nil
	}
	delete(w.odd, oddOutflow(asset))
	if next.Inflow != flow.Inflow {
		var in uint256.Int
		in.Sub(&next.Inflow, &flow.Inflow)
		w.n.log.Info("the payer was topped up", zap.Stringer("asset", asset), zap.String("amount", in.Dec()), zap.Uint64("block", seen.Block))
	}
	return w.putFlow(next)
}

func (w *watcher) putFlow(f ledger.Flow) error {
	err := w.n.led.Update(func(tx *ledger.Tx) error { return tx.PutFlow(f) })
	if err != nil {
		w.n.core.post(func() { w.n.core.stop(fmt.Errorf("book the payer's balance: %w", err)) })
	}
	return err
}

// explain sums up what the payer's transactions since the last sighting took. It is not done while a decision is not known
// here, or while there are more of them than one look reads.
func (w *watcher) explain(ctx context.Context, key quorum.LaneKey, flow ledger.Flow, seen *ledger.Sighting) (done bool, err error) {
	read := 0
	for n := flow.Nonce; n < seen.Nonce; n++ {
		c, ok := w.flows.costs[n]
		if !ok {
			if read++; read > maxCosts {
				return false, nil
			}
			if c, ok, err = w.costAt(ctx, key, n); err != nil || !ok {
				return false, err
			}
			w.flows.costs[n] = c
		}
		if c.token == flow.Key.Token {
			seen.Paid.Add(&seen.Paid, &c.paid)
		}
		if flow.Key.Token == (common.Address{}) {
			seen.Fees.Add(&seen.Fees, &c.fee)
			seen.FeesMost.Add(&seen.FeesMost, &c.most)
		}
	}
	w.forgetCosts(key)
	return true, nil
}

// forgetCosts drops what every account of this watcher has taken in.
func (w *watcher) forgetCosts(key quorum.LaneKey) {
	taken := uint64(0)
	err := w.n.led.View(func(tx *ledger.Tx) error {
		for i, token := range []common.Address{key.Token, {}} {
			if i > 0 && !w.flows.coin {
				continue
			}
			f, _, err := tx.Flow(ledger.AssetKey{ChainID: key.ChainID, Payer: key.Payer, Token: token})
			if err != nil {
				return err
			}
			if i == 0 || f.Nonce < taken {
				taken = f.Nonce
			}
		}
		return nil
	})
	for n := range w.flows.costs {
		if err == nil && n < taken {
			delete(w.flows.costs, n)
		}
	}
}

// costAt reads the final transaction at a nonce. ok is false while this node holds no decision that took it: the check of
// nonces deals with that.
func (w *watcher) costAt(ctx context.Context, key quorum.LaneKey, nonce uint64) (c cost, ok bool, err error) {
	var slot ledger.Slot
	var signed []common.Hash
	err = w.n.led.View(func(tx *ledger.Tx) (err error) {
		slot, ok, err = tx.Slot(ledger.SlotKey{ChainID: key.ChainID, Payer: key.Payer, Nonce: nonce})
		if err != nil || !ok {
			return err
		}
		signed, err = signedHashes(tx, slot)
		return err
	})
	if err != nil || !ok {
		return c, false, err
	}
	payments, err := w.payments(slot)
	if err != nil {
		return c, false, err
	}
	out, err := chain.OutcomeFor(ctx, w.end, key.Payer, nonce, signed)
	if err != nil {
		return c, false, err
	}
	c.token = slot.Token
	of := slices.IndexFunc(payments, func(p chain.Payment) bool { _, ours := chain.Match(out.Payload, p); return ours })
	if of < 0 {
		return c, true, nil // nothing that it took is explained
	}
	if c.fee, ok = out.Fee(); !ok {
		return c, false, fmt.Errorf("the fee of %s overflows", out.TxHash)
	}
	if c.most = payments[of].WorstGas(); of == 0 && out.Status == 1 { // a CANCEL pays nobody
		c.paid = slot.Value
		w.movedAll(slot, key, out)
		return c, true, w.claims(slot, payments[of], out)
	}
	return c, true, nil
}

// movedAll calls a person when a token says that it moved another amount than was paid in it. The books call the payment
// made, for its transaction succeeded; whether its destination has it, only people can find out.
func (w *watcher) movedAll(slot ledger.Slot, key quorum.LaneKey, out chain.Outcome) {
	if slot.Token == (common.Address{}) {
		return
	}
	if moved := out.Moved(slot.Token, key.Payer); moved != slot.Value {
		w.n.alerts.raise(Alert{Key: codeMoved + slot.Key.String(), Code: codeMoved, Text: fmt.Sprintf("%s: %s at nonce %d was to move %s of token %s, "+
			"which says that it moved %s", w.lane.Network, out.TxHash, slot.Key.Nonce, slot.Value.Dec(), slot.Token, moved.Dec())})
	}
}

// oddOutflow is the name under which a loss is odd.
func oddOutflow(k ledger.AssetKey) string { return "outflow of " + k.String() }

// unexplained halts this node for what nothing explains, once it is sure to hold every decision. It reports whether it did:
// the loss is then booked, so that operators who resume do not find it again.
func (w *watcher) unexplained(ctx context.Context, was, now ledger.Flow, lost uint256.Int) (tripped bool) {
	since, core := w.oddSince(oddOutflow(was.Key)), w.n.core
	err := core.ask(ctx, func() {
		if !core.caughtUp(since) {
			return
		}
		tripped = true
		core.trip(fuseOutflow, fmt.Sprintf("%s: %s of %s left payer %s between blocks %d and %d, and no final payout or fee explains it: "+
			"%s before, %s now, %s paid and %s fees in all", w.lane.Network, lost.Dec(), was.Key, was.Key.Payer, was.Block, now.Block,
			was.Wallet.Dec(), now.Wallet.Dec(), now.Paid.Dec(), now.Fees.Dec()))
	})
	return err == nil && tripped
}
