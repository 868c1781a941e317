package node

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// paymentOf derives the payment of a decided batch from its bytes alone. The contract that pays a batch knows it by the
// decision's id.
func paymentOf(network common.Hash, value []byte, lanes []quorum.Lane) (chain.Payment, error) {
	b, err := batch.Decode(value)
	if err != nil {
		return chain.Payment{}, err
	}
	switch b.Kind {
	case batch.Sweep:
		return sweepPayment(b, lanes)
	case batch.Cancel:
		return cancelPayment(b), nil
	}
	if b.Kind == batch.Allow {
		return allowPayment(b, lanes)
	}
	if len(b.Items) == 0 {
		return chain.Payment{}, errors.New("the batch pays nobody")
	}
	for _, l := range lanes {
		if l.Key(b.Lane.Payer) != b.Lane {
			continue
		}
		payees := make([]chain.Payee, len(b.Items))
		for i, it := range b.Items {
			payees[i] = chain.Payee{To: it.Content.To, Amount: it.Content.Amount}
		}
		fees := chain.Fees{Offer: b.Offer, Tip: b.Tip, FeeCap: b.FeeCap}
		return chain.Pay(chainLane(l), b.Lane.Payer, b.Nonce, quorum.ValueID(network, value), payees, b.GasLimit, fees), nil
	}
	return chain.Payment{}, fmt.Errorf("no lane of chain %d", b.Lane.ChainID)
}

// chainLane is a genesis lane as the chain room knows it.
func chainLane(l quorum.Lane) chain.Lane {
	out := chain.Lane{
		Network: l.Network, ChainID: l.ChainID, Token: l.Token, Deposit: l.DepositAddress,
		BenefitContract: l.BenefitContract, Way: l.Way, Contract: l.Contract, Finality: chain.Finality{Depth: l.Finality},
	}
	if l.Finality == 0 {
		out.Finality = chain.Finality{Tag: true}
	}
	return out
}
