package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// A row is the id of the account's row booked before (8 bytes), flags (1 byte), and the event's RLP, which is what
// checkpoints hash. The links give an account's recent rows without an index of their own.
const (
	rowHeader = 9

	rowExcluded byte = 1 // a debit that stands in the log only: the account waits for RESOLVE
)

// logFill is how full bbolt leaves the pages of buckets that grow at the end only.
const logFill = 0.95

// totals are sums over all accounts, kept as they change.
type totals struct {
	Events      uint64
	LastID      uint64 // highest booked id
	Accounts    uint64
	Closed      uint64 // ranges below this one have a stored sum
	Counted     uint256.Int
	Pending     uint256.Int
	Debits      uint256.Int
	Uncovered   uint256.Int
	Liabilities uint256.Int
}

func (tx *Tx) totals() (t totals, err error) {
	_, err = tx.get(bucketBooks, keyTotals, &t)
	return t, err
}

// log stores an event's row.
func (b *book) log(e Event, flags byte) error {
	a, err := b.account(e.Account)
	if err != nil {
		return err
	}
	log := b.tx.b.Bucket(bucketLog)
	log.b.FillPercent = logFill
	body := b.rlp
	if body == nil {
		body = encodeEvent(&e)
	}
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], e.ID)
	value := binary.BigEndian.AppendUint64(make([]byte, 0, rowHeader+len(body)+sumSize), a.Last)
	if _, err := log.replaceOwn(key[:], append(append(value, flags), body...), 0, false); err != nil {
		return err
	}
	a.Last = e.ID
	b.totals.Events++
	b.totals.LastID = max(b.totals.LastID, e.ID)
	if r := e.ID / RangeSize; r < b.totals.Closed && !slices.Contains(b.dirty, r) {
		b.dirty = append(b.dirty, r)
	}
	return nil
}

// row splits a stored row.
func row(raw []byte) (e Event, prev uint64, flags byte, err error) {
	if len(raw) < rowHeader {
		return e, 0, 0, fmt.Errorf("%w: row of %d bytes", ErrCorrupt, len(raw))
	}
	err = decodeEvent(raw[rowHeader:], &e)
	return e, readBE64(raw[:8]), raw[8], err
}

// Event returns a booked event.
func (tx *Tx) Event(id uint64) (e Event, ok bool, err error) {
	raw := tx.b.Bucket(bucketLog).Get(be64(id))
	if raw == nil {
		return e, false, nil
	}
	e, _, _, err = row(raw)
	return e, true, err
}

// Events calls fn for every booked event from an id on, ascending.
func (tx *Tx) Events(from uint64, fn func(Event) error) error {
	c := tx.b.Bucket(bucketLog).Cursor()
	for k, v := c.Seek(be64(from)); k != nil; k, v = c.Next() {
		e, _, _, err := row(v)
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// scan calls fn for every record under a prefix, ascending, without copying. fn must not write to the bucket.
func (tx *Tx) scan(bucket, prefix []byte, fn func(k, v []byte) error) error {
	c := tx.b.Bucket(bucket).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// RangeSize is how many ids one range of the log spans.
const RangeSize = 4096

// RangeSum is what nodes compare of a range: how many events it holds and keccak256 over their RLP in id order.
type RangeSum struct {
	Range uint64 // ids from Range × RangeSize on
	Count uint64
	Hash  common.Hash
}

// leaf is the range as a leaf of the log's tree. Leaves and nodes open with different bytes, so none passes for the other.
func (r RangeSum) leaf() common.Hash {
	return crypto.Keccak256Hash([]byte{0}, be64(r.Range), be64(r.Count), r.Hash[:])
}

// sumRange hashes the booked events of a range up to an id.
func (tx *Tx) sumRange(r, upTo uint64) RangeSum {
	sum := RangeSum{Range: r}
	h := crypto.NewKeccakState()
	c := tx.b.Bucket(bucketLog).Cursor()
	for k, v := c.Seek(be64(r * RangeSize)); k != nil; k, v = c.Next() {
		id := readBE64(k)
		if id/RangeSize != r || id > upTo {
			break
		}
		h.Write(v[rowHeader:])
		sum.Count++
	}
	h.Sum(sum.Hash[:0])
	return sum
}

// closeRanges stores the sums of ranges that the log has left, and renews those that a late row entered.
func (b *book) closeRanges() error {
	ranges := slices.Clone(b.dirty)
	end := b.totals.LastID / RangeSize
	c := b.tx.b.Bucket(bucketLog).Cursor()
	// Ids may leap, so the cursor finds the next range that has an event at all.
	for at := b.totals.Closed; at < end; {
		k, _ := c.Seek(be64(at * RangeSize))
		r := readBE64(k) / RangeSize
		if r >= end {
			break
		}
		ranges = append(ranges, r)
		at = r + 1
	}
	for _, r := range ranges {
		if err := b.tx.put(bucketRanges, be64(r), b.tx.sumRange(r, b.totals.LastID)); err != nil {
			return err
		}
		if err := b.tx.checkpointDue(r); err != nil {
			return err
		}
	}
	b.totals.Closed = end
	return nil
}

// Range returns the sum of one range as it stands.
func (tx *Tx) Range(r uint64) (sum RangeSum, err error) {
	ok, err := tx.get(bucketRanges, be64(r), &sum)
	if !ok && err == nil {
		sum = tx.sumRange(r, r*RangeSize+RangeSize-1)
	}
	return sum, err
}

// LogRoot is the Merkle root over the ranges of the log up to and with an id: ranges without events have no leaf, an odd
// node moves up as it is, and the empty log has the zero root.
func (tx *Tx) LogRoot(upTo uint64) (common.Hash, error) {
	t, err := tx.totals()
	if err != nil {
		return common.Hash{}, err
	}
	open := min(upTo/RangeSize, t.Closed)
	var level []common.Hash
	err = tx.scan(bucketRanges, nil, func(k, v []byte) error {
		var sum RangeSum
		if readBE64(k) >= open {
			return nil
		}
		err := decode(v, &sum)
		level = append(level, sum.leaf())
		return err
	})
	if err != nil {
		return common.Hash{}, err
	}
	if sum := tx.sumRange(open, upTo); sum.Count > 0 {
		level = append(level, sum.leaf())
	}
	return merkle(level), nil
}

func merkle(level []common.Hash) common.Hash {
	if len(level) == 0 {
		return common.Hash{}
	}
	for len(level) > 1 {
		next := level[:0]
		for i := 0; i+1 < len(level); i += 2 {
			next = append(next, crypto.Keccak256Hash([]byte{1}, level[i][:], level[i+1][:]))
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		level = next
	}
	return level[0]
}
