package devnet

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/holiman/uint256"

	"conclave/node"
)

// callsFor is how long custodians call for money until somebody hears them.
const callsFor = 20 * time.Second

// walletLow is the reason by which a custodian calls for money.
const walletLow = "wallet-low"

// atFirst is what the payer gets before users withdraw, in whole coins.
func (n *Network) atFirst() int64 {
	if n.o.Funds > 0 {
		return int64(n.o.Funds)
	}
	return payerFunds
}

// topUp brings the rest when custodians have called for it for a while.
func (n *Network) topUp(ctx context.Context, failed chan<- error) {
	var since time.Time
	for since.IsZero() || time.Since(since) < callsFor {
		if pause(ctx, watchEvery) != nil {
			return
		}
		s, err := n.status(ctx)
		i := slices.IndexFunc(s.Reasons, func(r node.Reason) bool { return r.Code == walletLow })
		if err == nil && i >= 0 && since.IsZero() {
			since = time.Now()
			n.say("custodians call for money: %s", s.Reasons[i].Text)
		}
	}
	if err := n.bring(ctx); err != nil && ctx.Err() == nil {
		failed <- fmt.Errorf("top up: %w", err)
	}
}

func (n *Network) bring(ctx context.Context) error {
	faucet, err := n.world.chain.Faucet()
	if err != nil {
		return err
	}
	defer faucet.Close()
	rest := new(big.Int).Sub(coins(payerFunds), coins(n.atFirst()))
	tx, err := faucet.Transfer(ctx, n.payer, *uint256.MustFromBig(rest))
	if err != nil {
		return err
	}
	n.say("the payer is topped up")
	return faucet.Wait(ctx, tx)
}
