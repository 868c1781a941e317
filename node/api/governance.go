package api

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/node"
	"conclave/quorum"
)

// Governance takes what operators sign. *node.Node is one. Actions prove themselves by their operators' signatures, so it
// does not matter who brings them.
type Governance interface {
	Committee(ctx context.Context) (node.CommitteeView, error)
	Proposals(ctx context.Context) ([]node.ProposalView, error)
	Proposal(ctx context.Context, hash common.Hash) (node.ProposalView, error)
	Submit(ctx context.Context, rlp string) (node.ProposalView, error)
	Endorse(ctx context.Context, hash common.Hash, at uint64, sig quorum.Signature) (node.ProposalView, error)
	Case(q node.CaseQuery) (node.CaseView, error)
	Slot(ctx context.Context, q node.SlotQuery) (node.SlotView, error)
}

var _ Governance = (*node.Node)(nil)

// governance holds the methods governance_*.
type governance struct {
	g   Governance
	log *zap.Logger
}

var governanceMethods = []described{
	{"Committee", "What operators sign against: network, members, policy in force, serials, and the halts that stand.", nil, nil},
	{"Proposals", "The operators' actions that are not decided yet.", nil, nil},
	{"Proposal", "One of them, with its bytes.", []string{"hash"}, []int{CodeUnknown}},
	{"Submit", "Hand in an action that at least one operator signed.", []string{"rlp"}, []int{CodeAction}},
	{"Sign", "Add an operator's signature to an action that this node holds.", []string{"hash", "signature"}, []int{CodeUnknown, CodeAction}},
	{"Case", "What a RESOLVE needs to know of withdrawals and accounts, as this node's books have them.", []string{"query"}, []int{CodeUnknown, CodeAction}},
	{"Slot", "What was decided for a nonce, as a CANCEL names it.", []string{"query"}, []int{CodeUnknown}},
}

// Committee is governance_committee.
func (g *governance) Committee(ctx context.Context) (answer[node.CommitteeView], error) {
	return ask(ctx, g.log, g.g.Committee)
}

// Proposals is governance_proposals.
func (g *governance) Proposals(ctx context.Context) (answer[[]node.ProposalView], error) {
	return ask(ctx, g.log, g.g.Proposals)
}

// Proposal is governance_proposal.
func (g *governance) Proposal(ctx context.Context, hash common.Hash) (answer[node.ProposalView], error) {
	return ask(ctx, g.log, func(ctx context.Context) (node.ProposalView, error) { return g.g.Proposal(ctx, hash) })
}

// Submit is governance_submit.
func (g *governance) Submit(ctx context.Context, rlp string) (answer[node.ProposalView], error) {
	return ask(ctx, g.log, func(ctx context.Context) (node.ProposalView, error) {
		v, err := g.g.Submit(ctx, rlp)
		return v, actionError(err)
	})
}

// OperatorSignature is one operator's signature under an action, as governance_sign takes it.
type OperatorSignature struct {
	Time      uint64 `json:"time"`      // unix ms, as it was signed
	Signature string `json:"signature"` // 0x-hex of 65 bytes, v 0 or 1, low s
}

// Sign is governance_sign.
func (g *governance) Sign(ctx context.Context, hash common.Hash, s OperatorSignature) (answer[node.ProposalView], error) {
	return ask(ctx, g.log, func(ctx context.Context) (node.ProposalView, error) {
		var sig quorum.Signature
		if err := sig.UnmarshalText([]byte(s.Signature)); err != nil {
			return node.ProposalView{}, fail(CodeAction, "%s", err)
		}
		v, err := g.g.Endorse(ctx, hash, s.Time, sig)
		return v, actionError(err)
	})
}

// Case is governance_case.
func (g *governance) Case(ctx context.Context, q node.CaseQuery) (answer[node.CaseView], error) {
	return ask(ctx, g.log, func(context.Context) (node.CaseView, error) {
		v, err := g.g.Case(q)
		return v, actionError(err)
	})
}

// Slot is governance_slot.
func (g *governance) Slot(ctx context.Context, q node.SlotQuery) (answer[node.SlotView], error) {
	return ask(ctx, g.log, func(ctx context.Context) (node.SlotView, error) { return g.g.Slot(ctx, q) })
}

// actionError gives the rules' word on an action its place in the table.
func actionError(err error) error {
	if errors.Is(err, node.ErrAction) || errors.Is(err, quorum.ErrAction) {
		return fail(CodeAction, "%s", err)
	}
	return err
}
