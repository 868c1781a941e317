package ledger

import (
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Two logs are compared by sections of a range: sixteen sums fit one answer, and the rows of one section fit another, each
// with the longest row that the Relay's door lets in.
const (
	Sections    = 16
	SectionSize = RangeSize / Sections
)

// SectionSum is how many rows one section of a range holds and keccak256 over their RLP in id order.
type SectionSum struct {
	Count uint64
	Hash  common.Hash
}

// RangeRows returns the booked rows with ids in from…from + ids − 1, ascending; ids must be at most [RangeSize].
func (tx *Tx) RangeRows(from, ids uint64) (out []Event, err error) {
	err = tx.Events(from, func(e Event) error {
		if e.ID-from >= ids {
			return errStopWalk
		}
		out = append(out, e)
		return nil
	})
	if errors.Is(err, errStopWalk) {
		err = nil
	}
	return out, err
}

// SumRows is what a checkpoint says of rows: how many, and keccak256 over their RLP one after the other.
func SumRows(rows []Event) SectionSum {
	h := crypto.NewKeccakState()
	sum := SectionSum{Count: uint64(len(rows))}
	for _, e := range rows {
		h.Write(encode(e))
	}
	h.Sum(sum.Hash[:0])
	return sum
}

// SectionsOf cuts the rows of a range, ascending, into its sections.
func SectionsOf(r uint64, rows []Event) (out [Sections][]Event) {
	for _, e := range rows {
		at := (e.ID - r*RangeSize) / SectionSize
		out[at] = append(out[at], e)
	}
	return out
}

// markBrought remembers that rows came from elsewhere than this node's Relay.
func (tx *Tx) markBrought(rows []entry) error {
	for _, e := range rows {
		if err := tx.b.Bucket(bucketBrought).Put(be64(e.ID), nil); err != nil {
			return err
		}
	}
	return nil
}

// Brought reports whether a row came by a certificate or a RESOLVE: this node's Relay had not shown it.
func (tx *Tx) Brought(id uint64) bool { return tx.b.Bucket(bucketBrought).Get(be64(id)) != nil }

// RowDiff is one id under which two logs differ. A side that has no row there is empty.
type RowDiff struct {
	ID     uint64
	Own    []byte // RLP of the Event in these books
	Theirs []byte // RLP of the Event in the others'
}

// DiffRows compares two versions of some ids, both ascending.
func DiffRows(own, theirs []Event) (out []RowDiff) {
	for len(own) > 0 || len(theirs) > 0 {
		switch {
		case len(theirs) == 0 || (len(own) > 0 && own[0].ID < theirs[0].ID):
			out = append(out, RowDiff{ID: own[0].ID, Own: encode(own[0])})
			own = own[1:]
		case len(own) == 0 || theirs[0].ID < own[0].ID:
			out = append(out, RowDiff{ID: theirs[0].ID, Theirs: encode(theirs[0])})
			theirs = theirs[1:]
		default:
			if a, b := encode(own[0]), encode(theirs[0]); string(a) != string(b) {
				out = append(out, RowDiff{own[0].ID, a, b})
			}
			own, theirs = own[1:], theirs[1:]
		}
	}
	return out
}

// DecodeEvent reads the RLP of an event, as evidence holds it.
func DecodeEvent(raw []byte) (e Event, err error) { return e, decode(raw, &e) }
