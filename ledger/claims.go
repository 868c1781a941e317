package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Buckets: claims by withdrawal; how much of an asset waits in all.
var (
	bucketClaims    = []byte("claims")
	bucketClaimable = []byte("claimable")
)

// Claim is a withdrawal that a batch paid to the lane's contract, because its recipient did not take it: the amount is the
// recipient's to claim there, from the final transaction on. For the books it is paid; nobody pays it again.
type Claim struct {
	WID      uint64
	Slot     SlotKey
	Index    uint64 // in the batch, from 0
	Contract common.Address
	TxHash   common.Hash
	Amount   uint256.Int // of the slot's token, smallest unit
}

// PutClaims records which items of a slot's final and successful transaction wait at a contract, as this node's own endpoints
// show it. What was recorded before is not counted again. Indices are positions in the slot's items.
func (tx *Tx) PutClaims(key SlotKey, contract common.Address, hash common.Hash, items []int) error {
	slot, ok, err := tx.Slot(key)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("claims of %s: %w", key, ErrNotFound))
	}
	for _, i := range items {
		if i < 0 || i >= len(slot.Items) {
			return fmt.Errorf("claims of %s: it has no item %d", key, i)
		}
		if _, known, err := tx.ClaimOf(slot.Items[i]); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		if err := tx.putClaim(slot, i, contract, hash); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) putClaim(slot Slot, i int, contract common.Address, hash common.Hash) error {
	wid := slot.Items[i]
	s, ok, err := tx.SpentWID(wid)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%w: withdrawal %d of %s is not spent", ErrCorrupt, wid, slot.Key))
	}
	asset := AssetKey{slot.Key.ChainID, slot.Key.Payer, slot.Token}
	sum, err := tx.Claimable(asset)
	if err != nil {
		return err
	}
	if addTo(&sum, s.Content.Amount) {
		return fmt.Errorf("%w: what is claimable of %s overflows", ErrFlow, asset)
	}
	return errors.Join(
		tx.put(bucketClaims, be64(wid), Claim{wid, slot.Key, uint64(i), contract, hash, s.Content.Amount}),
		tx.put(bucketClaimable, asset.bytes(), sum),
		tx.Audit("claimable", fmt.Sprintf("withdrawal %d: %s at contract %s by %s", wid, s.Content.Amount.Dec(), contract, hash)))
}

// ClaimOf returns the claim that a withdrawal became. ok is false where its recipient was paid, or nothing is known yet.
func (tx *Tx) ClaimOf(wid uint64) (c Claim, ok bool, err error) {
	ok, err = tx.get(bucketClaims, be64(wid), &c)
	return c, ok, err
}

// Claimable is how much of an asset this node saw paid to a contract instead of to recipients, claimed there since or not.
func (tx *Tx) Claimable(k AssetKey) (sum uint256.Int, err error) {
	_, err = tx.get(bucketClaimable, k.bytes(), &sum)
	return sum, err
}

// claims checks that each claim is of an item of its slot, that no failed transaction left one, and that they add up.
func (c *protocolCheck) claims() error {
	sums := map[AssetKey]*uint256.Int{}
	err := c.tx.each(bucketClaims, nil, func(k, raw []byte) error {
		var claim Claim
		if err := decode(raw, &claim); err != nil {
			return err
		}
		slot, ok, err := c.tx.Slot(claim.Slot)
		if err != nil {
			return err
		}
		if !ok || claim.WID != readBE64(k) || claim.Index >= uint64(len(slot.Items)) || slot.Items[claim.Index] != claim.WID {
			return violation("I9", "withdrawal %d is claimable and is no item of %s", readBE64(k), claim.Slot)
		}
		if p, _, err := c.tx.Payout(claim.Slot); err != nil || p.Stage == StageFailed {
			return errors.Join(err, violation("I9", "withdrawal %d is claimable from %s, which failed", claim.WID, claim.Slot))
		}
		asset := AssetKey{slot.Key.ChainID, slot.Key.Payer, slot.Token}
		if sums[asset] == nil {
			sums[asset] = new(uint256.Int)
		}
		if s, ok, err := c.tx.SpentWID(claim.WID); err != nil || !ok || s.Content.Amount != claim.Amount || addTo(sums[asset], claim.Amount) {
			return errors.Join(err, violation("I9", "withdrawal %d is claimable with another amount than was decided", claim.WID))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for asset, want := range sums {
		if got, err := c.tx.Claimable(asset); err != nil || got != *want {
			return errors.Join(err, violation("I9", "of %s %s is claimable, %s is stored", asset, want.Dec(), got.Dec()))
		}
	}
	return nil
}
