package ledger

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func TestOpenRefusesWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	l := booksAt(t, dir)
	_, err := Open(dir, testNetwork)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, l.Close())

	_, err = Open(dir, common.HexToHash("0x02"))
	require.ErrorIs(t, err, ErrOtherNetwork)

	l = booksAt(t, dir)
	update(t, l, func(tx *Tx) error { return tx.b.tx.Bucket(bucketMeta).Put(keySchema, be64(SchemaVersion+1)) })
	require.NoError(t, l.Close())
	_, err = Open(dir, testNetwork)
	require.ErrorIs(t, err, ErrSchema)
}

func TestHighWaterKnowsAnOlderCopy(t *testing.T) {
	dir := t.TempDir()
	l := booksAt(t, dir)
	take := func() {
		update(t, l, func(tx *Tx) error {
			_, err := tx.NextCounter()
			return err
		})
	}
	take()
	require.NoError(t, l.Rollback())
	require.NoError(t, l.Close())
	old, err := os.ReadFile(filepath.Join(dir, "ledger.db"))
	require.NoError(t, err)

	l = booksAt(t, dir)
	take()
	update(t, l, func(tx *Tx) error { return tx.MarkVote(5, 1, 2) })
	require.NoError(t, l.Rollback())
	require.NoError(t, l.Close())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "ledger.db"), old, 0o600))
	l = booksAt(t, dir)
	require.ErrorIs(t, l.Rollback(), ErrRolledBack)
	require.NoError(t, l.Close())
}

func TestHighWaterFileOfAnotherDatabase(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		l := booksAt(t, d)
		update(t, l, func(tx *Tx) error {
			_, err := tx.NextCounter()
			return err
		})
		require.NoError(t, l.Close())
	}
	mark, err := os.ReadFile(filepath.Join(other, "high-water"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "high-water"), mark, 0o600))
	l := booksAt(t, dir)
	require.ErrorIs(t, l.Rollback(), ErrRolledBack)
	update(t, l, func(tx *Tx) error {
		_, err := tx.NextCounter()
		return err
	})
	require.ErrorIs(t, l.Rollback(), ErrRolledBack, "only a quarantine replaces the file")
	require.NoError(t, l.Close())

	mark[len(mark)-1] ^= 1
	require.NoError(t, os.WriteFile(filepath.Join(dir, "high-water"), mark, 0o600))
	_, err = Open(dir, testNetwork)
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	l := newBooks(t)
	before := stateOf(t, l)
	require.ErrorIs(t, l.Update(func(tx *Tx) error {
		_, err := tx.Append([]Event{{ID: 1, Account: testAccount(1), Amount: "5"}}, plenty())
		require.NoError(t, err)
		return os.ErrClosed
	}), os.ErrClosed)
	require.Equal(t, before, stateOf(t, l))
	require.Zero(t, l.high.mark())
}
