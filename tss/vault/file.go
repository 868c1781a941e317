package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Names and modes of the files.
const (
	headerFile   = "vault.header"
	sealedSuffix = ".sealed"
	tempSuffix   = ".tmp" // left by a crash, ignored, and replaced by the next write of its file

	dirMode  = 0o700
	fileMode = 0o600
	others   = 0o077
)

// maxRecords bounds the files of a vault: a share and a set of preparameters per epoch, and attempts that ended badly.
const maxRecords = 512

// disk is the vault's directory. fault is called before each durable step with its name; an error of it stops there, as
// a crash would. It is nil outside of tests.
type disk struct {
	dir   string
	fault func(step string) error
}

// check refuses a directory that others can enter.
func (d disk) check() error {
	info, err := os.Stat(d.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w in %s", ErrNoVault, d.dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%w: %s is no directory", ErrNoVault, d.dir)
	case info.Mode().Perm()&others != 0:
		return &ModeError{d.dir, info.Mode()}
	}
	return nil
}

// Exists reports whether dir has a vault. It reads nothing.
func Exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, headerFile))
	return err == nil
}

// make creates the directory, durably, unless it is there.
func (d disk) make() error {
	if err := os.MkdirAll(d.dir, dirMode); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(d.dir)); err != nil {
		return err
	}
	return d.check()
}

// read returns a file of at most limit bytes that nobody else may open.
func (d disk) read(name string, limit int64) ([]byte, error) {
	return readPrivate(filepath.Join(d.dir, name), limit, unix.O_NOFOLLOW)
}

// readPrivate reads a regular file after looking at the mode of what it opened, not of what had the name before.
func readPrivate(path string, limit int64, flags int) ([]byte, error) {
	// Without O_NONBLOCK, opening a named pipe waits for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&others != 0:
		return nil, &ModeError{path, info.Mode()}
	}
	// Exactly sized, so that a password leaves no copies in buffers that grew.
	b := make([]byte, min(info.Size(), limit)+1)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		clear(b)
		return nil, err
	}
	if int64(n) > limit {
		clear(b)
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, path, limit)
	}
	return b[:n], nil
}

// records lists the sealed files.
func (d disk) records() ([]string, error) {
	f, err := os.Open(d.dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var names []string
	for {
		some, err := f.Readdirnames(maxRecords)
		for _, n := range some {
			if strings.HasSuffix(n, sealedSuffix) {
				names = append(names, n)
			}
		}
		if len(names) > maxRecords {
			return nil, fmt.Errorf("%w: more than %d", ErrFull, maxRecords)
		}
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// write replaces a file: after a crash anywhere in it, the old file or the new one is there, whole. When it returns nil
// the new one is on disk.
func (d disk) write(name string, b []byte) error {
	path := filepath.Join(d.dir, name)
	temp := path + tempSuffix
	steps := []struct {
		name string
		do   func() error
	}{
		{"create", func() error { return writeNew(temp, b) }},
		{"rename", func() error { return os.Rename(temp, path) }},
		{"sync directory", func() error { return syncDir(d.dir) }},
	}
	for _, s := range steps {
		if err := d.step(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

func (d disk) step(name string, do func() error) error {
	if d.fault != nil {
		if err := d.fault(name); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// writeNew makes a file that did not exist, so that it has our mode and no other name, and waits until it is on disk.
func writeNew(path string, b []byte) (err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// remove deletes a file, durably.
func (d disk) remove(name string) error {
	if err := d.step("remove", func() error { return os.Remove(filepath.Join(d.dir, name)) }); err != nil {
		return err
	}
	return d.step("sync directory", func() error { return syncDir(d.dir) })
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
