package devnet

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"

	"conclave/node"
)

// conserved compares the chain with the books to the wei: what each recipient got, what the payer has left, that every
// transaction is one of ours, and what the Relay believes of each user.
func (n *Network) conserved(ctx context.Context, p progress) error {
	if !n.o.simulated() {
		return n.paidRight(ctx, p)
	}
	return errors.Join(n.paidRight(ctx, p), n.requested(p), n.settledBalances(ctx))
}

// Books follow the Relay: its own rows are pending for a moment before anyone may read them.
const (
	balancePatience = 20 * time.Second
	balanceEvery    = 500 * time.Millisecond
)

// settledBalances compares balances until they agree, or fails with the last difference.
func (n *Network) settledBalances(ctx context.Context) error {
	for deadline := time.Now().Add(balancePatience); ; {
		err := n.balances(ctx)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(balanceEvery):
		}
	}
}

// paidRight checks each payment's transaction and the payer's balance on the chain.
func (n *Network) paidRight(ctx context.Context, p progress) error {
	client, err := ethclient.DialContext(ctx, n.chainURL)
	if err != nil {
		return err
	}
	defer client.Close()
	spent, seen := new(big.Int), map[common.Hash]uint64{}
	for _, w := range p.all {
		if w.Tx == nil {
			continue
		}
		if other, twice := seen[*w.Tx]; twice {
			return fmt.Errorf("withdrawals %d and %d claim one transaction", other, w.ID)
		}
		seen[*w.Tx] = w.ID
		cost, err := checkPayment(ctx, client, w)
		if err != nil {
			return fmt.Errorf("withdrawal %d: %w", w.ID, err)
		}
		spent.Add(spent, cost)
	}
	nonce, err := client.NonceAt(ctx, n.payer, nil)
	if err != nil {
		return err
	}
	if int(nonce) != len(seen) {
		return fmt.Errorf("the payer sent %d transactions, %d withdrawals were paid", nonce, len(seen))
	}
	if n.world.chain == nil {
		return nil
	}
	left, err := client.BalanceAt(ctx, n.payer, nil)
	if err != nil {
		return err
	}
	if want := new(big.Int).Sub(coins(payerFunds), spent); left.Cmp(want) != 0 {
		return fmt.Errorf("the payer has %s wei, the books leave %s", left, want)
	}
	return nil
}

// checkPayment compares one transaction with its withdrawal and returns all that it took from the payer.
func checkPayment(ctx context.Context, client *ethclient.Client, w node.WithdrawalView) (*big.Int, error) {
	tx, pending, err := client.TransactionByHash(ctx, *w.Tx)
	if err != nil {
		return nil, err
	}
	receipt, err := client.TransactionReceipt(ctx, *w.Tx)
	if err != nil {
		return nil, err
	}
	switch {
	case pending || receipt.Status != 1:
		return nil, errors.New("the transaction did not succeed")
	case tx.To() == nil || *tx.To() != w.To:
		return nil, errors.New("the transaction pays somebody else")
	case tx.Value().String() != w.Amount:
		return nil, fmt.Errorf("the transaction pays %s wei, owed is %s", tx.Value(), w.Amount)
	}
	gas := new(big.Int).Mul(receipt.EffectiveGasPrice, new(big.Int).SetUint64(receipt.GasUsed))
	return gas.Add(gas, tx.Value()), nil
}

// requested checks that what users asked for is what was paid, where it had to go.
func (n *Network) requested(p progress) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	paid := map[uint64]node.WithdrawalView{}
	for _, w := range p.all {
		paid[w.ID] = w
	}
	for _, r := range n.requests {
		w, ok := paid[r.id]
		if !ok || w.Outcome != "paid" || w.To != r.to || w.Account != r.user || w.Amount != r.amount.String() {
			return fmt.Errorf("withdrawal %d of %s to %s is not what was paid", r.id, r.user, r.to)
		}
	}
	return nil
}

// balances compares every user's balance in every custodian's books with the Relay's.
func (n *Network) balances(ctx context.Context) error {
	users := map[common.Address]bool{n.world.fee: true}
	for _, r := range n.requests {
		users[r.user] = true
	}
	for i, c := range n.all() {
		for user := range users {
			var a node.AccountView
			if err := c.ask(ctx, &a, "custodian_account", user); err != nil {
				select {
				case <-c.process().done:
					continue // it was reported; it has no books to compare
				default:
					return fmt.Errorf("custodian %d: account %s: %w", i, user, err)
				}
			}
			if want := n.world.sim.Balance(user); a.Balance != want.String() {
				return fmt.Errorf("custodian %d: account %s has %s in its books, %s at the Relay", i, user, a.Balance, want)
			}
		}
	}
	return nil
}
