package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// attemptsFile counts wrong passwords. It lies beside the header, so that a restart forgets none.
const attemptsFile = "vault.attempts"

// How wrong passwords are answered.
const (
	freeTries     = 5           // slips of a person who knows the password
	firstLockout  = time.Minute // after the fifth, doubled by each further one
	longestWait   = time.Hour   // a person who remembers it in the end does not wait for a day
	attemptsForm  = 1           // the scheme of the file
	maxAttempts   = 128         // bytes of it
	mostDoublings = 6           // 64 minutes are above longestWait
)

// attempts is vault.attempts. A try is counted, durably, before it is made, and forgotten when it turns out right: who
// kills the process while it computes has used it up.
type attempts struct {
	Scheme uint64
	Wrong  uint64
	Last   uint64 // unix ms of the last one
	Sum    [32]byte
}

func (a attempts) sum() [32]byte { return sha256.Sum256(encode([]any{a.Scheme, a.Wrong, a.Last})) }

// wait is how long after the last wrong password the next may be tried.
func (a attempts) wait() time.Duration {
	if a.Wrong < freeTries {
		return 0
	}
	return min(firstLockout<<min(a.Wrong-freeTries, mostDoublings), longestWait)
}

// until is when the next password may be tried, zero for now.
func (a attempts) until(now time.Time) time.Time {
	last := time.UnixMilli(int64(min(a.Last, uint64(now.UnixMilli()))))
	if end := last.Add(a.wait()); a.Wrong >= freeTries && now.Before(end) {
		return end
	}
	return time.Time{}
}

// LockedOutError says that too many wrong passwords were given. It matches [ErrLockedOut].
type LockedOutError struct {
	Wrong uint64
	Until time.Time
}

// Error names the time from which a password may be tried.
func (e *LockedOutError) Error() string {
	return fmt.Sprintf("locked out after %d wrong passwords: the next may be tried at %s", e.Wrong, e.Until.UTC().Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrLockedOut) true.
func (e *LockedOutError) Is(target error) bool { return target == ErrLockedOut }

// attempts reads the count; no file is a count of none.
func (d disk) attempts() (attempts, error) {
	b, err := d.read(attemptsFile, maxAttempts)
	if errors.Is(err, fs.ErrNotExist) {
		return attempts{Scheme: attemptsForm}, nil
	}
	if err != nil {
		return attempts{}, err
	}
	return decodeAttempts(b)
}

func decodeAttempts(b []byte) (attempts, error) {
	var a attempts
	if err := decodeOf(b, &a, attemptsForm); err != nil {
		return attempts{}, fmt.Errorf("%s: %w", attemptsFile, err)
	}
	if a.Sum != a.sum() {
		return attempts{}, fmt.Errorf("%w: %s: checksum", ErrDamaged, attemptsFile)
	}
	return a, nil
}

// count writes the count, or removes the file when there is nothing to count.
func (d disk) count(a attempts) error {
	if a.Wrong == 0 {
		err := d.remove(attemptsFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	a.Sum = a.sum()
	return d.write(attemptsFile, encode(a))
}

// guess makes one try of a password under the count of wrong ones. One is made at a time, whatever process makes it: the
// directory is locked meanwhile. Only [ErrPassword] counts as wrong.
func (s *state) guess(try func() error) error {
	unlock, err := s.disk.turn()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := s.disk.attempts()
	if err != nil {
		return err
	}
	now := s.env.time()
	if ms := uint64(now.UnixMilli()); before.Last > ms {
		before.Last = ms // the clock was set back: whoever waits for the old time waits for ever
		if err := s.disk.count(before); err != nil {
			return fmt.Errorf("count the try: %w", err)
		}
	}
	if until := before.until(now); !until.IsZero() {
		return &LockedOutError{before.Wrong, until}
	}
	counted := attempts{Scheme: attemptsForm, Wrong: before.Wrong + 1, Last: uint64(now.UnixMilli())}
	if err := s.disk.count(counted); err != nil {
		return fmt.Errorf("count the try: %w", err)
	}
	err = try()
	switch {
	case errors.Is(err, ErrPassword):
		return err
	case err != nil: // the password was not what was wrong
		return errors.Join(err, s.disk.count(before))
	}
	return s.disk.count(attempts{})
}

// turn waits until no other process tries a password.
func (d disk) turn() (func(), error) {
	f, err := os.Open(d.dir)
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
