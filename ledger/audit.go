package ledger

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// bucketAudit maps an index, from 1, to a line.
var bucketAudit = []byte("audit")

// AuditLine is one line of the trail that an auditor reads: what this node did, chained so that no line can be taken
// out or changed without changing every later one.
type AuditLine struct {
	Index uint64
	Time  uint64 // unix ms by this node's clock
	What  string // a constant word: decided, settled, halted, …
	Ref   string // what it is about
	Prev  common.Hash
}

// Hash is what the next line's Prev holds.
func (a AuditLine) Hash() common.Hash { return crypto.Keccak256Hash(encode(a)) }

// Audit appends a line to the trail.
func (tx *Tx) Audit(what, ref string) error {
	last, err := tx.LastAudit()
	if err != nil {
		return err
	}
	line := AuditLine{Index: last.Index + 1, Time: nowMS(), What: what, Ref: ref}
	if last.Index > 0 {
		line.Prev = last.Hash()
	}
	return tx.put(bucketAudit, be64(line.Index), line)
}

// LastAudit returns the newest line; its index is 0 while there is none.
func (tx *Tx) LastAudit() (AuditLine, error) {
	var last AuditLine
	_, raw := tx.b.Bucket(bucketAudit).Cursor().Last()
	if raw == nil {
		return last, nil
	}
	return last, decode(raw, &last)
}

// AuditTrail calls fn for every line from an index on.
func (tx *Tx) AuditTrail(from uint64, fn func(AuditLine) error) error {
	c := tx.b.Bucket(bucketAudit).Cursor()
	for k, v := c.Seek(be64(from)); k != nil; k, v = c.Next() {
		var line AuditLine
		if err := decode(v, &line); err != nil {
			return err
		}
		if err := fn(line); err != nil {
			return err
		}
	}
	return nil
}

// VerifyAudit checks that the indices are contiguous from 1 and that each line holds the hash of the one before. It
// returns the last line: compare its hash with one that was written down elsewhere to see that none was cut off.
func (tx *Tx) VerifyAudit() (last AuditLine, err error) {
	err = tx.AuditTrail(0, func(line AuditLine) error {
		var prev common.Hash
		if last.Index > 0 {
			prev = last.Hash()
		}
		if line.Index != last.Index+1 || line.Prev != prev {
			return violation("I12", "audit line %d does not follow line %d", line.Index, last.Index)
		}
		last = line
		return nil
	})
	return last, err
}

// Violation is the first invariant that a check found broken.
type Violation struct {
	Invariant string // as the protocol numbers it
	What      string
}

func (v *Violation) Error() string { return v.Invariant + " is broken: " + v.What }

func violation(invariant, format string, args ...any) error {
	return &Violation{invariant, fmt.Sprintf(format, args...)}
}

// nowMS is unix milliseconds.
func nowMS() uint64 { return uint64(time.Now().UnixMilli()) }
