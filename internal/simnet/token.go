package simnet

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/memchain"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss/tsstest"
)

// tokenLane makes a lane pay batches of a token. The payer begins with as many tokens as coins.
func (cfg Config) tokenLane(l *quorum.Lane) {
	if cfg.Tokens {
		l.Way, l.Contract, l.Token = quorum.WayBatch, place("payout contract"), place("token")
	}
}

// readToken reads what a transaction of the payer did with the token, from what the chain holds alone.
func (p *payment) readToken(token common.Address) (known bool) {
	if token == (common.Address{}) || p.to != token || len(p.data) != 68 || !p.value.IsZero() {
		return false
	}
	who, ok := chain.WordAddress(common.BytesToHash(p.data[4:36]))
	amount := *new(uint256.Int).SetBytes32(p.data[36:])
	switch {
	case !ok:
		return false
	case bytes.Equal(p.data, chain.TransferData(who, amount)):
		p.token, p.items = token, []arrival{{Payee: chain.Payee{To: who, Amount: amount}}}
		return true
	}
	return bytes.Equal(p.data, chain.ApproveData(who, amount))
}

// rendersToken is renders for decisions about tokens: transfers, batches out of the allowance, and what gives that.
func (w *World) rendersToken(b batch.Batch, p payment) bool {
	lane := w.Genesis.Lanes[0]
	if lane.Token != b.Lane.Token || !p.value.IsZero() {
		return false
	}
	switch {
	case b.Kind == batch.Allow:
		return p.to == lane.Token && bytes.Equal(p.data, chain.ApproveData(lane.Contract, *new(uint256.Int).SetAllOne()))
	case b.Kind == batch.Sweep:
		moves, err := quorum.DecodeSweepAction(b.Action)
		return err == nil && p.to == lane.Token && bytes.Equal(p.data, chain.TransferData(moves.To, moves.Value))
	case len(b.Items) == 1:
		c := b.Items[0].Content
		return p.to == lane.Token && bytes.Equal(p.data, chain.TransferData(c.To, c.Amount))
	}
	var want []chain.Payee
	for _, it := range b.Items {
		want = append(want, chain.Payee{To: it.Content.To, Amount: it.Content.Amount})
	}
	return p.to == lane.Contract && bytes.Equal(p.data, chain.PayTokenData(b.ID(w.network), lane.Token, want))
}

// checkTokens is I9 of the token: what the payers had is what they hold, what recipients got, and what the contract owes. What one payer moves
// to another stays.
func (w *World) checkTokens(c *memchain.Chain, all []payment) error {
	if !w.cfg.Tokens || c != w.Chain {
		return nil
	}
	var out, owed uint256.Int
	payers := w.payers()
	for _, p := range all {
		for _, a := range p.items {
			if !p.good || p.token == (common.Address{}) || slices.Contains(payers, a.To) {
				continue
			}
			if out.Add(&out, &a.Amount); a.owed {
				owed.Add(&owed, &a.Amount)
			}
		}
	}
	for _, payer := range payers {
		left := c.TokenBalance(payer)
		out.Add(&out, &left)
	}
	if out != w.fundedTokens {
		return broken("I9", "the payer had %s tokens; what it holds and paid is %s", w.fundedTokens.Dec(), out.Dec())
	}
	if _, all := c.OwedTokens(common.Address{}); all != owed {
		return broken("I9", "the contract owes %s tokens, items of %s did not arrive", all.Dec(), owed.Dec())
	}
	return nil
}

// Pause makes the token refuse every call, or lets it work again.
func (w *World) Pause(paused bool) { w.Chain.SetPaused(paused) }

// StealTokens takes tokens from the payer without a transaction of its own, as who owns the token could.
func (w *World) StealTokens(units *big.Int) error {
	amount := uint256.MustFromBig(units)
	if err := w.Chain.DrainTokens(w.payer, *amount); err != nil {
		return err
	}
	w.fundedTokens.Sub(&w.fundedTokens, amount)
	return nil
}

// ForeignAllow lets somebody who has the whole key give a thief the payer's tokens, with the payer's next nonce.
func (w *World) ForeignAllow() error {
	key, err := tsstest.PayerKey()
	if err != nil {
		return err
	}
	end := w.Chain.Endpoint("thief")
	head, err := end.Head(w.bare())
	if err != nil {
		return err
	}
	from := crypto.PubkeyToAddress(key.PublicKey)
	nonce, err := end.NonceAt(w.bare(), from, head)
	if err != nil {
		return err
	}
	fees := chain.Fees{Tip: *uint256.NewInt(1e9), Offer: *uint256.NewInt(1e11), FeeCap: *uint256.NewInt(1e11)}
	p := chain.Payment{ChainID: chainID, Nonce: nonce, Payer: from, To: w.Genesis.Lanes[0].Token,
		Data: chain.ApproveData(place("thief"), *new(uint256.Int).SetAllOne()), Gas: 120_000, Fees: fees}
	r, err := chain.Render(p, 0)
	if err != nil {
		return err
	}
	signature, err := crypto.Sign(r.Digest[:], key)
	if err != nil {
		return err
	}
	signed, err := r.Assemble(signature)
	if err == nil {
		w.embezzled = append(w.embezzled, signed.Hash)
		err = w.Chain.SendRaw(signed.Raw)
	}
	return err
}

// Allowed is what the lane's contract may take of the founding payer's tokens.
func (w *World) Allowed(payer common.Address) (uint256.Int, error) {
	head, err := w.end.Head(w.bare())
	if err != nil {
		return uint256.Int{}, err
	}
	lane := w.Genesis.Lanes[0]
	v, err := w.end.Allowance(w.bare(), lane.Token, payer, lane.Contract, head)
	if err != nil {
		err = fmt.Errorf("allowance: %w", err)
	}
	return v, err
}

// rendersSweep reports whether a transaction of an old payer is what its SWEEP says.
func (w *World) rendersSweep(b batch.Batch, p payment) bool {
	if b.Lane.Token != (common.Address{}) {
		return w.rendersToken(b, p)
	}
	moves, err := quorum.DecodeSweepAction(b.Action)
	return err == nil && moves.To == p.to && moves.Value == p.value
}
