package node

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
)

// FlowStatus is the running account of what the payer holds of one token: initial + inflow = wallet + paid + fees + lost.
type FlowStatus struct {
	Token   common.Address `json:"token"` // zero: the chain's coin
	Initial string         `json:"initial"`
	Inflow  string         `json:"inflow"`
	Wallet  string         `json:"wallet"`
	Paid    string         `json:"paid"`
	Claims  string         `json:"claimable"` // of what is paid: what batches left with the contract for recipients that did not take it
	Fees    string         `json:"fees"`
	Lost    string         `json:"lost"`
	Since   uint64         `json:"since_block"`
	Block   uint64         `json:"block"` // the last one at which it moved
}

// describeFlows fills each lane's accounts: of its token, and of the coin that pays its gas.
func (n *Node) describeFlows(tx *ledger.Tx, s *Status) error {
	return tx.Flows(func(f ledger.Flow) error {
		claimable, err := tx.Claimable(f.Key)
		if err != nil {
			return err
		}
		for i, l := range s.Lanes {
			mine := l.Payer != nil && l.ChainID == f.Key.ChainID && *l.Payer == f.Key.Payer
			if !mine || (f.Key.Token != l.Token && f.Key.Token != (common.Address{})) {
				continue
			}
			s.Lanes[i].Flows = append(s.Lanes[i].Flows, FlowStatus{Token: f.Key.Token, Initial: f.Initial.Dec(), Inflow: f.Inflow.Dec(),
				Wallet: f.Wallet.Dec(), Paid: f.Paid.Dec(), Claims: claimable.Dec(), Fees: f.Fees.Dec(), Lost: f.Lost.Dec(), Since: f.FromBlock, Block: f.Block})
		}
		return nil
	})
}
