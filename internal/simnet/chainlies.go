package simnet

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/memchain"
)

// What the second endpoint of a custodian does, in a world of several.
const (
	EndpointHonest  = "honest"
	EndpointLies    = "lies"    // about where an account's money goes, and about receipts
	EndpointHangs   = "hangs"   // takes connections and answers nothing
	EndpointDrips   = "drips"   // answers after three seconds
	EndpointRefuses = "refuses" // everything, as one that limits its callers
	EndpointStops   = "stops"   // at the block that it has
	EndpointForks   = "forks"   // shows other blocks
	EndpointForgets = "forgets" // the state of all blocks but the newest
)

// How long a bad endpoint takes: as the adapter's own timeout, and longer than anybody should wait.
const (
	hangTime = 10 * time.Second
	dripTime = 3 * time.Second
)

var errRefused = errors.New("HTTP status 429")

// odd is a second endpoint of a custodian that can be told to be bad.
type odd struct {
	*memchain.Endpoint
	kind atomic.Pointer[string]
}

// set makes it bad in one way, or good.
func (o *odd) set(kind string) {
	o.SetStopped(kind == EndpointStops)
	o.SetKept(map[bool]uint64{true: 1}[kind == EndpointForgets])
	o.kind.Store(&kind)
}

func (o *odd) is(kind string) bool { return *o.kind.Load() == kind }

// through does a call as the endpoint does all of them now.
func through[T any](ctx context.Context, o *odd, call func() (T, error)) (out T, err error) {
	late, limit := time.Duration(0), error(nil)
	switch *o.kind.Load() {
	case EndpointHangs:
		late, limit = hangTime, context.DeadlineExceeded
	case EndpointDrips:
		late = dripTime
	case EndpointRefuses:
		limit = errRefused
	}
	if late > 0 {
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-time.After(late):
		}
	}
	if limit != nil {
		return out, limit
	}
	return call()
}

// forked is a block of the fork that only this endpoint is on.
func (o *odd) forked(h chain.Header, err error) (chain.Header, error) {
	if o.is(EndpointForks) {
		h.Hash[0] ^= 0xff
	}
	return h, err
}

// Final implements chain.Endpoint.
func (o *odd) Final(ctx context.Context) (chain.Header, error) {
	return through(ctx, o, func() (chain.Header, error) { return o.forked(o.Endpoint.Final(ctx)) })
}

// HeaderAt implements chain.Endpoint.
func (o *odd) HeaderAt(ctx context.Context, n uint64) (chain.Header, error) {
	return through(ctx, o, func() (chain.Header, error) { return o.forked(o.Endpoint.HeaderAt(ctx, n)) })
}

// NonceAt implements chain.Endpoint.
func (o *odd) NonceAt(ctx context.Context, addr common.Address, at chain.Header) (uint64, error) {
	return through(ctx, o, func() (uint64, error) { return o.Endpoint.NonceAt(ctx, addr, at) })
}

// BalanceAt implements chain.Endpoint.
func (o *odd) BalanceAt(ctx context.Context, token, holder common.Address, at chain.Header) (uint256.Int, error) {
	return through(ctx, o, func() (uint256.Int, error) { return o.Endpoint.BalanceAt(ctx, token, holder, at) })
}

// CodeAt implements chain.Endpoint.
func (o *odd) CodeAt(ctx context.Context, addr common.Address, at chain.Header) ([]byte, error) {
	return through(ctx, o, func() ([]byte, error) { return o.Endpoint.CodeAt(ctx, addr, at) })
}

// Allowance implements chain.Endpoint.
func (o *odd) Allowance(ctx context.Context, token, owner, spender common.Address, at chain.Header) (uint256.Int, error) {
	return through(ctx, o, func() (uint256.Int, error) { return o.Endpoint.Allowance(ctx, token, owner, spender, at) })
}

// BenefitAddress implements chain.Endpoint.
func (o *odd) BenefitAddress(ctx context.Context, contract, who common.Address, at chain.Header) (common.Address, error) {
	return through(ctx, o, func() (common.Address, error) {
		if o.is(EndpointLies) {
			return place("thief"), nil
		}
		return o.Endpoint.BenefitAddress(ctx, contract, who, at)
	})
}

// BenefitLogs implements chain.Endpoint.
func (o *odd) BenefitLogs(ctx context.Context, contract, who common.Address, from, to uint64) ([]chain.Binding, error) {
	return through(ctx, o, func() ([]chain.Binding, error) { return o.Endpoint.BenefitLogs(ctx, contract, who, from, to) })
}

// Transaction implements chain.Endpoint.
func (o *odd) Transaction(ctx context.Context, hash common.Hash) (chain.Transaction, error) {
	return through(ctx, o, func() (chain.Transaction, error) { return o.Endpoint.Transaction(ctx, hash) })
}

// Receipt implements chain.Endpoint.
func (o *odd) Receipt(ctx context.Context, hash common.Hash) (chain.Receipt, error) {
	return through(ctx, o, func() (chain.Receipt, error) {
		r, err := o.Endpoint.Receipt(ctx, hash)
		if err == nil && o.is(EndpointLies) {
			r.Status = 1 - r.Status
		}
		return r, err
	})
}

// Sent implements chain.Endpoint.
func (o *odd) Sent(ctx context.Context, from common.Address, in chain.Header) ([]chain.Transaction, error) {
	return through(ctx, o, func() ([]chain.Transaction, error) { return o.Endpoint.Sent(ctx, from, in) })
}

// SendRaw implements chain.Endpoint.
func (o *odd) SendRaw(ctx context.Context, raw []byte) error {
	_, err := through(ctx, o, func() (struct{}, error) { return struct{}{}, o.Endpoint.SendRaw(ctx, raw) })
	return err
}

// EndpointKinds are all that the second endpoint can do.
func EndpointKinds() []string {
	return []string{EndpointHonest, EndpointLies, EndpointHangs, EndpointDrips, EndpointRefuses, EndpointStops, EndpointForks, EndpointForgets}
}

// SetEndpoint makes the custodian's second endpoint bad in one way, or good.
func (c *Custodian) SetEndpoint(kind string) { c.second.set(kind) }

// endpoint is the custodian's way to the chain: one endpoint, or in a world of more the agreement of two of them.
func (c *Custodian) endpoint() (chain.Endpoint, error) {
	switch c.w.cfg.Endpoints {
	case 0, 1:
		return c.Chain, nil
	case 2:
		return chain.NewAgreeing(2, c.Chain, c.second)
	}
	return chain.NewAgreeing(2, c.Chain, c.second, c.w.Chain.Endpoint(c.Name+" third"))
}

// Health shows through the door how the custodian's endpoints do.
func (d chainDoor) Health() []chain.Health {
	if many, ok := d.Endpoint.(*chain.Agreeing); ok {
		return many.Health()
	}
	return nil
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
