package simnet

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
	"conclave/chain/memchain"
)

// liar is a second endpoint of a custodian that can be told to lie: about where an account's money goes, and about
// deposits that never were.
type liar struct {
	*memchain.Endpoint
	lies *atomic.Bool
}

// BenefitAddress implements chain.Endpoint.
func (l liar) BenefitAddress(ctx context.Context, contract, who common.Address, at chain.Header) (common.Address, error) {
	if l.lies.Load() {
		return place("thief"), nil
	}
	return l.Endpoint.BenefitAddress(ctx, contract, who, at)
}

// Receipt implements chain.Endpoint.
func (l liar) Receipt(ctx context.Context, hash common.Hash) (chain.Receipt, error) {
	r, err := l.Endpoint.Receipt(ctx, hash)
	if err == nil && l.lies.Load() {
		r.Status = 1 - r.Status
	}
	return r, err
}

// endpoint is the custodian's way to the chain: one endpoint, or in a world of more the agreement of two.
func (c *Custodian) endpoint() (chain.Endpoint, error) {
	if c.w.cfg.Endpoints < 2 {
		return c.Chain, nil
	}
	return chain.NewAgreeing(2, c.Chain, liar{c.w.Chain.Endpoint(c.Name + " second"), &c.EndpointLies})
}

var errLost = errors.New("connection lost after the request was sent")

// SendRaw broadcasts, and when the custodian's broadcasts seem to fail it says so although the chain has the transaction.
func (d chainDoor) SendRaw(ctx context.Context, raw []byte) error {
	if !d.c.passes("broadcast") {
		return memchain.ErrDown
	}
	err := d.Endpoint.SendRaw(ctx, raw)
	if d.of.BroadcastsSeemToFail.Load() {
		return errLost
	}
	return err
}
