package quorum

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// RangeSpan is how many ids of the Relay's log one range covers: range r holds the ids from r × RangeSpan on.
const RangeSpan = 4096

// MaxRange is the last range of 64-bit ids.
const MaxRange = math.MaxUint64 / RangeSpan

// Checkpoint says: in my books this range of the Relay's log, which the settled log has left, holds so many rows, and this
// is keccak256 over their RLP in id order. A row that comes late makes a new one, with a higher counter.
type Checkpoint struct {
	Epoch   uint64
	Counter uint64
	Range   uint64
	Count   uint64
	Hash    common.Hash
}

// Kind implements Body.
func (Checkpoint) Kind() Kind { return KindCheckpoint }

// Check implements Body.
func (c Checkpoint) Check() error {
	if c.Range > MaxRange || c.Count > RangeSpan {
		return fmt.Errorf("checkpoint of range %d with %d rows: out of bounds", c.Range, c.Count)
	}
	if (c.Count == 0) != (c.Hash == keccak(nil)) {
		return errors.New("checkpoint: the hash is of another number of rows")
	}
	return nil
}

// Same reports whether two checkpoints say the same of a range, whoever said it and when.
func (c Checkpoint) Same(o Checkpoint) bool {
	return c.Range == o.Range && c.Count == o.Count && c.Hash == o.Hash
}

// UncheckedCheckpoint is a checkpoint certificate as it travels: exactly q CHECKPOINTs equal in all but counter and signer.
type UncheckedCheckpoint struct {
	Checkpoint Checkpoint // with counter zero
	Votes      []Ballot
}

// CheckpointCertificate is q members' word on a range: at least q − f honest ones hold just these rows.
type CheckpointCertificate struct {
	u       UncheckedCheckpoint
	signers Members
}

// Unchecked returns the plain fields, for encoding.
func (c CheckpointCertificate) Unchecked() UncheckedCheckpoint { return c.u }

// Checkpoint returns what is certified; its counter is zero.
func (c CheckpointCertificate) Checkpoint() Checkpoint { return c.u.Checkpoint }

// Signers returns who signed, ascending.
func (c CheckpointCertificate) Signers() Members { return slices.Clone(c.signers) }

// Verify checks the votes against the roster of the certificate's epoch.
func (u UncheckedCheckpoint) Verify(network common.Hash, r Roster) (CheckpointCertificate, error) {
	var none CheckpointCertificate
	if u.Checkpoint.Epoch != r.Epoch || u.Checkpoint.Counter != 0 {
		return none, fmt.Errorf("%w: checkpoint of epoch %d, in force is %d", ErrCertificate, u.Checkpoint.Epoch, r.Epoch)
	}
	if err := u.Checkpoint.Check(); err != nil {
		return none, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	signers, err := verifyVotes(r.IDs(), len(u.Votes), func(i int) (common.Hash, Signature) {
		c := u.Checkpoint
		c.Counter = u.Votes[i].Counter
		return Digest(KindCheckpoint, network, c), u.Votes[i].Sig
	})
	if err != nil {
		return none, err
	}
	return CheckpointCertificate{u: u, signers: signers}, nil
}

// CertifyCheckpoint adds the members' newest checkpoints of one range up to a certificate. When several groups reach q,
// as late rows enter one after the other, the one with most rows stands. ok is false when none does.
func CertifyCheckpoint(r Roster, all []Signed[Checkpoint]) (best CheckpointCertificate, ok bool) {
	groups := map[Checkpoint][]Signed[Checkpoint]{}
	for _, s := range all {
		key := s.body
		key.Counter = 0
		if key.Epoch == r.Epoch && r.IDs().Has(s.signer) {
			groups[key] = append(groups[key], s)
		}
	}
	for key, group := range groups {
		group = distinctSigners(group)
		if len(group) < r.Q() || (ok && best.u.Checkpoint.Count >= key.Count) {
			continue
		}
		best, ok = CheckpointCertificate{u: UncheckedCheckpoint{Checkpoint: key}}, true
		for _, s := range group[:r.Q()] {
			best.u.Votes = append(best.u.Votes, Ballot{s.body.Counter, s.sig})
			best.signers = append(best.signers, s.signer)
		}
	}
	return best, ok
}
