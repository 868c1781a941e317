package devnet

import (
	"context"
	"errors"
	"fmt"
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

// paidRight checks each payment's transaction and the payer's balances on the chain.
func (n *Network) paidRight(ctx context.Context, p progress) error {
	client, err := ethclient.DialContext(ctx, n.chainURL)
	if err != nil {
		return err
	}
	defer client.Close()
	groups := map[common.Hash][]node.WithdrawalView{}
	for _, w := range p.all {
		if w.Tx != nil {
			groups[*w.Tx] = append(groups[*w.Tx], w)
		}
	}
	var all cost
	for hash, paid := range groups {
		c, err := n.checkTransaction(ctx, client, hash, paid)
		if err != nil {
			return fmt.Errorf("transaction %s: %w", hash, err)
		}
		all.add(c)
	}
	besides, err := n.besides(ctx, client, groups, &all)
	if err != nil {
		return err
	}
	var sent uint64
	for _, payer := range n.payers() {
		nonce, err := client.NonceAt(ctx, payer, nil)
		if err != nil {
			return err
		}
		sent += nonce
	}
	if int(sent) != len(groups)+besides {
		return fmt.Errorf("the payer sent %d transactions, withdrawals were paid by %d, and %d swept it, allowed tokens or cancelled", sent, len(groups), besides)
	}
	if n.world.chain == nil {
		return nil
	}
	return n.leftRight(ctx, client, all)
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
		if !ok || w.Outcome != "paid" || w.Network != r.lane || w.To != r.to || w.Account != r.user || w.Amount != r.amount.String() {
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
