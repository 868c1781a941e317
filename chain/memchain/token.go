package memchain

import (
	"bytes"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain"
)

// The gas of the token, near enough to a plain one's.
const (
	moveGas    = 30_000
	approveGas = 25_000
	tokenNeed  = 107_000 // what the payout contract asks for before each item in a token
)

// tokenRun is what a transaction that calls the token, or has the payout contract call it, would log and change.
type tokenRun struct {
	used, status uint64
	logs         []chain.Log
	apply        func()
}

// tokenCall runs a transaction on the token; nil when it does not concern it.
func (c *Chain) tokenCall(b *block, p pooled) *tokenRun {
	if c.token == (common.Address{}) {
		return nil
	}
	base, _ := intrinsic(p.tx.Data)
	run := &tokenRun{used: min(base+moveGas, p.tx.Gas)}
	call, err := ReadPay(p.tx.Data)
	switch {
	case p.tx.To == c.payout && err == nil && call.Token == c.token:
		c.payToken(b, p, call, run)
	case p.tx.To != c.token:
		return nil
	case c.paused || !p.tx.Value.IsZero() || p.tx.Gas < base+moveGas:
	default:
		c.callToken(b, p, run)
	}
	return run
}

// callToken is transfer(to, amount) and approve(spender, amount), as a token has them that wants zero before another allowance.
func (c *Chain) callToken(b *block, p pooled, run *tokenRun) {
	if len(p.tx.Data) != 68 {
		return
	}
	who, ok := chain.WordAddress(common.BytesToHash(p.tx.Data[4:36]))
	amount := *new(uint256.Int).SetBytes32(p.tx.Data[36:])
	switch {
	case !ok:
	case bytes.Equal(p.tx.Data, chain.TransferData(who, amount)):
		from := b.after[p.from]
		if c.listed[who] || who == (common.Address{}) || from.tokens.Lt(&amount) {
			return
		}
		run.status, run.logs = 1, []chain.Log{c.transferLog(p.from, who, amount)}
		run.apply = func() { moveTokens(b, p.from, who, amount) }
	case bytes.Equal(p.tx.Data, chain.ApproveData(who, amount)):
		if from := b.after[p.from]; !from.allowed.IsZero() && !amount.IsZero() {
			return
		}
		run.status = 1
		run.apply = func() {
			if a := b.after[p.from]; who == c.payout {
				a.allowed = amount
				b.after[p.from] = a
			}
		}
	}
}

// payToken is the payout contract's payToken: out of the caller's allowance, items that fail pulled in once.
func (c *Chain) payToken(b *block, p pooled, call PaidBatch, run *tokenRun) {
	after := b.after[c.payout].batches.clone()
	key := crypto.Keccak256Hash(p.from[:], call.ID[:])
	base, _ := intrinsic(p.tx.Data)
	if run.used = base; c.paused || len(call.Payees) == 0 || after.done[key] || !p.tx.Value.IsZero() {
		return
	}
	after.done[key] = true
	var sum, failed uint256.Int
	var moved []chain.Payee
	from := b.after[p.from]
	for i, to := range call.Payees {
		if run.used+tokenNeed > p.tx.Gas {
			run.used, run.logs = p.tx.Gas, nil
			return
		}
		run.used += moveGas
		sum.Add(&sum, &to.Amount)
		if c.listed[to.To] {
			failed.Add(&failed, &to.Amount)
			owed := after.owedToken[to.To]
			after.owedToken[to.To] = *owed.Add(&owed, &to.Amount)
			index := uint256.NewInt(uint64(i)).Bytes32()
			run.logs = append(run.logs, chain.Log{Address: c.payout, Topics: []common.Hash{chain.FailedTopic(), call.ID}, Data: index[:]})
			continue
		}
		moved = append(moved, to)
	}
	// What is short fails an item of the real contract too, and then the pull for it: nothing is paid.
	if sum.Gt(&from.tokens) || sum.Gt(&from.allowed) {
		run.logs = nil
		return
	}
	if !failed.IsZero() {
		moved = append(moved, chain.Payee{To: c.payout, Amount: failed})
	}
	for _, to := range moved {
		run.logs = append(run.logs, c.transferLog(p.from, to.To, to.Amount))
	}
	run.status = 1
	run.apply = func() {
		for _, to := range moved {
			moveTokens(b, p.from, to.To, to.Amount)
		}
		k := b.after[c.payout]
		k.batches = after
		b.after[c.payout] = k
	}
}

func moveTokens(b *block, from, to common.Address, amount uint256.Int) {
	a := b.after[from]
	a.tokens.Sub(&a.tokens, &amount)
	b.after[from] = a
	a = b.after[to]
	a.tokens.Add(&a.tokens, &amount)
	b.after[to] = a
}

func (c *Chain) transferLog(from, to common.Address, amount uint256.Int) chain.Log {
	word := amount.Bytes32()
	return chain.Log{Address: c.token, Topics: []common.Hash{chain.TransferTopic(), chain.AddressTopic(from), chain.AddressTopic(to)}, Data: word[:]}
}

// SetListed makes the token move nothing to an address.
func (c *Chain) SetListed(addr common.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed[addr] = true
}

// SetPaused makes the token refuse every call, or lets it work again.
func (c *Chain) SetPaused(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
}

// TokenBalance is an address's balance of the token at the newest block.
func (c *Chain) TokenBalance(addr common.Address) uint256.Int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tip().after[addr].tokens
}

// OwedTokens is how many tokens the payout contract holds for an address at the newest block, and for everybody.
func (c *Chain) OwedTokens(addr common.Address) (one, all uint256.Int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.tip().after[c.payout].batches.clone()
	one = k.owedToken[addr]
	for _, to := range slices.SortedFunc(maps.Keys(k.owedToken), common.Address.Cmp) {
		v := k.owedToken[to]
		all.Add(&all, &v)
	}
	return one, all
}
