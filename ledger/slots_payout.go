package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// bucketPayouts maps a slot's key to how far it is; bucketSigned maps batch ‖ k to the signed transaction.
var (
	bucketPayouts = []byte("payouts")
	bucketSigned  = []byte("signed")
)

// Stage is how far a slot's transaction is.
type Stage uint8

// The stages, in order. Only a reorganisation before finality goes back.
const (
	StageDecided   Stage = 1 // a decision gave it the nonce; nobody is known to have signed it
	StageSigned    Stage = 2 // signed bytes are stored
	StageBroadcast Stage = 3 // about to be sent, or sent, to an endpoint
	StageMined     Stage = 4 // in a block that is not final
	StageFinal     Stage = 5 // in a final block, by this node's own endpoints
	StageSettled   Stage = 6 // an outcome certificate says that it succeeded: paid
	StageFailed    Stage = 7 // an outcome certificate says that it reverted: its items wait for a release
	StageCancelled Stage = 8 // an outcome certificate says that a CANCEL of the slot was mined: likewise
)

func (s Stage) String() string {
	names := [...]string{StageDecided: "decided", StageSigned: "signed", StageBroadcast: "broadcast", StageMined: "mined",
		StageFinal: "final", StageSettled: "settled", StageFailed: "failed", StageCancelled: "cancelled"}
	if s < StageDecided || s > StageCancelled {
		return fmt.Sprintf("stage(%d)", uint8(s))
	}
	return names[s]
}

// Payout is how far a slot's transaction is, by what this node saw.
type Payout struct {
	Stage     Stage
	K         uint64 // fee step of the transaction below
	TxHash    common.Hash
	Block     uint64 // number, from StageMined on
	BlockHash common.Hash
	Status    uint64 // 1 succeeded, 0 reverted, from StageMined on
	Changed   uint64 // unix ms by this node's clock, filled in
}

// Payout returns how far a slot is. ok is false for a slot that no decision took.
func (tx *Tx) Payout(key SlotKey) (p Payout, ok bool, err error) {
	ok, err = tx.get(bucketPayouts, key.bytes(), &p)
	return p, ok, err
}

// steps lists where each stage may go by observation. StageSigned comes from [Tx.PutSigned] alone, the last two from
// [Tx.Settle]. A node that was away sees a transaction mined or final that it never signed.
var steps = map[Stage][]Stage{
	StageDecided:   {StageMined, StageFinal},
	StageSigned:    {StageBroadcast, StageMined, StageFinal},
	StageBroadcast: {StageBroadcast, StageMined, StageFinal},
	StageMined:     {StageBroadcast, StageMined, StageFinal},
	StageFinal:     {StageFinal},
}

// Leads reports whether an observation may take a slot from one stage to another.
func (s Stage) Leads(to Stage) bool { return slices.Contains(steps[s], to) }

// Track records what this node saw of a slot's transaction. It fails with [ErrOrder] for a step that cannot happen, and
// with [ErrConflict] when a final transaction is said to be another, or elsewhere: the chain broke its finality.
func (tx *Tx) Track(key SlotKey, to Payout) error {
	now, ok, err := tx.Payout(key)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("track %s: %w", key, ErrNotFound)
	}
	if now.Stage == StageFinal && to.Stage <= StageFinal {
		to.Changed = now.Changed
		if to != now {
			return fmt.Errorf("track %s: %w: it was final in block %s", key, ErrConflict, now.BlockHash)
		}
		return nil
	}
	if !now.Stage.Leads(to.Stage) {
		return fmt.Errorf("track %s: %w: from %s to %s", key, ErrOrder, now.Stage, to.Stage)
	}
	if to.Stage == StageBroadcast {
		// After a reorganisation the same bytes go out again; a transaction that is in no block has no block.
		to.Block, to.BlockHash, to.Status = 0, common.Hash{}, 0
	}
	if now.Stage == StageMined && to.Stage == StageBroadcast {
		slot, _, err := tx.Slot(key)
		last, _ := slot.Last()
		if err := errors.Join(err, tx.waitAnew(last)); err != nil {
			return err
		}
	}
	to.Changed = nowMS()
	return tx.putPayout(key, to)
}

// Signed is a signed transaction of a batch.
type Signed struct {
	K    uint64
	Raw  []byte
	Hash common.Hash // keccak256 of Raw
	Sent uint64      `rlp:"optional"` // unix ms by this node's clock since when an endpoint holds it and no block does; 0 before
}

// PutSigned stores the signed bytes of a batch's fee step, before the first broadcast. The same bytes again are nothing
// new. Others are [ErrConflict]: a second signature over one payload is real, but only the first is ever broadcast.
func (tx *Tx) PutSigned(batch common.Hash, k uint64, raw []byte, hash common.Hash) error {
	slot, ok, err := tx.SlotOfBatch(batch)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("put signed bytes of batch %s: %w", batch, ErrNotFound)
	}
	if len(raw) == 0 || crypto.Keccak256Hash(raw) != hash {
		return fmt.Errorf("put signed bytes of batch %s: the hash is not of these bytes", batch)
	}
	if was, ok, err := tx.Signed(batch, k); err != nil {
		return err
	} else if ok {
		if !bytes.Equal(was.Raw, raw) {
			return fmt.Errorf("put signed bytes of batch %s step %d: %w: %s is stored", batch, k, ErrConflict, was.Hash)
		}
		return nil
	}
	p, _, err := tx.Payout(slot.Key)
	if err != nil {
		return err
	}
	if p.Stage == StageDecided {
		p = Payout{Stage: StageSigned, K: k, TxHash: hash, Changed: nowMS()}
	}
	return errors.Join(
		tx.put(bucketSigned, join(batch[:], be64(k)), Signed{K: k, Raw: raw, Hash: hash}),
		tx.putPayout(slot.Key, p),
		tx.Audit("signed", fmt.Sprintf("%s, batch %s step %d: %s", slot.Key, batch, k, hash)))
}

// Signed returns the signed bytes of a batch's fee step. ok is false when there are none.
func (tx *Tx) Signed(batch common.Hash, k uint64) (s Signed, ok bool, err error) {
	ok, err = tx.get(bucketSigned, join(batch[:], be64(k)), &s)
	return s, ok, err
}

// SignedOf calls fn for every signed fee step of a batch, ascending.
func (tx *Tx) SignedOf(batch common.Hash, fn func(Signed) error) error {
	return tx.each(bucketSigned, batch[:], func(_, raw []byte) error {
		var s Signed
		if err := decode(raw, &s); err != nil {
			return err
		}
		return fn(s)
	})
}
