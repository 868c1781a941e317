package memchain

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain"
)

// The gas of a batch, near enough to the real contract's: what it asks for before each item, what an item takes, and what a
// recipient that burns all of its own takes more.
const (
	itemNeed = 71_000
	itemGas  = 12_000
	burnGas  = 75_000
)

// maxPayees is the real contract's bound.
const maxPayees = 150

// contract is what the payout contract holds at an account's address. It is never changed once its block is sealed.
type contract struct {
	done map[common.Hash]bool           // by payer and batch
	owed map[common.Address]uint256.Int // coins

	owedToken map[common.Address]uint256.Int // of the chain's one token
}

func (k *contract) clone() *contract {
	if k == nil {
		return &contract{done: map[common.Hash]bool{}, owed: map[common.Address]uint256.Int{}, owedToken: map[common.Address]uint256.Int{}}
	}
	return &contract{maps.Clone(k.done), maps.Clone(k.owed), maps.Clone(k.owedToken)}
}

// PaidBatch is a call of pay, or of payToken, as its data says it.
type PaidBatch struct {
	ID     common.Hash
	Token  common.Address // zero: the coin
	Payees []chain.Payee
}

// data is the one encoding of the call.
func (b PaidBatch) data() []byte {
	if b.Token == (common.Address{}) {
		return chain.PayData(b.ID, b.Payees)
	}
	return chain.PayTokenData(b.ID, b.Token, b.Payees)
}

// ErrNotPay means that call data is not the one encoding of a call that pays a batch.
var ErrNotPay = errors.New("memchain: not a call of pay")

// ReadPay decodes call data, by another way than it was encoded: each part is found where the offsets say.
func ReadPay(data []byte) (out PaidBatch, err error) {
	word := func(at uint64) (v uint256.Int, ok bool) {
		if at > uint64(len(data)) || uint64(len(data))-at < 32 {
			return v, false
		}
		v.SetBytes32(data[at : at+32])
		return v, true
	}
	list := func(at uint64) (items []uint256.Int, ok bool) {
		offset, ok := word(at)
		if !ok || !offset.LtUint64(uint64(len(data))) {
			return nil, false
		}
		n, ok := word(4 + offset.Uint64())
		if !ok || !n.LtUint64(maxPayees+1) {
			return nil, false
		}
		for i := range n.Uint64() {
			v, ok := word(4 + offset.Uint64() + 32 + 32*i)
			if !ok {
				return nil, false
			}
			items = append(items, v)
		}
		return items, true
	}
	id, ok := word(4)
	lists := uint64(36)
	if bytes.HasPrefix(data, chain.PayTokenData(common.Hash{}, common.Address{}, nil)[:4]) {
		token, okToken := word(lists)
		out.Token, ok, lists = token.Bytes20(), ok && okToken && !token.IsZero(), lists+32
	}
	to, okTo := list(lists)
	amounts, okAmounts := list(lists + 32)
	if !ok || !okTo || !okAmounts || len(to) != len(amounts) {
		return PaidBatch{}, ErrNotPay
	}
	out.ID = id.Bytes32()
	for i := range to {
		out.Payees = append(out.Payees, chain.Payee{To: to[i].Bytes20(), Amount: amounts[i]})
	}
	if !bytes.Equal(out.data(), data) {
		return PaidBatch{}, ErrNotPay
	}
	return out, nil
}

// batchOf runs a call of the payout contract: what it would log and change, and status 0 where it would revert. Each item is
// alone: recipients that refuse, or burn their gas, are credited.
func (c *Chain) batchOf(b *block, p pooled) (used, status uint64, after *contract, moved []chain.Payee, logs []chain.Log) {
	call, err := ReadPay(p.tx.Data)
	base, floor := intrinsic(p.tx.Data)
	after = b.after[c.payout].batches.clone()
	key := crypto.Keccak256Hash(p.from[:], call.ID[:])
	sum, used := uint256.Int{}, base
	if err != nil || len(call.Payees) == 0 || after.done[key] || call.Token != (common.Address{}) {
		return max(used, floor), 0, nil, nil, nil
	}
	after.done[key] = true
	for i, to := range call.Payees {
		sum.Add(&sum, &to.Amount)
		if to.To == (common.Address{}) {
			return max(used, floor), 0, nil, nil, nil
		}
		if used+itemNeed > p.tx.Gas {
			return p.tx.Gas, 0, nil, nil, nil // TooLittleGas: the whole batch
		}
		used += itemGas
		if c.burning[to.To] {
			used += burnGas
		}
		if !c.reverting[to.To] && !c.burning[to.To] && to.To != c.payout {
			moved = append(moved, to)
			continue
		}
		owed := after.owed[to.To]
		after.owed[to.To] = *owed.Add(&owed, &to.Amount)
		index := uint256.NewInt(uint64(i)).Bytes32()
		logs = append(logs, chain.Log{Address: c.payout, Topics: []common.Hash{chain.FailedTopic(), call.ID}, Data: index[:]})
	}
	if sum != p.tx.Value {
		return max(used, floor), 0, nil, nil, nil
	}
	if used > p.tx.Gas {
		return p.tx.Gas, 0, nil, nil, nil
	}
	return max(used, floor), 1, after, moved, logs
}

// deliver moves coins out of the contract, which has what the transaction brought.
func (c *Chain) deliver(b *block, after *contract, moved []chain.Payee) {
	for _, to := range moved {
		from := b.after[c.payout]
		from.balance.Sub(&from.balance, &to.Amount)
		b.after[c.payout] = from
		a := b.after[to.To]
		a.balance.Add(&a.balance, &to.Amount)
		b.after[to.To] = a
	}
	k := b.after[c.payout]
	k.batches = after
	b.after[c.payout] = k
}

// SetBurning makes an address behave as a contract that uses all the gas that it is given.
func (c *Chain) SetBurning(addr common.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.burning[addr] = true
}

// Owed is how many coins the payout contract holds for an address at the newest block, in wei, and for everybody.
func (c *Chain) Owed(addr common.Address) (one, all uint256.Int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.tip().after[c.payout].batches.clone()
	one = k.owed[addr]
	for _, to := range slices.SortedFunc(maps.Keys(k.owed), common.Address.Cmp) {
		v := k.owed[to]
		all.Add(&all, &v)
	}
	return one, all
}
