package node

import (
	"context"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
)

// turnTo makes this watcher follow a payer: its nonces and its accounts are its own.
func (w *watcher) turnTo(tx *ledger.Tx, payer common.Address) error {
	if w.payer == payer {
		return nil
	}
	first, err := tx.Founded(payer)
	if err != nil {
		return err
	}
	w.payer, w.first, w.closed, w.undecided, w.odd = payer, 0, 0, undecided{}, map[string]time.Time{}
	if first {
		w.first = w.lane.FirstNonce
	}
	w.flows, w.lost = newFlows(w.lane, w.n.genesis.Lanes), map[ledger.SlotKey]time.Time{}
	return nil
}

// lookOld looks at the payer that is being emptied, as at the one in force: its transactions must all be decided, and what leaves it explained.
func (w *watcher) lookOld(ctx context.Context) error {
	payer := w.n.core.retiring.Load()
	if payer == nil {
		w.old = nil
		return nil
	}
	if w.old == nil || w.old.payer != *payer {
		old := &watcher{n: w.n, lane: w.lane, end: w.end}
		if err := w.n.led.View(func(tx *ledger.Tx) error { return old.turnTo(tx, *payer) }); err != nil {
			return err
		}
		w.old = old
	}
	key := w.lane.Key(*payer)
	s, err := chain.SurveyLane(ctx, w.end, chainLane(w.lane), key.Payer)
	if err != nil {
		return err
	}
	view := quorum.LaneView{Lane: key, Block: s.Final.Number, Nonce: s.Nonce, Balance: s.Token, Gas: s.Gas, BaseFee: s.Final.BaseFee}
	w.n.core.post(func() { w.n.core.oldSeen(w.lane.Network, view) })
	if err := w.old.checkNonce(ctx, key, s.Nonce); err != nil {
		return err
	}
	return w.old.conserve(ctx, key, s)
}
