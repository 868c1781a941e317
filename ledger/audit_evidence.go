package ledger

import (
	"bytes"
	"errors"
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
	EvidenceTSS       EvidenceKind = "bad-tss-message"      // a message of a signing session that proves itself bad
	EvidenceReadTSS   EvidenceKind = "refused-tss-message"  // likewise, but only who received it could tell
	EvidencePayment   EvidenceKind = "unrendered-payment"   // a payer's transaction that this network did not render; the member is zero
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

// ID names a piece of evidence; which of the two sides came first makes no difference.
func (e Evidence) ID() common.Hash {
	a, b := e.sides()
	return crypto.Keccak256Hash(encode([][]byte{[]byte(e.Kind), e.Member[:], a, b}))
}

func (e Evidence) sides() (a, b []byte) {
	if bytes.Compare(e.First, e.Second) > 0 {
		return e.Second, e.First
	}
	return e.First, e.Second
}

// key is share ‖ digest of the two sides.
func (e Evidence) key() (share, key []byte) {
	share = join(e.Member[:], crypto.Keccak256([]byte(e.Kind))[:8])
	a, b := e.sides()
	return share, join(share, crypto.Keccak256(encode([][]byte{a, b})))
}

// MaxEvidence bounds how much evidence of one kind is kept against one member. The first piece proves the fault; more
// only shows its extent.
const MaxEvidence = 8

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

// OnEvidence makes fn hear of every piece of evidence that is kept from now on, when it is on disk, on the goroutine that
// wrote it. fn must not block, and must not use the ledger. Call it before anything else uses the ledger.
func (l *Ledger) OnEvidence(fn func(Evidence)) { l.onEvidence = fn }

// WantsEvidence reports whether [Tx.AddEvidence] would keep a piece: it is not known, and the member's share has room.
func (tx *Tx) WantsEvidence(e Evidence) (bool, error) {
	share, key := e.key()
	n := 0
	if err := tx.each(bucketEvidence, share, func(_, _ []byte) error { n++; return nil }); err != nil {
		return false, err
	}
	return n < MaxEvidence && tx.b.Bucket(bucketEvidence).Get(key) == nil, nil
}

// AddEvidence keeps a piece of evidence. added is false when it is known or the member's share is full, which is no error.
// What it shows is not looked at: the caller has verified it.
func (tx *Tx) AddEvidence(e Evidence) (added bool, err error) {
	if added, err = tx.WantsEvidence(e); !added || err != nil {
		return false, err
	}
	e.Found = nowMS()
	_, key := e.key()
	if err := tx.put(bucketEvidence, key, e); err != nil {
		return false, err
	}
	if tell := tx.l.onEvidence; tell != nil {
		tx.b.tx.OnCommit(func() { tell(e) })
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

// caught stores evidence, and hands it back. Two statements that prove nothing, like one that was signed twice, are none:
// what is kept here convinces anybody.
func (tx *Tx) caught(member common.Address, first, second []byte) (*Evidence, error) {
	rule, _, err := quorum.Conflict(tx.network(), tx.committees(member), first, second)
	if errors.Is(err, quorum.ErrNoConflict) || errors.Is(err, quorum.ErrNotMember) || errors.Is(err, quorum.ErrEpochUnknown) {
		return nil, nil // also when one side names an epoch of its own making: it convinces nobody, and stops nothing here
	}
	if err != nil {
		return nil, fmt.Errorf("evidence against %s: %w", member, err)
	}
	e := Evidence{Kind: EvidenceKind(rule), Member: member, First: bytes.Clone(first), Second: bytes.Clone(second), Found: nowMS()}
	_, err = tx.AddEvidence(e)
	return &e, err
}

// committees are those of the decisions known here. The founders rule the first two epochs; before their decision is known the
// caller's word is taken that the member is one of them.
func (tx *Tx) committees(member common.Address) quorum.Committees {
	return func(epoch uint64) (quorum.Members, error) {
		r, _, _, ok, err := tx.EpochRecord(max(epoch, 1))
		switch {
		case err == nil && !ok && epoch <= 1:
			return quorum.Members{member}, nil
		case err == nil && !ok:
			return nil, fmt.Errorf("%w: %d", quorum.ErrEpochUnknown, epoch)
		}
		return r.IDs(), err
	}
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
		return tx.caught(member, was, raw)
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

// NewestVote returns the vote or proposal with the highest counter that this node holds from a member. Honest members vote
// upwards, so it is of the highest height too.
func (tx *Tx) NewestVote(member common.Address) (raw []byte, ok bool, err error) {
	c := tx.b.Bucket(bucketHeard).Cursor()
	k, v := c.Seek(join(member[:], bytes.Repeat([]byte{0xff}, 8)))
	if k == nil {
		k, v = c.Last()
	}
	for ; k != nil && bytes.Compare(k[:common.AddressLength], member[:]) >= 0; k, v = c.Prev() {
		if !bytes.HasPrefix(k, member[:]) {
			continue // where the search began, behind the member
		}
		kind, err := quorum.PeekKind(v)
		if err != nil {
			return nil, false, fmt.Errorf("%w: heard statement: %w", ErrCorrupt, err)
		}
		if kind == quorum.KindProposal || kind == quorum.KindPrevote || kind == quorum.KindPrecommit {
			return bytes.Clone(v), true, nil
		}
	}
	return nil, false, nil
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
