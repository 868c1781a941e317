package ledger

import (
	"encoding/binary"
	"hash/crc32"
)

// buckets walks the tree of buckets: a leaf element is a bucket with its header, and its page where it is small.
func (c *fileCheck) buckets(root uint64) {
	type branch struct {
		name       string
		page, root uint64
		inline     []byte
	}
	var all []branch
	var last []byte
	c.tree(root, "", &last, 0, func(page uint64, flags uint32, key, value []byte) {
		const header = 16 // root page, sequence
		if flags != elemBucket || len(value) < header {
			c.bad(page, "", key, "not a bucket")
			return
		}
		b := branch{name: string(key), page: page, root: binary.LittleEndian.Uint64(value)}
		if b.root == 0 {
			b.inline = append([]byte{}, value[header:]...)
		}
		all = append(all, b)
	})
	for _, b := range all {
		c.report.Buckets++
		c.found[b.name] = bucketSum{}
		if b.root == 0 && len(b.inline) < pageHeader {
			c.bad(b.page, b.name, nil, "the bucket's page is cut off")
			continue
		}
		var last []byte
		each := c.record(b.name)
		if b.root == 0 {
			if flags := binary.LittleEndian.Uint16(b.inline[8:]); flags != pageLeaf {
				c.bad(b.page, b.name, nil, "the bucket's page is no leaf")
				continue
			}
			c.elements(b.page, b.inline, b.name, &last, 0, each)
			continue
		}
		c.tree(b.root, b.name, &last, 0, each)
	}
}

// record verifies the records of a bucket.
func (c *fileCheck) record(name string) leafFunc {
	b := &bucket{name: name, seed: crc32.Update(0, castagnoli, []byte(name))}
	return func(page uint64, flags uint32, key, value []byte) {
		c.report.Records++
		c.report.Bytes += uint64(len(key) + len(value))
		if flags != 0 {
			c.bad(page, name, key, "the element's flags are %#x", flags)
			return
		}
		if name == string(bucketSums) {
			sum, ok := openSum(crc32.Update(0, castagnoli, key), value)
			if !ok {
				c.bad(page, name, key, "the sum does not match its checksum")
				return
			}
			c.sums[string(key)] = sum
			return
		}
		if name == string(bucketMeta) && string(key) == string(keySchema) {
			c.report.Schema = readBE64(value)
			if c.report.Schema != SchemaVersion || len(value) != 8 {
				c.bad(page, name, key, "the layout is %x, this program knows %d", value, SchemaVersion)
			}
			return
		}
		n := len(value) - sumSize
		if n < 0 || binary.BigEndian.Uint32(value[n:]) != b.checksum(key, value[:n]) {
			c.bad(page, name, key, "the record does not match its checksum")
			return
		}
		sum := c.found[name]
		sum.count++
		sum.sum += uint64(binary.BigEndian.Uint32(value[n:]))
		c.found[name] = sum
	}
}

// freelist compares the pages that nobody reaches with those that are noted as free: a page that is both would be
// written over, one that is neither is lost.
func (c *fileCheck) freelist(meta fileMeta) {
	raw, ok := c.load(meta.freelist, "")
	if !ok {
		return
	}
	le := binary.LittleEndian
	count, at := uint64(le.Uint16(raw[10:])), pageHeader
	if le.Uint16(raw[8:]) != pageFreelist {
		c.bad(meta.freelist, "", nil, "the page is no list of free pages")
		return
	}
	if count == 0xffff {
		count, at = le.Uint64(raw[at:]), at+8
	}
	if count > uint64(len(raw)-at)/8 {
		c.bad(meta.freelist, "", nil, "the list of free pages is longer than its page")
		return
	}
	for i := range count {
		id := le.Uint64(raw[at+int(i)*8:])
		if id < 2 || id >= uint64(len(c.seen)) || c.seen[id] {
			c.bad(meta.freelist, "", nil, "page %d is noted as free and is not", id)
			continue
		}
		c.seen[id] = true
		c.report.Free++
	}
	for id, seen := range c.seen {
		if !seen {
			c.bad(uint64(id), "", nil, "the page is neither used nor noted as free")
		}
	}
	if len(c.report.Damage) > 0 {
		return
	}
	if want := c.report.Pages + c.report.Free + 2; want != uint64(len(c.seen)) {
		c.bad(0, "", nil, "%d pages are accounted for, there are %d", want, len(c.seen))
	}
}
