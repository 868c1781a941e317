package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Damage is one place of the database file whose bytes are not what was written.
type Damage struct {
	Page   uint64 `json:"page"`
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"` // hex
	What   string `json:"what"`
}

// String is one line for people.
func (d Damage) String() string {
	out := fmt.Sprintf("page %d", d.Page)
	if d.Bucket != "" {
		out += ", bucket " + d.Bucket
	}
	if d.Key != "" {
		out += ", key " + d.Key
	}
	return out + ": " + d.What
}

// FileReport counts what [CheckFile] looked at.
type FileReport struct {
	Schema  uint64   `json:"schema"`
	Pages   uint64   `json:"pages"`
	Free    uint64   `json:"free_pages"`
	Buckets uint64   `json:"buckets"`
	Records uint64   `json:"records"`
	Bytes   uint64   `json:"bytes"` // of keys and values
	Damage  []Damage `json:"damage"`
}

// maxDamage bounds what one check lists: whoever has more needs another copy, not a longer list.
const maxDamage = 100

// The file format of bbolt: pages of a fixed size, little-endian on every machine that this runs on.
const (
	pageHeader  = 16 // id, flags, count, overflow
	elemHeader  = 16
	metaBytes   = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageMeta     = 0x04
	pageFreelist = 0x10
	elemBucket   = 0x01

	maxPageSize = 1 << 16
	maxOverflow = 1 << 30 // bytes of one page with its overflow
)

type fileMeta struct {
	root, freelist, high, txid uint64
}

// fileCheck reads the pages as plain bytes: through the library, a broken page would end the process.
type fileCheck struct {
	file     io.ReaderAt
	size     int64
	page     int64
	report   FileReport
	seen     []bool // pages that are reached
	sums     map[string]bucketSum
	found    map[string]bucketSum
	progress func(what string, n uint64)
}

// CheckFile reads every page of the database in dir that is in use and verifies the structure, every record's checksum and
// every bucket's count and sum. What it finds wrong is in the report; an error says that it could not look, [ErrLocked] that
// a node runs. It cannot see a flip where nothing is stored: in free pages and behind the last record of a page.
// progress, which may be nil, is told now and then how many pages were read.
func CheckFile(dir string, progress func(what string, n uint64)) (FileReport, error) {
	path := filepath.Join(dir, databaseFile)
	f, err := os.Open(path)
	if err != nil {
		return FileReport{}, fmt.Errorf("check ledger: %w", err)
	}
	defer func() { _ = f.Close() }()
	// For its lock only; a file that the library refuses is read all the same.
	if db, err := openFile(path, &bolt.Options{Timeout: lockWait, ReadOnly: true}); err == nil {
		defer func() { _ = db.Close() }()
	} else if errors.Is(err, ErrLocked) {
		return FileReport{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return FileReport{}, fmt.Errorf("check ledger: %w", err)
	}
	c := &fileCheck{file: f, size: info.Size(), sums: map[string]bucketSum{}, found: map[string]bucketSum{}, progress: progress}
	c.run()
	return c.report, nil
}

func (c *fileCheck) bad(page uint64, bucket string, key []byte, format string, args ...any) {
	if len(c.report.Damage) < maxDamage {
		c.report.Damage = append(c.report.Damage, Damage{page, bucket, fmt.Sprintf("%x", key), fmt.Sprintf(format, args...)})
	}
}

func (c *fileCheck) run() {
	meta, ok := c.metas()
	if !ok {
		return
	}
	if meta.high > uint64(c.size/c.page) {
		c.bad(0, "", nil, "the file ends before its last page")
		return
	}
	c.seen = make([]bool, meta.high)
	c.seen[0], c.seen[1] = true, true
	c.buckets(meta.root)
	for name, sum := range c.found {
		// What is located already need not be missed as well.
		located := slices.ContainsFunc(c.report.Damage, func(d Damage) bool { return d.Bucket == name || d.Bucket == "" })
		if want := c.sums[name]; name != string(bucketSums) && sum != want && !located {
			c.bad(0, name, nil, "%d records are there, %d were written, or one of them is another", sum.count, want.count)
		}
	}
	for name, sum := range c.sums {
		if _, ok := c.found[name]; !ok && sum.count > 0 {
			c.bad(0, name, nil, "the bucket with %d records is gone", sum.count)
		}
	}
	for _, name := range allBuckets() {
		if _, ok := c.found[string(name)]; !ok {
			c.bad(0, string(name), nil, "the bucket is gone")
		}
	}
	if len(c.report.Damage) == 0 {
		c.freelist(meta) // behind a broken branch, everything would look lost
	}
	slices.SortFunc(c.report.Damage, func(a, b Damage) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
}

// metas reads the two meta pages, of which the newer one rules. Both must be sound: a flip in the newer one would silently
// bring back the state before the last commit.
func (c *fileCheck) metas() (newest fileMeta, ok bool) {
	c.page = int64(os.Getpagesize())
	var first [pageHeader + metaBytes]byte
	if _, err := c.file.ReadAt(first[:], 0); err == nil {
		if size := binary.LittleEndian.Uint32(first[pageHeader+8:]); size >= 1024 && size <= maxPageSize && size&(size-1) == 0 {
			c.page = int64(size)
		}
	}
	for id := range uint64(2) {
		raw := make([]byte, pageHeader+metaBytes)
		if _, err := c.file.ReadAt(raw, int64(id)*c.page); err != nil {
			c.bad(id, "", nil, "the meta page cannot be read: %v", err)
			continue
		}
		m, why := readMeta(raw, id, c.page)
		if why != "" {
			c.bad(id, "", nil, "meta page: %s; the other one rules, which may be older by one commit", why)
			continue
		}
		if !ok || m.txid > newest.txid {
			newest, ok = m, true
		}
	}
	if !ok {
		c.bad(0, "", nil, "no meta page is sound: nothing can be read")
	}
	return newest, ok
}

func readMeta(raw []byte, id uint64, size int64) (m fileMeta, why string) {
	le := binary.LittleEndian
	if le.Uint64(raw) != id || le.Uint16(raw[8:]) != pageMeta {
		return m, "its header is another page's"
	}
	body := raw[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(body[:metaBytes-8])
	if h.Sum64() != le.Uint64(body[metaBytes-8:]) {
		return m, "it does not match its checksum"
	}
	if le.Uint32(body) != metaMagic || le.Uint32(body[4:]) != metaVersion || int64(le.Uint32(body[8:])) != size {
		return m, "it is of another format"
	}
	return fileMeta{root: le.Uint64(body[16:]), freelist: le.Uint64(body[32:]), high: le.Uint64(body[40:]), txid: le.Uint64(body[48:])}, ""
}

// load reads a page with its overflow and marks it as reached.
func (c *fileCheck) load(id uint64, bucket string) (raw []byte, ok bool) {
	if id < 2 || id >= uint64(len(c.seen)) {
		c.bad(id, bucket, nil, "the page is named and does not exist")
		return nil, false
	}
	head := make([]byte, pageHeader)
	if _, err := c.file.ReadAt(head, int64(id)*c.page); err != nil {
		c.bad(id, bucket, nil, "the page cannot be read: %v", err)
		return nil, false
	}
	over := uint64(binary.LittleEndian.Uint32(head[12:]))
	if got := binary.LittleEndian.Uint64(head); got != id || id+over >= uint64(len(c.seen)) || (over+1)*uint64(c.page) > maxOverflow {
		c.bad(id, bucket, nil, "the page's header says page %d with %d more", got, over)
		return nil, false
	}
	for i := id; i <= id+over; i++ {
		if c.seen[i] {
			c.bad(i, bucket, nil, "the page is named twice")
			return nil, false
		}
		c.seen[i] = true
	}
	raw = make([]byte, (over+1)*uint64(c.page))
	if _, err := c.file.ReadAt(raw, int64(id)*c.page); err != nil {
		c.bad(id, bucket, nil, "the page cannot be read: %v", err)
		return nil, false
	}
	c.report.Pages += over + 1
	if c.progress != nil && c.report.Pages/progressEvery != (c.report.Pages-over-1)/progressEvery {
		c.progress("pages", c.report.Pages)
	}
	return raw, true
}

// leafFunc is given each element of a leaf.
type leafFunc func(page uint64, flags uint32, key, value []byte)

// tree walks a bucket's pages by key.
func (c *fileCheck) tree(id uint64, bucket string, last *[]byte, depth int, fn leafFunc) {
	const maxDepth = 64 // a loop of pages would be found as a page that is named twice
	raw, ok := c.load(id, bucket)
	if !ok || depth > maxDepth {
		return
	}
	c.elements(id, raw, bucket, last, depth, fn)
}

// elements walks what one page holds.
func (c *fileCheck) elements(id uint64, raw []byte, bucket string, last *[]byte, depth int, fn leafFunc) {
	le := binary.LittleEndian
	flags, count := le.Uint16(raw[8:]), int(le.Uint16(raw[10:]))
	if (flags != pageBranch && flags != pageLeaf) || pageHeader+count*elemHeader > len(raw) || (flags == pageBranch && count == 0) {
		c.bad(id, bucket, *last, "the page is no branch and no leaf, or holds too much (flags %#x, %d elements)", flags, count)
		return
	}
	for i := range count {
		at := pageHeader + i*elemHeader
		e := raw[at:]
		if flags == pageBranch {
			key, ok := cut(raw, at, le.Uint32(e), le.Uint32(e[4:]))
			if !ok || bytes.Compare(key, *last) < 0 {
				c.bad(id, bucket, *last, "element %d of the branch is out of place", i)
				return
			}
			first := *last
			c.tree(le.Uint64(e[8:]), bucket, last, depth+1, fn)
			if i > 0 && bytes.Compare(first, key) >= 0 {
				c.bad(id, bucket, key, "element %d of the branch begins before the one before ends", i)
			}
			continue
		}
		key, ok := cut(raw, at, le.Uint32(e[4:]), le.Uint32(e[8:]))
		value, fits := cut(raw, at, le.Uint32(e[4:])+le.Uint32(e[8:]), le.Uint32(e[12:]))
		if !ok || !fits || len(key) == 0 || (*last != nil && bytes.Compare(key, *last) <= 0) {
			c.bad(id, bucket, *last, "element %d of the leaf, behind this key, is out of place", i)
			return
		}
		*last = bytes.Clone(key)
		fn(id, le.Uint32(e), key, value)
	}
}

// cut is the part of a page at an element's offset.
func cut(raw []byte, at int, pos, size uint32) ([]byte, bool) {
	from := int64(at) + int64(pos)
	if from > int64(len(raw)) || from+int64(size) > int64(len(raw)) {
		return nil, false
	}
	return raw[from : from+int64(size)], true
}
