package quorum

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// NoRound stands for "no round" in a proposal's ValidRound: rounds travel as round + 1, so that zero is none.
const NoRound = 0

// Proposal names the value that a proposer puts to the vote. The value's bytes and the proof-of-lock certificate travel
// beside it, not in it: the id binds the value, and the certificate proves itself.
type Proposal struct {
	Epoch      uint64
	Height     uint64
	Round      uint64
	ID         common.Hash
	ValidRound uint64 // round + 1 of the prevote certificate that the proposer shows, or NoRound
	Counter    uint64
}

// Kind implements Body.
func (Proposal) Kind() Kind { return KindProposal }

// Check implements Body.
func (p Proposal) Check() error {
	if p.ID == (common.Hash{}) {
		return fmt.Errorf("proposal of nil")
	}
	if p.ValidRound > p.Round {
		return fmt.Errorf("valid round %d is not before round %d", p.ValidRound-1, p.Round)
	}
	return nil
}

// Phase is which of the two votes of a round a [Vote] is.
type Phase uint8

// The two phases.
const (
	Prevote   Phase = 1
	Precommit Phase = 2
)

func (p Phase) String() string {
	switch p {
	case Prevote:
		return "prevote"
	case Precommit:
		return "precommit"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Vote is a prevote or a precommit for a value, or for nil when ID is zero.
type Vote struct {
	Epoch   uint64
	Height  uint64
	Round   uint64
	Phase   Phase
	ID      common.Hash
	Counter uint64
}

// Kind implements Body: the two phases are two kinds, so that neither can be shown as the other.
func (v Vote) Kind() Kind {
	if v.Phase == Precommit {
		return KindPrecommit
	}
	return KindPrevote
}

// Check implements Body.
func (v Vote) Check() error {
	if v.Phase != Prevote && v.Phase != Precommit {
		return fmt.Errorf("unknown phase %d", v.Phase)
	}
	return nil
}

// Ballot is what differs between the votes of one quorum certificate.
type Ballot struct {
	Counter uint64
	Sig     Signature
}

// UncheckedQC is a quorum certificate as it travels: exactly q votes of one phase, round and value, in signers' order.
type UncheckedQC struct {
	Epoch  uint64
	Height uint64
	Round  uint64
	Phase  Phase
	ID     common.Hash
	Votes  []Ballot
}

// QC is a verified quorum certificate. Its zero value certifies nothing.
type QC struct {
	u       UncheckedQC
	signers Members
}

// Unchecked returns the plain fields, for encoding.
func (q QC) Unchecked() UncheckedQC { return q.u }

// Height, Round, Phase and ID say what was voted on.
func (q QC) Height() uint64 { return q.u.Height }

// Round returns the round of the votes.
func (q QC) Round() uint64 { return q.u.Round }

// Phase returns which vote it was.
func (q QC) Phase() Phase { return q.u.Phase }

// ID returns the value's id, zero for nil.
func (q QC) ID() common.Hash { return q.u.ID }

// Signers returns who voted, ascending.
func (q QC) Signers() Members { return slices.Clone(q.signers) }

// Zero reports whether this is no certificate at all.
func (q QC) Zero() bool { return len(q.signers) == 0 }

// Verify checks the votes against the roster of the epoch.
func (u UncheckedQC) Verify(network common.Hash, r Roster) (QC, error) {
	if u.Epoch != r.Epoch {
		return QC{}, fmt.Errorf("%w: of epoch %d, in force is %d", ErrCertificate, u.Epoch, r.Epoch)
	}
	if u.Phase != Prevote && u.Phase != Precommit {
		return QC{}, fmt.Errorf("%w: unknown phase %d", ErrCertificate, u.Phase)
	}
	signers, err := verifyVotes(r.IDs(), len(u.Votes), func(i int) (common.Hash, Signature) {
		v := Vote{u.Epoch, u.Height, u.Round, u.Phase, u.ID, u.Votes[i].Counter}
		return Digest(v.Kind(), network, v), u.Votes[i].Sig
	})
	if err != nil {
		return QC{}, err
	}
	return QC{u: u, signers: signers}, nil
}

// NewQC adds votes up to a certificate for id. ok is false when fewer than q members of the roster voted for it there.
func NewQC(r Roster, height, round uint64, phase Phase, id common.Hash, votes []Signed[Vote]) (QC, bool) {
	var fit []Signed[Vote]
	for _, v := range votes {
		b := v.body
		if b.Epoch == r.Epoch && b.Height == height && b.Round == round && b.Phase == phase && b.ID == id && r.IDs().Has(v.signer) {
			fit = append(fit, v)
		}
	}
	fit = distinctSigners(fit)
	if len(fit) < r.Q() {
		return QC{}, false
	}
	qc := QC{u: UncheckedQC{Epoch: r.Epoch, Height: height, Round: round, Phase: phase, ID: id}}
	for _, v := range fit[:r.Q()] {
		qc.u.Votes = append(qc.u.Votes, Ballot{v.body.Counter, v.sig})
		qc.signers = append(qc.signers, v.signer)
	}
	return qc, true
}

// UncheckedDecision is a decided value with the precommits that decided it, as it travels and as it is stored.
type UncheckedDecision struct {
	Commit UncheckedQC
	Value  []byte
}

// Committed is a decision whose commit certificate was verified: the only thing from which a payment may follow.
type Committed struct {
	qc    QC
	value []byte
}

// Height returns the decided height.
func (c Committed) Height() uint64 { return c.qc.u.Height }

// ID returns the decided value's id.
func (c Committed) ID() common.Hash { return c.qc.u.ID }

// Value returns the decided bytes. The caller must not change them.
func (c Committed) Value() []byte { return c.value }

// QC returns the commit certificate.
func (c Committed) QC() QC { return c.qc }

// Unchecked returns the plain fields, for encoding.
func (c Committed) Unchecked() UncheckedDecision { return UncheckedDecision{c.qc.u, c.value} }

// Zero reports whether this is no decision.
func (c Committed) Zero() bool { return c.qc.Zero() }

// ValueID is the id of a value: the batch digest of its bytes.
func ValueID(network common.Hash, value []byte) common.Hash {
	return digestRaw(KindBatch, network, value)
}

// Verify checks that the commit certificate is of precommits, by the roster, for exactly this value.
func (u UncheckedDecision) Verify(network common.Hash, r Roster) (Committed, error) {
	qc, err := u.Commit.Verify(network, r)
	if err != nil {
		return Committed{}, err
	}
	return NewCommitted(network, qc, u.Value)
}

// NewCommitted joins a verified commit certificate with its value.
func NewCommitted(network common.Hash, qc QC, value []byte) (Committed, error) {
	if qc.Zero() || qc.u.Phase != Precommit || qc.u.ID == (common.Hash{}) {
		return Committed{}, fmt.Errorf("%w: not a commit certificate", ErrCertificate)
	}
	if ValueID(network, value) != qc.u.ID {
		return Committed{}, fmt.Errorf("%w: the value is not the one that was voted on", ErrCertificate)
	}
	return Committed{qc: qc, value: slices.Clone(value)}, nil
}
