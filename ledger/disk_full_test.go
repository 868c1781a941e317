//go:build unix

package ledger

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// fullDisk names the folder in which a process of ours fills its disk.
const fullDisk = "CONCLAVE_TEST_FULL_DISK"

// diskRows is a page of the log, the n-th.
func diskRows(n int) (page []Event) {
	for i := range 400 {
		id := uint64(n*400 + i + 1)
		page = append(page, event(id, testAccount(int(id%97)), []EventKind{TaskIncome, TaskIncome, TaskPayment}[id%3], strconv.Itoa(i%9+1)))
	}
	return page
}

func diskIntake() Intake {
	in := plenty()
	in.Policy.UncoveredMax = wei(1 << 62)
	return in
}

// takePages books pages from one on until the disk says no, and returns how many were taken. Each takes a counter as well,
// so that the high-water file is written too.
func takePages(l *Ledger, from, most int) (taken int, err error) {
	for n := from; n < most; n++ {
		err := l.Update(func(tx *Tx) error {
			if _, err := tx.NextCounter(); err != nil {
				return err
			}
			_, err := tx.Append(diskRows(n), diskIntake())
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return most, nil
}

func eventsOf(t require.TestingT, l *Ledger) (n uint64) {
	require.NoError(t, l.View(func(tx *Tx) error { totals, err := tx.totals(); n = totals.Events; return err }))
	return n
}

// TestFillsItsDisk is not a test of its own: it runs in a process whose files may not grow beyond a size, as those of a full
// disk cannot. It prints how many pages it took.
func TestFillsItsDisk(t *testing.T) {
	dir := os.Getenv(fullDisk)
	if dir == "" {
		t.Skip("runs as a part of TestAFullDiskLosesNothing")
	}
	l, err := Open(dir, testNetwork)
	require.NoError(t, err)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}))
	taken, err := takePages(l, 0, 1000)
	require.Error(t, err)
	require.ErrorContains(t, err, syscall.EFBIG.Error())

	// What was taken stands, nothing of the page that was not; the process lives, answers, and fails again.
	require.Equal(t, uint64(taken*400), eventsOf(t, l))
	for range 3 {
		again, err := takePages(l, taken, taken+1)
		require.Error(t, err)
		require.Equal(t, taken, again)
	}
	_, err = l.Replay(context.Background(), listed(diskRows(taken)...), diskIntake(), nil)
	require.Error(t, err)
	require.Equal(t, uint64(taken*400), eventsOf(t, l))
	checked(t, l)
	require.NoError(t, l.Rollback())
	require.NoError(t, l.Close())
	path := filepath.Join(dir, databaseFile)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 18, Max: 1 << 18}))
	_, err = Compact(dir, nil)
	require.Error(t, err, "there is no room for a second copy")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after))
	require.NoFileExists(t, path+besideName)
	fmt.Printf("took %d pages\n", taken)
}

// TestAFullDiskLosesNothing: a node whose disk fills keeps what it took, and goes on from there when there is room.
func TestAFullDiskLosesNothing(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	cmd := exec.Command(os.Args[0], "-test.run", "^TestFillsItsDisk$", "-test.v")
	cmd.Env = append(os.Environ(), fullDisk+"="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	at := bytes.Index(out, []byte("took "))
	require.NotEqual(t, -1, at, "%s", out)
	var taken int
	_, err = fmt.Sscanf(string(out[at:]), "took %d pages", &taken)
	require.NoError(t, err)
	require.NotZero(t, taken)

	require.Empty(t, fileReport(t, dir).Damage)
	l := booksAt(t, dir)
	defer func() { require.NoError(t, l.Close()) }()
	require.NoError(t, l.Rollback())
	require.Equal(t, uint64(taken*400), eventsOf(t, l))
	_, err = takePages(l, taken, taken+3)
	require.NoError(t, err)
	checked(t, l)

	whole := newBooks(t)
	_, err = takePages(whole, 0, taken+3)
	require.NoError(t, err)
	require.Equal(t, stateOf(t, whole), stateOf(t, l))
}
