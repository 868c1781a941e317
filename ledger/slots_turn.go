package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// ErrNotDue means that a fee step may not be signed yet: the one below it is not signed here, or never went out.
var ErrNotDue = errors.New("the fee step below it was not broadcast")

// bumpBehind is how many heights' worth of unsigned slots go before a slot's due fee step, for each step. Without a bound a
// chain that is paid without end would keep the one key from a transaction that is stuck on another chain.
const bumpBehind = 16

// Turn is what the key signs next: a fee step of a decided slot.
type Turn struct {
	Slot Slot
	K    uint64
}

// rank orders turns: what is not signed at all by its height; a fee step behind that, but not behind everything that is to come.
// It follows from decisions alone, so that members who see the same steps due agree on the order.
func (t Turn) rank() uint64 { return t.Slot.Height + bumpBehind*t.K }

// before reports whether t is signed before o.
func (t Turn) before(o Turn) bool {
	if (t.K == 0) != (o.K == 0) && t.rank() == o.rank() {
		return t.K == 0
	}
	return t.rank() < o.rank()
}

// NextTurn returns what to sign next. Of every sequence of nonces only the earliest unsigned slot counts, and of those that no
// halt covers the one that was decided first. When a halt covers the earliest of a sequence, the sequence's unsigned slots
// wait, other lanes on the chain too: a later nonce would not be mined before it. Other chains go on. A signed slot counts
// when due says that its highest signed step waited long enough.
func (tx *Tx) NextTurn(due func(Slot, Signed) bool) (first Turn, ok bool, err error) {
	waits := map[quorum.NonceKey]bool{}
	err = tx.OpenSlots(func(slot Slot, p Payout) error {
		turn, is, err := tx.turnOf(slot, p, waits, due)
		if err != nil || !is || (ok && !turn.before(first)) {
			return err
		}
		if err := tx.MaySignSlot(slot); err != nil {
			if errors.Is(err, ErrHalted) {
				return nil
			}
			return err
		}
		first, ok = turn, true
		return nil
	})
	return first, ok, err
}

// turnOf is what of a slot could be signed now; waits notes the sequences whose earliest unsigned slot was seen.
func (tx *Tx) turnOf(slot Slot, p Payout, waits map[quorum.NonceKey]bool, due func(Slot, Signed) bool) (Turn, bool, error) {
	if p.Stage >= StageMined || slot.Released != 0 {
		return Turn{}, false, nil
	}
	_, top, signed, err := tx.TopOf(slot)
	if err != nil {
		return Turn{}, false, err
	}
	if signed {
		return Turn{slot, top.K + 1}, due(slot, top), nil
	}
	first := !waits[slot.Key.Nonces()]
	waits[slot.Key.Nonces()] = true
	return Turn{Slot: slot}, first, nil
}

// TopSigned returns the highest signed fee step of a batch. ok is false when none is signed.
func (tx *Tx) TopSigned(batch common.Hash) (top Signed, ok bool, err error) {
	err = tx.SignedOf(batch, func(s Signed) error { top, ok = s, true; return nil })
	return top, ok, err
}

// MarkSent records that an endpoint took a signed transaction: from now on it waits for its block. Only the first time counts.
func (tx *Tx) MarkSent(batch common.Hash, k uint64) error {
	s, ok, err := tx.Signed(batch, k)
	if err != nil || !ok || s.Sent != 0 {
		return err
	}
	s.Sent = nowMS()
	return tx.put(bucketSigned, join(batch[:], be64(k)), s)
}

// waitAnew starts the wait of a batch's highest step again: a reorganisation took it out of its block, and nobody needs to pay
// more for that.
func (tx *Tx) waitAnew(batch common.Hash) error {
	top, ok, err := tx.TopSigned(batch)
	if err != nil || !ok || top.Sent == 0 {
		return err
	}
	top.Sent = nowMS()
	return tx.put(bucketSigned, join(batch[:], be64(top.K)), top)
}

// mayStep checks that a fee step's turn can have come: the step below it is signed, and an endpoint has taken it.
func (tx *Tx) mayStep(batch common.Hash, k uint64) error {
	if k == 0 {
		return nil
	}
	below, ok, err := tx.Signed(batch, k-1)
	if err == nil && (!ok || below.Sent == 0) {
		err = fmt.Errorf("batch %s step %d: %w", batch, k, ErrNotDue)
	}
	return err
}
