package ledger

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// bucketWatch holds what the watches remember over a restart: key → the watch's own bytes. It is outside the books: no
// verdict rests on it, equal logs may leave different bytes in it, and it can be thrown away at the price of learning anew.
var bucketWatch = []byte("watch")

// Bounds of what a watch may store, so that a slip in one cannot fill the disk.
const (
	maxWatchKey   = 64
	maxWatchValue = 16 << 10
)

// WatchValue returns what was stored under a key, nil when nothing was.
func (tx *Tx) WatchValue(key []byte) []byte {
	return bytes.Clone(tx.b.Bucket(bucketWatch).Get(key))
}

// PutWatch stores a value under a key; an empty value removes it. Store it in the transaction that books the rows which
// it counts, or a crash counts them twice or never.
func (tx *Tx) PutWatch(key, value []byte) error {
	if len(key) == 0 || len(key) > maxWatchKey || len(value) > maxWatchValue {
		return fmt.Errorf("watch state: key of %d bytes with %d bytes: out of bounds", len(key), len(value))
	}
	b := tx.b.Bucket(bucketWatch)
	if len(value) == 0 {
		return b.Delete(key)
	}
	return b.Put(key, value)
}

// WatchValues calls fn for every value under a prefix, by key ascending. fn must neither keep nor change what it is given,
// and write nothing.
func (tx *Tx) WatchValues(prefix []byte, fn func(key, value []byte) error) error {
	return tx.scan(bucketWatch, prefix, fn)
}

// Unbooked returns those of a page's events that the books neither hold nor keep waiting, and which of their accounts the
// books have never seen. Ask before the page is appended.
func (tx *Tx) Unbooked(events []Event) (out []Event, unseen map[common.Address]bool, err error) {
	t, err := tx.totals()
	if err != nil {
		return nil, nil, err
	}
	seen := map[common.Address]bool{}
	unseen = map[common.Address]bool{}
	for _, e := range events {
		if tx.b.Bucket(bucketHeld).Get(be64(e.ID)) != nil {
			continue
		}
		if e.ID <= t.LastID {
			_, known, err := tx.Event(e.ID)
			if err != nil {
				return nil, nil, err
			}
			if known {
				continue
			}
		}
		out = append(out, e)
		if seen[e.Account] {
			continue
		}
		seen[e.Account] = true
		_, known, err := tx.acct(e.Account)
		if err != nil {
			return nil, nil, err
		}
		if !known {
			unseen[e.Account] = true
		}
	}
	return out, unseen, nil
}

// Sums is the books' totals as settlement compares them.
type Sums struct {
	LastID  uint64 // highest booked id
	Counted uint256.Int
	Pending uint256.Int
	Debits  uint256.Int
}

// Credited returns the counted and pending credits and the debits of all accounts, and the highest booked id. Unlike
// [Tx.Totals] it hashes nothing, so it may be asked with every page.
func (tx *Tx) Credited() (sums Sums, err error) {
	t, err := tx.totals()
	return Sums{LastID: t.LastID, Counted: t.Counted, Pending: t.Pending, Debits: t.Debits}, err
}
