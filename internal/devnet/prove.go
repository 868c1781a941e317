package devnet

import (
	"context"
	"fmt"

	"conclave/node"
)

// maxProven bounds how many payments are looked at as an auditor would: with a decision in each proof, thousands take minutes.
const maxProven = 200

// proven asks custodians in turn for the proofs of payments, and judges each by the genesis document alone: as many as that, spread
// over all of them. One may hear of the last certificate a moment after the others.
func (n *Network) proven(ctx context.Context, p progress) (count int, err error) {
	step := max(1, len(p.all)/maxProven)
	for i := 0; i < len(p.all); i += step {
		w := p.all[i]
		if w.Outcome != "paid" {
			continue
		}
		err := until(ctx, balancePatience, func(ctx context.Context) error { return n.provenBy(ctx, i, w) })
		if err != nil {
			return count, fmt.Errorf("proof of withdrawal %d: %w", w.ID, err)
		}
		count++
	}
	return count, nil
}

func (n *Network) provenBy(ctx context.Context, first int, w node.WithdrawalView) error {
	var proof node.Proof
	if err := n.anyoneFrom(ctx, first, &proof, "custodian_payment", w.ID); err != nil {
		return err
	}
	got, err := node.VerifyProof(n.genesis, proof)
	if err != nil {
		return err
	}
	if got.Proves != node.ProvesPaid || got.ID != w.ID || got.To != w.To.Hex() || got.Amount != w.Amount || w.Tx == nil || *got.Tx != *w.Tx {
		return fmt.Errorf("it shows %s of %s to %s by %s", got.Proves, got.Amount, got.To, got.Tx)
	}
	return nil
}
