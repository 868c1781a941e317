package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// diskOf is the file of a ledger with something in most buckets, some of it over several pages and some pages free.
func diskOf(t *testing.T) (dir string, raw []byte) {
	p := fillSample(t)
	for round := range uint64(3) {
		var page []Event
		for i := range uint64(700) {
			id := 20_000 + round*1000 + i
			page = append(page, event(id, testAccount(int(id%97)), []EventKind{TaskIncome, TaskIncome, TaskPayment}[id%3], fmt.Sprint(1+id%9)))
		}
		in := plenty()
		in.Now = 20_000 * dayMS
		in.Policy.UncoveredMax = wei(100_000_000)
		appendAll(t, p.l, in, page...)
	}
	require.NoError(t, p.l.Close())
	raw, err := os.ReadFile(filepath.Join(p.dir, databaseFile))
	require.NoError(t, err)
	l, err := Open(p.dir, p.network)
	require.NoError(t, err)
	p.l = l // the cleanup closes it
	return t.TempDir(), raw
}

// dump is every record that can be read, as the library reads it.
func dump(t require.TestingT, path string) string {
	var out bytes.Buffer
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error { fmt.Fprintf(&out, "%s %x %x\n", name, k, v); return nil })
		})
	}))
	return out.String()
}

func fileReport(t require.TestingT, dir string) FileReport {
	report, err := CheckFile(dir, nil)
	require.NoError(t, err)
	return report
}

func TestCheckFileCounts(t *testing.T) {
	dir, raw := diskOf(t)
	path := filepath.Join(dir, databaseFile)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	report := fileReport(t, dir)
	require.Empty(t, report.Damage)
	require.Equal(t, uint64(SchemaVersion), report.Schema)
	require.Equal(t, uint64(bytes.Count([]byte(dump(t, path)), []byte("\n"))), report.Records)
	require.NotZero(t, report.Free)
	_, err := CheckFile(t.TempDir(), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestAFlippedByteIsFound flips bytes anywhere in the file: either the check finds it, or nothing that is ever read changed.
func TestAFlippedByteIsFound(t *testing.T) {
	dir, raw := diskOf(t)
	path := filepath.Join(dir, databaseFile)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	whole := dump(t, path)
	found, harmless := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		bent := bytes.Clone(raw)
		at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
		bent[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		require.NoError(t, os.WriteFile(path, bent, 0o600))
		if len(fileReport(t, dir).Damage) > 0 {
			found++
			return
		}
		harmless++
		require.Equal(t, whole, dump(t, path), "byte %d", at)
	})
	t.Logf("%d flips found, %d where nothing is stored", found, harmless)
	require.NotZero(t, found)
}

// TestAFlippedRecordIsNamed flips each byte of some records and demands bucket and key.
func TestAFlippedRecordIsNamed(t *testing.T) {
	dir, raw := diskOf(t)
	path := filepath.Join(dir, databaseFile)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	type record struct {
		bucket string
		k, v   []byte
	}
	var records []record
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if len(k) >= 8 && len(v) > 20 {
					records = append(records, record{string(name), bytes.Clone(k), bytes.Clone(v)})
				}
				return nil
			})
		})
	}))
	require.NoError(t, db.Close())
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SampledFrom(records).Draw(t, "record")
		bent := bytes.Clone(raw)
		whole := append(bytes.Clone(r.k), r.v...)
		for at := bytes.Index(bent, whole); at >= 0; at = bytes.Index(bent, whole) { // old copies in free pages too
			bent[at+len(r.k)+rapid.IntRange(0, len(r.v)-1).Draw(t, "byte")] ^= 0x40
		}
		require.NoError(t, os.WriteFile(path, bent, 0o600))
		damage := fileReport(t, dir).Damage
		require.NotEmpty(t, damage)
		key := fmt.Sprintf("%x", r.k)
		for _, d := range damage {
			if d.Bucket == r.bucket && d.Key == key {
				return
			}
		}
		t.Fatalf("%s %s is not among %v", r.bucket, key, damage)
	})
}

// TestReadsFindAFlippedRecord: what does not verify fails the transaction that reads it, whatever it made of it.
func TestReadsFindAFlippedRecord(t *testing.T) {
	l := newBooks(t)
	a := testAccount(1)
	appendAll(t, l, plenty(), event(1, a, TaskIncome, "100"))
	update(t, l, func(tx *Tx) error {
		b := tx.b.Bucket(bucketAccounts).b
		record := bytes.Clone(b.Get(a[:]))
		record[3] ^= 1
		return b.Put(a[:], record)
	})
	read := func(tx *Tx) error { _, _, err := tx.Account(a, 1); return err }
	for name, err := range map[string]error{
		"read":  l.View(read),
		"trip":  l.View(func(tx *Tx) error { _, v := tx.b.Bucket(bucketAccounts).Cursor().First(); _ = v[3]; return nil }),
		"deaf":  l.View(func(tx *Tx) error { _ = read(tx); return nil }),
		"write": l.Update(func(tx *Tx) error { _, err := tx.Append([]Event{event(2, a, TaskIncome, "1")}, plenty()); return err }),
	} {
		var corrupt *CorruptRecord
		require.ErrorAs(t, err, &corrupt, name)
		require.ErrorIs(t, err, ErrCorrupt)
		require.Equal(t, CorruptRecord{"accounts", a[:], "the record does not match its checksum"}, *corrupt)
	}
}
