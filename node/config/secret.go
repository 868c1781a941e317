package config

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/crypto"
)

// Permission bits of everyone but the owner.
const (
	othersAny   fs.FileMode = 0o077
	othersWrite fs.FileMode = 0o022
)

// maxSecret bounds a secret file in bytes: keys and passwords are short.
const maxSecret = 4096

// ModeError is a file that people other than its owner can read or write.
type ModeError struct {
	Path string
	Mode fs.FileMode
	Can  string // "read" or "write"
}

func (e *ModeError) Error() string {
	return fmt.Sprintf("%s has mode %04o: others can %s it", e.Path, e.Mode, e.Can)
}

// Hint says what to do next.
func (e *ModeError) Hint() string { return "chmod 600 " + e.Path }

// ErrSecret means that a secret file's content has the wrong shape; the content itself is never quoted.
var ErrSecret = errors.New("not what this file should hold")

// ReadSecret reads a short file that only its owner may read. It fails with a [*ModeError] when others may, and opens
// before it looks, so that the file cannot be exchanged in between.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&othersAny != 0:
		return nil, &ModeError{Path: path, Mode: info.Mode().Perm(), Can: "read"}
	case info.Size() > maxSecret:
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d", path, ErrSecret, info.Size(), maxSecret)
	}
	return io.ReadAll(io.LimitReader(f, maxSecret))
}

// ReadKey reads a secp256k1 key: 64 hex digits, with or without 0x and a newline.
func ReadKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := ReadSecret(path)
	if err != nil {
		return nil, err
	}
	text := bytes.TrimPrefix(bytes.TrimSpace(b), []byte("0x"))
	raw := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(raw, text); err != nil {
		return nil, fmt.Errorf("%s: %w: want a key of 64 hex digits", path, ErrSecret)
	}
	key, err := crypto.ToECDSA(raw)
	if err != nil {
		// The library's message may speak of the number.
		return nil, fmt.Errorf("%s: %w: want a key of 64 hex digits", path, ErrSecret)
	}
	return key, nil
}

// WriteKey writes a key to a new file.
func WriteKey(path string, key *ecdsa.PrivateKey) error {
	return WriteSecret(path, []byte(hex.EncodeToString(crypto.FromECDSA(key))+"\n"))
}

// ReadPassword reads a password file: one line, its newline not part of it.
func ReadPassword(path string) ([]byte, error) {
	b, err := ReadSecret(path)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 || bytes.ContainsAny(b, "\r\n") {
		return nil, fmt.Errorf("%s: %w: want one line with the password", path, ErrSecret)
	}
	return b, nil
}

// WriteSecret writes a new file of mode 0600, durably. An existing file is an error that wraps fs.ErrExist.
func WriteSecret(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeAndSync(f, content); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return SyncDir(filepath.Dir(path))
}

// Replace writes a file so that a reader sees the old content or the new, whatever happens in between.
func Replace(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	name := f.Name()
	if err := errors.Join(f.Chmod(mode), writeAndSync(f, content)); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	if err := os.Rename(name, path); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return SyncDir(filepath.Dir(path))
}

func writeAndSync(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes a folder's new names durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
