package vault

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DisableCoreDumps keeps this process's memory out of core files, and from being traced by other processes of its user.
// It changes the whole process and cannot be undone by it.
func DisableCoreDumps() error {
	if err := noCore(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("disable core dumps: %w", err)
	}
	return nil
}

func noDump(b []byte) error { return unix.Madvise(b, unix.MADV_DONTDUMP) }
