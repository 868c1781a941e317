package simnet

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/memchain"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// arrival is one item of a payer's transaction.
type arrival struct {
	chain.Payee
	owed bool // the contract holds it for the recipient
}

// arrivals reads whom a transaction was to pay, from what the chain holds alone.
func (p *payment) arrivals(lanes []quorum.Lane, r chain.Receipt) error {
	if p.theft || p.readToken(lanes[0].Token) {
		return nil
	}
	paysBatches := false
	for _, l := range lanes {
		paysBatches = paysBatches || (l.Way == quorum.WayBatch && l.Contract == p.to)
	}
	if !paysBatches {
		p.items = []arrival{{Payee: chain.Payee{To: p.to, Amount: p.value}}}
		return nil
	}
	call, err := memchain.ReadPay(p.data)
	if err != nil {
		return fmt.Errorf("nonce %d: %w", p.nonce, err)
	}
	p.token = call.Token
	for _, to := range call.Payees {
		p.items = append(p.items, arrival{Payee: to})
	}
	for _, i := range (chain.Outcome{Status: r.Status, Logs: r.Logs}).Unpaid(p.to, call.ID, len(call.Payees)) {
		p.items[i].owed = true
	}
	return nil
}

// renders reports whether a transaction is what a decision says, field by field: one item straight to its destination, more
// through the contract of its lane, in their order, under the decision's id.
func (w *World) renders(b batch.Batch, p payment) bool {
	if b.Lane.Token != (common.Address{}) {
		return w.rendersToken(b, p)
	}
	if len(b.Items) == 1 {
		c := b.Items[0].Content
		return p.to == c.To && p.value == c.Amount && len(p.data) == 0
	}
	var want []chain.Payee
	var sum uint256.Int
	for _, it := range b.Items {
		want = append(want, chain.Payee{To: it.Content.To, Amount: it.Content.Amount})
		sum.Add(&sum, &it.Content.Amount)
	}
	lane, ok := w.Genesis.LaneOf(b.Items[0].Content.Network)
	return ok && p.to == lane.Contract && p.value == sum && bytes.Equal(p.data, chain.PayData(b.ID(w.network), want))
}

// credit adds what accounts got by a batch: what is claimable too, for it is theirs. What was paid on the operators' word does
// not rest on what custodians count.
func credit(b batch.Batch, got map[common.Address]*uint256.Int) {
	for _, it := range b.Items {
		if len(it.Cert.Votes) == 0 {
			continue
		}
		account := it.Content.Account
		if got[account] == nil {
			got[account] = new(uint256.Int)
		}
		got[account].Add(got[account], &it.Content.Amount)
	}
}

// checkClaims is the half of I9 that lies in the contract: what it owes is what did not arrive.
func checkClaims(c *memchain.Chain, all []payment) error {
	var want uint256.Int
	for _, p := range all {
		for _, a := range p.items {
			if a.owed && p.token == (common.Address{}) {
				want.Add(&want, &a.Amount)
			}
		}
	}
	if _, owed := c.Owed(common.Address{}); owed != want {
		return broken("I9", "the contract owes %s wei, items of %s did not arrive", owed.Dec(), want.Dec())
	}
	return nil
}

// Refuse makes a user's destination a contract that takes nothing, or burns the gas that it is given.
func (w *World) Refuse(u *User, burns bool) {
	switch {
	case w.cfg.Tokens:
		w.Chain.SetListed(u.To)
	case burns:
		w.Chain.SetBurning(u.To)
	default:
		w.Chain.SetReverting(u.To)
	}
}

// Claimable checks that the payout contract holds a request's amount for its destination.
func (w *World) Claimable(r *Request) error {
	owed, _ := w.Chain.Owed(r.User.To)
	if w.cfg.Tokens {
		owed, _ = w.Chain.OwedTokens(r.User.To)
	}
	if owed.ToBig().Cmp(r.Amount) != 0 {
		return fmt.Errorf("the contract holds %s wei for %s", owed.Dec(), r.User.Name)
	}
	return nil
}

// Sent is how many transactions of the payer the first chain holds.
func (w *World) Sent() (int, error) {
	all, err := w.payments(w.end)
	return len(all), err
}
