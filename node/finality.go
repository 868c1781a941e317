package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
)

// fuseFinality is the fuse's code for a final block, or a final payment, that is not on the chain any more.
const fuseFinality = "finality-broken"

const (
	// maxAnchored bounds the payments that are looked at again when finality breaks: two minutes of them at one a second, and a
	// chain that goes back further names the latest.
	maxAnchored = 128
	// maxNamed bounds those that the halt's text names.
	maxNamed = 3
)

// anchor is a block that was final. It stays on the chain, or everything that rests on finality is void.
type anchor struct {
	number uint64
	hash   common.Hash
}

func (w *watcher) keyAnchor() []byte { return []byte("finality/" + w.lane.Network) }

// firmly holds the chain to what it showed as final, before anything new is believed of it. Blocks that follow each other prove
// it for nothing; after a gap one more header is read. What was final before this process began is remembered by the payments in
// it, and by what broke last.
func (w *watcher) firmly(ctx context.Context, key quorum.LaneKey, final chain.Header) error {
	if w.anchor == (anchor{}) {
		if err := w.recallAnchor(key); err != nil {
			return err
		}
	}
	now, was := anchor{final.Number, final.Hash}, w.anchor
	next := was.number + 1
	switch {
	case was == (anchor{}), final.Number == next && final.Parent == was.hash:
		w.anchor = now
		return nil
	case final.Number < was.number:
		return nil // an older block, by endpoints that lag; it is compared when they have caught up
	case final.Number > was.number:
		h, err := w.end.HeaderAt(ctx, was.number)
		if err != nil {
			return fmt.Errorf("compare final block %d: %w", was.number, err)
		}
		final = h
	}
	if final.Hash == was.hash {
		w.anchor = now
		return nil
	}
	return w.broken(ctx, key, was, anchor{final.Number, final.Hash}, now)
}

// recallAnchor is where this process begins to compare.
func (w *watcher) recallAnchor(key quorum.LaneKey) error {
	return w.n.led.View(func(tx *ledger.Tx) error {
		if raw := tx.WatchValue(w.keyAnchor()); len(raw) == 8+common.HashLength {
			w.anchor = anchor{binary.BigEndian.Uint64(raw), common.BytesToHash(raw[8:])}
		}
		return w.finals(tx, key, func(p ledger.Payout) {
			if p.Block > w.anchor.number {
				w.anchor = anchor{p.Block, p.BlockHash}
			}
		})
	})
}

// finals walks the newest payments of the sequence that were final here.
func (w *watcher) finals(tx *ledger.Tx, key quorum.LaneKey, fn func(ledger.Payout)) error {
	last, ok := tx.LastNonce(key.Nonces())
	if !ok {
		return nil
	}
	first := max(w.first, last+1-min(last+1, maxAnchored))
	for n := first; n <= last; n++ {
		p, _, err := tx.Payout(ledger.SlotKey{ChainID: key.ChainID, Payer: key.Payer, Nonce: n})
		if err != nil {
			return err
		}
		if p.Stage >= ledger.StageFinal && p.BlockHash != (common.Hash{}) {
			fn(p)
		}
	}
	return nil
}

// broken halts this node, names what is gone, and remembers the chain as it is now: operators who resume have seen it.
func (w *watcher) broken(ctx context.Context, key quorum.LaneKey, was, is, now anchor) error {
	gone, err := w.gone(ctx, key)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: block %d was final as %s and is %s now", w.lane.Network, was.number, was.hash, is.hash)
	if len(gone) > 0 {
		text += fmt.Sprintf("; %d payments were in blocks that are gone: %s", len(gone), strings.Join(gone[:min(len(gone), maxNamed)], ", "))
	}
	core := w.n.core
	if err := core.ask(ctx, func() { core.trip(fuseFinality, text) }); err != nil {
		return err
	}
	w.n.log.Error("finality broken", zap.String("what", text), zap.Strings("gone", gone))
	err = w.n.led.Update(func(tx *ledger.Tx) error {
		return tx.PutWatch(w.keyAnchor(), append(binary.BigEndian.AppendUint64(nil, now.number), now.hash[:]...))
	})
	if err != nil {
		core.post(func() { core.stop(fmt.Errorf("record finality: %w", err)) })
		return err
	}
	w.anchor = now
	return nil
}

// gone lists final payments whose block is not on the chain any more, the newest first.
func (w *watcher) gone(ctx context.Context, key quorum.LaneKey) (out []string, err error) {
	var paid []ledger.Payout
	if err := w.n.led.View(func(tx *ledger.Tx) error {
		return w.finals(tx, key, func(p ledger.Payout) { paid = append(paid, p) })
	}); err != nil {
		return nil, err
	}
	hashes := map[uint64]common.Hash{}
	for i := len(paid) - 1; i >= 0; i-- {
		p := paid[i]
		if _, known := hashes[p.Block]; !known {
			h, err := w.end.HeaderAt(ctx, p.Block)
			if err != nil && !errors.Is(err, chain.ErrNotFound) {
				return nil, fmt.Errorf("look for block %d: %w", p.Block, err)
			}
			hashes[p.Block] = h.Hash
		}
		if hashes[p.Block] == p.BlockHash {
			break // and so are all that were final before it
		}
		out = append(out, fmt.Sprintf("%s of block %d", p.TxHash, p.Block))
	}
	return out, nil
}

// again sends the bytes of payments that were final and that the chain does not count any more: a chain that went back must not
// lose what is paid. Towards endpoints that only lag it is one broadcast too many.
func (w *watcher) again(ctx context.Context, key quorum.LaneKey, from, below uint64) {
	for n := from; n < min(below, from+maxCosts); n++ {
		slot := ledger.SlotKey{ChainID: key.ChainID, Payer: key.Payer, Nonce: n}
		if w.n.now().Sub(w.lost[slot]) < rebroadcast {
			continue
		}
		var raw []byte
		err := w.n.led.View(func(tx *ledger.Tx) error {
			s, ok, err := tx.Slot(slot)
			if err != nil || !ok {
				return err
			}
			p, _, err := tx.Payout(slot)
			if err != nil {
				return err
			}
			return tx.SignedFor(s, func(signed ledger.Signed) error {
				if signed.Hash == p.TxHash { // and no other bytes: what the nonce paid stands
					raw = signed.Raw
				}
				return nil
			})
		})
		if err != nil || raw == nil {
			continue
		}
		w.lost[slot] = w.n.now()
		err = w.end.SendRaw(ctx, raw)
		w.n.log.Info("sent again what was final", zap.Stringer("slot", slot), zap.Error(err))
	}
}
