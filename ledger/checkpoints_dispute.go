package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

// FreezeRange is why an account is frozen whose rows here are not those that the members certified, or that f+1 of them
// signed. It ends when the range agrees again.
const FreezeRange FreezeCode = "range-differs"

// DisputeLevel is how many members stand against this node's rows.
type DisputeLevel uint8

// The levels, by weight.
const (
	DisputeOne       DisputeLevel = 1 // fewer than f+1: it may be their lie alone, so it only alerts
	DisputeSplit     DisputeLevel = 2 // f+1 agree, nothing is certified: an honest one is among them
	DisputeCertified DisputeLevel = 3 // q agree: what they hold is right as far as anybody can know
)

// String is the name that the API uses.
func (l DisputeLevel) String() string {
	switch l {
	case DisputeOne:
		return "one-member"
	case DisputeSplit:
		return "split"
	case DisputeCertified:
		return "certified"
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// Bounds of what disputes leave on the disk.
const (
	// MaxDisputes bounds the disputes that are kept; the oldest that are over go first.
	MaxDisputes = 64
	// maxDisputesOfOne bounds the standing disputes with one member alone: it can invent as many as it likes.
	maxDisputesOfOne = 4
	// MaxRowDiffs bounds the rows that one dispute keeps of both sides: the first shows the fault, more its extent.
	MaxRowDiffs = 16
)

// RangeDispute is two versions of one range, with what proves that each was said: evidence about the Relay, which showed
// its readers different logs, or about a member.
type RangeDispute struct {
	Range     uint64
	Level     DisputeLevel
	Found     uint64           // unix ms
	Over      uint64           // unix ms, 0 while it stands
	Own       []byte           // this node's signed CHECKPOINT
	Certified []byte           // RLP of the certificate, empty when there was none
	Said      [][]byte         // the others' signed CHECKPOINTs, when nothing was certified
	From      common.Address   // who showed the other rows; they hash to what was signed
	Diffs     []RowDiff        // by id, at most MaxRowDiffs
	More      uint64           // differing ids beyond those
	Booked    uint64           // rows that were missing here and that a certificate brought
	Frozen    []common.Address // accounts that wait until the range agrees
}

// ID names a dispute by its range and the two versions.
func (d RangeDispute) ID() common.Hash {
	return crypto.Keccak256Hash([]byte("range"), be64(d.Range), []byte{byte(d.Level)}, d.Own, d.Certified, encode(d.Said))
}

func (d RangeDispute) key() []byte {
	id := d.ID()
	return join(be64(d.Range), id[:])
}

// PutRangeDispute keeps a dispute and freezes the accounts that it names, in one transaction. added is false when it is
// known, or when no room is left among those that stand. One that freezes is always kept, or nothing would thaw what it froze:
// without room as part of another one on its range, and beyond the bound when there is none.
func (tx *Tx) PutRangeDispute(d RangeDispute) (added bool, err error) {
	var ids []uint64
	for _, r := range d.Diffs {
		ids = append(ids, r.ID)
	}
	for _, a := range d.Frozen {
		_, err := tx.Freeze(a, Freeze{Code: FreezeRange, Ref: d.Range, Text: "other members' logs hold other rows of the account",
			Evidence: ids, Since: d.Found})
		if err != nil {
			return false, err
		}
	}
	if tx.b.Bucket(bucketRangeDisputes).Get(d.key()) != nil {
		return false, nil
	}
	if ok, err := tx.roomForDispute(d); err != nil || !ok {
		if joined, fail := tx.joinDispute(d); err != nil || fail != nil || joined || len(d.Frozen) == 0 {
			return false, errors.Join(err, fail)
		}
	}
	return true, errors.Join(tx.put(bucketRangeDisputes, d.key(), d),
		tx.Audit("range-differs", fmt.Sprintf("range %d, %s, %d rows", d.Range, d.Level, uint64(len(d.Diffs))+d.More)))
}

// joinDispute adds what a dispute froze to a standing one that froze on the same range.
func (tx *Tx) joinDispute(d RangeDispute) (joined bool, err error) {
	if len(d.Frozen) == 0 {
		return false, nil
	}
	var with *RangeDispute
	err = tx.rangeDisputes(be64(d.Range), func(o RangeDispute) error {
		if with == nil && o.Over == 0 && len(o.Frozen) > 0 {
			with = &o
		}
		return nil
	})
	if err != nil || with == nil {
		return false, err
	}
	with.Frozen = append(with.Frozen, d.Frozen...)
	slices.SortFunc(with.Frozen, common.Address.Cmp)
	with.Frozen = slices.Compact(with.Frozen)
	return true, tx.put(bucketRangeDisputes, with.key(), *with)
}

func (tx *Tx) roomForDispute(of RangeDispute) (bool, error) {
	n, alone, oldest := 0, 0, RangeDispute{}
	err := tx.RangeDisputes(func(d RangeDispute) error {
		n++
		if d.Level == DisputeOne && d.From == of.From && d.Over == 0 {
			alone++
		}
		if d.Over != 0 && (oldest.Over == 0 || d.Over < oldest.Over) {
			oldest = d
		}
		return nil
	})
	if err != nil || (of.Level == DisputeOne && alone >= maxDisputesOfOne) {
		return false, err
	}
	if n < MaxDisputes {
		return true, nil
	}
	if oldest.Over == 0 {
		return false, nil
	}
	return true, tx.b.Bucket(bucketRangeDisputes).Delete(oldest.key())
}

// RangeDisputes calls fn for every dispute that is kept, by range.
func (tx *Tx) RangeDisputes(fn func(RangeDispute) error) error { return tx.rangeDisputes(nil, fn) }

func (tx *Tx) rangeDisputes(prefix []byte, fn func(RangeDispute) error) error {
	return tx.each(bucketRangeDisputes, prefix, func(_, raw []byte) error {
		var d RangeDispute
		if err := decode(raw, &d); err != nil {
			return err
		}
		return fn(d)
	})
}

// closeDisputes ends what agreement of a range has settled, and thaws the accounts that waited for it.
func (tx *Tx) closeDisputes(s RangeState) error {
	agreed := s.Certified != nil && !s.Differs()
	return tx.rangeDisputes(be64(s.Range), func(d RangeDispute) error {
		over := agreed
		if d.Level == DisputeOne {
			over = agreed && !slices.ContainsFunc(d.Said, func(raw []byte) bool {
				return slices.ContainsFunc(s.Said, func(w quorum.Signed[quorum.Checkpoint]) bool { return bytes.Equal(raw, w.Bytes()) })
			})
		}
		if !over || d.Over != 0 {
			return nil
		}
		for _, a := range d.Frozen {
			if _, err := tx.Unfreeze(a, FreezeRange, d.Range); err != nil {
				return err
			}
		}
		d.Over = nowMS()
		return errors.Join(tx.put(bucketRangeDisputes, d.key(), d), tx.Audit("range-agrees", fmt.Sprintf("range %d", d.Range)))
	})
}

// checkpoints verifies what CheckProtocol can see of ranges: certificates by the roster of their epoch, and that what is
// kept as agreed is.
func (c *protocolCheck) checkpoints() error {
	err := c.tx.each(bucketCheckpointCert, nil, func(k, raw []byte) error {
		var u quorum.UncheckedCheckpoint
		if err := decode(raw, &u); err != nil {
			return err
		}
		var rec epochRecord
		if ok, err := c.tx.get(bucketEpochs, be64(u.Checkpoint.Epoch), &rec); err != nil || !ok {
			return violation("I13", "range %d is certified by unknown epoch %d", readBE64(k), u.Checkpoint.Epoch)
		}
		if _, err := u.Verify(c.tx.network(), rec.Roster); err != nil || u.Checkpoint.Range != readBE64(k) {
			return violation("I13", "certificate of range %d: %v", readBE64(k), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.tx.each(bucketCheckpoints, nil, func(k, raw []byte) error {
		var h heardCheckpoint
		if err := decode(raw, &h); err != nil || len(h.Raw) == 0 {
			return err
		}
		s, err := reopen[quorum.Checkpoint](c.tx, common.BytesToAddress(k[8:]), h.Raw)
		if err != nil || s.Body().Range != readBE64(k[:8]) || s.Body().Counter != h.Counter {
			return violation("I12", "checkpoint of %x on range %d: %v", k[8:], readBE64(k[:8]), err)
		}
		return nil
	})
}
