package node

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/tss"
)

// reshare is [ceremony.keygen] for a key that is there already. The old share stays in the vault until the new epoch is decided.
func (f *ceremony) reshare(c *core, session common.Hash, pre *tss.PreParams) func() (*tss.Key, tss.Outcome) {
	old, ids := c.state.Roster, f.target.IDs()
	req := tss.ReshareRequest{
		Session: session, Public: c.state.Key,
		OldEpoch: old.Epoch, OldMembers: old.IDs(), OldThreshold: old.Q(), Dealers: f.dealers(c),
		Epoch: f.target.Epoch, Members: ids, Threshold: ids.Q(),
		PreParams: pre, RoundTimeout: keygenRound, Save: f.saving(c), Progress: f.progress(c),
	}
	if c.signer != nil {
		req.Share = c.signer.share
	}
	return func() (*tss.Key, tss.Outcome) { return c.engine.Reshare(f.session, req) }
}
