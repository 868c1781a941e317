package devnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"

	"conclave/node"
)

// sweepPatience is how long making another key and emptying the old payer may take.
const sweepPatience = 5 * time.Minute

// dustWei is what may stay behind with a swept payer: less than the gas of a handful of payments.
const dustWei = 5_000_000_000_000_000

// removeForCause lets operators put a newcomer in the third custodian's place and order a sweep behind it: the same members then
// make another key, and everything goes to its address. Users withdraw before, while, and after.
func (n *Network) removeForCause(ctx context.Context) error {
	fifth, err := n.newcomer(ctx)
	if err != nil {
		return fmt.Errorf("a newcomer: %w", err)
	}
	after := []int{0, 1, 3, 4}
	if err := n.change(ctx, []int{0, 1, 3}, after, "replace", "custodian-2", filepath.Join(fifth.home, "member.json"), "--sweep"); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	if err := n.left(ctx, 2); err != nil {
		return err
	}
	began := time.Now()
	var payer common.Address
	for _, i := range after {
		if payer, err = n.sweptAt(ctx, i); err != nil {
			return err
		}
	}
	n.mu.Lock()
	n.old, n.payer = n.payer, payer
	n.epochs++
	n.target += afterChange
	n.mu.Unlock()
	n.say("sweep: %s pays now, and %s is empty, %.1f s after the change", payer, n.old, time.Since(began).Seconds())
	return n.world.live(ctx, afterChange, n.made)
}

// sweptAt waits until a custodian pays from another address and has nothing left to sweep.
func (n *Network) sweptAt(ctx context.Context, i int) (payer common.Address, err error) {
	c := n.all()[i]
	return payer, until(ctx, sweepPatience, func(ctx context.Context) error {
		var s node.Status
		var view node.CommitteeView
		if err := errors.Join(c.ask(ctx, &s, "custodian_status"), c.ask(ctx, &view, "governance_committee")); err != nil {
			return fmt.Errorf("custodian %d: %w", i, err)
		}
		if view.Sweep != nil || len(s.Lanes) == 0 || s.Lanes[0].Payer == nil || *s.Lanes[0].Payer == n.paying() {
			return fmt.Errorf("custodian %d goes on with the sweep: %+v", i, view.Sweep)
		}
		payer = *s.Lanes[0].Payer
		return nil
	})
}

// besides finds what the payers sent that paid no withdrawal, and adds what it cost: ALLOWs, and what the swept payer sent. Each of
// that moves coin or token to the payer in force, and nothing else.
func (n *Network) besides(ctx context.Context, client *ethclient.Client, paid map[common.Hash][]node.WithdrawalView, all *cost) (count int, err error) {
	if n.old == (common.Address{}) && !n.o.Tokens {
		return 0, nil
	}
	last, err := client.BlockNumber(ctx)
	if err != nil {
		return 0, err
	}
	signer := types.LatestSignerForChainID(new(big.Int).SetUint64(n.chainID))
	for h := uint64(1); h <= last; h++ {
		block, err := client.BlockByNumber(ctx, new(big.Int).SetUint64(h))
		if err != nil {
			return 0, err
		}
		for _, tx := range block.Transactions() {
			from, err := types.Sender(signer, tx)
			if err != nil || !slices.Contains(n.payers(), from) || paid[tx.Hash()] != nil {
				continue
			}
			gas, allow, err := n.checkAllow(ctx, client, tx)
			if err == nil && !allow {
				if from != n.old {
					continue // the count of its transactions tells
				}
				gas, err = n.checkSweep(ctx, client, tx)
			}
			if err != nil {
				return 0, fmt.Errorf("transaction %s: %w", tx.Hash(), err)
			}
			all.coin.Add(&all.coin, gas)
			count++
		}
	}
	return count, nil
}

// checkSweep returns what a SWEEP's transaction cost in gas.
func (n *Network) checkSweep(ctx context.Context, client *ethclient.Client, tx *types.Transaction) (*big.Int, error) {
	r, err := client.TransactionReceipt(ctx, tx.Hash())
	if err != nil {
		return nil, err
	}
	// transfer(address,uint256): the word behind the selector is the recipient.
	token := tx.To() != nil && *tx.To() == n.world.token && len(tx.Data()) == 68 && tx.Value().Sign() == 0 &&
		bytes.Equal(tx.Data()[4:36], common.LeftPadBytes(n.payer.Bytes(), 32))
	coin := tx.To() != nil && *tx.To() == n.payer && len(tx.Data()) == 0
	if r.Status != types.ReceiptStatusSuccessful || !token && !coin {
		return nil, fmt.Errorf("the swept payer sent it, it pays no withdrawal, and it is no sweep to %s", n.payer)
	}
	return new(big.Int).Mul(r.EffectiveGasPrice, new(big.Int).SetUint64(r.GasUsed)), nil
}

// paying is the payer in force: a sweep changes it while others read.
func (n *Network) paying() common.Address {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.payer
}

// payers are the payer in force and the one that was swept, if one was.
func (n *Network) payers() []common.Address {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.old == (common.Address{}) {
		return []common.Address{n.payer}
	}
	return []common.Address{n.old, n.payer}
}
