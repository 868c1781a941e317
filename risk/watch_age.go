package risk

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// maxYoung bounds the accounts whose first row is remembered, some 4 MB. When more appear within the age, the oldest of
// them count as grown.
const maxYoung = 1 << 16

// keyAge is where first rows are stored: key ‖ unix seconds ‖ address → 1.
const keyAge = "age/"

// ages remembers when accounts were first seen, by log time, for as long as they are young.
type ages struct {
	first map[common.Address]uint64
	queue []birth // in the order of appearance
	put   []birth // since the last flush
	gone  []birth
}

type birth struct {
	at      uint64 // unix seconds
	account common.Address
}

func newAges() *ages { return &ages{first: map[common.Address]uint64{}} }

// see remembers an account's first row.
func (a *ages) see(at uint64, account common.Address) {
	if _, known := a.first[account]; known {
		return
	}
	b := birth{at, account}
	a.first[account] = at
	a.queue, a.put = append(a.queue, b), append(a.put, b)
	if len(a.queue) > maxYoung {
		a.drop()
	}
}

// expire forgets who is older than an age in seconds.
func (a *ages) expire(now, age uint64) {
	for len(a.queue) > 0 && a.queue[0].at+age <= now {
		a.drop()
	}
}

func (a *ages) drop() {
	b := a.queue[0]
	a.queue = a.queue[1:]
	delete(a.first, b.account)
	a.gone = append(a.gone, b)
}

// young reports whether an account was first seen less than an age ago.
func (a *ages) young(now, age uint64, account common.Address) bool {
	at, known := a.first[account]
	return known && at+age > now
}

func (b birth) key() []byte {
	return append(binary.BigEndian.AppendUint64([]byte(keyAge), b.at), b.account[:]...)
}

func (a *ages) flush(put Put) error {
	for _, b := range a.put {
		if err := put(b.key(), []byte{1}); err != nil {
			return fmt.Errorf("store ages: %w", err)
		}
	}
	for _, b := range a.gone {
		if err := put(b.key(), nil); err != nil {
			return fmt.Errorf("store ages: %w", err)
		}
	}
	a.put, a.gone = nil, nil
	return nil
}

func (a *ages) load(each Each) error {
	return each([]byte(keyAge), func(key, _ []byte) error {
		if len(key) != len(keyAge)+8+common.AddressLength {
			return fmt.Errorf("load ages: key %x is malformed", key)
		}
		b := birth{binary.BigEndian.Uint64(key[len(keyAge):]), common.BytesToAddress(key[len(keyAge)+8:])}
		a.first[b.account] = b.at
		a.queue = append(a.queue, b)
		return nil
	})
}
