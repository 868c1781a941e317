package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// movedBytes is how much one transaction moves into a new file: enough to make its sync cheap, little enough to hold in
// memory.
const movedBytes = 8 << 20

// besideName is appended to the name of a database that is being written anew.
const besideName = ".new"

// migrated returns a database of this program's layout: the one given, or the same path after an earlier layout was
// besideName. It closes what it does not return.
func migrated(db *bolt.DB, path string) (*bolt.DB, error) {
	version, err := schemaOf(db)
	switch {
	case err == nil && version > SchemaVersion:
		err = fmt.Errorf("%w: version %d, this program writes %d", ErrSchema, version, SchemaVersion)
	case err == nil && version == 1:
		err = rewrite(db, path, (*mover).seal)
	case err == nil && version == SchemaVersion:
		return db, nil
	case err == nil:
		err = fmt.Errorf("%w: layout %d", ErrCorrupt, version)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return openFile(path, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
}

// schemaOf reads the version of a layout; a fresh file has this program's.
func schemaOf(db *bolt.DB) (version uint64, err error) {
	version = SchemaVersion
	err = db.View(func(b *bolt.Tx) error {
		if meta := b.Bucket(bucketMeta); meta != nil && meta.Get(keySchema) != nil {
			version = readBE64(meta.Get(keySchema))
		}
		return nil
	})
	return version, err
}

// rewrite moves every record of a database into a new file beside it, and the new file over the old one. Whenever the
// process dies, one of the two stands whole under the name.
func rewrite(from *bolt.DB, path string, put func(m *mover, bucket, k, v []byte) error) (err error) {
	temp := path + besideName
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	to, err := bolt.Open(temp, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("rewrite ledger: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.Close(), os.Remove(temp))
		}
	}()
	if err := from.View(func(b *bolt.Tx) error { return moveAll(b, to, put) }); err != nil {
		return fmt.Errorf("rewrite ledger: %w", err)
	}
	to.NoFreelistSync = false
	if err := to.Update(func(*bolt.Tx) error { return nil }); err != nil {
		return fmt.Errorf("rewrite ledger: %w", err)
	}
	if err := errors.Join(to.Sync(), to.Close()); err != nil {
		return fmt.Errorf("rewrite ledger: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// mover writes records into a new file, a bounded amount per transaction.
type mover struct {
	to   *bolt.DB
	tx   *bolt.Tx
	s    *store
	size int
}

// moveAll calls put for every record of every bucket.
func moveAll(from *bolt.Tx, to *bolt.DB, put func(m *mover, bucket, k, v []byte) error) error {
	m := &mover{to: to}
	if err := m.next(); err != nil {
		return err
	}
	err := from.ForEach(func(name []byte, b *bolt.Bucket) error {
		if err := m.create(name); err != nil {
			return err
		}
		return b.ForEach(func(k, v []byte) error {
			if m.size += len(k) + len(v); m.size > movedBytes {
				if err := m.next(); err != nil {
					return err
				}
			}
			return put(m, name, k, v)
		})
	})
	if err == nil {
		err = m.s.flush()
	}
	if err != nil {
		return errors.Join(err, m.tx.Rollback())
	}
	return m.tx.Commit()
}

// create makes a bucket.
func (m *mover) create(name []byte) error {
	_, err := m.tx.CreateBucketIfNotExists(name)
	return err
}

// next commits what was moved and begins the next transaction.
func (m *mover) next() (err error) {
	if m.tx != nil {
		if err := errors.Join(m.s.flush(), m.tx.Commit()); err != nil {
			m.tx = nil
			return err
		}
	}
	if m.tx, err = m.to.Begin(true); err != nil {
		return err
	}
	m.s, m.size = newStore(m.tx), 0
	_, err = m.tx.CreateBucketIfNotExists(bucketSums)
	return err
}

// seal moves a record of the layout without checksums into the one with them.
func (m *mover) seal(bucket, k, v []byte) error {
	if string(bucket) == string(bucketMeta) && string(k) == string(keySchema) {
		return m.tx.Bucket(bucket).Put(k, be64(SchemaVersion))
	}
	to := m.s.Bucket(bucket)
	to.b.FillPercent = movedFill
	_, err := to.replace(k, v, 0, false)
	return err
}

// movedFill leaves a little room in pages that later writes hit anywhere.
const movedFill = 0.9

// same moves a record as it is, with its checksum, which stays in its bucket's sum.
func (m *mover) same(bucket, k, v []byte) error {
	to := m.tx.Bucket(bucket)
	to.FillPercent = movedFill
	return to.Put(k, v)
}
