package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// clock is a clock that a test sets.
type clock struct{ at time.Time }

func (c *clock) env() env {
	e := testEnv()
	e.now = func() time.Time { return c.at }
	return e
}

func newClock() *clock { return &clock{time.UnixMilli(1_800_000_000_000)} }

// Five wrong passwords lock out, whoever tries and in whatever process; the wait doubles up to an hour, and the right
// password ends it all.
func TestLockout(t *testing.T) {
	c := newClock()
	dir, v := newVault(t, c.env())
	v.Close()
	try := func(password string) error {
		v, err := c.env().open(dir, node(), []byte(password)) // as a new process does: nothing is remembered but on disk
		if err == nil {
			v.Close()
		}
		return err
	}
	for range freeTries {
		require.ErrorIs(t, try("wrong"), ErrPassword)
	}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		wait *= time.Minute
		for _, password := range []string{"wrong", testPassword} {
			var out *LockedOutError
			err := try(password)
			require.ErrorAs(t, err, &out, "%v", wait)
			require.ErrorIs(t, err, ErrLockedOut)
			require.Equal(t, c.at.Add(wait), out.Until)
			require.ErrorContains(t, err, out.Until.UTC().Format(time.RFC3339))
		}
		c.at = c.at.Add(wait - time.Millisecond)
		require.ErrorIs(t, try(testPassword), ErrLockedOut)
		c.at = c.at.Add(time.Millisecond)
		require.ErrorIs(t, try("wrong"), ErrPassword)
	}
	c.at = c.at.Add(time.Hour)
	require.NoError(t, try(testPassword))
	require.NotContains(t, files(t, dir), attemptsFile)
	require.ErrorIs(t, try("wrong"), ErrPassword, "from the beginning")
	require.ErrorIs(t, try("wrong"), ErrPassword)
}

// A try is used up when the process dies while it computes, and a right one is not counted.
func TestATryIsCountedBeforeItIsMade(t *testing.T) {
	c := newClock()
	dir, v := newVault(t, c.env())
	v.Close()
	for n := range 3 {
		e := c.env()
		e.fault, _ = crashAt(n)
		_, err := e.open(dir, node(), []byte(testPassword))
		require.ErrorIs(t, err, errCrash, "no try without its count on disk")
	}
	for range freeTries - 1 { // of the three above, the last reached the disk
		e := c.env()
		e.fault, _ = crashAt(3) // the count is durable; the power goes before the try is known to be right
		_, err := e.open(dir, node(), []byte(testPassword))
		require.ErrorIs(t, err, errCrash)
	}
	_, err := c.env().open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrLockedOut)
	c.at = c.at.Add(firstLockout)
	v, err = c.env().open(dir, node(), []byte(testPassword))
	require.NoError(t, err)
	v.Close()
}

// What is refused for another reason than the password counts as no try.
func TestOnlyPasswordsCount(t *testing.T) {
	dir, v := newVault(t, testEnv())
	v.Close()
	_, err := testEnv().open(dir, node(), []byte("wrong"))
	require.ErrorIs(t, err, ErrPassword)
	before := read(t, dir)[attemptsFile]
	for range 2 * freeTries {
		_, err := Open(dir, node(), []byte(testPassword))
		require.ErrorIs(t, err, ErrParams, "cheap parameters, outside of these tests")
	}
	require.Equal(t, before, read(t, dir)[attemptsFile])
	reopen(t, dir)
}

// A clock that is set back keeps nobody out for longer than once.
func TestAClockThatIsSetBack(t *testing.T) {
	c := newClock()
	dir, v := newVault(t, c.env())
	v.Close()
	for range freeTries {
		_, err := c.env().open(dir, node(), []byte("wrong"))
		require.ErrorIs(t, err, ErrPassword)
	}
	c.at = c.at.Add(-365 * 24 * time.Hour)
	_, err := c.env().open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrLockedOut)
	c.at = c.at.Add(firstLockout)
	v, err = c.env().open(dir, node(), []byte(testPassword))
	require.NoError(t, err)
	v.Close()
}

// The count is a file like the others: others may not read it, and damage is an error and no free try.
func TestACountThatIsDamaged(t *testing.T) {
	dir, v := newVault(t, testEnv())
	v.Close()
	_, err := testEnv().open(dir, node(), []byte("wrong"))
	require.ErrorIs(t, err, ErrPassword)
	path := filepath.Join(dir, attemptsFile)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range good {
		for _, b := range [][]byte{append(bytes.Clone(good[:i]), good[i+1:]...), flip(good, i)} {
			require.NoError(t, os.WriteFile(path, b, 0o600))
			_, err := testEnv().open(dir, node(), []byte(testPassword))
			require.True(t, isDamage(err), "%v", err)
			require.ErrorContains(t, err, attemptsFile)
		}
	}
	require.NoError(t, os.WriteFile(path, good, 0o600))
	require.NoError(t, os.Chmod(path, 0o640))
	_, err = testEnv().open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrMode)
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1 << (i % 8)
	return b
}

// The wait never shrinks with another wrong password, never exceeds its bound, and is over at its end.
func TestTheWaitGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := attempts{Wrong: rapid.Uint64().Draw(t, "wrong"), Last: rapid.Uint64Range(0, 1<<60).Draw(t, "last")}
		more := a
		more.Wrong = max(a.Wrong, a.Wrong+1)
		require.LessOrEqual(t, a.wait(), more.wait())
		require.LessOrEqual(t, a.wait(), longestWait)
		require.Equal(t, a.Wrong >= freeTries, a.wait() > 0)
		now := time.UnixMilli(rapid.Int64Range(0, 1<<50).Draw(t, "now"))
		until := a.until(now)
		require.True(t, until.IsZero() || until.After(now) && !until.After(now.Add(longestWait)))
		if !until.IsZero() && a.Last <= uint64(now.UnixMilli()) {
			require.Zero(t, a.until(until))
		}
	})
}

// One password is tried at a time: a second process waits for the first one's answer.
func TestTriesTakeTurns(t *testing.T) {
	dir, v := newVault(t, testEnv())
	v.Close()
	end, err := disk{dir: dir}.turn()
	require.NoError(t, err)
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	require.ErrorIs(t, flock(f, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
	end()
	require.NoError(t, flock(f, unix.LOCK_EX|unix.LOCK_NB))
}

func FuzzAttempts(f *testing.F) {
	a := attempts{Scheme: attemptsForm, Wrong: 5, Last: 1_800_000_000_000}
	a.Sum = a.sum()
	f.Add(encode(a))
	f.Add([]byte{0xc1, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAttempts(b)
		if err != nil {
			require.True(t, isDamage(err), "%v", err)
			return
		}
		require.Equal(t, b, encode(a))
		_ = a.until(time.UnixMilli(0))
	})
}
