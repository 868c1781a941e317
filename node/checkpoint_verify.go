package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"conclave/ledger"
	"conclave/quorum"
)

// EvidenceVerdict is what a piece of evidence is worth to somebody who trusts nothing but the genesis document.
type EvidenceVerdict string

// The verdicts.
const (
	// EvidenceProves: signatures convict the member, or show that two versions of a range were signed. Which rows they differ
	// in is the word of the node that shows them: it takes all rows of the range to compute what was signed.
	EvidenceProves EvidenceVerdict = "proves"
	EvidenceRecord EvidenceVerdict = "record" // what makes it a fault is the word of the node that shows it
	EvidenceFalse  EvidenceVerdict = "false"  // it does not show what it claims
)

// ErrEvidence means that a piece of evidence does not show what it claims.
var ErrEvidence = errors.New("not what it claims to be")

// VerifyEvidence judges a piece of evidence by its bytes and the genesis document alone: later members follow from the decisions
// that the view carries. Whom it names must have signed what it shows of them, as a member of the epoch that stands in it: nobody
// can be framed by bytes of others.
func VerifyEvidence(g quorum.Genesis, e EvidenceView) (EvidenceVerdict, error) {
	network := g.ID()
	if e.Network != network {
		return EvidenceFalse, fmt.Errorf("%w: of network %s, not %s", ErrEvidence, e.Network, network)
	}
	rosters, err := successions(g, e.Successions)
	if err != nil {
		return EvidenceFalse, err
	}
	v := verifier{network: network, rosters: rosters, lanes: g.Lanes}
	switch e.Kind {
	case evidenceRangeCertified, evidenceRangeSplit, evidenceRangeOne:
		if e.Member != nil {
			return EvidenceFalse, fmt.Errorf("%w: two versions of a range convict nobody", ErrEvidence)
		}
		return v.verdict(v.ranges(e))
	}
	if e.Range != nil {
		return EvidenceFalse, fmt.Errorf("%w: rows of a range beside what is not about one", ErrEvidence)
	}
	piece := ledger.Evidence{Kind: ledger.EvidenceKind(e.Kind)}
	if e.Member != nil {
		if piece.Member = *e.Member; piece.Member == (common.Address{}) {
			return EvidenceFalse, fmt.Errorf("%w: the member is nobody", ErrEvidence)
		}
	}
	if piece.First, err = single(e.First); err != nil {
		return EvidenceFalse, err
	}
	if len(e.Second) > 0 {
		if piece.Second, err = single(e.Second); err != nil {
			return EvidenceFalse, err
		}
	}
	return v.piece(piece)
}

// verifier knows who the members are, and were.
type verifier struct {
	network common.Hash
	rosters []quorum.Roster // by epoch
	lanes   []quorum.Lane
}

func (verifier) verdict(err error) (EvidenceVerdict, error) {
	if err != nil {
		return EvidenceFalse, err
	}
	return EvidenceProves, nil
}

// roster is who ruled in an epoch; it fails with [quorum.ErrEpochUnknown].
func (v verifier) roster(epoch uint64) (quorum.Roster, error) {
	if epoch >= uint64(len(v.rosters)) {
		return quorum.Roster{}, fmt.Errorf("%w: %d", quorum.ErrEpochUnknown, epoch)
	}
	return v.rosters[epoch], nil
}

// committee is roster as [quorum.Committees].
func (v verifier) committee(epoch uint64) (quorum.Members, error) {
	r, err := v.roster(epoch)
	return r.IDs(), err
}

// ruled reports whether an address was a member in any epoch.
func (v verifier) ruled(id common.Address) bool {
	return slices.ContainsFunc(v.rosters, func(r quorum.Roster) bool { return r.IDs().Has(id) })
}

// checkpoint opens a member's word on a range.
func (v verifier) checkpoint(raw []byte) (quorum.Signed[quorum.Checkpoint], error) {
	var all quorum.Members
	for _, r := range v.rosters {
		all = append(all, r.IDs()...)
	}
	slices.SortFunc(all, common.Address.Cmp)
	s, err := quorum.Open[quorum.Checkpoint](v.network, slices.Compact(all), raw)
	if err != nil {
		return s, err
	}
	in, err := v.committee(s.Body().Epoch)
	if err == nil && !in.Has(s.Signer()) {
		err = fmt.Errorf("%w: in epoch %d", quorum.ErrNotMember, s.Body().Epoch)
	}
	return s, err
}

// single is the one exhibit of a side.
func single(side []Exhibit) ([]byte, error) {
	if len(side) != 1 {
		return nil, fmt.Errorf("%w: a side of %d exhibits", ErrEvidence, len(side))
	}
	raw, err := hexutil.Decode(side[0].RLP)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	return raw, nil
}

// ranges: two versions of one range were signed. Neither side convicts: members that are shown different logs sign
// different words honestly.
func (v verifier) ranges(e EvidenceView) error {
	if e.Range == nil || len(e.Second) == 0 {
		return fmt.Errorf("%w: no second version", ErrEvidence)
	}
	raw, err := single(e.First)
	if err != nil {
		return err
	}
	mine, err := v.checkpoint(raw)
	if err != nil || mine.Body().Range != e.Range.Range {
		return errors.Join(fmt.Errorf("%w: the first version", ErrEvidence), err)
	}
	signers := map[common.Address]bool{}
	var theirs *quorum.Checkpoint
	for _, x := range e.Second {
		raw, err := hexutil.Decode(x.RLP)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrEvidence, err)
		}
		said, by, err := v.word(raw)
		if err != nil {
			return fmt.Errorf("%w: the second version: %w", ErrEvidence, err)
		}
		if theirs == nil {
			theirs = &said
		}
		if !theirs.Same(said) || said.Same(mine.Body()) || said.Range != e.Range.Range {
			return fmt.Errorf("%w: the versions are not two of one range", ErrEvidence)
		}
		for _, a := range by {
			signers[a] = true
		}
	}
	r, err := v.roster(mine.Body().Epoch)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	need := map[string]int{evidenceRangeCertified: r.Q(), evidenceRangeSplit: r.F() + 1, evidenceRangeOne: 1}[e.Kind]
	if len(signers) < need {
		return fmt.Errorf("%w: %d members signed, %s needs %d", ErrEvidence, len(signers), e.Kind, need)
	}
	return nil
}

// word reads a certificate or a single checkpoint.
func (v verifier) word(raw []byte) (quorum.Checkpoint, quorum.Members, error) {
	if s, err := v.checkpoint(raw); err == nil {
		return s.Body(), quorum.Members{s.Signer()}, nil
	}
	var u quorum.UncheckedCheckpoint
	if err := unmarshal(raw, &u); err != nil {
		return quorum.Checkpoint{}, nil, err
	}
	r, err := v.roster(u.Checkpoint.Epoch)
	if err != nil {
		return quorum.Checkpoint{}, nil, err
	}
	cert, err := u.Verify(v.network, r)
	return u.Checkpoint, cert.Signers(), err
}
