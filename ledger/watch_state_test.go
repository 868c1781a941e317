package ledger

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func TestWatchStateIsDurableAndBounded(t *testing.T) {
	l := newBooks(t)
	require.NoError(t, l.Update(func(tx *Tx) error {
		require.Nil(t, tx.WatchValue([]byte("hour/2")))
		for _, k := range []string{"hour/2", "hour/1", "other"} {
			require.NoError(t, tx.PutWatch([]byte(k), []byte("of "+k)))
		}
		require.ErrorContains(t, tx.PutWatch(nil, []byte{1}), "out of bounds")
		require.ErrorContains(t, tx.PutWatch(bytes.Repeat([]byte{1}, maxWatchKey+1), []byte{1}), "out of bounds")
		require.ErrorContains(t, tx.PutWatch([]byte("k"), make([]byte, maxWatchValue+1)), "out of bounds")
		return nil
	}))
	var found []string
	require.NoError(t, l.Update(func(tx *Tx) error {
		require.Equal(t, "of other", string(tx.WatchValue([]byte("other"))))
		err := tx.WatchValues([]byte("hour/"), func(k, v []byte) error {
			found = append(found, string(k)+"="+string(v))
			return nil
		})
		require.NoError(t, err)
		return tx.PutWatch([]byte("hour/1"), nil)
	}))
	require.Equal(t, []string{"hour/1=of hour/1", "hour/2=of hour/2"}, found)
	require.NoError(t, l.View(func(tx *Tx) error {
		require.Nil(t, tx.WatchValue([]byte("hour/1")), "an empty value removes")
		return nil
	}))
}

func TestWatchStateIsNoPartOfTheBooks(t *testing.T) {
	l := newBooks(t)
	appendAll(t, l, plenty(), event(1, testAccount(1), TaskIncome, "10"))
	hash := func() (h common.Hash) {
		require.NoError(t, l.View(func(tx *Tx) (err error) { h, err = tx.StateHash(); return err }))
		return h
	}
	before := hash()
	require.NoError(t, l.Update(func(tx *Tx) error { return tx.PutWatch([]byte("x"), []byte("y")) }))
	require.Equal(t, before, hash())
	checked(t, l)
}

func TestUnbookedSaysWhatIsNewAndWhoIsUnseen(t *testing.T) {
	l := newBooks(t)
	a, b, c := testAccount(1), testAccount(2), testAccount(3)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "10"), event(5, b, TaskIncome, "10"))
	page := []Event{event(1, a, TaskIncome, "10"), event(3, c, TaskIncome, "1"), event(5, b, TaskIncome, "10"), event(6, a, TaskIncome, "1"), event(7, c, TaskIncome, "1")}
	require.NoError(t, l.View(func(tx *Tx) error {
		fresh, unseen, err := tx.Unbooked(page)
		require.NoError(t, err)
		require.Equal(t, []Event{page[1], page[3], page[4]}, fresh, "a late row is new, a repeated one is not")
		require.Equal(t, map[common.Address]bool{c: true}, unseen)
		sums, err := tx.Credited()
		require.NoError(t, err)
		require.Equal(t, uint64(5), sums.LastID)
		require.Equal(t, "20 0 0", sums.Counted.Dec()+" "+sums.Pending.Dec()+" "+sums.Debits.Dec())
		return nil
	}))
}

func TestUnbookedLeavesOutWhatIsHeld(t *testing.T) {
	l := newBooks(t)
	a, b := testAccount(1), testAccount(2)
	in := plenty()
	in.Policy.UncoveredMax.SetUint64(5)
	page := []Event{event(1, a, TaskPayment, "10"), event(2, b, TaskIncome, "10")}
	out := appendAll(t, l, in, page...)
	require.Equal(t, 2, out.Held, "the debit is uncovered, and what follows waits behind it")
	require.NoError(t, l.View(func(tx *Tx) error {
		fresh, unseen, err := tx.Unbooked(append(page, event(3, b, TaskIncome, "1")))
		require.NoError(t, err)
		require.Len(t, fresh, 1)
		require.Equal(t, map[common.Address]bool{b: true}, unseen)
		return nil
	}))
}
