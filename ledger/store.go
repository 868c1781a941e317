package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"
)

// bbolt's pages have no checksums: a flipped byte would be read as it is. So every record ends with one over its bucket,
// key and value, which each read verifies, and each bucket has a count and a sum over its records' checksums, so that a
// record that is lost is missed as well. Only the schema's version is bare: any program must be able to read it.
const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bucketSums maps a bucket's name to its bucketSum. It is the one bucket without a sum of its own.
var bucketSums = []byte("sums")

// CorruptRecord is a record whose bytes are not what was written. It is an [ErrCorrupt].
type CorruptRecord struct {
	Bucket string
	Key    []byte // as it is read now; nil when the bucket as a whole lost or gained records
	What   string
}

// Error implements error.
func (e *CorruptRecord) Error() string {
	if e.Key == nil {
		return fmt.Sprintf("%v: bucket %s: %s", ErrCorrupt, e.Bucket, e.What)
	}
	return fmt.Sprintf("%v: bucket %s, key %x: %s", ErrCorrupt, e.Bucket, e.Key, e.What)
}

// Unwrap makes it an [ErrCorrupt].
func (e *CorruptRecord) Unwrap() error { return ErrCorrupt }

// store is a bbolt transaction whose records carry checksums. It has the methods of bbolt that the rest of this package
// uses, so that nothing reads or writes past it.
type store struct {
	spoke   uint8 // see anyResolved
	tx      *bolt.Tx
	buckets map[string]*bucket
	wrote   func(bucket string, key, record []byte) // hears of every write; nil but where they are recorded for a comparison
	corrupt error                                   // the first record that did not verify: the transaction fails with it, whatever it made of the record
}

func newStore(tx *bolt.Tx) *store { return &store{tx: tx, buckets: map[string]*bucket{}} }

// Bucket opens a bucket, nil when there is none of that name.
func (s *store) Bucket(name []byte) *bucket {
	if b := s.buckets[string(name)]; b != nil {
		return b
	}
	bare := s.tx.Bucket(name)
	if bare == nil {
		return nil
	}
	b := &bucket{s: s, b: bare, name: string(name), seed: crc32.Update(0, castagnoli, name)}
	s.buckets[b.name] = b
	return b
}

// CreateBucketIfNotExists opens a bucket that may be new.
func (s *store) CreateBucketIfNotExists(name []byte) (*bucket, error) {
	if _, err := s.tx.CreateBucketIfNotExists(name); err != nil {
		return nil, err
	}
	return s.Bucket(name), nil
}

// flush writes the sums of the buckets that changed. Call it last in a transaction.
func (s *store) flush() error {
	for _, b := range s.buckets {
		if !b.changed {
			continue
		}
		if err := s.tx.Bucket(bucketSums).Put([]byte(b.name), b.sum.seal(b.seed)); err != nil {
			return err
		}
		b.changed = false
	}
	return nil
}

// bucketSum is how many records a bucket has, and the sum of their checksums.
type bucketSum struct{ count, sum uint64 }

func (s bucketSum) seal(seed uint32) []byte {
	out := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.count), s.sum)
	return binary.BigEndian.AppendUint32(out, crc32.Update(seed, castagnoli, out))
}

func openSum(seed uint32, raw []byte) (s bucketSum, ok bool) {
	if raw == nil {
		return s, true // of a bucket that nobody wrote to
	}
	if len(raw) != 16+sumSize || crc32.Update(seed, castagnoli, raw[:16]) != binary.BigEndian.Uint32(raw[16:]) {
		return s, false
	}
	return bucketSum{binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])}, true
}

// bucket is a bbolt bucket whose records carry checksums.
type bucket struct {
	s       *store
	b       *bolt.Bucket
	name    string
	seed    uint32 // checksum of the name
	sum     bucketSum
	summed  bool // sum is read
	changed bool // sum is to be written
}

// checksum covers the name, the key's length, the key and the value.
func (b *bucket) checksum(key, value []byte) uint32 {
	c := crc32.Update(b.seed+uint32(len(key)), castagnoli, key)
	return crc32.Update(c, castagnoli, value)
}

func (b *bucket) fail(key []byte, what string) {
	if b.s.corrupt == nil {
		b.s.corrupt = &CorruptRecord{Bucket: b.name, Key: append([]byte{}, key...), What: what}
	}
}

// open verifies a stored record and returns its value, nil when it does not verify.
func (b *bucket) open(key, raw []byte) []byte {
	if raw == nil {
		return nil
	}
	n := len(raw) - sumSize
	if n < 0 || binary.BigEndian.Uint32(raw[n:]) != b.checksum(key, raw[:n]) {
		b.fail(key, "the record does not match its checksum")
		return nil
	}
	return raw[:n:n]
}

// Get returns a value, nil when there is none.
func (b *bucket) Get(key []byte) []byte { return b.open(key, b.b.Get(key)) }

// read is Get with the record's checksum; of a record that does not verify the value is nil, and known is true.
func (b *bucket) read(key []byte) (value []byte, sum uint32, known bool) {
	raw := b.b.Get(key)
	if value = b.open(key, raw); value != nil {
		sum = binary.BigEndian.Uint32(raw[len(value):])
	}
	return value, sum, raw != nil
}

// Put stores a value.
func (b *bucket) Put(key, value []byte) error {
	old, was, known := b.read(key)
	if known && old == nil {
		return b.s.corrupt
	}
	_, err := b.replace(key, value, was, known)
	return err
}

// replace is Put for who knows what stands there: was is the checksum of the record, if there is one. It returns that of
// the new one.
func (b *bucket) replace(key, value []byte, was uint32, known bool) (uint32, error) {
	record := make([]byte, len(value), len(value)+sumSize)
	copy(record, value)
	return b.replaceOwn(key, record, was, known)
}

// replaceOwn is replace of a value that is the bucket's to keep: nobody writes to it, or into its capacity, again.
func (b *bucket) replaceOwn(key, value []byte, was uint32, known bool) (uint32, error) {
	if !b.readSum() {
		return 0, b.s.corrupt
	}
	is := b.checksum(key, value)
	if !known {
		b.sum.count++
	}
	b.sum.sum += uint64(is) - uint64(was)
	b.changed = true
	record := binary.BigEndian.AppendUint32(value, is)
	if b.s.wrote != nil {
		b.s.wrote(b.name, key, record)
	}
	return is, b.b.Put(key, record)
}

// Delete removes a record, if there is one.
func (b *bucket) Delete(key []byte) error {
	raw := b.b.Get(key)
	if raw == nil {
		return nil
	}
	if b.open(key, raw) == nil || !b.readSum() {
		return b.s.corrupt
	}
	b.sum.count--
	b.sum.sum -= uint64(binary.BigEndian.Uint32(raw[len(raw)-sumSize:]))
	b.changed = true
	return b.b.Delete(key)
}

func (b *bucket) readSum() bool {
	if b.summed {
		return true
	}
	var ok bool
	if b.sum, ok = openSum(b.seed, b.s.tx.Bucket(bucketSums).Get([]byte(b.name))); !ok {
		b.fail([]byte{}, "its sum does not match its checksum")
		return false
	}
	b.summed = true
	return true
}

// keys counts the records by walking them.
func (b *bucket) keys() int { return b.b.Stats().KeyN }

// Cursor walks the records by key. It must not be used across a Put or Delete.
func (b *bucket) Cursor() *cursor { return &cursor{b, b.b.Cursor()} }

type cursor struct {
	b *bucket
	c *bolt.Cursor
}

// The moves; a key of nil is the end.
func (c *cursor) First() (k, v []byte)          { return c.at(c.c.First()) }
func (c *cursor) Last() (k, v []byte)           { return c.at(c.c.Last()) }
func (c *cursor) Next() (k, v []byte)           { return c.at(c.c.Next()) }
func (c *cursor) Prev() (k, v []byte)           { return c.at(c.c.Prev()) }
func (c *cursor) Seek(key []byte) (k, v []byte) { return c.at(c.c.Seek(key)) }

func (c *cursor) at(k, raw []byte) ([]byte, []byte) { return k, c.b.open(k, raw) }

// run calls a transaction's function. A record that does not verify reads as none, and code that relies on there being one
// may then stumble: that, too, is the record's fault.
func (s *store) run(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if s.corrupt == nil {
			return // a panic is our own bug
		}
		_ = recover()
		err = s.sound(err)
	}()
	return fn(tx)
}

// sound joins what a transaction's function says with what its records say.
func (s *store) sound(err error) error {
	if s.corrupt != nil && !errors.Is(err, s.corrupt) {
		return errors.Join(s.corrupt, err)
	}
	return err
}
