package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// Destination is where an account's withdrawals had to go at a time.
type Destination struct {
	Address common.Address
	Bound   bool   // false: nothing was bound, and Address is the account itself
	Block   Header // the first final block at or after the time
}

// BenefitAt answers where the account's withdrawals go that were signed at the given unix second: what the lane's
// contract said at the first final block at or after it. When the endpoints no longer hold that state, the bindings
// logged up to that block answer instead. Every error means waiting: ErrNotFinal until the final chain reaches the
// time, ErrNoContract when the lane's contract is not there.
func BenefitAt(ctx context.Context, e Endpoint, l Lane, account common.Address, time uint64) (Destination, error) {
	final, err := e.Final(ctx)
	if err != nil {
		return Destination{}, fmt.Errorf("destination of %s: %w", account, err)
	}
	block, err := FirstAtOrAfter(ctx, e, final, time)
	if err != nil {
		return Destination{}, fmt.Errorf("destination of %s: %w", account, err)
	}
	self := Destination{Address: account, Block: block}
	if l.BenefitContract == (common.Address{}) {
		return self, nil
	}

	benefit, err := e.BenefitAddress(ctx, l.BenefitContract, account, block)
	if errors.Is(err, ErrPruned) {
		benefit, err = loggedBenefit(ctx, e, l, account, block)
	}
	if err != nil {
		return Destination{}, fmt.Errorf("destination of %s: %w", account, err)
	}
	if benefit == (common.Address{}) {
		return self, nil
	}
	return Destination{Address: benefit, Bound: true, Block: block}, nil
}

// loggedBenefit is the last binding logged up to the block.
func loggedBenefit(ctx context.Context, e Endpoint, l Lane, account common.Address, block Header) (common.Address, error) {
	if block.Number < l.BenefitSince {
		return common.Address{}, ErrNoContract
	}
	bindings, err := e.BenefitLogs(ctx, l.BenefitContract, account, l.BenefitSince, block.Number)
	if err != nil || len(bindings) == 0 {
		return common.Address{}, err
	}
	last := bindings[len(bindings)-1]
	for i, b := range bindings {
		ordered := i == 0 || bindings[i-1].Block < b.Block || (bindings[i-1].Block == b.Block && bindings[i-1].Index < b.Index)
		if b.Account != account || b.Block > block.Number || !ordered {
			return common.Address{}, fmt.Errorf("endpoint %s: logs out of order or of another account", e.Name())
		}
	}
	return last.Benefit, nil
}

// FirstAtOrAfter finds the first block of the final chain whose time is at or after the given unix second, or returns
// ErrNotFinal. It walks back from the final block in doubling steps, because most questions are about the recent past.
func FirstAtOrAfter(ctx context.Context, e Endpoint, final Header, time uint64) (Header, error) {
	if final.Time < time {
		return Header{}, fmt.Errorf("%w: block %d is of %d, asked is %d", ErrNotFinal, final.Number, final.Time, time)
	}
	return firstBlock(ctx, e, final, func(_ context.Context, h Header) (bool, error) { return h.Time >= time, nil })
}

// firstBlock finds the lowest block that satisfies a condition which, once true, stays true. It holds at the final one.
func firstBlock(ctx context.Context, e Endpoint, final Header, holds func(context.Context, Header) (bool, error)) (Header, error) {
	found := final // holds here
	var low uint64 // blocks below it are not of interest: they do not hold, or do not exist
	distance := uint64(1)

	galloping := true
	for low < found.Number {
		number := low + (found.Number-low)/2
		if galloping && found.Number-low > distance {
			number = found.Number - distance
			distance *= 2
		}
		h, err := e.HeaderAt(ctx, number)
		if err != nil {
			return Header{}, err
		}
		if h.Number != number {
			return Header{}, fmt.Errorf("endpoint %s answers block %d for block %d", e.Name(), h.Number, number)
		}
		ok, err := holds(ctx, h)
		if err != nil {
			return Header{}, err
		}
		if ok {
			found = h
		} else {
			low, galloping = number+1, false
		}
	}
	return found, nil
}
