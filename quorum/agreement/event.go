package agreement

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Event is what can happen to a height. Everything in it was verified before: the types that carry signatures cannot be
// made otherwise.
type Event interface{ event() }

// Begin starts the height: this node has work for it. On a state from [Resume] it sends the own messages again. A height
// also begins by itself once f+1 other members speak in it; Begin is then, and ever after, without effect.
type Begin struct{}

// Tick says only that time passed: give it when [Effects].Wake is reached.
type Tick struct{}

// ProposalSeen is a proposal whose value the driver holds and has judged, or the own one that [Commit].Proposal asked for.
// Do not give a proposal whose value cannot be judged yet; give it when it can. Giving it again replaces the judgement as
// long as no prevote followed from it.
type ProposalSeen struct {
	Proposal quorum.Signed[quorum.Proposal]
	Valid    bool      // Valid(batch); ignored on the own proposal
	Refrain  bool      // the value is a PAYOUT and this node is halted; ignored on the own proposal
	Pol      quorum.QC // the certificate that came with it, or the zero QC
}

// VoteSeen is a vote of a member, or the own one that [Commit].Votes asked for.
type VoteSeen struct{ Vote quorum.Signed[quorum.Vote] }

// CertificateSeen is a verified quorum certificate of prevotes or precommits, from beside a vote or from anywhere.
type CertificateSeen struct{ QC quorum.QC }

// ValueReady says that the bytes of a value are held and were judged: the answer to [Effects].Fetch.
type ValueReady struct {
	ID    common.Hash
	Valid bool
}

// Built answers [Effects].Build with a new value, valid and held by the driver. It may come as late as the round allows.
type Built struct {
	Round uint64
	ID    common.Hash
}

// NothingToPropose answers [Effects].Build when nothing will come in that round; the proposer then does not wait for
// itself. While something may still come, say nothing and answer with [Built] later.
type NothingToPropose struct{ Round uint64 }

func (Begin) event()            {}
func (Tick) event()             {}
func (ProposalSeen) event()     {}
func (VoteSeen) event()         {}
func (CertificateSeen) event()  {}
func (ValueReady) event()       {}
func (Built) event()            {}
func (NothingToPropose) event() {}
