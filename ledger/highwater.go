package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// ErrRolledBack means that the high-water file remembers more than the database, or another database: an older copy was put
// back. Whoever signs now may contradict what was signed before: see [Ledger.Quarantine].
var ErrRolledBack = errors.New("the database is older than what this node has already said")

// highWater is the small file beside the database that remembers how far this node has spoken. It is written after the
// database commits and before anything leaves, so a database that was restored from a backup is recognised.
type highWater struct {
	path string
	id   [16]byte

	between func() error // nil but where durable steps are watched

	held atomic.Bool // see Ledger.Hold

	mu    sync.Mutex // guards what follows and the file: commits end in any order
	last  Mark
	other bool // the file is of another database: only a quarantine replaces it
}

type highWaterFile struct {
	ID   [16]byte
	Mark Mark
	Sum  [4]byte // first bytes of keccak256 over the rest: a torn write is not a mark
}

func openHighWater(path string, id [16]byte) (*highWater, error) {
	h := &highWater{path: path, id: id}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open high-water file: %w", err)
	}
	var f highWaterFile
	if err := rlp.DecodeBytes(raw, &f); err != nil || f.Sum != f.sum() {
		return nil, fmt.Errorf("open high-water file %s: %w", path, ErrCorrupt)
	}
	h.last, h.other = f.Mark, f.ID != id
	return h, nil
}

func (f highWaterFile) sum() [4]byte {
	return [4]byte(crypto.Keccak256(f.ID[:], encode(f.Mark))[:4])
}

// Rollback compares the database with the high-water file; it fails with [ErrRolledBack] when the file remembers more.
func (l *Ledger) Rollback() error {
	return l.View(func(tx *Tx) error {
		now, err := tx.mark()
		if err != nil {
			return err
		}
		was := l.high.mark()
		if l.high.foreign() {
			return fmt.Errorf("%w: its high-water file is of another one, which spoke up to counter %d, height %d", ErrRolledBack, was.Counter, was.Height)
		}
		if was.Counter > now.Counter || was.after(now) {
			return fmt.Errorf("%w: it spoke up to counter %d, height %d; the database knows counter %d, height %d",
				ErrRolledBack, was.Counter, was.Height, now.Counter, now.Height)
		}
		return nil
	})
}

// CheckHighWater reads the high-water file of a database that is open for reading: it must be there when this node has ever
// spoken, be whole, and remember no more than the database.
func (l *Ledger) CheckHighWater(dir string) error {
	path := filepath.Join(dir, highWaterFileName)
	high, err := openHighWater(path, l.id)
	if err != nil {
		return err
	}
	if high.last == (Mark{}) && !high.other {
		return l.View(func(tx *Tx) error {
			if m, err := tx.mark(); err != nil || m != (Mark{}) {
				return errors.Join(err, fmt.Errorf("%w: this node has spoken, and %s is gone", ErrCorrupt, path))
			}
			return nil
		})
	}
	return (&Ledger{db: l.db, id: l.id, high: high}).Rollback()
}

// highWaterFileName is its name beside the database.
const highWaterFileName = "high-water"

// after reports whether m is a later position of voting than o.
func (m Mark) after(o Mark) bool {
	if m.Height != o.Height {
		return m.Height > o.Height
	}
	if m.Round != o.Round {
		return m.Round > o.Round
	}
	return m.Step > o.Step
}

func (h *highWater) mark() Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// foreign reports whether the file is of another database.
func (h *highWater) foreign() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.other
}

// adopt makes the file this database's: whoever calls it has raised the database above what the file remembers.
func (h *highWater) adopt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.other = false
}

// raise makes a higher mark durable. Two commits may arrive here in any order, so a lower mark changes nothing.
func (h *highWater) raise(m Mark) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.other || (m.Counter <= h.last.Counter && !m.after(h.last)) {
		return nil
	}
	f := highWaterFile{ID: h.id, Mark: m}
	f.Sum = f.sum()
	if err := replaceFile(h.path, encode(f), h.between); err != nil {
		return fmt.Errorf("write high-water file: %w", err)
	}
	h.last = m
	return nil
}

// replaceFile writes a new file beside path, syncs it, renames it over path and syncs the directory. between is asked
// when both stand.
func replaceFile(path string, b []byte, between func() error) error {
	tmp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := tmp.ReadFrom(bytes.NewReader(b)); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if between != nil {
		if err := between(); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
