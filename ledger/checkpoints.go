package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Members compare their logs by ranges: the statement and the log must cut them alike.
const (
	_ = uint(RangeSize - quorum.RangeSpan)
	_ = uint(quorum.RangeSpan - RangeSize)
)

// Buckets of checkpoints. Own statements by range ‖ epoch ‖ count ‖ hash; each member's newest by range ‖ member; the
// standing certificate by range; ranges that changed since this node signed them, and ranges on which somebody differs or
// nothing is certified yet; how many ranges that are empty here each member speaks of; what disputes left; ids of rows that
// came by a certificate or a RESOLVE.
var (
	bucketCheckpointOwn   = []byte("checkpoint-own")
	bucketCheckpoints     = []byte("checkpoints")
	bucketCheckpointCert  = []byte("checkpoint-cert")
	bucketCheckpointDue   = []byte("checkpoint-due")
	bucketCheckpointOpen  = []byte("checkpoint-open")
	bucketCheckpointEmpty = []byte("checkpoint-empty")
	bucketRangeDisputes   = []byte("range-disputes")
	bucketBrought         = []byte("brought")

	keyCheckpointEpoch = []byte("checkpoint-epoch") // for which every range was marked as due
)

func checkpointBuckets() [][]byte {
	return [][]byte{bucketCheckpointOwn, bucketCheckpoints, bucketCheckpointCert, bucketCheckpointDue, bucketCheckpointOpen,
		bucketCheckpointEmpty, bucketRangeDisputes, bucketBrought}
}

// Bounds of what other members can make this node store.
const (
	// checkpointsAhead is how many ranges beyond the own settled log checkpoints are kept of: a node that is a little behind
	// need not ask for them. One that is far behind asks when it gets there.
	checkpointsAhead = 64
	// maxEmptyRanges is how many ranges without rows here are kept of one member: a member can name more ranges than there are
	// rows in the world. Certified ones are kept without bound, for they exist.
	maxEmptyRanges = 64
)

// heardCheckpoint is a member's newest checkpoint of a range. Its bytes are dropped once the certificate says the same;
// the counter stays, so that an older one that is shown again changes nothing.
type heardCheckpoint struct {
	Epoch   uint64
	Counter uint64
	Raw     []byte
}

// RangeState is everything that is known of one range.
type RangeState struct {
	Range     uint64
	Settled   bool                               // the settled log has left the range
	Own       RangeSum                           // of the books
	Certified *quorum.UncheckedCheckpoint        // the standing certificate, nil when there is none
	Said      []quorum.Signed[quorum.Checkpoint] // members' newest words of the epoch in force that differ from the certificate, own one included
}

// Differs reports whether the books hold something else than what is certified.
func (s RangeState) Differs() bool {
	return s.Settled && s.Certified != nil && !s.Own.says(s.Certified.Checkpoint)
}

func (r RangeSum) says(c quorum.Checkpoint) bool {
	return r.Range == c.Range && r.Count == c.Count && r.Hash == c.Hash
}

// settledRanges is the first range that the settled log has not left.
func (tx *Tx) settledRanges() (uint64, error) {
	t, err := tx.totals()
	return t.LastID / RangeSize, err
}

// checkpointDue marks a range as changed: this node owes a word on it. It is part of the transaction that changed the range.
func (tx *Tx) checkpointDue(r uint64) error {
	return tx.b.Bucket(bucketCheckpointDue).Put(be64(r), nil)
}

// CheckpointsDue reports whether [Tx.DueCheckpoints] has anything to do. It writes nothing.
func (tx *Tx) CheckpointsDue() bool {
	if tx.epoch() == 0 {
		return false
	}
	k, _ := tx.b.Bucket(bucketCheckpointDue).Cursor().First()
	return k != nil || readBE64(tx.b.Bucket(bucketSelf).Get(keyCheckpointEpoch)) != tx.epoch()
}

// DueCheckpoints returns up to limit ranges, ascending, that changed since this node signed them. A new epoch, and a
// database from before there were checkpoints, make every range due.
func (tx *Tx) DueCheckpoints(limit int) (out []uint64, err error) {
	now := tx.epoch()
	if now == 0 {
		return nil, nil
	}
	if self := tx.b.Bucket(bucketSelf); readBE64(self.Get(keyCheckpointEpoch)) != now {
		if err := errors.Join(tx.markAllDue(), self.Put(keyCheckpointEpoch, be64(now))); err != nil {
			return nil, err
		}
	}
	c := tx.b.Bucket(bucketCheckpointDue).Cursor()
	for k, _ := c.First(); k != nil && len(out) < limit; k, _ = c.Next() {
		out = append(out, readBE64(k))
	}
	return out, nil
}

// markAllDue walks the ranges that have rows.
func (tx *Tx) markAllDue() error {
	end, err := tx.settledRanges()
	if err != nil {
		return err
	}
	for at := uint64(0); at < end; at++ {
		id, ok, err := tx.nextEvent(at * RangeSize)
		if err != nil {
			return err
		}
		if at = id / RangeSize; !ok || at >= end {
			return nil
		}
		if err := tx.checkpointDue(at); err != nil {
			return err
		}
	}
	return nil
}

// errStopWalk ends a walk early.
var errStopWalk = errors.New("enough")

// nextEvent is the first booked id from an id on.
func (tx *Tx) nextEvent(from uint64) (id uint64, ok bool, err error) {
	err = tx.Events(from, func(e Event) error {
		id, ok = e.ID, true
		return errStopWalk
	})
	if errors.Is(err, errStopWalk) {
		err = nil
	}
	return id, ok, err
}

// Checkpoint signs what the books hold of a settled range, its counter filled in, and records it. A range that says what
// it said gives the stored bytes. The mark that it is due goes with it.
func (tx *Tx) Checkpoint(r uint64, sign func(quorum.Checkpoint) (quorum.Signed[quorum.Checkpoint], error)) ([]byte, error) {
	end, err := tx.settledRanges()
	if err != nil {
		return nil, err
	}
	now := tx.epoch()
	if r >= end || now == 0 {
		return nil, fmt.Errorf("checkpoint of range %d in epoch %d: %w", r, now, ErrOrder)
	}
	sum, err := tx.Range(r)
	if err != nil {
		return nil, err
	}
	if err := tx.b.Bucket(bucketCheckpointDue).Delete(be64(r)); err != nil {
		return nil, err
	}
	body := quorum.Checkpoint{Epoch: now, Range: r, Count: sum.Count, Hash: sum.Hash}
	key := join(be64(r), be64(now), be64(sum.Count), sum.Hash[:])
	if raw, ok, err := tx.said(bucketCheckpointOwn, key); ok || err != nil {
		return raw, errors.Join(err, tx.reviewRange(r))
	}
	s, err := say(tx, bucketCheckpointOwn, key, func(counter uint64) quorum.Checkpoint {
		body.Counter = counter
		return body
	}, sign)
	if err != nil {
		return nil, err
	}
	_, _, err = tx.PutCheckpoint(s)
	return s.Bytes(), err
}

func checkpointKey(r uint64, member common.Address) []byte { return join(be64(r), member[:]) }

// PutCheckpoint keeps a member's newest CHECKPOINT of a range, and certifies the range when that makes q equal ones. added
// is false when it is not the newest, or of a range too far from the own log. It fails with [ErrNotInForce] and, when the
// member speaks of too many ranges that are empty here, with [ErrFull].
func (tx *Tx) PutCheckpoint(s quorum.Signed[quorum.Checkpoint]) (added bool, ev *Evidence, err error) {
	c, signer := s.Body(), s.Signer()
	if now := tx.epoch(); c.Epoch != now {
		return false, nil, fmt.Errorf("checkpoint of epoch %d: %w: in force is %d", c.Epoch, ErrNotInForce, now)
	}
	if ev, err = tx.Hear(signer, c.Counter, s.Bytes()); err != nil {
		return false, nil, err
	}
	key := checkpointKey(c.Range, signer)
	var was heardCheckpoint
	known, err := tx.get(bucketCheckpoints, key, &was)
	if err != nil || (known && (was.Epoch > c.Epoch || was.Counter >= c.Counter)) {
		return false, ev, err
	}
	if !known {
		if ok, err := tx.roomForCheckpoint(c, signer); err != nil || !ok {
			return false, ev, err
		}
	}
	err = tx.put(bucketCheckpoints, key, heardCheckpoint{c.Epoch, c.Counter, s.Bytes()})
	return true, ev, errors.Join(err, tx.reviewRange(c.Range))
}

// roomForCheckpoint bounds what a member can make this node keep by this node's own log, and a little more.
func (tx *Tx) roomForCheckpoint(c quorum.Checkpoint, signer common.Address) (bool, error) {
	end, err := tx.settledRanges()
	if err != nil || c.Range >= end {
		return c.Range < end+checkpointsAhead, err
	}
	sum, err := tx.Range(c.Range)
	if err != nil || sum.Count > 0 {
		return true, err
	}
	if tx.count(bucketCheckpointEmpty, signer[:]) >= maxEmptyRanges {
		return false, fmt.Errorf("checkpoint of %s on range %d: %w", signer, c.Range, ErrFull)
	}
	return true, tx.addCount(bucketCheckpointEmpty, signer[:], 1)
}

// HasCheckpoint reports whether this very statement, or a later one of its signer on its range, is held: nothing to write.
func (tx *Tx) HasCheckpoint(s quorum.Signed[quorum.Checkpoint]) (bool, error) {
	var was heardCheckpoint
	known, err := tx.get(bucketCheckpoints, checkpointKey(s.Body().Range, s.Signer()), &was)
	return known && was.Epoch >= s.Body().Epoch && was.Counter >= s.Body().Counter, err
}

// OweCheckpoint makes a range due that is empty here and that another member speaks of: without this node's word a row that
// one member alone was shown there would never be found. The ranges that are kept of each member bound it.
func (tx *Tx) OweCheckpoint(r uint64) error { return tx.checkpointDue(r) }

// PutRangeCertificate keeps a certificate that somebody shows. The one with most rows stands. Certificates are kept without
// bound, and ahead of the own log, for what they certify exists.
func (tx *Tx) PutRangeCertificate(c quorum.CheckpointCertificate) (added bool, err error) {
	if len(c.Signers()) == 0 {
		return false, errors.New("range: no certificate")
	}
	u := c.Unchecked()
	was, ok, err := tx.RangeCertificate(u.Checkpoint.Range)
	if err != nil || (ok && !supersedes(u.Checkpoint, was.Checkpoint)) {
		return false, err
	}
	return true, errors.Join(tx.put(bucketCheckpointCert, be64(u.Checkpoint.Range), u), tx.reviewRange(u.Checkpoint.Range))
}

// supersedes reports whether a certificate stands instead of another: more rows do, and a later epoch's word for as many.
func supersedes(now, was quorum.Checkpoint) bool {
	return now.Count > was.Count || (now.Count == was.Count && now.Epoch > was.Epoch && now.Hash == was.Hash)
}

// RangeCertificate returns a range's standing certificate. ok is false while it has none.
func (tx *Tx) RangeCertificate(r uint64) (u quorum.UncheckedCheckpoint, ok bool, err error) {
	ok, err = tx.get(bucketCheckpointCert, be64(r), &u)
	return u, ok, err
}

// RangeState returns what is known of a range.
func (tx *Tx) RangeState(r uint64) (s RangeState, err error) {
	s.Range = r
	end, err := tx.settledRanges()
	if err != nil {
		return s, err
	}
	s.Settled = r < end
	if s.Own, err = tx.Range(r); err != nil {
		return s, err
	}
	if u, ok, err := tx.RangeCertificate(r); err != nil {
		return s, err
	} else if ok {
		s.Certified = &u
	}
	now := tx.epoch()
	return s, tx.scan(bucketCheckpoints, be64(r), func(k, v []byte) error {
		var h heardCheckpoint
		if err := decode(v, &h); err != nil || len(h.Raw) == 0 || h.Epoch != now {
			return err
		}
		word, err := reopen[quorum.Checkpoint](tx, common.BytesToAddress(k[8:]), h.Raw)
		s.Said = append(s.Said, word)
		return err
	})
}

// reviewRange certifies a range when it can be, drops what the certificate says as well, and notes whether anything is
// left to look at.
func (tx *Tx) reviewRange(r uint64) error {
	s, err := tx.RangeState(r)
	if err != nil {
		return err
	}
	roster, _, _, err := tx.CurrentEpoch()
	if err != nil {
		return err
	}
	if cert, ok := quorum.CertifyCheckpoint(roster, s.Said); ok {
		u := cert.Unchecked()
		if s.Certified == nil || supersedes(u.Checkpoint, s.Certified.Checkpoint) {
			if err := tx.put(bucketCheckpointCert, be64(r), u); err != nil {
				return err
			}
			s.Certified = &u
		}
	}
	if err := tx.closeDisputes(s); err != nil {
		return err
	}
	open := s.Certified == nil || s.Certified.Checkpoint.Epoch != roster.Epoch || !s.Settled || s.Differs()
	for _, word := range s.Said {
		c := word.Body()
		if s.Certified == nil || s.Certified.Checkpoint.Epoch != c.Epoch || !c.Same(s.Certified.Checkpoint) {
			open = true
			continue
		}
		if err := tx.put(bucketCheckpoints, checkpointKey(r, word.Signer()), heardCheckpoint{c.Epoch, c.Counter, nil}); err != nil {
			return err
		}
	}
	if open {
		return tx.b.Bucket(bucketCheckpointOpen).Put(be64(r), nil)
	}
	return tx.b.Bucket(bucketCheckpointOpen).Delete(be64(r))
}

// OpenRanges calls fn for up to limit ranges from one on, ascending, on which members differ or nothing is certified yet.
// next is where to go on, 0 after the last.
func (tx *Tx) OpenRanges(from uint64, limit int, fn func(RangeState) error) (next uint64, err error) {
	var ranges []uint64
	c := tx.b.Bucket(bucketCheckpointOpen).Cursor()
	for k, _ := c.Seek(be64(from)); k != nil; k, _ = c.Next() {
		if len(ranges) == limit {
			next = readBE64(k)
			break
		}
		ranges = append(ranges, readBE64(k))
	}
	for _, r := range ranges {
		s, err := tx.RangeState(r)
		if err != nil {
			return next, err
		}
		if err := fn(s); err != nil {
			return next, err
		}
	}
	return next, nil
}

// CheckpointsFrom returns what proves the state of up to limit settled ranges from one on: the certificate where there is
// one, else the members' words. next is the range to go on with, 0 at the end.
func (tx *Tx) CheckpointsFrom(from uint64, limit int) (certs []quorum.UncheckedCheckpoint, words [][]byte, next uint64, err error) {
	end, err := tx.settledRanges()
	if err != nil {
		return nil, nil, 0, err
	}
	seen := 0
	for at := from; at < end; at++ {
		id, ok, err := tx.nextEvent(at * RangeSize)
		if err != nil {
			return nil, nil, 0, err
		}
		if at = id / RangeSize; !ok || at >= end {
			break
		}
		if seen == limit {
			return certs, words, at, nil
		}
		seen++
		s, err := tx.RangeState(at)
		if err != nil {
			return nil, nil, 0, err
		}
		if s.Certified != nil {
			certs = append(certs, *s.Certified)
		}
		for _, w := range s.Said {
			words = append(words, w.Bytes())
		}
	}
	return certs, words, 0, nil
}

// OwnStatement returns the bytes that this node signed under a counter. ok is false when it signed nothing under it.
func (tx *Tx) OwnStatement(counter uint64) (raw []byte, ok bool, err error) {
	var s ownStatement
	ok, err = tx.get(bucketOwn, be64(counter), &s)
	return bytes.Clone(s.Raw), ok, err
}
