package quorum

import "github.com/ethereum/go-ethereum/common"

// VotePlace is a place of agreement in which a member has one word: a proposal, a prevote or a precommit of a round.
type VotePlace struct {
	Kind          Kind
	Height, Round uint64
}

// Place is where the proposal stands.
func (p Proposal) Place() VotePlace { return VotePlace{p.Kind(), p.Height, p.Round} }

// Place is where the vote stands.
func (v Vote) Place() VotePlace { return VotePlace{v.Kind(), v.Height, v.Round} }

// VotePlaceOf returns where a member's signed statement stands; ok is false for what is no proposal and no vote. It fails as
// [Open] does.
func VotePlaceOf(network common.Hash, members Members, raw []byte) (at VotePlace, ok bool, err error) {
	kind, err := PeekKind(raw)
	if err != nil {
		return VotePlace{}, false, err
	}
	switch kind {
	case KindProposal:
		p, err := open[Proposal](network, members, raw)
		return p.Place(), err == nil, err
	case KindPrevote, KindPrecommit:
		v, err := open[Vote](network, members, raw)
		return v.Place(), err == nil, err
	}
	return VotePlace{}, false, nil
}

// place is p as [Conflict] compares it.
func (p VotePlace) place(claim string) place {
	return place{RuleVotes, p.Kind, common.Address{}, [4]uint64{p.Height, p.Round}, claim}
}
