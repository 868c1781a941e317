package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func listed(events ...Event) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// TestRebuildAgrees drives books through any history, then rebuilds them from their own log.
func TestRebuildAgrees(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir, into := fmt.Sprintf("%s/%d", base, runs), fmt.Sprintf("%s/%d-again", base, runs)
		makeDir(t, dir)
		makeDir(t, into)
		s := &booksMachine{dir: dir, l: booksAt(t, dir), m: newModel(int64(rapid.SampledFrom([]int{20, 1 << 40}).Draw(t, "max")))}
		defer func() { require.NoError(t, s.l.Close()) }()
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			rapid.SampledFrom([]func(*rapid.T){s.page, s.page, s.late, s.prove, s.decide, s.pay, s.approve}).Draw(t, "step")(t)
		}
		again := booksAt(t, into)
		defer func() { require.NoError(t, again.Close()) }()
		out, err := s.l.Rebuild(context.Background(), again, plenty(), nil)
		require.NoError(t, err)
		require.Equal(t, out.Root, out.Again)
		require.Empty(t, out.Limited)
		require.Len(t, out.Compared, len(comparedBuckets()))
		checked(t, again)
	})
}

func TestRebuildOfASample(t *testing.T) {
	p := fillSample(t)
	into, err := Open(t.TempDir(), p.network)
	require.NoError(t, err)
	defer func() { require.NoError(t, into.Close()) }()
	in := plenty()
	require.NoError(t, p.l.View(func(tx *Tx) error {
		e, _, err := tx.Event(60)
		require.NoError(t, err)
		admin, err := quorum.RecoverAny(quorum.PersonalDigest(VestingText(e.Vesting)), e.Vesting.Signature)
		in.VestingAdmins = append(in.VestingAdmins, admin)
		return err
	}))
	var told []string
	out, err := p.l.Rebuild(context.Background(), into, in, func(what string, n uint64) { told = append(told, fmt.Sprint(what, " ", n)) })
	require.NoError(t, err)
	require.Empty(t, out.Limited)
	require.Equal(t, uint64(139), out.Replayed.Events)
	require.Contains(t, told, "events 139")
	require.Contains(t, told, "deposits 2")
}

// TestRebuildOfOneTransferNamedTwice: the later row was contradicted before the earlier one took the transfer.
func TestRebuildOfOneTransferNamedTwice(t *testing.T) {
	l, again := newBooks(t), newBooks(t)
	appendAll(t, l, plenty(), deposit(2, testAccount(1), "7", 1), deposit(3, testAccount(2), "9", 1))
	for _, p := range []struct {
		id uint64
		is Proof
	}{{3, Contradicted}, {2, Counted}} {
		update(t, l, func(tx *Tx) error { _, err := tx.SetProof(p.id, p.is, 1); return err })
	}
	_, err := l.Rebuild(context.Background(), again, plenty(), nil)
	require.NoError(t, err)
}

// TestRebuildTakesVestingsAsTheyCount: what of a release counts was said by the clocks of then, which no log holds: one that
// a proof moved before the next tick, and one that was put back before the row came.
func TestRebuildTakesVestingsAsTheyCount(t *testing.T) {
	a, key := testAccount(1), crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test vesting admin")))
	release := func(id uint64, amount string) Event {
		e := event(id, a, VestingRelease, amount)
		e.Vesting = VestingRef{ID: 1}
		return e
	}
	in := plenty()
	in.Now, in.VestingAdmins = 3*dayMS, []common.Address{addressOf(key)}
	for name, then := range map[string]func(l *Ledger){
		"a proof moved the clock": func(l *Ledger) {
			update(t, l, func(tx *Tx) error { _, err := tx.SetProof(2, Counted, 5*dayMS); return err })
		},
		"the clock went back": func(l *Ledger) {
			back := in
			back.Now = 2 * dayMS
			appendAll(t, l, back, release(5, "100"))
		},
	} {
		l, again := newBooks(t), newBooks(t)
		appendAll(t, l, in, testVesting(t, key, 1, 1, a, "1000"), deposit(2, a, "7", 1), release(3, "700"))
		then(l)
		out, err := l.Rebuild(context.Background(), again, in, nil)
		require.NoError(t, err, name)
		require.Empty(t, out.Limited, name)
		require.Contains(t, out.Compared, string(bucketReleases), name)
		checked(t, l)
		checked(t, again)
	}
}

func TestRebuildNamesTheDifference(t *testing.T) {
	for name, c := range map[string]struct {
		bucket string
		put    func(tx *Tx, a *book) error
	}{
		"a credit from nowhere": {"accounts", func(tx *Tx, b *book) error {
			require.NoError(t, b.count(testAccount(1), wei(1)))
			return b.close()
		}},
		"a lost link": {"debits", func(tx *Tx, b *book) error { return tx.b.Bucket(bucketDebits).Delete(debitKey(testAccount(1), 2)) }},
		"a mark": {"unbound", func(tx *Tx, b *book) error {
			return tx.b.Bucket(bucketUnbound).Put(debitKey(testAccount(1), 2), []byte{1})
		}},
	} {
		l := newBooks(t)
		appendAll(t, l, plenty(), event(1, testAccount(1), TaskIncome, "9"), event(2, testAccount(1), TaskPayment, "3"))
		update(t, l, func(tx *Tx) error {
			b, err := tx.openBook(plenty())
			require.NoError(t, err)
			return c.put(tx, b)
		})
		_, err := l.Rebuild(context.Background(), newBooks(t), plenty(), nil)
		var differs *DifferenceError
		require.ErrorAs(t, err, &differs, name)
		require.Equal(t, c.bucket, differs.Bucket, name)
	}
}

func TestReplayGoesOnWhereItEnded(t *testing.T) {
	a := testAccount(1)
	var rows []Event
	for i := range uint64(3000) {
		rows = append(rows, event(i*2+1, testAccount(int(i%50)), []EventKind{TaskIncome, TaskPayment}[i%2], fmt.Sprint(i)))
	}
	whole := newBooks(t)
	for _, e := range rows {
		appendAll(t, whole, plenty(), e)
	}
	l := newBooks(t)
	broken := errors.New("broken")
	_, err := l.Replay(context.Background(), func(yield func(Event, error) bool) {
		for _, e := range rows[:1000] {
			yield(e, nil)
		}
		yield(Event{}, broken)
	}, plenty(), nil)
	require.ErrorIs(t, err, broken)
	appendAll(t, l, plenty(), rows[:10]...)
	var last uint64
	out, err := l.Replay(context.Background(), listed(rows...), plenty(), func(n uint64) { last = n })
	require.NoError(t, err)
	require.Equal(t, uint64(3000), out.Events)
	require.Equal(t, uint64(3000), last)
	require.Equal(t, stateOf(t, whole), stateOf(t, l))
	checked(t, l)

	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err = newBooks(t).Replay(ctx, listed(rows...), plenty(), nil)
	require.ErrorIs(t, err, context.Canceled)
	in := plenty()
	in.Policy.UncoveredMax = wei(1)
	_, err = newBooks(t).Replay(context.Background(), listed(event(1, a, TaskPayment, "5")), in, nil)
	require.ErrorContains(t, err, "uncovered")
	_, err = l.Replay(context.Background(), listed(event(1, a, TaskPayment, "5")), plenty(), nil)
	require.ErrorIs(t, err, ErrHostile, "what lies in the books is compared")
}

// TestAnyArrivalGivesOneRoot: pages of any size, restarts anywhere and rows that come late, as far as nobody approved
// beyond them, end in one root and one state.
func TestAnyArrivalGivesOneRoot(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir, other := fmt.Sprintf("%s/%d", base, n), fmt.Sprintf("%s/%d-other", base, n)
		makeDir(t, dir)
		makeDir(t, other)
		s := &booksMachine{}
		var log []Event
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			log = append(log, s.event(t))
		}
		in := plenty()
		in.Policy.UncoveredMax = wei(1 << 40)
		whole := booksAt(t, dir)
		_, err := whole.Replay(context.Background(), listed(log...), in, nil)
		require.NoError(t, err)

		// What is late stays behind for some pages, and then comes in a page of its own, in id order.
		l := booksAt(t, other)
		var late []Event
		for rest := log; len(rest) > 0 || len(late) > 0; {
			if len(late) > 0 && (len(rest) == 0 || rapid.Bool().Draw(t, "late rows come")) {
				appendAll(t, l, in, late...)
				late = nil
			}
			k := min(len(rest), rapid.IntRange(1, 12).Draw(t, "page"))
			var page []Event
			for _, e := range rest[:k] {
				if rapid.SampledFrom([]bool{true, false, false, false}).Draw(t, "is late") {
					late = append(late, e)
				} else {
					page = append(page, e)
				}
			}
			appendAll(t, l, in, page...)
			if rest = rest[k:]; rapid.SampledFrom([]bool{true, false, false}).Draw(t, "restart") {
				require.NoError(t, l.Close())
				l = booksAt(t, other)
			}
			if rapid.Bool().Draw(t, "served again") {
				appendAll(t, l, in, page...)
			}
		}
		require.Equal(t, stateOf(t, whole), stateOf(t, l))
		require.Equal(t, checked(t, whole), checked(t, l))
		require.NoError(t, whole.Close())
		require.NoError(t, l.Close())
	})
}
