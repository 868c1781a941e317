package risk

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"
)

// Keys of what the drift watch stores.
const (
	keyDrift = "drift/state"
	keyHours = "drift/hour/"
)

// Put stores a value under a key; an empty one removes it. A ledger transaction has one.
type Put func(key, value []byte) error

// Each calls fn for every stored value under a prefix, by key ascending.
type Each func(prefix []byte, fn func(key, value []byte) error) error

// Flush stores what changed since the last flush. Do it in the transaction that books the rows which were counted; when
// that fails, load the watch anew.
func (d *Drift) Flush(put Put) error {
	for hour := range d.dirty {
		var value []byte
		if h := d.hours[hour]; h != nil {
			value = encodeRLP(h[:])
		}
		if err := put(hourKey(hour), value); err != nil {
			return fmt.Errorf("store drift: %w", err)
		}
	}
	clear(d.dirty)
	d.kept = d.m.Next
	if err := put([]byte(keyDrift), encodeRLP(d.m)); err != nil {
		return fmt.Errorf("store drift: %w", err)
	}
	return nil
}

// Judged reports whether an hour was judged since the last flush.
func (d *Drift) Judged() bool { return d.m.Next != d.kept }

// LoadDrift reads what was stored; nothing stored is a watch that has seen nothing, and so is what another version wrote.
func LoadDrift(each Each) (*Drift, error) {
	d := NewDrift()
	err := each([]byte(keyDrift), func(_, value []byte) error {
		var m driftMemory
		if err := rlp.DecodeBytes(value, &m); err != nil {
			return err
		}
		d.m, d.kept = m, m.Next
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load drift: %w", err)
	}
	if d.m.Version != driftVersion || len(d.m.Sums) != driftSeries || len(d.m.Since) != driftSeries {
		return NewDrift(), nil
	}
	err = each([]byte(keyHours), func(key, value []byte) error {
		h := &driftHour{}
		if err := rlp.DecodeBytes(value, h); err != nil || len(key) != len(keyHours)+8 {
			return fmt.Errorf("hour %x is malformed: %w", key, err)
		}
		hour := binary.BigEndian.Uint64(key[len(keyHours):])
		d.hours[hour] = h
		if hour < d.m.Next {
			d.level.Add(&d.level, &h[DriftAll])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load drift: %w", err)
	}
	return d, nil
}

func hourKey(hour uint64) []byte { return binary.BigEndian.AppendUint64([]byte(keyHours), hour) }

// encodeRLP is canonical RLP of our own types.
func encodeRLP(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(fmt.Sprintf("risk: encode %T: %v", v, err))
	}
	return b
}
