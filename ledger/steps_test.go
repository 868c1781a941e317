package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// counterOf is what a reopened database and its high-water file remember, and whether they fit.
func counterOf(t *testing.T, dir string) (db, mark uint64) {
	l, err := Open(dir, testNetwork)
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	require.NoError(t, l.Rollback())
	require.NoError(t, l.View(func(tx *Tx) error { db = tx.Counter(); return nil }))
	return db, l.high.mark().Counter
}

func count(l *Ledger) error {
	return l.Update(func(tx *Tx) error { _, err := tx.NextCounter(); return err })
}

// TestAFailureBetweenTheSteps: whichever step fails, or ends the process, the next process finds the commit whole or not at
// all, and no high-water mark above the database.
func TestAFailureBetweenTheSteps(t *testing.T) {
	for _, c := range []struct {
		at       Step
		db, mark uint64
	}{{StepCommit, 1, 1}, {StepMark, 2, 1}, {StepReplace, 2, 1}, {StepDone, 2, 2}} {
		for name, end := range map[string]func() error{
			"disk":  func() error { return syscall.ENOSPC },
			"death": func() error { runtime.Goexit(); return nil },
		} {
			t.Run(string(c.at)+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				armed := false
				l, err := OpenWatched(dir, testNetwork, func(at Step) error {
					if armed && at == c.at {
						return end()
					}
					return nil
				})
				require.NoError(t, err)
				require.NoError(t, count(l))
				armed = true
				failed := errors.New("died")
				var done sync.WaitGroup
				done.Go(func() { failed = count(l) })
				done.Wait()
				require.Error(t, failed, "nobody may hear of it")
				if name == "disk" {
					require.ErrorIs(t, failed, syscall.ENOSPC)
				}
				require.NoError(t, l.Close())
				db, mark := counterOf(t, dir)
				require.Equal(t, [2]uint64{c.db, c.mark}, [2]uint64{db, mark})
			})
		}
	}
}

// TestAHalfWrittenMarkIsNone: what a power cut leaves beside the high-water file is not read.
func TestAHalfWrittenMarkIsNone(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, testNetwork)
	require.NoError(t, err)
	require.NoError(t, count(l))
	require.NoError(t, l.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, highWaterFileName+".new"), []byte{0xf8}, 0o600))
	db, mark := counterOf(t, dir)
	require.Equal(t, [2]uint64{1, 1}, [2]uint64{db, mark})
}
