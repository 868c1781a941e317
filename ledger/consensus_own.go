package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Errors that several rules share.
var (
	// ErrConflict means that a record which is written once already holds something else. For a decision or a settlement
	// it means that more than f members are faulty, or that the database is not ours: the node must stop.
	ErrConflict = errors.New("conflicts with what is recorded")
	// ErrOrder means that a record would leave a hole or go back: a height, round, nonce, attempt or policy version.
	ErrOrder = errors.New("out of order")
	// ErrNotInForce means that a statement is of an epoch, or of a policy, that does not rule now.
	ErrNotInForce = errors.New("epoch or policy is not in force")
	// ErrDecided means that a decision already disposed of the withdrawal or the height.
	ErrDecided = errors.New("already decided")
	// ErrFull means that one sender's share of a store is used up. It costs that sender alone.
	ErrFull = errors.New("the sender's share of the store is full")
	// ErrOtherSigner means that a statement was signed by another key than all before it in this database.
	ErrOtherSigner = errors.New("signed by another key than this database belongs to")
)

// bucketOwn maps a counter to the statement that carries it: every byte that this node ever signed under a counter. The
// rules' own buckets hold counters and point here. bucketSelf holds single values.
var (
	bucketOwn  = []byte("own")
	bucketSelf = []byte("self")

	keySigner = []byte("signer") // address of the key that all own statements are of
	keyPolicy = []byte("policy") // highest policy that an own verdict was given under
)

// ownStatement is a statement of this node as it left, or may have left, the process.
type ownStatement struct {
	Kind   quorum.Kind
	Signer common.Address
	Raw    []byte
}

// say takes the next counter, has the body signed with it, and records the bytes under index and key. It is the only
// place where this room signs: counter, rule, record and signature are one transaction, and nothing may leave the
// process before that transaction committed. Every rule must have been checked before it is called.
func say[T quorum.Body](tx *Tx, index, key []byte, body func(counter uint64) T, sign func(T) (quorum.Signed[T], error)) (quorum.Signed[T], error) {
	var none quorum.Signed[T]
	if err := tx.MaySpeak(); err != nil {
		return none, err
	}
	counter, err := tx.NextCounter()
	if err != nil {
		return none, err
	}
	want := body(counter)
	s, err := sign(want)
	if err != nil {
		return none, fmt.Errorf("sign %s: %w", want.Kind(), err)
	}
	// A signer that changes what it is given would make the record and the wire differ.
	if !bytes.Equal(encode(s.Body()), encode(want)) || len(s.Bytes()) == 0 {
		return none, fmt.Errorf("sign %s: the signature is over another body", want.Kind())
	}
	if err := tx.claimSigner(s.Signer()); err != nil {
		return none, err
	}
	return s, errors.Join(
		tx.put(bucketOwn, be64(counter), ownStatement{want.Kind(), s.Signer(), s.Bytes()}),
		tx.b.Bucket(index).Put(key, be64(counter)))
}

// claimSigner binds the database to the first key that signs into it. Another key means a mixed-up home directory.
func (tx *Tx) claimSigner(signer common.Address) error {
	if own, ok := tx.Self(); ok && own != signer {
		return fmt.Errorf("%w: %s, not %s", ErrOtherSigner, own, signer)
	}
	return tx.b.Bucket(bucketSelf).Put(keySigner, signer[:])
}

// Self returns the member that this database's own statements are of. ok is false before the first one.
func (tx *Tx) Self() (member common.Address, ok bool) {
	raw := tx.b.Bucket(bucketSelf).Get(keySigner)
	return common.BytesToAddress(raw), raw != nil
}

// said returns the own statement that index holds under key. ok is false when there is none.
func (tx *Tx) said(index, key []byte) (raw []byte, ok bool, err error) {
	counter := tx.b.Bucket(index).Get(key)
	if counter == nil {
		return nil, false, nil
	}
	var s ownStatement
	found, err := tx.get(bucketOwn, counter, &s)
	if err == nil && !found {
		err = fmt.Errorf("%w: own statement %d is missing", ErrCorrupt, readBE64(counter))
	}
	return s.Raw, true, err
}

// OwnStatements calls fn for every statement that this node signed under a counter above after, by counter ascending. The
// bytes are valid after the transaction.
func (tx *Tx) OwnStatements(after uint64, fn func(counter uint64, kind quorum.Kind, raw []byte) error) error {
	c := tx.b.Bucket(bucketOwn).Cursor()
	for k, v := c.Seek(be64(after + 1)); k != nil; k, v = c.Next() {
		var s ownStatement
		if err := decode(v, &s); err != nil {
			return err
		}
		if err := fn(readBE64(k), s.Kind, s.Raw); err != nil {
			return err
		}
	}
	return nil
}

// network returns the network id that the database was created for.
func (tx *Tx) network() common.Hash {
	return common.BytesToHash(tx.b.Bucket(bucketMeta).Get(keyNetwork))
}

// reopen reads a stored statement of a known signer back, its signature verified again.
func reopen[T quorum.Body](tx *Tx, signer common.Address, raw []byte) (quorum.Signed[T], error) {
	s, err := quorum.Open[T](tx.network(), quorum.Members{signer}, raw)
	if err != nil {
		return s, fmt.Errorf("%w: stored statement: %w", ErrCorrupt, err)
	}
	return s, nil
}

// join concatenates the parts of a key.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// each calls fn for the records under prefix in key order, on a copy of the keys, so that fn may write to the bucket.
func (tx *Tx) each(bucket, prefix []byte, fn func(key, value []byte) error) error {
	var keys [][]byte
	c := tx.b.Bucket(bucket).Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := fn(k, tx.b.Bucket(bucket).Get(k)); err != nil {
			return err
		}
	}
	return nil
}

// addCount moves a per-sender count that bounds a store. It never goes below zero.
func (tx *Tx) addCount(bucket, key []byte, by int) error {
	n := readBE64(tx.b.Bucket(bucket).Get(key))
	if by < 0 && n < uint64(-by) {
		return tx.b.Bucket(bucket).Put(key, be64(0))
	}
	return tx.b.Bucket(bucket).Put(key, be64(uint64(int64(n)+int64(by))))
}

// count reads what addCount keeps.
func (tx *Tx) count(bucket, key []byte) uint64 { return readBE64(tx.b.Bucket(bucket).Get(key)) }
