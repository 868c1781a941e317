package devnet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"

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
