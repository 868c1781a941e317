package memchain

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/chain"
)

// seal appends a block with what the mempool holds, or an empty one. The caller holds mu.
func (c *Chain) seal(time uint64, fill bool) {
	parent := c.tip()
	b := &block{header: chain.Header{
		Number: parent.header.Number + 1, Parent: parent.header.Hash, Time: time, BaseFee: c.baseFeeAfter(parent),
	}}
	b.after = parent.after
	if fill {
		b.after = maps.Clone(parent.after)
		c.fill(b)
	}

	b.header.Hash = c.hashOf(b)
	for i := range b.txs {
		b.txs[i].receipt.BlockHash = b.header.Hash
	}
	c.blocks = append(c.blocks, b)
	c.pool = slices.DeleteFunc(c.pool, func(p pooled) bool { return p.tx.Nonce < b.after[p.from].nonce })
}

// fill executes pooled transactions in order of arrival, pass after pass, because one may wait for another's nonce.
func (c *Chain) fill(b *block) {
	waiting := slices.Clone(c.pool)
	slices.SortFunc(waiting, func(a, b pooled) int { return cmp.Compare(a.seq, b.seq) })
	for progress := true; progress; {
		progress = false
		waiting = slices.DeleteFunc(waiting, func(p pooled) bool {
			if !c.execute(b, p) {
				return false
			}
			progress = true
			return true
		})
	}
}

// execute runs one transaction on the block's state, or reports that it cannot stand there.
func (c *Chain) execute(b *block, p pooled) bool {
	sender := b.after[p.from]
	worst := worstCost(p.tx)
	if sender.nonce != p.tx.Nonce || p.tx.FeeCap.Lt(&b.header.BaseFee) || sender.balance.Lt(&worst) || b.gasUsed+p.tx.Gas > blockGas {
		return false
	}

	var batches *contract
	var moved []chain.Payee
	var logs []chain.Log
	used, status, bind := c.call(b, p)
	if p.tx.To == c.payout && c.payout != (common.Address{}) {
		used, status, batches, moved, logs = c.batchOf(b, p)
	}
	token := c.tokenCall(b, p)
	if token != nil {
		used, status, logs = token.used, token.status, token.logs
	}
	var price, fee uint256.Int
	price.Add(&b.header.BaseFee, &p.tx.Tip)
	if price.Gt(&p.tx.FeeCap) {
		price = p.tx.FeeCap
	}
	fee.Mul(&price, uint256.NewInt(used))

	// The fee is gone: the base fee burns, and nobody in these tests owns the tip.
	sender.nonce++
	sender.balance.Sub(&sender.balance, &fee)
	if status == 1 {
		sender.balance.Sub(&sender.balance, &p.tx.Value)
	}
	if bind != (common.Address{}) {
		sender.benefit = bind
		b.bonds = append(b.bonds, chain.Binding{
			Block: b.header.Number, Index: uint64(len(b.bonds)), Account: p.from, Benefit: bind,
		})
	}
	b.after[p.from] = sender
	if status == 1 {
		to := b.after[p.tx.To]
		to.balance.Add(&to.balance, &p.tx.Value)
		b.after[p.tx.To] = to
	}
	if batches != nil {
		c.deliver(b, batches, moved)
	}
	if token != nil && token.status == 1 {
		token.apply()
	}

	b.gasUsed += used
	b.txs = append(b.txs, included{p, show(p), chain.Receipt{
		TxHash: p.hash, BlockNumber: b.header.Number, Status: status, GasUsed: used, GasPrice: price, Logs: logs,
	}})
	return true
}

// call is what the recipient does: nothing, a refusal, or the one contract's setBenefitAddress.
func (c *Chain) call(b *block, p pooled) (used, status uint64, bind common.Address) {
	base, floor := intrinsic(p.tx.Data)
	wanted, status := base, uint64(1)
	switch {
	case c.reverting[p.tx.To]:
		wanted, status = base+codeGas, 0
	case c.burning[p.tx.To]:
		wanted, status = p.tx.Gas, 0
	case p.tx.To == c.benefit && c.benefit != (common.Address{}):
		bind, status = c.bind(b, p)
		wanted = base + bindGas
	}
	if wanted > p.tx.Gas {
		return p.tx.Gas, 0, common.Address{} // out of gas takes all of it
	}
	return max(wanted, floor), status, bind
}

// bind is setBenefitAddress(address): once for each caller, not payable.
func (c *Chain) bind(b *block, p pooled) (common.Address, uint64) {
	selector := chain.SetBenefitData(common.Address{})[:4]
	if len(p.tx.Data) != 36 || !bytes.Equal(p.tx.Data[:4], selector) || !p.tx.Value.IsZero() {
		return common.Address{}, 0
	}
	benefit, ok := chain.WordAddress(common.BytesToHash(p.tx.Data[4:]))
	bound := b.after[p.from].benefit != (common.Address{})
	if !ok || bound || benefit == (common.Address{}) {
		return common.Address{}, 0
	}
	return benefit, 1
}

func show(p pooled) chain.Transaction {
	return chain.Transaction{
		Hash: p.hash, From: p.from, To: p.tx.To, Nonce: p.tx.Nonce, Value: p.tx.Value, Data: p.tx.Data, Payload: p.tx.Payload(), Raw: p.tx.Raw(),
	}
}

// nextBaseFee is EIP-1559's rule: an eighth of the deviation from half the gas limit.
func nextBaseFee(parent *block) uint256.Int {
	const target = blockGas / 2
	fee := parent.header.BaseFee
	deviation := target - parent.gasUsed
	if parent.gasUsed > target {
		deviation = parent.gasUsed - target
	}

	var delta uint256.Int
	delta.Mul(&fee, uint256.NewInt(deviation))
	delta.Div(&delta, uint256.NewInt(target*8))
	switch {
	case parent.gasUsed > target:
		if delta.IsZero() {
			delta.SetOne()
		}
		fee.Add(&fee, &delta)
	case parent.gasUsed < target:
		fee.Sub(&fee, &delta)
	}
	return fee
}
