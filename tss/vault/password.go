package vault

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxPassword bounds a password in bytes: longer input is some other file.
const MaxPassword = 1024

// ReadPasswordFile reads a password from a file that only its owner may read. One newline at the end is not part of it.
// It fails with [ErrMode] when others may read the file. The caller clears the password after use.
func ReadPasswordFile(path string) ([]byte, error) {
	// A link is followed: the mode that counts is that of the file behind it.
	b, err := readPrivate(path, MaxPassword+2, 0)
	if errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("password file: %s has more than %d bytes", path, MaxPassword)
	}
	if err != nil {
		return nil, fmt.Errorf("password file: %w", err)
	}
	if cut, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		b = bytes.TrimSuffix(cut, []byte("\r"))
	}
	if err := checkPassword(b); err != nil {
		clear(b)
		return nil, fmt.Errorf("password file %s: %w", path, err)
	}
	return b, nil
}

func checkPassword(p []byte) error {
	switch {
	case len(p) == 0:
		return errors.New("the password is empty")
	case len(p) > MaxPassword:
		return fmt.Errorf("the password has more than %d bytes", MaxPassword)
	}
	return nil
}
