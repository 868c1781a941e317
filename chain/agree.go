package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// MaxEndpoints bounds the endpoints of a lane: each read goes to all of them.
const MaxEndpoints = 16

// Disagreement is the error of a read to which two endpoints gave different answers. One of them lies or is on another
// fork; which one is for the operator to find out. The caller waits and alerts.
type Disagreement struct {
	What    string   // the read
	Names   []string // of the endpoints, beside Answers
	Answers []string
}

func (d *Disagreement) Error() string {
	parts := make([]string, len(d.Names))
	for i := range parts {
		parts[i] = d.Names[i] + " says " + d.Answers[i]
	}
	return "chain: endpoints disagree about the " + d.What + ": " + strings.Join(parts, "; ")
}

// Agreeing is an Endpoint over several. A read goes to all that take part; at least `least` must answer, and all that answer
// must say the same, so that one that lies or lags can delay a payment and never cause one. Who does not answer, or lags too
// far, takes part again later, unless those that do are too few: see member.
type Agreeing struct {
	members []*member
	least   int
}

var _ Endpoint = (*Agreeing)(nil)

// NewAgreeing joins endpoints of one chain. least is how many must answer each read, at least one; with fewer than all,
// an endpoint that is down delays nothing, and one that answers differently still stops the read.
func NewAgreeing(least int, endpoints ...Endpoint) (*Agreeing, error) {
	if len(endpoints) == 0 || len(endpoints) > MaxEndpoints {
		return nil, fmt.Errorf("chain: %d endpoints are not within 1 and %d", len(endpoints), MaxEndpoints)
	}
	if least < 1 || least > len(endpoints) {
		return nil, fmt.Errorf("chain: %d answers asked of %d endpoints", least, len(endpoints))
	}
	a := &Agreeing{least: least}
	for _, e := range endpoints {
		a.members = append(a.members, &member{Endpoint: e, health: Health{Name: e.Name()}})
	}
	return a, nil
}

// Name joins the names of the endpoints.
func (a *Agreeing) Name() string {
	names := make([]string, len(a.members))
	for i, e := range a.members {
		names[i] = e.Name()
	}
	return strings.Join(names, "+")
}

// absence reports whether an error is an answer: "there is none". Anything else is no answer.
func absence(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoContract) }

// ask collects, demands `least` answers, and compares them. An absence outweighs equal values: who does not see it yet
// may be right, and waiting costs little.
func ask[T any](ctx context.Context, a *Agreeing, what string, read func(context.Context, Endpoint) (T, error)) (T, error) {
	var zero T
	var values []answer[T]
	var absent, failed []error
	answers := collect(ctx, a, false, read)
	note(ctx, answers)
	for _, r := range answers {
		switch {
		case r.err == nil:
			values = append(values, r)
		case absence(r.err):
			absent = append(absent, fmt.Errorf("%s: %w", r.from.Name(), r.err))
		default:
			failed = append(failed, fmt.Errorf("%s: %w", r.from.Name(), r.err))
		}
	}

	if len(values)+len(absent) < a.least {
		return zero, fmt.Errorf("read %s: %w", what, errors.Join(failed...))
	}
	for _, v := range values {
		if !reflect.DeepEqual(v.value, values[0].value) {
			return zero, disagreement(what, values)
		}
	}
	if len(absent) > 0 {
		return zero, fmt.Errorf("read %s: %w", what, errors.Join(absent...))
	}
	return values[0].value, nil
}

// disagreement names all answers. Those that differ from what more than half say are noted, else everybody is: nobody can
// tell which of two lies.
func disagreement[T any](what string, values []answer[T]) *Disagreement {
	d := &Disagreement{What: what}
	equal := make([]int, len(values))
	for i, v := range values {
		d.Names = append(d.Names, v.from.Name())
		d.Answers = append(d.Answers, fmt.Sprintf("%v", v.value))
		for _, other := range values {
			if reflect.DeepEqual(v.value, other.value) {
				equal[i]++
			}
		}
	}
	for i, v := range values {
		if 2*equal[i] <= len(values) {
			v.from.disagreed(time.Now())
		}
	}
	return d
}

// Head is the lowest of the newest blocks. Heads differ by nature, so they need not agree.
func (a *Agreeing) Head(ctx context.Context) (Header, error) {
	return a.lowest(ctx, "newest block", Endpoint.Head)
}

// Final is the lowest of the final blocks, once all that take part hold that very block. An endpoint that lags delays it.
func (a *Agreeing) Final(ctx context.Context) (Header, error) {
	low, err := a.lowest(ctx, "final block", Endpoint.Final)
	if err != nil {
		return Header{}, err
	}
	return a.HeaderAt(ctx, low.Number)
}

// lowest leaves out who lags behind what enough endpoints show: one that stopped for good would stop everything.
func (a *Agreeing) lowest(ctx context.Context, what string, read func(Endpoint, context.Context) (Header, error)) (Header, error) {
	var said []answer[Header]
	var failed []error
	answers := collect(ctx, a, true, func(ctx context.Context, e Endpoint) (Header, error) { return read(e, ctx) })
	for _, r := range answers {
		if r.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", r.from.Name(), r.err))
			continue
		}
		said = append(said, r)
	}
	if len(said) < a.least {
		note(ctx, answers)
		return Header{}, fmt.Errorf("read %s: %w", what, errors.Join(failed...))
	}
	// At least one honest endpoint shows the least-th highest block or a later one.
	slices.SortStableFunc(said, func(x, y answer[Header]) int { return cmp.Compare(y.value.Number, x.value.Number) })
	enough := said[a.least-1].value
	for i, r := range answers {
		if r.err == nil {
			answers[i].err = r.from.showed(r.value, enough)
		}
	}
	note(ctx, answers)
	low := enough
	for _, r := range answers {
		if r.err == nil && r.value.Number < low.Number {
			low = r.value
		}
	}
	return low, nil
}

// HeaderAt implements Endpoint.
func (a *Agreeing) HeaderAt(ctx context.Context, number uint64) (Header, error) {
	return ask(ctx, a, fmt.Sprintf("block %d", number), func(ctx context.Context, e Endpoint) (Header, error) {
		return e.HeaderAt(ctx, number)
	})
}

// NonceAt implements Endpoint.
func (a *Agreeing) NonceAt(ctx context.Context, addr common.Address, at Header) (uint64, error) {
	return ask(ctx, a, fmt.Sprintf("nonce of %s at block %d", addr, at.Number), func(ctx context.Context, e Endpoint) (uint64, error) {
		return e.NonceAt(ctx, addr, at)
	})
}

// BalanceAt implements Endpoint.
func (a *Agreeing) BalanceAt(ctx context.Context, token, holder common.Address, at Header) (uint256.Int, error) {
	return ask(ctx, a, fmt.Sprintf("balance of %s at block %d", holder, at.Number), func(ctx context.Context, e Endpoint) (uint256.Int, error) {
		return e.BalanceAt(ctx, token, holder, at)
	})
}

// CodeAt implements Endpoint.
func (a *Agreeing) CodeAt(ctx context.Context, addr common.Address, at Header) ([]byte, error) {
	return ask(ctx, a, fmt.Sprintf("code of %s at block %d", addr, at.Number), func(ctx context.Context, e Endpoint) (code, error) {
		c, err := e.CodeAt(ctx, addr, at)
		return append(code{}, c...), err // nil and empty are one answer
	})
}

// code is what a disagreement names by its length and hash.
type code []byte

func (c code) String() string { return fmt.Sprintf("%d bytes, %s", len(c), crypto.Keccak256Hash(c)) }

// Allowance implements Endpoint.
func (a *Agreeing) Allowance(ctx context.Context, token, owner, spender common.Address, at Header) (uint256.Int, error) {
	return ask(ctx, a, fmt.Sprintf("allowance of %s at block %d", owner, at.Number), func(ctx context.Context, e Endpoint) (uint256.Int, error) {
		return e.Allowance(ctx, token, owner, spender, at)
	})
}

// BenefitAddress implements Endpoint.
func (a *Agreeing) BenefitAddress(ctx context.Context, contract, account common.Address, at Header) (common.Address, error) {
	return ask(ctx, a, fmt.Sprintf("benefit address of %s at block %d", account, at.Number), func(ctx context.Context, e Endpoint) (common.Address, error) {
		return e.BenefitAddress(ctx, contract, account, at)
	})
}

// BenefitLogs implements Endpoint.
func (a *Agreeing) BenefitLogs(ctx context.Context, contract, account common.Address, from, to uint64) ([]Binding, error) {
	return ask(ctx, a, fmt.Sprintf("bindings of %s up to block %d", account, to), func(ctx context.Context, e Endpoint) ([]Binding, error) {
		bindings, err := e.BenefitLogs(ctx, contract, account, from, to)
		return slices.Clip(append([]Binding{}, bindings...)), err // nil and empty are one answer
	})
}

// Transaction implements Endpoint.
func (a *Agreeing) Transaction(ctx context.Context, hash common.Hash) (Transaction, error) {
	return ask(ctx, a, fmt.Sprintf("transaction %s", hash), func(ctx context.Context, e Endpoint) (Transaction, error) {
		return e.Transaction(ctx, hash)
	})
}

// Receipt implements Endpoint.
func (a *Agreeing) Receipt(ctx context.Context, hash common.Hash) (Receipt, error) {
	return ask(ctx, a, fmt.Sprintf("receipt of %s", hash), func(ctx context.Context, e Endpoint) (Receipt, error) {
		return e.Receipt(ctx, hash)
	})
}

// Sent implements Endpoint.
func (a *Agreeing) Sent(ctx context.Context, from common.Address, in Header) ([]Transaction, error) {
	return ask(ctx, a, fmt.Sprintf("transactions of %s in block %d", from, in.Number), func(ctx context.Context, e Endpoint) ([]Transaction, error) {
		txs, err := e.Sent(ctx, from, in)
		return append([]Transaction{}, txs...), err
	})
}

// SendRaw broadcasts through every endpoint that takes part; one that takes it is enough. When none does, the errors are
// joined. What a server refuses says nothing about its health.
func (a *Agreeing) SendRaw(ctx context.Context, raw []byte) error {
	var failed []error
	taken := false
	for _, r := range collect(ctx, a, false, func(ctx context.Context, e Endpoint) (error, error) { return e.SendRaw(ctx, raw), nil }) {
		err := cmp.Or(r.err, r.value)
		taken = taken || err == nil
		if err != nil && !errors.Is(err, errResting) {
			failed = append(failed, fmt.Errorf("%s: %w", r.from.Name(), err))
		}
	}
	if taken {
		return nil
	}
	return errors.Join(failed...)
}
