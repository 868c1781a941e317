package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ethereum/go-ethereum/common"
)

// Rebuilt compares books with those that their own recorded log gives.
type Rebuilt struct {
	Replayed Replayed
	Root     common.Hash // of the log as it stands
	Again    common.Hash // of the log rebuilt
	Compared []string    // buckets that were compared record by record
	Limited  string      // why nothing but the root and the log could be compared; empty when all was
}

// DifferenceError names the first record in which rebuilt books differ.
type DifferenceError struct {
	Bucket string
	Key    []byte
}

// Error implements error.
func (e *DifferenceError) Error() string {
	return fmt.Sprintf("the rebuilt books differ in bucket %s at key %x", e.Bucket, e.Key)
}

// ErrUnlike means that the rebuilt log has another root.
var ErrUnlike = errors.New("the rebuilt log has another root")

// rebuildBatch is how many records of one kind a commit of a rebuild takes.
const rebuildBatch = 4096

// Rebuild books the recorded log of these books into fresh ones, with what else they rest on: the rows' exclusions, the
// requests, the fates and payments that decisions gave, the deposits' proofs, and how much of each vesting counts. Then it
// compares root and records, and names the first that differs. Freezes are judgements of their time, held rows wait for proofs: neither
// is compared. Where operators rewrote an account's debits, only log and root are.
func (l *Ledger) Rebuild(ctx context.Context, into *Ledger, in Intake, progress func(what string, n uint64)) (out Rebuilt, err error) {
	in.Policy.UncoveredMax.SetAllOne() // what is booked was allowed when it came
	err = l.View(func(tx *Tx) error {
		r := rebuild{ctx: ctx, from: tx, into: into, in: in, progress: progress}
		if out, err = r.run(); err != nil {
			return err
		}
		return r.compare(&out)
	})
	return out, err
}

type rebuild struct {
	ctx      context.Context
	from     *Tx
	into     *Ledger
	in       Intake
	progress func(what string, n uint64)
}

func (r *rebuild) run() (out Rebuilt, err error) {
	if k, _ := r.from.b.Bucket(bucketResolved).Cursor().First(); k != nil {
		out.Limited = "operators rewrote the debits of accounts, which the log alone does not tell"
	}
	r.in.Now = 0 // what is vested is a judgement of its time, and taken as it stands
	excluded, err := r.from.excludedRows()
	if err != nil {
		return out, err
	}
	took := func(n uint64) {
		if r.progress != nil {
			r.progress("events", n)
		}
	}
	if out.Replayed, err = r.into.replay(r.ctx, r.from.recording(), r.in, excluded, took); err != nil {
		return out, err
	}
	for _, part := range []struct {
		bucket []byte
		take   func(tx *Tx, k, v []byte) error
	}{
		{bucketRequests, (*Tx).rebuildRequest}, {bucketSpent, (*Tx).rebuildSpent}, {bucketFeesPaid, (*Tx).rebuildPaid},
		{bucketDeposits, r.rebuildContradicted}, {bucketDeposits, r.rebuildProof}, {bucketReleases, r.rebuildRelease},
	} {
		if err := r.each(part.bucket, part.take); err != nil {
			return out, fmt.Errorf("rebuild %s: %w", part.bucket, err)
		}
	}
	clock, known := r.from.clock()
	if !known {
		return out, nil
	}
	return out, r.into.Update(func(tx *Tx) error { return tx.b.Bucket(bucketBooks).Put(keyClock, be64(clock)) })
}

// recording is the log as it is stored.
func (tx *Tx) recording() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		c := tx.b.Bucket(bucketLog).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			e, _, _, err := row(v)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// excludedRows are the debits that stand in the log only.
func (tx *Tx) excludedRows() (map[uint64]bool, error) {
	out := map[uint64]bool{}
	return out, tx.scan(bucketLog, nil, func(k, v []byte) error {
		if len(v) < rowHeader {
			return fmt.Errorf("%w: row of %d bytes", ErrCorrupt, len(v))
		}
		if v[rowHeader-1]&rowExcluded != 0 {
			out[readBE64(k)] = true
		}
		return nil
	})
}

// each takes every record of a bucket into the new books, a batch per commit.
func (r *rebuild) each(bucket []byte, take func(tx *Tx, k, v []byte) error) error {
	c, done := r.from.b.Bucket(bucket).Cursor(), uint64(0)
	k, v := c.First()
	for k != nil {
		err := r.into.Update(func(tx *Tx) error {
			for range rebuildBatch {
				if k == nil {
					return nil
				}
				if err := take(tx, k, v); err != nil {
					return err
				}
				done++
				k, v = c.Next()
			}
			return nil
		})
		if err = errors.Join(err, r.ctx.Err()); err != nil {
			return err
		}
		if r.progress != nil {
			r.progress(string(bucket), done)
		}
	}
	return nil
}

func (tx *Tx) rebuildRequest(_, v []byte) error {
	var w Withdrawal
	if err := decode(v, &w); err != nil {
		return err
	}
	_, err := tx.PutWithdrawal(w)
	return err
}

func (tx *Tx) rebuildSpent(_, v []byte) error {
	var s Spent
	if err := decode(v, &s); err != nil {
		return err
	}
	return tx.putSpent(s)
}

func (tx *Tx) rebuildPaid(k, _ []byte) error { return tx.BookPaid(readBE64(k)) }

// rebuildContradicted comes first: a deposit was contradicted while no other held its transfer, whoever holds it now.
func (r *rebuild) rebuildContradicted(tx *Tx, k, v []byte) error {
	if len(v) != 1 || Proof(v[0]) != Contradicted {
		return nil
	}
	return r.rebuildProof(tx, k, v)
}

// rebuildProof gives a deposit the proof that it has. One that is settled and unproven lost its transfer to another.
func (r *rebuild) rebuildProof(tx *Tx, k, v []byte) error {
	id := readBE64(k)
	if len(v) != 1 {
		return fmt.Errorf("%w: proof of deposit %d", ErrCorrupt, id)
	}
	if was, ok := tx.ProofOf(id); !ok || was == Counted {
		return nil // history counts at face value
	}
	if p := Proof(v[0]); p != Unproven {
		_, err := tx.SetProof(id, p, r.in.Now)
		return err
	}
	if r.from.b.Bucket(bucketDepositsOpen).Get(k) == nil {
		return tx.b.Bucket(bucketDepositsOpen).Delete(k)
	}
	return nil
}

// rebuildRelease lets as much of a vesting count as counts: the clock that said so may have moved and gone back since.
// How much of it may is CheckBooks' to say.
func (r *rebuild) rebuildRelease(tx *Tx, k, v []byte) error {
	var theirs, mine release
	if err := decode(v, &theirs); err != nil {
		return err
	}
	var s Schedule
	known, err := tx.get(bucketVesting, k[:8], &s)
	if err != nil || !known || !bytes.Equal(k, releaseKey(s.ID, s.Account)) {
		return err // nothing of it counts, and both sides say so or differ
	}
	if _, err := tx.get(bucketReleases, k, &mine); err != nil {
		return err
	}
	b, err := tx.openBook(Intake{})
	if err != nil {
		return err
	}
	was := mine.Standing
	mine.Standing = theirs.Standing
	return errors.Join(b.shift(s.Account, was, mine.Standing), b.keepRelease(s, mine), b.close())
}

// comparedBuckets are those that the log and what Rebuild takes beside it determine.
func comparedBuckets() [][]byte {
	return [][]byte{
		bucketLog, bucketRanges, bucketAccounts, bucketDebits, bucketDeposits, bucketDepositsOpen, bucketDepositTx, bucketFees, bucketFeesPaid,
		bucketRefunds, bucketRejectWait, bucketVesting, bucketVestingKey, bucketReleases, bucketReleasesDue,
		bucketRequests, bucketRequestEvent, bucketRequestMessage, bucketRequestAccount, bucketRequestOpen,
		bucketUnbound, bucketSpentAt, bucketSpentMissing,
	}
}

func (r *rebuild) compare(out *Rebuilt) error {
	t, err := r.from.totals()
	if err != nil {
		return err
	}
	if out.Root, err = r.from.LogRoot(t.LastID); err != nil {
		return err
	}
	return r.into.View(func(tx *Tx) error {
		again, err := tx.totals()
		if err != nil {
			return err
		}
		if out.Again, err = tx.LogRoot(again.LastID); err != nil {
			return err
		}
		names := comparedBuckets()
		if out.Limited != "" {
			names = [][]byte{bucketRanges}
		}
		for _, name := range names {
			if err := r.sameRecords(tx, name); err != nil {
				return err
			}
			out.Compared = append(out.Compared, string(name))
		}
		if out.Root != out.Again {
			return fmt.Errorf("%w: %s, recorded is %s", ErrUnlike, out.Again, out.Root)
		}
		if out.Limited == "" && again != t {
			return &DifferenceError{string(bucketBooks), keyTotals}
		}
		return nil
	})
}

// sameRecords compares one bucket, record by record.
func (r *rebuild) sameRecords(tx *Tx, name []byte) error {
	a, b := r.from.b.Bucket(name).Cursor(), tx.b.Bucket(name).Cursor()
	ak, av := a.First()
	bk, bv := b.First()
	for ak != nil || bk != nil {
		if !bytes.Equal(ak, bk) {
			if ak == nil || (bk != nil && bytes.Compare(bk, ak) < 0) {
				ak = bk
			}
			return &DifferenceError{string(name), bytes.Clone(ak)}
		}
		was, err := timeless(name, av)
		if err != nil {
			return err
		}
		is, err := timeless(name, bv)
		if err != nil {
			return err
		}
		if !bytes.Equal(was, is) {
			return &DifferenceError{string(name), bytes.Clone(ak)}
		}
		ak, av = a.Next()
		bk, bv = b.Next()
	}
	return nil
}

// clock is the latest time that rows were booked at, unix ms; known is false in books of before it was kept.
func (tx *Tx) clock() (ms uint64, known bool) {
	raw := tx.b.Bucket(bucketBooks).Get(keyClock)
	return readBE64(raw), raw != nil
}

// keepClock remembers the latest time of booking: what is vested by it is vested for good.
func (b *book) keepClock() error {
	was, known := b.tx.clock()
	if b.in.Now == 0 || (known && was >= b.in.Now) {
		return nil
	}
	return b.tx.b.Bucket(bucketBooks).Put(keyClock, be64(b.in.Now))
}
