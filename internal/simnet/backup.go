package simnet

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
)

// What a custodian's data folder holds of the ledger.
const (
	booksFile = "ledger.db"
	markFile  = "high-water"
)

func (c *Custodian) backupDir() string { return c.dir + "-backup" }

// Backup copies a custodian's disk, which is down meanwhile, as a careful operator does.
func (c *Custodian) Backup() error {
	ran := c.Running()
	if err := errors.Join(c.Kill(), copyFiles(c.dir, c.backupDir())); err != nil {
		return err
	}
	c.w.wire.mu.Lock()
	c.w.wire.since[c.Index] = &since{before: maps.Clone(c.w.wire.said[c.Index]), heard: map[int]bool{}}
	c.w.wire.mu.Unlock()
	if ran {
		return c.Start()
	}
	return nil
}

// RestoreDatabase crashes the custodian and puts the database of the backup back; the high-water file stays.
func (c *Custodian) RestoreDatabase() error {
	if err := c.forget(); err != nil {
		return err
	}
	return copyFile(filepath.Join(c.backupDir(), booksFile), filepath.Join(c.dir, booksFile))
}

// RestoreDisk puts everything back, so that nothing on the disk tells of later. Who speaks when q−1 others have answered learns what it
// said if so many heard it that one of any q−1 did; a rollback that fewer heard of is one of the f, and the member counts as faulty.
func (c *Custodian) RestoreDisk() error {
	if err := c.forget(); err != nil {
		return err
	}
	c.w.wire.mu.Lock()
	said := c.w.wire.since[c.Index]
	n := len(c.w.Genesis.Members)
	if q := n*2/3 + 1; said != nil && len(said.heard) <= n-q {
		c.w.faulty[c.Index] = true
	}
	c.w.wire.mu.Unlock()
	if err := os.Remove(filepath.Join(c.dir, markFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return copyFiles(c.backupDir(), c.dir)
}

// forget crashes a custodian whose disk shall be replaced: what the world knows of that disk is no measure of the next.
func (c *Custodian) forget() error {
	if err := errors.Join(c.Kill(), c.keepPast()); err != nil {
		return err
	}
	c.w.wire.mu.Lock()
	defer c.w.wire.mu.Unlock()
	c.w.wire.said[c.Index] = map[common.Hash]bool{}
	c.marks = marks{}
	return nil
}

// keepPast remembers what the disk proves that no later one will.
func (c *Custodian) keepPast() error {
	l, err := ledger.Open(c.dir, c.w.network)
	if err != nil {
		return err
	}
	d := disk{c: c}
	err = l.View(func(tx *ledger.Tx) error { return d.readDeeds(c.w, tx) })
	if c.past == nil {
		c.past = map[common.Hash]bool{}
	}
	maps.Copy(c.past, d.deeds.approved)
	return errors.Join(err, l.Close())
}

// CopyMachine starts a custodian twice: the second process has the same key, and a copy of the disk as it is now. The member
// counts as faulty.
func (w *World) CopyMachine(c *Custodian) error {
	if err := c.Kill(); err != nil {
		return err
	}
	dir := c.dir + "-twin"
	twin, err := w.newCustodian(c.Index, c.key, dir)
	if err != nil {
		return err
	}
	if err := copyFiles(c.dir, dir); err != nil {
		return err
	}
	twin.Name, twin.Relay, twin.Chain = c.Name+"'", c.Relay, c.Chain
	w.faulty[c.Index] = true
	w.Custodians = append(w.Custodians, twin)
	return errors.Join(c.Start(), twin.Start())
}

// copyFiles copies a folder of plain files.
func copyFiles(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			return fmt.Errorf("%s is no file", f.Name())
		}
		if err := copyFile(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// SaidBy returns the digests of every counted statement that a member's custodian sent and that its disk must hold.
func (w *World) SaidBy(index int) map[common.Hash]bool {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	return maps.Clone(w.wire.said[index])
}

// Hear calls fn for every message that is sent from now on, lost or not. fn must not ask the world anything.
func (w *World) Hear(fn func(Heard)) {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	w.wire.ears = append(w.wire.ears, fn)
}

// Quietly runs fn while no message is on its way to an ear.
func (w *World) Quietly(fn func() error) error {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	return fn()
}
