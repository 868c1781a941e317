package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// FileName is the configuration's name in a home.
const FileName = "config.toml"

// LedgerName is the books' name in the data folder.
const LedgerName = "ledger.db"

// maxFile bounds config.toml in bytes.
const maxFile = 1 << 20

// FileError is a configuration file that cannot be used, with the line where it is known.
type FileError struct {
	Path string
	Line int // 0: of no line
	Err  error
}

func (e *FileError) Error() string {
	text := e.Err.Error()
	if e.Line > 0 {
		text = fmt.Sprintf("line %d: %s", e.Line, text)
	}
	if e.Path == "" {
		return text
	}
	return e.Path + ": " + text
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *FileError) Hint() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "`conclave init --home DIR` makes a home"
	}
	return "`conclave config default` explains every key"
}

// Parse reads config.toml over the defaults, without validating values. Unknown keys are errors with their line.
func Parse(file []byte) (Config, error) {
	c := Default()
	dec := toml.NewDecoder(bytes.NewReader(file)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, positioned(err)
	}
	return c, nil
}

// Load reads a home's config.toml and checks every value. Every error names the file, in one line.
func Load(home string) (Config, error) {
	c, err := Read(home)
	if err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, &FileError{Path: filepath.Join(c.home, FileName), Err: err}
	}
	if n := len(c.SocketPath()); n > maxSocketPath {
		why := fmt.Sprintf("makes a path of %d bytes, a unix socket takes %d: give a shorter absolute path", n, maxSocketPath)
		return Config{}, &FileError{Path: filepath.Join(c.home, FileName), Err: &KeyError{"api.socket", why}}
	}
	return c, nil
}

// Read is [Load] without judging values: for commands on a home whose configuration is not complete yet.
func Read(home string) (Config, error) {
	dir, err := filepath.Abs(home)
	if err != nil {
		return Config{}, fmt.Errorf("home: %w", err)
	}
	path := filepath.Join(dir, FileName)
	c, err := readFile(path)
	if err != nil {
		var at *FileError
		var mode *ModeError
		switch {
		case errors.As(err, &at):
			return Config{}, &FileError{Path: path, Line: at.Line, Err: at.Err}
		case errors.As(err, &mode): // names the file itself
			return Config{}, mode
		}
		return Config{}, &FileError{Path: path, Err: err}
	}
	c.home = dir
	return c, nil
}

func readFile(path string) (Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, bare(err)
	}
	// Whoever can write it chooses the endpoints that this node believes.
	if info.Mode().Perm()&othersWrite != 0 {
		return Config{}, &ModeError{Path: path, Mode: info.Mode().Perm(), Can: "write"}
	}
	if info.Size() > maxFile {
		return Config{}, fmt.Errorf("%d bytes, at most %d", info.Size(), maxFile)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return Config{}, bare(err)
	}
	return Parse(file)
}

// bare drops the operation and path that [FileError] says already.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// AtLine is for other TOML files that people write: the library's error as one line with its position.
func AtLine(err error) error {
	return positioned(err)
}

// positioned turns the library's errors into one line with its position.
func positioned(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		row, _ := strict.Errors[0].Position()
		return &FileError{Line: row, Err: fmt.Errorf("unknown key %s", dotted(strict.Errors[0].Key()))}
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, _ := at.Position()
		if key := dotted(at.Key()); key != "" {
			return &FileError{Line: row, Err: fmt.Errorf("%s: %s", key, plain(at))}
		}
		return &FileError{Line: row, Err: errors.New(plain(at))}
	}
	return err
}

// Home is the absolute path that Load read from.
func (c Config) Home() string { return c.home }

// resolve makes a path of the file absolute.
func (c Config) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.home, path)
}

// In returns the configuration as if it had been loaded from home.
func (c Config) In(home string) (Config, error) {
	dir, err := filepath.Abs(home)
	if err != nil {
		return Config{}, fmt.Errorf("home: %w", err)
	}
	c.home = dir
	return c, nil
}

// NodeKeyPath is where the identity is.
func (c Config) NodeKeyPath() string { return c.resolve(c.Node.KeyFile) }

// RelayKeyPath is where the Relay's API key is.
func (c Config) RelayKeyPath() string { return c.resolve(c.Relay.KeyFile) }

// GenesisPath is where the joined genesis document is.
func (c Config) GenesisPath() string { return c.resolve(c.Node.GenesisFile) }

// InvitationName is the name of the invitation in a home that was asked to join a network that runs already.
const InvitationName = "invitation"

// InvitationPath is where the invitation is; only a home that was invited has one.
func (c Config) InvitationPath() string { return filepath.Join(c.home, InvitationName) }

// DataPath is the folder of the books.
func (c Config) DataPath() string { return c.resolve(c.Node.DataDir) }

// LedgerPath is the file of the books.
func (c Config) LedgerPath() string { return filepath.Join(c.DataPath(), LedgerName) }

// VaultPath is the folder of the sealed shares.
func (c Config) VaultPath() string { return c.resolve(c.Vault.Dir) }

// PasswordPath is the vault's password file, "" for none.
func (c Config) PasswordPath() string { return c.resolve(c.Vault.PasswordFile) }

// WebhookSecretPath is the file of the webhook's secret, "" for none.
func (c Config) WebhookSecretPath() string { return c.resolve(c.Alerts.WebhookSecretFile) }

// OverlayPath is the file of this operator's stricter rules, "" for none.
func (c Config) OverlayPath() string { return c.resolve(c.Risk.Overlay) }

// SocketPath is the operator's unix socket.
func (c Config) SocketPath() string { return c.resolve(c.API.Socket) }
