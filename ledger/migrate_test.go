package ledger

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"conclave/quorum"
)

// sample is what a committed database holds, written down when it was made.
type sample struct {
	Schema   uint64
	Network  common.Hash
	Founding string // RLP of the genesis roster, hex
	Root     common.Hash
	State    common.Hash
	Buckets  []string // that the state was taken over: later programs have more
	Books    BooksReport
	Protocol ProtocolReport
}

// fillSample puts something into most buckets: every kind of event, ranges, late rows, fates, freezes, held rows,
// statements, decisions, slots and an audit trail.
func fillSample(t *testing.T) *protoNet {
	p := busy(t)
	key := protoKey(t)
	in := plenty()
	in.Now = 20_000 * dayMS
	in.VestingAdmins = []common.Address{addressOf(key)}
	in.Policy.UncoveredMax = wei(1_000_000)
	a := testAccount(1)
	v := VestingRef{ID: 4, Account: a, Spelling: a.Hex(), Total: "1000", Released: "0", Start: 19_900 * daySec, DurationDays: 200, Type: "node"}
	sig, err := crypto.Sign(accounts.TextHash([]byte(VestingText(v))), key)
	require.NoError(t, err)
	v.Signature = sig
	rows := []Event{event(1, a, TaskIncome, "1000000"), deposit(2, a, "50", 1), deposit(3, a, "60", 2), event(4, a, DaoTaskShare, "7")}
	for wid := uint64(1); wid <= 3; wid++ {
		c := p.content(wid)
		rows = append(rows, event(c.EventID-1, c.Account, TaskIncome, "5000"), event(c.EventID, c.Account, Withdraw, fmt.Sprint(1000+2*wid)))
	}
	rows = append(rows, event(40, feeAccount, WithdrawalFeeIncome, "1"), event(41, p.content(2).Account, WithdrawRefund, "1004"),
		event(50, a, UserDelegation, "9"), event(51, a, TaskRefund, "9"),
		Event{ID: 60, Account: a, Kind: VestingCreated, Amount: "0", Vesting: v},
		Event{ID: 61, Account: a, Kind: VestingRelease, Amount: "600", Vesting: VestingRef{ID: 4}},
		event(70, testAccount(2), TaskPayment, "-5"), event(4100, a, TaskPayment, "3"))
	for i := range uint64(60) {
		rows = append(rows, event(9000+i*3, testAccount(int(i%7)), TaskIncome, strconv.Itoa(int(i))), event(9001+i*3, testAccount(int(i%7)), TaskPayment, "1"))
	}
	appendAll(t, p.l, in, rows...)
	appendAll(t, p.l, in, event(80, a, TaskPayment, "11"), event(9300, testAccount(3), Withdraw, "2000000"), event(9301, a, TaskIncome, "1"))
	prove(t, p.l, 2, Counted)
	prove(t, p.l, 3, Pending)
	update(t, p.l, func(tx *Tx) error { return tx.SaveFollowState([]byte("where the follower stands")) })
	list(t, p.l, request(7, a, 10, 5, 9300))
	return p
}

func samplePath(schema uint64, ext string) string {
	return filepath.Join("testdata", fmt.Sprintf("ledger-v%d.%s", schema, ext))
}

func sampleOf(t *testing.T, l *Ledger, founding Founding, buckets []string) (s sample) {
	roster, err := rlp.EncodeToBytes(founding.Roster)
	require.NoError(t, err)
	s = sample{Schema: SchemaVersion, Founding: hex.EncodeToString(roster), Buckets: buckets, Books: checked(t, l)}
	s.Root = s.Books.Root
	require.NoError(t, l.View(func(tx *Tx) (err error) {
		var names [][]byte
		for _, b := range buckets {
			names = append(names, []byte(b))
		}
		s.State, err = tx.hashOf(names)
		return err
	}))
	s.Protocol, err = l.CheckProtocol(founding)
	require.NoError(t, err)
	require.NoError(t, l.View(func(tx *Tx) error { s.Network = tx.network(); return nil }))
	return s
}

// TestSampleIsWritten makes the sample of the layout in force when it is missing: commit it with the layout.
func TestSampleIsWritten(t *testing.T) {
	if _, err := os.Stat(samplePath(SchemaVersion, "db")); err == nil {
		return
	}
	p := fillSample(t)
	var buckets []string
	for _, b := range booksBuckets() {
		buckets = append(buckets, string(b))
	}
	s := sampleOf(t, p.l, p.founding(), buckets)
	out, err := bolt.Open(samplePath(SchemaVersion, "db"), 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, bolt.Compact(out, p.l.db, 0))
	require.NoError(t, out.Close())
	doc, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(samplePath(SchemaVersion, "json"), append(doc, '\n'), 0o600))
	t.Fatal("the sample was missing and is written now")
}

func readSample(t *testing.T, schema uint64) (s sample, founding Founding) {
	raw, err := os.ReadFile(samplePath(schema, "json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &s))
	roster, err := hex.DecodeString(s.Founding)
	require.NoError(t, err)
	var r quorum.Roster
	require.NoError(t, rlp.DecodeBytes(roster, &r))
	return s, Founding{Roster: r, FirstNonce: map[uint64]uint64{protoChain: 0}}
}

// TestEarlierLayoutsOpen opens every committed database as this program does, checks all of it and compares its root.
func TestEarlierLayoutsOpen(t *testing.T) {
	for schema := uint64(1); schema <= SchemaVersion; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			want, founding := readSample(t, schema)
			dir := t.TempDir()
			raw, err := os.ReadFile(samplePath(schema, "db"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ledger.db"), raw, 0o600))
			l, err := Open(dir, want.Network)
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			got := sampleOf(t, l, founding, want.Buckets)
			got.Schema = schema
			require.Equal(t, want, got)
		})
	}
}

// TestALockOnAReplacedFileIsNotTheDatabase: who waits while another process compacts gets the lock on the file that was
// there before, and must open the one that is there now.
func TestALockOnAReplacedFileIsNotTheDatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, databaseFile)
	l := booksAt(t, dir)
	appendAll(t, l, plenty(), event(1, testAccount(1), TaskIncome, "5"))
	require.NoError(t, l.Close())
	options := func() *bolt.Options { return &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType} }
	holder, err := openFile(path, options())
	require.NoError(t, err)

	opened, waiter := make(chan struct{}, maxReplaced), make(chan *bolt.DB, 1)
	o := options()
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		opened <- struct{}{}
		return f, err
	}
	go func() {
		db, err := openFile(path, o)
		assert.NoError(t, err)
		waiter <- db
	}()
	<-opened
	require.NoError(t, rewrite(holder, path, (*mover).same))
	require.NoError(t, holder.Close())
	db := <-waiter
	require.NotNil(t, db)
	require.Len(t, opened, 1, "it opened again")
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("written")); return err }))
	require.NoError(t, db.Close())

	db, err = openFile(path, options())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		require.NotNil(t, tx.Bucket([]byte("written")), "what the waiter wrote is in the database")
		return nil
	}))
}

func TestWhatARewritingLeftBehindIsRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, databaseFile)
	require.NoError(t, booksAt(t, dir).Close())
	require.NoError(t, os.WriteFile(path+besideName, []byte("half a database"), 0o600))
	require.NoError(t, booksAt(t, dir).Close())
	require.NoFileExists(t, path+besideName)
}
