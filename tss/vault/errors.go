package vault

import (
	"errors"
	"fmt"
	"io/fs"
)

// Errors that a caller branches on.
var (
	// ErrNoVault means that the directory holds no vault: Create makes one.
	ErrNoVault = errors.New("there is no vault")
	// ErrExists means that Create found a vault, or records of one.
	ErrExists = errors.New("there is a vault already")
	// ErrPassword means that no slot opens with the password. The header is whole: its checksum was right.
	ErrPassword = errors.New("wrong password")
	// ErrLockedOut means that too many wrong passwords were given; the error is a *LockedOutError.
	ErrLockedOut = errors.New("locked out")
	// ErrInUse means that another process may write to the vault.
	ErrInUse = errors.New("in use by another process")
	// ErrScheme means that a file is of a scheme that this version does not know.
	ErrScheme = errors.New("unknown scheme")
	// ErrParams means that the cost of deriving a key is outside its bounds.
	ErrParams = errors.New("key derivation parameters out of bounds")
	// ErrOtherNode means that a vault or a share belongs to another member.
	ErrOtherNode = errors.New("belongs to another node")
	// ErrDamaged means that a file is not what was written: restore it from a backup.
	ErrDamaged = errors.New("damaged")
	// ErrMode means that others may enter a file or directory; the error is a *ModeError.
	ErrMode = errors.New("open to others")
	// ErrFull means that the vault holds as many records as it may.
	ErrFull = errors.New("too many records")
	// ErrClosed means that the vault was closed.
	ErrClosed = errors.New("the vault is closed")
	// ErrNoShare means that the vault holds no such share.
	ErrNoShare = errors.New("no share of this key")
	// ErrSeveral means that several shares of a key are held, and which one serves is for the decided transcript to say.
	ErrSeveral = errors.New("several shares of this key")
	// ErrNoPreParams means that no unused set is left: generate one.
	ErrNoPreParams = errors.New("no unused preparameters")
	// ErrUsed means that preparameters have made a share before.
	ErrUsed = errors.New("preparameters were used before")
)

// ModeError says what is open to others. It matches [ErrMode].
type ModeError struct {
	Path string
	Mode fs.FileMode
}

// Error names the path, its mode, and the mode it should have.
func (e *ModeError) Error() string {
	want := fs.FileMode(fileMode)
	if e.Mode.IsDir() {
		want = dirMode
	}
	return fmt.Sprintf("%s has mode %04o, which is open to others: it must be %04o or stricter", e.Path, e.Mode.Perm(), want)
}

// Is makes errors.Is(err, ErrMode) true.
func (e *ModeError) Is(target error) bool { return target == ErrMode }
