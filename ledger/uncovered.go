package ledger

import (
	"bytes"

	"github.com/holiman/uint256"
)

// Hold is intake that stands still: booking the next event would leave more debits without credit than the policy allows.
// One account alone can look clean while stolen credit is spent one hop further, so the sum over all accounts is what
// counts.
type Hold struct {
	Since     uint64 // unix ms by this node's clock when intake stopped; further tries keep it
	Event     uint64 // the first event that waits; 0 when only the sum is too high
	Uncovered uint256.Int
	Max       uint256.Int // the policy's uncovered_max
}

// HoldSince returns the hold in force; ok is false when intake goes on. The node trips its fuse when it lasts longer than
// the policy's hold_max.
func (tx *Tx) HoldSince() (h Hold, ok bool, err error) {
	ok, err = tx.get(bucketBooks, keyHold, &h)
	return h, ok, err
}

// mayBook reports whether uncovered debits stay within the maximum with the event booked. A credit never raises them, nor
// does a debit that only its row will stand for.
func (b *book) mayBook(e Event) (bool, error) {
	if b.past(e) {
		return true, nil // q operators signed it
	}
	after, limit := b.totals.Uncovered, b.maxUncovered()
	if amount, ok := e.wei(); ok && e.Kind.Debit() {
		excluded, err := b.excluded(e)
		if err != nil {
			return false, err
		}
		a, err := b.peek(e.Account)
		if err != nil {
			return false, err
		}
		if with := a; !excluded {
			with.Debits.Add(&with.Debits, &amount)
			refund, err := b.refundWaitsFor(e, amount)
			if err != nil {
				return false, err
			}
			if refund {
				with.Counted.Add(&with.Counted, &amount)
			}
			move(&after, a.uncovered(), with.uncovered())
		}
	}
	return !after.Gt(&limit), nil
}

// refundWaitsFor reports whether booking the debit makes a refund of the same amount count: its reject was decided and the
// Relay's refund was booked before the debit came. Such a debit covers itself, whichever of the three comes last.
func (b *book) refundWaitsFor(e Event, amount uint256.Int) (bool, error) {
	if e.Kind != Withdraw {
		return false, nil
	}
	raw := b.tx.b.Bucket(bucketRejectWait).Get(debitKey(e.Account, e.ID))
	if raw == nil || !bytes.Equal(raw, amountKey(amount)) {
		return false, nil
	}
	var m refundMatch
	_, err := b.tx.get(bucketRefunds, join(e.Account[:], amountKey(amount)), &m)
	return m.Events > m.Rejects, err
}

// keepHold stores what waits, forgets what was booked, and remembers since when intake stands still.
func (b *book) keepHold(booked, held []entry) (*Hold, error) {
	bucket := b.tx.b.Bucket(bucketHeld)
	if len(held) > MaxHeld {
		return nil, ErrHoldFull
	}
	if k, _ := bucket.Cursor().First(); k != nil {
		for _, e := range booked {
			if err := bucket.Delete(be64(e.ID)); err != nil {
				return nil, err
			}
		}
	}
	for _, e := range held {
		key := be64(e.ID)
		if bytes.Equal(bucket.Get(key), e.rlp) {
			continue
		}
		if err := bucket.Put(key, e.rlp); err != nil {
			return nil, err
		}
	}
	return b.holdState(held)
}

// holdState starts, renews or ends the hold.
func (b *book) holdState(held []entry) (*Hold, error) {
	h, stood, err := b.tx.HoldSince()
	if err != nil {
		return nil, err
	}
	limit := b.maxUncovered()
	if len(held) == 0 && !b.totals.Uncovered.Gt(&limit) {
		if stood {
			err = b.tx.b.Bucket(bucketBooks).Delete(keyHold)
		}
		return nil, err
	}
	if !stood {
		h.Since = b.in.Now
	}
	h.Event, h.Uncovered, h.Max = 0, b.totals.Uncovered, limit
	var first Event
	if len(held) > 0 {
		first = held[0].Event
		h.Event = first.ID
	}
	if !stood {
		b.alert(AlertUncovered, Critical, first,
			"look at the debits of the account and where its credit came from; deposits may still lack their proof",
			"intake is held: uncovered debits are %s wei and may not pass %s", h.Uncovered.Dec(), limit.Dec())
	}
	return &h, b.tx.put(bucketBooks, keyHold, h)
}
