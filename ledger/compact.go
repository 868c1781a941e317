package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	bolt "go.etcd.io/bbolt"
)

// ErrOlder means that the database has an earlier layout, which only a writing program moves on.
var ErrOlder = errors.New("the database has an earlier layout")

// OpenRead opens the database in dir to be read only, of whatever network: nothing is created, moved or repaired. A running
// node holds it, and then the error is [ErrLocked].
func OpenRead(dir string) (*Ledger, error) {
	path := filepath.Join(dir, databaseFile)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	db, err := openFile(path, &bolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	l := &Ledger{db: db}
	version, err := schemaOf(db)
	switch {
	case err == nil && version > SchemaVersion:
		err = fmt.Errorf("%w: version %d, this program reads %d", ErrSchema, version, SchemaVersion)
	case err == nil && version < SchemaVersion:
		err = fmt.Errorf("%w: version %d, this program reads %d", ErrOlder, version, SchemaVersion)
	case err == nil:
		err = l.View(func(tx *Tx) error { return l.identify(tx.b) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), db.Close())
	}
	return l, nil
}

// Network is the id of the network that the database belongs to.
func (l *Ledger) Network() (id common.Hash, err error) {
	err = l.View(func(tx *Tx) error { id = tx.network(); return nil })
	return id, err
}

// Compacted says what a compaction did, in bytes.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Compact writes the database in dir anew, without its free pages, and puts the new file in the old one's place. It needs
// room for both. Whenever the process dies, one of the two stands whole under the name. Nobody may have it open, and
// [CheckFile] must have found it sound. progress, which may be nil, is told now and then how many records were moved.
func Compact(dir string, progress func(what string, n uint64)) (out Compacted, err error) {
	path := filepath.Join(dir, databaseFile)
	if out.Before, err = sizeOf(path); err != nil {
		return out, fmt.Errorf("compact ledger: %w", err)
	}
	db, err := openFile(path, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return out, err
	}
	version, err := schemaOf(db)
	if err == nil && version != SchemaVersion {
		err = fmt.Errorf("compact ledger: %w: version %d, this program writes %d", ErrSchema, version, SchemaVersion)
	}
	if err == nil {
		moved := uint64(0)
		err = rewrite(db, path, func(m *mover, bucket, k, v []byte) error {
			if moved++; progress != nil && moved%progressEvery == 0 {
				progress("records", moved)
			}
			return m.same(bucket, k, v)
		})
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return out, err
	}
	out.After, err = sizeOf(path)
	return out, err
}

// Sizes is how many records there are of what long work tells its progress in: tables by their names, and events, accounts,
// debits, withdrawals, decisions and all records by theirs.
func (l *Ledger) Sizes() (map[string]uint64, error) {
	out := map[string]uint64{}
	err := l.View(func(tx *Tx) error {
		for _, name := range allBuckets() {
			b := tx.b.Bucket(name)
			if b == nil || !b.readSum() {
				continue // the transaction fails if it is broken
			}
			out[string(name)] = b.sum.count
			out["records"] += b.sum.count
		}
		return nil
	})
	out["events"], out["withdrawals"] = out[string(bucketLog)], out[string(bucketRequests)]
	return out, err
}

func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, &fs.PathError{Op: "open", Path: path, Err: fs.ErrInvalid}
	}
	return info.Size(), nil
}
