package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"conclave/quorum"
)

// SchemaVersion is the layout of the database that this program writes: in 2, records carry checksums. A database of an
// earlier version is besideName by Open, one of a later version is refused.
const SchemaVersion = 2

// lockWait is how long to wait for another process to let go of the database before giving up: long enough for a
// predecessor that is shutting down, short enough for an operator who started two.
const lockWait = 2 * time.Second

// Errors that callers branch on.
var (
	// ErrLocked means that another process holds the database.
	ErrLocked = errors.New("the database is in use by another process")
	// ErrOtherNetwork means that the database belongs to another network.
	ErrOtherNetwork = errors.New("the database belongs to another network")
	// ErrSchema means that the database was written by a later program.
	ErrSchema = errors.New("the database has a later schema")
	// ErrCorrupt means that stored bytes are not what this program writes. The room stops: nothing after it is sound.
	ErrCorrupt = errors.New("corrupt database")
	// ErrNotFound means that there is no such record.
	ErrNotFound = errors.New("not found")
)

// Ledger is one node's database: the books, everything that this node ever signed, and every decision.
type Ledger struct {
	db   *bolt.DB
	id   [16]byte // random at creation; tells a restored copy from the original in the high-water file
	high *highWater

	wrote      func(bucket string, key, record []byte) // see store
	onEvidence func(Evidence)                          // see OnEvidence
	steps      Steps                                   // nil but where durable steps are watched
	outsider   atomic.Bool                             // see SetMember
}

// Tx is one transaction: reads see one moment, writes become durable together or not at all.
type Tx struct {
	b *store
	l *Ledger

	// In a replay, else nil:
	warm     *warm           // accounts as the last commit left them
	excluded map[uint64]bool // debits that stand in the log only, by what was recorded
}

// databaseFile is the database in its directory.
const databaseFile = "ledger.db"

// Open opens or creates the database in dir for one network. The directory must exist with mode 0700 or stricter. A
// database of an earlier layout is moved to this one first, which takes its time and room for a second copy.
func Open(dir string, network common.Hash) (*Ledger, error) {
	path := filepath.Join(dir, databaseFile)
	db, err := openFile(path, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	if db, err = migrated(db, path); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	// What a rewriting left behind when its process died takes as much room as the database.
	if err := os.Remove(path + besideName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("open ledger: %w", err), db.Close())
	}
	l := &Ledger{db: db}
	if err := l.prepare(network); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), db.Close())
	}
	if l.high, err = openHighWater(filepath.Join(dir, highWaterFileName), l.id); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

// openFile opens the database at a path. Who waits for its lock may get it on a file that a compaction or a move to a later
// layout has replaced meanwhile: what it wrote there would be gone, so it opens what stands under the name now.
func openFile(path string, options *bolt.Options) (*bolt.DB, error) {
	open := options.OpenFile
	if open == nil {
		open = os.OpenFile
	}
	for range maxReplaced {
		var file *os.File
		o := *options
		o.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = open(name, flag, mode)
			return file, err
		}
		db, err := bolt.Open(path, 0o600, &o)
		if errors.Is(err, bolterrors.ErrTimeout) {
			return nil, fmt.Errorf("open ledger %s: %w", path, ErrLocked)
		}
		if err != nil {
			return nil, fmt.Errorf("open ledger: %w", err)
		}
		if stands(file, path) {
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("open ledger: %w", err)
		}
	}
	return nil, fmt.Errorf("open ledger %s: it is replaced again and again: %w", path, ErrLocked)
}

// maxReplaced is how often a file may be replaced while it is waited for: once is rare.
const maxReplaced = 3

// stands reports whether an open file is the one under the name.
func stands(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(mine, named)
}

// Close waits for open transactions and closes the database.
func (l *Ledger) Close() error { return l.db.Close() }

// View runs fn over one moment of the database. A record that fn read and that does not match its checksum fails it.
func (l *Ledger) View(fn func(*Tx) error) error {
	return l.db.View(func(b *bolt.Tx) error {
		s := newStore(b)
		return s.run(fn, &Tx{b: s, l: l})
	})
}

// Update is the one commit point. When it returns nil, everything that fn wrote is on disk, and so is the high-water mark
// of the own counter: only then may bytes that fn signed leave the process.
func (l *Ledger) Update(fn func(*Tx) error) error {
	mark, err := l.commit(fn)
	if err == nil {
		err = l.at(StepMark)
	}
	if err != nil {
		return err
	}
	if err := l.high.raise(mark); err != nil {
		return err
	}
	return l.at(StepDone)
}

// commit is Update without the high-water file.
func (l *Ledger) commit(fn func(*Tx) error) (mark Mark, err error) {
	err = l.db.Update(func(b *bolt.Tx) error {
		s := newStore(b)
		s.wrote = l.wrote
		tx := &Tx{b: s, l: l}
		if err := s.run(fn, tx); err != nil {
			return err
		}
		var err error
		if mark, err = tx.mark(); err == nil {
			err = s.flush()
		}
		if err == nil {
			err = l.at(StepCommit)
		}
		return s.sound(err)
	})
	return mark, err
}

// Buckets. Keys are big-endian, so that bbolt's order is ours.
var (
	bucketMeta = []byte("meta")

	keySchema  = []byte("schema")
	keyNetwork = []byte("network")
	keyID      = []byte("id")
	keyCounter = []byte("counter")
	keyVote    = []byte("vote") // highest (height, round, step) that this node voted in
)

// prepare creates what is missing and checks that the database is ours.
func (l *Ledger) prepare(network common.Hash) error {
	return l.db.Update(func(b *bolt.Tx) error {
		for _, name := range append(allBuckets(), bucketSums) {
			if _, err := b.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		s := newStore(b)
		return s.sound(l.claim(s, network))
	})
}

// claim makes a fresh database ours, or finds that it is.
func (l *Ledger) claim(s *store, network common.Hash) error {
	bare, meta := s.tx.Bucket(bucketMeta), s.Bucket(bucketMeta)
	if bare.Get(keySchema) == nil {
		if _, err := rand.Read(l.id[:]); err != nil {
			return err
		}
		return errors.Join(bare.Put(keySchema, be64(SchemaVersion)), meta.Put(keyNetwork, network[:]), meta.Put(keyID, l.id[:]), s.flush())
	}
	if stored := meta.Get(keyNetwork); !bytes.Equal(stored, network[:]) {
		return fmt.Errorf("%w: %s, expected %s", ErrOtherNetwork, common.BytesToHash(stored), network)
	}
	return l.identify(s)
}

// identify reads the database's id.
func (l *Ledger) identify(s *store) error {
	if copy(l.id[:], s.Bucket(bucketMeta).Get(keyID)) != len(l.id) {
		return fmt.Errorf("%w: the database has no id", ErrCorrupt)
	}
	return nil
}

// NextCounter takes the next value of the counter that every verdict, vote, READY and OUTCOME of this node carries.
func (tx *Tx) NextCounter() (uint64, error) {
	meta := tx.b.Bucket(bucketMeta)
	next := readBE64(meta.Get(keyCounter)) + 1
	return next, meta.Put(keyCounter, be64(next))
}

// Counter returns the last counter that was taken.
func (tx *Tx) Counter() uint64 { return readBE64(tx.b.Bucket(bucketMeta).Get(keyCounter)) }

// Mark is what the high-water file remembers: how far this node has spoken.
type Mark struct {
	Height  uint64
	Round   uint64
	Step    uint64
	Counter uint64
}

// mark reads the current mark.
func (tx *Tx) mark() (Mark, error) {
	m := Mark{Counter: tx.Counter()}
	if raw := tx.b.Bucket(bucketMeta).Get(keyVote); raw != nil {
		var pos struct{ Height, Round, Step uint64 }
		if err := decode(raw, &pos); err != nil {
			return m, err
		}
		m.Height, m.Round, m.Step = pos.Height, pos.Round, pos.Step
	}
	return m, nil
}

// MarkVote remembers the highest position that this node voted in. It never goes back.
func (tx *Tx) MarkVote(height, round, step uint64) error {
	m, err := tx.mark()
	if err != nil {
		return err
	}
	if height < m.Height || (height == m.Height && (round < m.Round || (round == m.Round && step <= m.Step))) {
		return nil
	}
	return tx.b.Bucket(bucketMeta).Put(keyVote, encode(struct{ Height, Round, Step uint64 }{height, round, step}))
}

func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func readBE64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// encode is canonical RLP of our own types.
func encode(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(fmt.Sprintf("ledger: encode %T: %v", v, err))
	}
	return b
}

// decode reads what encode wrote; anything else is corruption.
func decode(raw []byte, into any) error {
	if err := rlp.DecodeBytes(raw, into); err != nil {
		return fmt.Errorf("%w: %T: %w", ErrCorrupt, into, err)
	}
	return nil
}

// put and get store one RLP record. get reports whether the key exists.
func (tx *Tx) put(bucket, key []byte, v any) error { return tx.b.Bucket(bucket).Put(key, encode(v)) }

func (tx *Tx) get(bucket, key []byte, into any) (bool, error) {
	raw := tx.b.Bucket(bucket).Get(key)
	if raw == nil {
		return false, nil
	}
	return true, decode(raw, into)
}

// SpentKind says in which way a withdrawal's fate was decided.
type SpentKind uint8

// The two fates.
const (
	SpentItem   SpentKind = 1 // stands as an item in a decided PAYOUT, released or not
	SpentReject SpentKind = 2 // stands as a reject in a decided PAYOUT
)

// Spent is a withdrawal that a decision disposed of. The books reserve its debit wherever its event stands in the log.
type Spent struct {
	Content quorum.Content
	Hash    common.Hash // of the content
	Kind    SpentKind
	Height  uint64
	// First is the height of the first decision, of a withdrawal that was released and decided again.
	First uint64 `rlp:"optional"`
	// Free: released, and not decided again. It stays spent: what is still reserved for it is nobody else's.
	Free bool `rlp:"optional"`
}

// first is when the withdrawal was decided for the first time.
func (s Spent) first() uint64 {
	if s.First != 0 {
		return s.First
	}
	return s.Height
}

// bucketSpent maps account ‖ wid to Spent; bucketSpentWID maps wid to account.
var (
	bucketSpent    = []byte("spent")
	bucketSpentWID = []byte("spent-wid")
)

// SpentOf calls fn for every spent withdrawal of an account, by wid ascending.
func (tx *Tx) SpentOf(account common.Address, fn func(Spent) error) error {
	c := tx.b.Bucket(bucketSpent).Cursor()
	for k, v := c.Seek(account[:]); k != nil && bytes.HasPrefix(k, account[:]); k, v = c.Next() {
		var s Spent
		if err := decode(v, &s); err != nil {
			return err
		}
		if err := fn(s); err != nil {
			return err
		}
	}
	return nil
}

// SpentWID returns the decision's word on a withdrawal, a released one too. ok is false while it never was decided.
func (tx *Tx) SpentWID(wid uint64) (s Spent, ok bool, err error) {
	account := tx.b.Bucket(bucketSpentWID).Get(be64(wid))
	if account == nil {
		return s, false, nil
	}
	ok, err = tx.get(bucketSpent, append(bytes.Clone(account), be64(wid)...), &s)
	return s, ok, err
}

// putSpent records a fate, and books what follows from it. A wid has one fate for ever. An account that was frozen because
// this withdrawal was not covered here is freed: nobody judges it again, and what the account asks for next is judged with
// its debit in the books. Without that a member that was away freezes, while it reads the log, what the others have paid.
func (tx *Tx) putSpent(s Spent) error {
	was, again, err := tx.SpentWID(s.Content.WID)
	if err != nil || (again && (!was.Free || was.Hash != s.Hash)) {
		return errors.Join(err, fmt.Errorf("withdrawal %d was decided before", s.Content.WID))
	}
	if again {
		s.First = was.first()
	}
	key := append(s.Content.Account.Bytes(), be64(s.Content.WID)...)
	err = errors.Join(tx.put(bucketSpent, key, s), tx.b.Bucket(bucketSpentWID).Put(be64(s.Content.WID), s.Content.Account[:]))
	if err != nil {
		return err
	}
	_, err = tx.Unfreeze(s.Content.Account, FreezeOverdraft, s.Content.WID)
	if again {
		return errors.Join(err, tx.bookAgain(s), tx.endObjection(s.Content.WID))
	}
	return errors.Join(err, tx.bookSpent(s), tx.notePaid(s), tx.endObjection(s.Content.WID))
}

// allBuckets lists the buckets of every file of this package.
func allBuckets() [][]byte {
	all := [][]byte{bucketMeta, bucketSpent, bucketSpentWID}
	all = append(all, booksBuckets()...)
	return append(append(all, protocolBuckets()...), checkpointBuckets()...)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
