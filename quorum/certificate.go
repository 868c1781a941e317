package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/ethereum/go-ethereum/common"
)

// ErrCertificate means that bytes do not add up to a certificate of this epoch and policy.
var ErrCertificate = errors.New("not a certificate")

// Endorsement is what differs between the APPROVEs of one certificate.
type Endorsement struct {
	Counter uint64
	Time    uint64
	Sig     Signature
}

// UncheckedCertificate is a withdrawal certificate as it travels: one APPROVE's common fields, and exactly q endorsements
// in the order of their signers. It proves nothing until [UncheckedCertificate.Verify].
type UncheckedCertificate struct {
	Epoch   uint64
	Policy  PolicyRef
	WID     uint64
	Content common.Hash
	Account common.Address
	Seq     uint64
	Head    common.Hash
	Votes   []Endorsement
}

func (u UncheckedCertificate) approve(e Endorsement) Approve {
	return Approve{u.Epoch, u.Policy, e.Counter, u.WID, u.Content, u.Account, u.Seq, u.Head, e.Time}
}

// Certificate is q APPROVEs of one epoch, equal in all but counter, time and signer.
type Certificate struct {
	u       UncheckedCertificate
	signers Members
}

// Unchecked returns the certificate's plain fields, for encoding.
func (c Certificate) Unchecked() UncheckedCertificate { return c.u }

// Signers returns who approved, ascending.
func (c Certificate) Signers() Members { return slices.Clone(c.signers) }

// MedianTime is the lower median of the approvals' times, unix ms.
func (c Certificate) MedianTime() uint64 { return c.u.MedianTime() }

// MedianTime is the lower median of the approvals' times, unix ms.
func (u UncheckedCertificate) MedianTime() uint64 {
	ts := make([]uint64, len(u.Votes))
	for i, v := range u.Votes {
		ts[i] = v.Time
	}
	return LowerMedian(ts)
}

// Verify checks the endorsements against the roster in force.
func (u UncheckedCertificate) Verify(network common.Hash, r Roster) (Certificate, error) {
	if u.Epoch != r.Epoch {
		return Certificate{}, fmt.Errorf("%w: of epoch %d, in force is %d", ErrCertificate, u.Epoch, r.Epoch)
	}
	// Every endorsement has the same shape: the fields that differ are not looked at by Check.
	if err := u.approve(Endorsement{}).Check(); err != nil {
		return Certificate{}, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	signers, err := verifyVotes(r.IDs(), len(u.Votes), func(i int) (common.Hash, Signature) {
		return Digest(KindApprove, network, u.approve(u.Votes[i])), u.Votes[i].Sig
	})
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{u: u, signers: signers}, nil
}

// Certify adds approvals up to a certificate: the q first signers among the largest group of equal ones. ok is false when
// no group reaches q. Every approval must be of roster's epoch.
func Certify(r Roster, approvals []Signed[Approve]) (Certificate, bool) {
	groups := map[Approve][]Signed[Approve]{}
	for _, a := range approvals {
		key := a.body
		key.Counter, key.Time = 0, 0
		if key.Epoch == r.Epoch && r.IDs().Has(a.signer) {
			groups[key] = append(groups[key], a)
		}
	}
	for key, group := range groups {
		group = distinctSigners(group)
		if len(group) < r.Q() {
			continue
		}
		// At most one group can reach q while at most f members are faulty, so map order decides nothing.
		c := Certificate{u: UncheckedCertificate{
			Epoch: key.Epoch, Policy: key.Policy, WID: key.WID, Content: key.Content,
			Account: key.Account, Seq: key.Seq, Head: key.Head,
		}}
		for _, a := range group[:r.Q()] {
			c.u.Votes = append(c.u.Votes, Endorsement{a.body.Counter, a.body.Time, a.sig})
			c.signers = append(c.signers, a.signer)
		}
		return c, true
	}
	return Certificate{}, false
}

// Dissent is what differs between the REFUSEs of one refusal certificate; reasons may differ, and each is kept.
type Dissent struct {
	Counter uint64
	Reason  Reason
	Time    uint64
	Sig     Signature
}

// UncheckedRefusal is a refusal certificate as it travels.
type UncheckedRefusal struct {
	Epoch   uint64
	Policy  PolicyRef
	WID     uint64
	Content common.Hash
	Votes   []Dissent
}

// RefusalCertificate is q REFUSEs of one content.
type RefusalCertificate struct {
	u       UncheckedRefusal
	signers Members
}

// Unchecked returns the certificate's plain fields, for encoding.
func (c RefusalCertificate) Unchecked() UncheckedRefusal { return c.u }

// Signers returns who refused, ascending.
func (c RefusalCertificate) Signers() Members { return slices.Clone(c.signers) }

// MedianTime is the lower median of the refusals' times, unix ms.
func (u UncheckedRefusal) MedianTime() uint64 {
	ts := make([]uint64, len(u.Votes))
	for i, v := range u.Votes {
		ts[i] = v.Time
	}
	return LowerMedian(ts)
}

// Verify checks the refusals against the roster in force.
func (u UncheckedRefusal) Verify(network common.Hash, r Roster) (RefusalCertificate, error) {
	if u.Epoch != r.Epoch {
		return RefusalCertificate{}, fmt.Errorf("%w: of epoch %d, in force is %d", ErrCertificate, u.Epoch, r.Epoch)
	}
	for _, v := range u.Votes {
		if !v.Reason.known() {
			return RefusalCertificate{}, fmt.Errorf("%w: unknown reason %q", ErrCertificate, v.Reason)
		}
	}
	signers, err := verifyVotes(r.IDs(), len(u.Votes), func(i int) (common.Hash, Signature) {
		v := u.Votes[i]
		return Digest(KindRefuse, network, Refuse{u.Epoch, u.Policy, v.Counter, u.WID, u.Content, v.Reason, v.Time}), v.Sig
	})
	if err != nil {
		return RefusalCertificate{}, err
	}
	return RefusalCertificate{u: u, signers: signers}, nil
}

// CertifyRefusal adds refusals up to a refusal certificate, as [Certify] does.
func CertifyRefusal(r Roster, refusals []Signed[Refuse]) (RefusalCertificate, bool) {
	groups := map[Refuse][]Signed[Refuse]{}
	for _, v := range refusals {
		key := v.body
		key.Counter, key.Time, key.Reason = 0, 0, ""
		if key.Epoch == r.Epoch && r.IDs().Has(v.signer) {
			groups[key] = append(groups[key], v)
		}
	}
	for key, group := range groups {
		group = distinctSigners(group)
		if len(group) < r.Q() {
			continue
		}
		c := RefusalCertificate{u: UncheckedRefusal{Epoch: key.Epoch, Policy: key.Policy, WID: key.WID, Content: key.Content}}
		for _, v := range group[:r.Q()] {
			c.u.Votes = append(c.u.Votes, Dissent{v.body.Counter, v.body.Reason, v.body.Time, v.sig})
			c.signers = append(c.signers, v.signer)
		}
		return c, true
	}
	return RefusalCertificate{}, false
}

// distinctSigners sorts statements by signer and keeps the first of each.
func distinctSigners[T Body](in []Signed[T]) []Signed[T] {
	out := slices.Clone(in)
	sort.SliceStable(out, func(i, j int) bool { return bytes.Compare(out[i].signer[:], out[j].signer[:]) < 0 })
	return slices.CompactFunc(out, func(a, b Signed[T]) bool { return a.signer == b.signer })
}

// verifyVotes recovers exactly q signatures and insists on members, ascending and distinct: one encoding per certificate.
func verifyVotes(members Members, n int, vote func(i int) (common.Hash, Signature)) (Members, error) {
	if n != members.Q() {
		return nil, fmt.Errorf("%w: %d votes, want exactly %d", ErrCertificate, n, members.Q())
	}
	var signers Members
	for i := range n {
		digest, sig := vote(i)
		signer, err := sig.Recover(digest)
		if err != nil {
			return nil, fmt.Errorf("%w: vote %d: %w", ErrCertificate, i, err)
		}
		if !members.Has(signer) {
			return nil, fmt.Errorf("%w: vote %d: %w", ErrCertificate, i, ErrNotMember)
		}
		if i > 0 && bytes.Compare(signers[i-1][:], signer[:]) >= 0 {
			return nil, fmt.Errorf("%w: vote %d: signers are not ascending", ErrCertificate, i)
		}
		signers = append(signers, signer)
	}
	return signers, nil
}

// LowerMedian returns the lower median: with an even count, the smaller of the two in the middle. Zero for none.
func LowerMedian(in []uint64) uint64 {
	if len(in) == 0 {
		return 0
	}
	s := slices.Clone(in)
	slices.Sort(s)
	return s[(len(s)-1)/2]
}
