package vault

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// page holds the root key outside Go's heap, where nothing copies it, swaps it or dumps it.
type page struct{ b []byte }

// newPage fails when the memory cannot be locked: a key that may reach the swap is not kept at all.
func newPage() (*page, error) {
	b, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map memory for the root key: %w", err)
	}
	p := &page{b}
	if err := unix.Mlock(b); err != nil {
		_ = unix.Munmap(b)
		return nil, fmt.Errorf("lock memory for the root key: %w", err)
	}
	if err := noDump(b); err != nil {
		p.wipe()
		return nil, fmt.Errorf("keep the root key out of dumps: %w", err)
	}
	return p, nil
}

func (p *page) root() []byte { return p.b[:rootSize] }

// wipe ends the page; errors of giving it back change nothing for the key, which is gone by then.
func (p *page) wipe() {
	clear(p.b)
	_ = unix.Munlock(p.b)
	_ = unix.Munmap(p.b)
	p.b = nil
}

// noCore sets the limit of core files to nothing, for good.
func noCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("disable core dumps: %w", err)
	}
	return nil
}
