package ledger

import bolt "go.etcd.io/bbolt"

// Commits is how often the database was written since it was made. Each commit is a sync of the disk, so what a node does
// in one of them is what it can do in a second.
func (l *Ledger) Commits() (n uint64, err error) {
	err = l.db.View(func(b *bolt.Tx) error { n = uint64(b.ID()); return nil })
	return n, err
}
