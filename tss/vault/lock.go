package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockFile is locked by the process that may write to the vault.
const lockFile = "vault.lock"

// lock keeps other processes from writing to a vault's directory. The kernel gives it back when the process ends, however
// it ends.
type lock struct{ f *os.File }

// lock fails with [ErrInUse] when another process holds it.
func (d disk) lock() (*lock, error) {
	path := filepath.Join(d.dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, err
	}
	err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%s: %w", d.dir, ErrInUse)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lock{f}, nil
}

// free gives the lock back. It is nil safe, and may be called twice.
func (l *lock) free() {
	if l != nil {
		_ = l.f.Close()
	}
}

// flock repeats what a signal interrupts.
func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
