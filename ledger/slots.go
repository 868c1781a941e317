package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// ErrNonceGap means that a decision's nonce does not follow the one before it.
var ErrNonceGap = errors.New("nonces are not contiguous")

// Buckets: slots by chain ‖ payer ‖ nonce; their keys by batch id and by height; the keys of those that no outcome
// certificate closed yet.
var (
	bucketSlots      = []byte("slots")
	bucketSlotBatch  = []byte("slot-batch")
	bucketSlotHeight = []byte("slot-height")
	bucketSlotOpen   = []byte("slot-open")
)

// SlotKey is one nonce of one payer on one chain.
type SlotKey struct {
	ChainID uint64
	Payer   common.Address
	Nonce   uint64
}

// Nonces names the sequence that the slot belongs to.
func (k SlotKey) Nonces() quorum.NonceKey { return quorum.NonceKey{ChainID: k.ChainID, Payer: k.Payer} }

func (k SlotKey) String() string {
	return fmt.Sprintf("nonce %d of %s on chain %d", k.Nonce, k.Payer, k.ChainID)
}

func (k SlotKey) bytes() []byte { return join(nonceKeyBytes(k.Nonces()), be64(k.Nonce)) }

func nonceKeyBytes(k quorum.NonceKey) []byte { return join(be64(k.ChainID), k.Payer[:]) }

func slotKeyOf(raw []byte) SlotKey {
	return SlotKey{binary.BigEndian.Uint64(raw[:8]), common.BytesToAddress(raw[8:28]), binary.BigEndian.Uint64(raw[28:])}
}

// Slot is a nonce that a decision gave to a batch. It is written once: the nonce is never used for another payload.
type Slot struct {
	Key      SlotKey
	Batch    common.Hash // the decided value's id
	Height   uint64
	Network  string // the lane's name
	Token    common.Address
	Items    []uint64    // withdrawals that its transaction pays
	Value    uint256.Int // of the token, smallest unit
	GasLimit uint64
	FeeCap   uint256.Int // wei per gas

	Cancels  []SlotCancel `rlp:"optional"` // decided for the nonce since, in their order; none replaces the batch
	Released uint64       `rlp:"optional"` // height of the decision that freed its items, 0 before
}

// WorstGas is the most that the slot's transaction can cost in gas, in wei. ok is false on overflow.
func (s Slot) WorstGas() (wei uint256.Int, ok bool) {
	_, over := wei.MulOverflow(&s.FeeCap, uint256.NewInt(s.GasLimit))
	return wei, !over
}

// takeSlot writes SLOT with the decision.
func (tx *Tx) takeSlot(f SlotFields, c quorum.Committed, items []quorum.Content) error {
	key := SlotKey{f.Lane.ChainID, f.Lane.Payer, f.Nonce}
	if was, ok, err := tx.Slot(key); err != nil {
		return err
	} else if ok {
		return fmt.Errorf("%s: %w: it is of batch %s", key, ErrConflict, was.Batch)
	}
	if last, ok := tx.LastNonce(key.Nonces()); ok && f.Nonce != last+1 {
		return fmt.Errorf("%s: %w: the last one is %d", key, ErrNonceGap, last)
	}
	slot := Slot{Key: key, Batch: c.ID(), Height: c.Height(), Network: f.Network, Token: f.Lane.Token,
		Value: f.Value, GasLimit: f.GasLimit, FeeCap: f.FeeCap}
	for _, item := range items {
		if item.Network != f.Network || item.Token != f.Lane.Token {
			return fmt.Errorf("withdrawal %d is of %q, the slot of %q", item.WID, item.Network, f.Network)
		}
		slot.Items = append(slot.Items, item.WID)
	}
	raw := key.bytes()
	return errors.Join(
		tx.put(bucketSlots, raw, slot),
		tx.b.Bucket(bucketSlotBatch).Put(slot.Batch[:], raw),
		tx.b.Bucket(bucketSlotHeight).Put(be64(slot.Height), raw),
		tx.b.Bucket(bucketSlotOpen).Put(raw, nil),
		tx.putPayout(key, Payout{Stage: StageDecided, Changed: nowMS()}))
}

// Slot returns the slot of a nonce. ok is false when no decision took it.
func (tx *Tx) Slot(key SlotKey) (s Slot, ok bool, err error) {
	ok, err = tx.get(bucketSlots, key.bytes(), &s)
	return s, ok, err
}

// SlotOfBatch returns the slot of a decided batch, or of a CANCEL. ok is false when the batch took none, or is not decided.
func (tx *Tx) SlotOfBatch(batch common.Hash) (Slot, bool, error) {
	return tx.slotBy(bucketSlotBatch, batch[:])
}

// SlotAt returns the slot that the decision of a height took. ok is false when it took none.
func (tx *Tx) SlotAt(height uint64) (Slot, bool, error) {
	return tx.slotBy(bucketSlotHeight, be64(height))
}

func (tx *Tx) slotBy(bucket, key []byte) (s Slot, ok bool, err error) {
	raw := tx.b.Bucket(bucket).Get(key)
	if raw == nil {
		return s, false, nil
	}
	ok, err = tx.get(bucketSlots, raw, &s)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s is indexed and missing", ErrCorrupt, slotKeyOf(raw))
	}
	return s, ok, err
}

// LastNonce returns the highest nonce that decisions took from a sequence. ok is false when none did.
func (tx *Tx) LastNonce(k quorum.NonceKey) (nonce uint64, ok bool) {
	prefix := nonceKeyBytes(k)
	c := tx.b.Bucket(bucketSlots).Cursor()
	// The greatest possible key of the sequence: step back from what stands at or after it.
	end := join(prefix, be64(^uint64(0)))
	raw, _ := c.Seek(end)
	switch {
	case raw == nil:
		raw, _ = c.Last()
	case string(raw) != string(end):
		raw, _ = c.Prev()
	}
	if len(raw) != 36 || string(raw[:28]) != string(prefix) {
		return 0, false
	}
	return binary.BigEndian.Uint64(raw[28:]), true
}

// OpenSlots calls fn for every slot that no outcome certificate closed yet, by chain, payer and nonce ascending.
func (tx *Tx) OpenSlots(fn func(Slot, Payout) error) error { return tx.openSlots(nil, fn) }

func (tx *Tx) openSlots(prefix []byte, fn func(Slot, Payout) error) error {
	return tx.each(bucketSlotOpen, prefix, func(k, _ []byte) error {
		slot, ok, err := tx.Slot(slotKeyOf(k))
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: open %s is missing", ErrCorrupt, slotKeyOf(k))
		}
		p, _, err := tx.Payout(slot.Key)
		if err != nil {
			return err
		}
		return fn(slot, p)
	})
}

// errFound ends an iteration early.
var errFound = errors.New("found")

// NextUnsigned returns the earliest slot of a sequence that nobody is known to have signed: the only one that may be
// signed now. ok is false when there is none.
func (tx *Tx) NextUnsigned(k quorum.NonceKey) (slot Slot, ok bool, err error) {
	err = tx.openSlots(nonceKeyBytes(k), func(s Slot, p Payout) error {
		if p.Stage != StageDecided {
			return nil
		}
		slot, ok = s, true
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return slot, ok, err
}

// Slots calls fn for every slot ever taken, by chain, payer and nonce ascending.
func (tx *Tx) Slots(fn func(Slot, Payout) error) error {
	return tx.each(bucketSlots, nil, func(k, raw []byte) error {
		var s Slot
		if err := decode(raw, &s); err != nil {
			return err
		}
		p, _, err := tx.Payout(slotKeyOf(k))
		if err != nil {
			return err
		}
		return fn(s, p)
	})
}
