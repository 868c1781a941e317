package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Steps of a round, in the order in which a node takes them.
const (
	StepProposal  uint64 = 0
	StepPrevote   uint64 = 1
	StepPrecommit uint64 = 2
)

// MaxValues bounds the proposed values that are kept for one undecided height. Honest proposers make one per round at
// most, and mostly repeat a valid one; what exceeds this is a flood.
const MaxValues = 256

// bucketVotes maps height ‖ round ‖ step to the counter of the own message there; it is never pruned, because the disk must
// hold every byte ever sent. bucketConsensus and bucketValues hold the undecided height only.
var (
	bucketVotes     = []byte("votes")
	bucketConsensus = []byte("consensus")
	bucketValues    = []byte("values")
)

func voteKey(height, round, step uint64) []byte { return join(be64(height), be64(round), be64(step)) }

// CastVote signs a prevote or precommit, its counter filled in, and records it. VOTE-ONCE: when a vote exists for that
// height, round and phase, its bytes come back whatever body says; send those. It fails with [ErrDecided] for a decided
// height and with [ErrOrder] for a position behind one that this node voted in.
func (tx *Tx) CastVote(body quorum.Vote, sign func(quorum.Vote) (quorum.Signed[quorum.Vote], error)) ([]byte, error) {
	if err := body.Check(); err != nil {
		return nil, err
	}
	at := Mark{Height: body.Height, Round: body.Round, Step: uint64(body.Phase)}
	return castAt(tx, at, body.Epoch, func(counter uint64) quorum.Vote {
		body.Counter = counter
		return body
	}, sign)
}

// CastProposal signs a proposal as [Tx.CastVote] does a vote.
func (tx *Tx) CastProposal(body quorum.Proposal, sign func(quorum.Proposal) (quorum.Signed[quorum.Proposal], error)) ([]byte, error) {
	if err := body.Check(); err != nil {
		return nil, err
	}
	at := Mark{Height: body.Height, Round: body.Round, Step: StepProposal}
	return castAt(tx, at, body.Epoch, func(counter uint64) quorum.Proposal {
		body.Counter = counter
		return body
	}, sign)
}

func castAt[T quorum.Body](tx *Tx, at Mark, epoch uint64, body func(uint64) T, sign func(T) (quorum.Signed[T], error)) ([]byte, error) {
	key := voteKey(at.Height, at.Round, at.Step)
	if raw, ok, err := tx.said(bucketVotes, key); ok || err != nil {
		return raw, err
	}
	if err := tx.mayVote(at, epoch); err != nil {
		return nil, err
	}
	s, err := say(tx, bucketVotes, key, body, sign)
	if err != nil {
		return nil, err
	}
	return s.Bytes(), tx.MarkVote(at.Height, at.Round, at.Step)
}

// mayVote checks that a position is the next one: of the height after the last decided one, and not behind an own vote.
func (tx *Tx) mayVote(at Mark, epoch uint64) error {
	last := tx.LastHeight()
	if at.Height <= last {
		return fmt.Errorf("vote at height %d: %w", at.Height, ErrDecided)
	}
	if at.Height != last+1 {
		return fmt.Errorf("vote at height %d: %w: the last known decision is %d", at.Height, ErrOrder, last)
	}
	if now := tx.epoch(); epoch != now {
		return fmt.Errorf("vote of epoch %d: %w: in force is %d", epoch, ErrNotInForce, now)
	}
	if err := tx.MayVote(at.Height); err != nil {
		return err
	}
	if len(tx.b.Bucket(bucketMeta).Get(keyVote)) == 0 {
		return nil
	}
	mark, err := tx.mark()
	if err != nil {
		return err
	}
	if !at.after(mark) {
		return fmt.Errorf("vote at height %d round %d step %d: %w: voted at %d, %d, %d before",
			at.Height, at.Round, at.Step, ErrOrder, mark.Height, mark.Round, mark.Step)
	}
	return nil
}

// Cast returns the own message at a position: a proposal, prevote or precommit by its step.
func (tx *Tx) Cast(height, round, step uint64) (raw []byte, ok bool, err error) {
	return tx.said(bucketVotes, voteKey(height, round, step))
}

// CastMessages calls fn for every own message of a height, by round and step ascending.
func (tx *Tx) CastMessages(height uint64, fn func(round, step uint64, raw []byte) error) error {
	return tx.each(bucketVotes, be64(height), func(k, _ []byte) error {
		raw, _, err := tx.said(bucketVotes, k)
		if err != nil {
			return err
		}
		return fn(readBE64(k[8:16]), readBE64(k[16:]), raw)
	})
}

// SaveConsensus records agreement's own state of the undecided height: round, step, lock and valid value, as the bytes
// that agreement encodes them to. It belongs in the transaction that casts the vote which follows from it.
func (tx *Tx) SaveConsensus(height uint64, state []byte) error {
	if last := tx.LastHeight(); height != last+1 {
		return fmt.Errorf("save consensus of height %d: %w: the last decision is %d", height, ErrOrder, last)
	}
	return tx.b.Bucket(bucketConsensus).Put(be64(height), state)
}

// Consensus returns what [Tx.SaveConsensus] recorded for a height. ok is false when nothing was.
func (tx *Tx) Consensus(height uint64) (state []byte, ok bool) {
	raw := tx.b.Bucket(bucketConsensus).Get(be64(height))
	return bytes.Clone(raw), raw != nil
}

// PutValue keeps the bytes of a proposed value while its height is undecided. It fails with [ErrFull] beyond
// [MaxValues]; [Tx.RetainValues] makes room.
func (tx *Tx) PutValue(height uint64, id common.Hash, value []byte) error {
	if quorum.ValueID(tx.network(), value) != id {
		return errors.New("put value: the id is not of these bytes")
	}
	if last := tx.LastHeight(); height <= last {
		return fmt.Errorf("put value of height %d: %w", height, ErrDecided)
	} else if height > last+1 {
		return fmt.Errorf("put value of height %d: %w: the last decision is %d", height, ErrOrder, last)
	}
	if tx.b.Bucket(bucketValues).Get(join(be64(height), id[:])) != nil {
		return nil
	}
	n := 0
	if err := tx.each(bucketValues, be64(height), func(_, _ []byte) error { n++; return nil }); err != nil {
		return err
	}
	if n >= MaxValues {
		return fmt.Errorf("put value: %w", ErrFull)
	}
	return tx.b.Bucket(bucketValues).Put(join(be64(height), id[:]), value)
}

// Value returns a value that [Tx.PutValue] kept. ok is false when it is not held.
func (tx *Tx) Value(height uint64, id common.Hash) (value []byte, ok bool) {
	raw := tx.b.Bucket(bucketValues).Get(join(be64(height), id[:]))
	return bytes.Clone(raw), raw != nil
}

// RetainValues drops the values of a height that keep does not want. A value that this node locked, or voted for and may
// be asked for, must be kept.
func (tx *Tx) RetainValues(height uint64, keep func(common.Hash) bool) error {
	return tx.each(bucketValues, be64(height), func(k, _ []byte) error {
		if keep(common.BytesToHash(k[8:])) {
			return nil
		}
		return tx.b.Bucket(bucketValues).Delete(k)
	})
}

// forgetHeight drops what only an undecided height needs, up to a height. Own votes stay.
func (tx *Tx) forgetHeight(height uint64) error {
	for _, bucket := range [][]byte{bucketConsensus, bucketValues} {
		err := tx.each(bucket, nil, func(k, _ []byte) error {
			if readBE64(k[:8]) > height {
				return nil
			}
			return tx.b.Bucket(bucket).Delete(k)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
