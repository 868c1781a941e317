package ledger

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

// EvidenceKind says what two statements prove.
type EvidenceKind string

// The kinds of evidence.
const (
	EvidenceVotes     EvidenceKind = "two-votes"            // two different votes for one height, round and phase
	EvidenceVerdicts  EvidenceKind = "two-verdicts"         // two verdicts for one withdrawal, epoch and policy
	EvidenceHeads     EvidenceKind = "two-heads"            // two heads for one account, sequence and policy
	EvidenceCounter   EvidenceKind = "two-under-one-count"  // two statements with one counter
	EvidenceEnvelopes EvidenceKind = "two-tss-envelopes"    // two envelopes for one slot of a signing session
	EvidenceTSS       EvidenceKind = "bad-tss-message"      // a proven-bad message of a signing session
	EvidencePayment   EvidenceKind = "unrendered-payment"   // a payer's transaction that this network did not render
	EvidenceHistory   EvidenceKind = "relay-changed-events" // the Relay changed what it had settled; the member is zero
)

// Evidence is two sets of bytes that no honest sender makes both of.
type Evidence struct {
	Kind   EvidenceKind
	Member common.Address
	First  []byte
	Second []byte
	Found  uint64 // unix ms; filled in when it is stored
}

// MaxEvidence bounds how much evidence of one kind is kept against one member. The first piece proves the fault; more
// only shows its extent.
const MaxEvidence = 32

// MaxHeard bounds how many of a member's newest statements are kept to catch two with one counter, and to answer a
// member that asks what it last said.
const MaxHeard = 1024

// Buckets: evidence by member ‖ kind ‖ digest; heard statements by member ‖ counter; exclusions by epoch ‖ member.
var (
	bucketEvidence   = []byte("evidence")
	bucketExcluded   = []byte("excluded")
	bucketHeard      = []byte("heard")
	bucketHeardCount = []byte("heard-count")
)

// AddEvidence keeps a piece of evidence. added is false when it is known or the member's share is full, which is no error.
func (tx *Tx) AddEvidence(e Evidence) (added bool, err error) {
	share := join(e.Member[:], crypto.Keccak256([]byte(e.Kind))[:8])
	// The same two statements are one piece, whichever came first.
	a, b := e.First, e.Second
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	key := join(share, crypto.Keccak256(encode([][]byte{a, b})))
	n := 0
	if err := tx.each(bucketEvidence, share, func(_, _ []byte) error { n++; return nil }); err != nil {
		return false, err
	}
	if n >= MaxEvidence || tx.b.Bucket(bucketEvidence).Get(key) != nil {
		return false, nil
	}
	e.Found = nowMS()
	if err := tx.put(bucketEvidence, key, e); err != nil {
		return false, err
	}
	return true, tx.Audit("evidence", fmt.Sprintf("%s against %s", e.Kind, e.Member))
}

// Evidences calls fn for every piece of evidence, by member.
func (tx *Tx) Evidences(fn func(Evidence) error) error {
	return tx.each(bucketEvidence, nil, func(_, raw []byte) error {
		var e Evidence
		if err := decode(raw, &e); err != nil {
			return err
		}
		return fn(e)
	})
}

// caught stores evidence and hands it back for gossip.
func (tx *Tx) caught(kind EvidenceKind, member common.Address, first, second []byte) (*Evidence, error) {
	e := Evidence{Kind: kind, Member: member, First: bytes.Clone(first), Second: bytes.Clone(second), Found: nowMS()}
	_, err := tx.AddEvidence(e)
	return &e, err
}

// Hear remembers a verified statement of a member by its counter; the Put methods of this room do so themselves, votes
// and READYs are the caller's to offer. It returns evidence when the member signed something else under that counter. Only the [MaxHeard] highest counters of each member are remembered.
func (tx *Tx) Hear(member common.Address, counter uint64, raw []byte) (*Evidence, error) {
	heard := tx.b.Bucket(bucketHeard)
	key := join(member[:], be64(counter))
	if was := heard.Get(key); was != nil {
		if bytes.Equal(was, raw) {
			return nil, nil
		}
		return tx.caught(EvidenceCounter, member, was, raw)
	}
	if tx.count(bucketHeardCount, member[:]) >= MaxHeard {
		lowest, _ := heard.Cursor().Seek(member[:])
		if bytes.Compare(key, lowest) < 0 {
			return nil, nil
		}
		if err := heard.Delete(bytes.Clone(lowest)); err != nil {
			return nil, err
		}
	} else if err := tx.addCount(bucketHeardCount, member[:], 1); err != nil {
		return nil, err
	}
	return nil, heard.Put(key, raw)
}

// Newest returns the statement with the highest counter that this node holds from a member: the answer to a member that
// restarts and asks how far it has spoken.
func (tx *Tx) Newest(member common.Address) (counter uint64, raw []byte, ok bool) {
	c := tx.b.Bucket(bucketHeard).Cursor()
	k, v := c.Seek(join(member[:], bytes.Repeat([]byte{0xff}, 8)))
	if k == nil || !bytes.Equal(k, join(member[:], bytes.Repeat([]byte{0xff}, 8))) {
		if k == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
	}
	if k == nil || !bytes.HasPrefix(k, member[:]) {
		return 0, nil, false
	}
	return readBE64(k[20:]), bytes.Clone(v), true
}

// Exclude bars a member from signing sessions for a key epoch, by evidence, which is kept.
func (tx *Tx) Exclude(epoch uint64, e Evidence) error {
	if _, err := tx.AddEvidence(e); err != nil {
		return err
	}
	key := join(be64(epoch), e.Member[:])
	if tx.b.Bucket(bucketExcluded).Get(key) != nil {
		return nil
	}
	if err := tx.b.Bucket(bucketExcluded).Put(key, []byte(e.Kind)); err != nil {
		return err
	}
	return tx.Audit("excluded", fmt.Sprintf("%s from epoch %d: %s", e.Member, epoch, e.Kind))
}

// Excluded returns who is barred from signing sessions in a key epoch, ascending.
func (tx *Tx) Excluded(epoch uint64) (quorum.Members, error) {
	var out quorum.Members
	err := tx.each(bucketExcluded, be64(epoch), func(k, _ []byte) error {
		out = append(out, common.BytesToAddress(k[8:]))
		return nil
	})
	return out, err
}
