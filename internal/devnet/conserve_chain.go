package devnet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/memchain"
	"conclave/node"
)

// cost is what transactions took from the payer, and what of it waits at the payout contract.
type cost struct {
	coin, token, claimable big.Int
}

func (c *cost) add(o cost) {
	c.coin.Add(&c.coin, &o.coin)
	c.token.Add(&c.token, &o.token)
	c.claimable.Add(&c.claimable, &o.claimable)
}

// gasOf is what a transaction cost beside what it moved, in wei.
func gasOf(r *types.Receipt) *big.Int {
	return new(big.Int).Mul(r.EffectiveGasPrice, new(big.Int).SetUint64(r.GasUsed))
}

// checkTransaction compares one transaction with the withdrawals that name it, and returns all that it took from the payer.
func (n *Network) checkTransaction(ctx context.Context, client *ethclient.Client, hash common.Hash, paid []node.WithdrawalView) (c cost, err error) {
	tx, pending, err := client.TransactionByHash(ctx, hash)
	if err != nil {
		return c, err
	}
	receipt, err := client.TransactionReceipt(ctx, hash)
	if err != nil {
		return c, err
	}
	if pending || receipt.Status != 1 || tx.To() == nil {
		return c, errors.New("it did not succeed")
	}
	slices.SortFunc(paid, func(a, b node.WithdrawalView) int { return cmp.Compare(a.ID, b.ID) })
	switch *tx.To() {
	case n.world.payout:
		err = checkBatch(tx, receipt, paid, &c)
	case n.world.token:
		err = checkToken(tx, paid, &c)
	default:
		if len(paid) != 1 || *tx.To() != paid[0].To || tx.Value().String() != paid[0].Amount {
			err = fmt.Errorf("it pays %s wei to %s, which is not what is owed", tx.Value(), tx.To())
		}
	}
	c.coin.Add(gasOf(receipt), tx.Value())
	return c, err
}

// checkBatch: the contract was told whom to pay and how much, in the order of the withdrawals, and what it says that it could not
// bring is what the custodians call claimable.
func checkBatch(tx *types.Transaction, r *types.Receipt, paid []node.WithdrawalView, c *cost) error {
	call, err := memchain.ReadPay(tx.Data())
	if err != nil {
		return err
	}
	if len(call.Payees) != len(paid) {
		return fmt.Errorf("it pays %d, %d withdrawals name it", len(call.Payees), len(paid))
	}
	var logs []chain.Log
	for _, l := range r.Logs {
		logs = append(logs, chain.Log{Address: l.Address, Topics: l.Topics, Data: l.Data})
	}
	failed := (chain.Outcome{Status: 1, Logs: logs}).Unpaid(*tx.To(), call.ID, len(paid))
	sum := new(big.Int)
	for i, w := range paid {
		to := call.Payees[i]
		if to.To != w.To || to.Amount.Dec() != w.Amount || w.Batch == nil || *w.Batch != call.ID {
			return fmt.Errorf("withdrawal %d is not its item %d", w.ID, i)
		}
		if slices.Contains(failed, i) != (w.Claim != nil) {
			return fmt.Errorf("withdrawal %d: the contract and the custodians differ about whether it arrived", w.ID)
		}
		sum.Add(sum, to.Amount.ToBig())
		if w.Claim != nil {
			c.claimable.Add(&c.claimable, to.Amount.ToBig())
		}
	}
	brings := tx.Value()
	if call.Token != (common.Address{}) {
		c.token.Set(sum)
		brings = new(big.Int).Add(sum, tx.Value()) // and no coins
	}
	if sum.Cmp(brings) != 0 {
		return fmt.Errorf("it brings %s wei for items of %s", tx.Value(), sum)
	}
	return nil
}

func checkToken(tx *types.Transaction, paid []node.WithdrawalView, c *cost) error {
	if len(paid) != 1 {
		return fmt.Errorf("%d withdrawals name it", len(paid))
	}
	amount, err := uint256.FromDecimal(paid[0].Amount)
	if err != nil {
		return err
	}
	if !bytes.Equal(tx.Data(), chain.TransferData(paid[0].To, *amount)) || tx.Value().Sign() != 0 {
		return fmt.Errorf("it is not the transfer of %s to %s", paid[0].Amount, paid[0].To)
	}
	c.token.Set(amount.ToBig())
	return nil
}

// leftRight checks what is left: of coin and token with the payers, and with the contract what is to be claimed. Of a payer that was
// swept no more than dust may be left.
func (n *Network) leftRight(ctx context.Context, client *ethclient.Client, all cost) error {
	var coin, token big.Int
	for _, payer := range n.payers() {
		has, err := n.holds(ctx, client, payer)
		if err != nil {
			return err
		}
		if payer == n.old && (has.coin.Cmp(big.NewInt(dustWei)) > 0 || has.token.Sign() != 0) {
			return fmt.Errorf("%s was swept, and holds %s wei and %s of the token", payer, &has.coin, &has.token)
		}
		coin.Add(&coin, &has.coin)
		token.Add(&token, &has.token)
	}
	claims, err := client.BalanceAt(ctx, n.world.payout, nil)
	if err != nil {
		return err
	}
	same := func(what string, have, want *big.Int) error {
		if have.Cmp(want) == 0 {
			return nil
		}
		return fmt.Errorf("%s: %s is there, the books leave %s", what, have, want)
	}
	err = errors.Join(same("wei of the payer", &coin, new(big.Int).Sub(coins(payerFunds), &all.coin)),
		same("wei of the payout contract", claims, &all.claimable))
	if n.world.token != (common.Address{}) {
		err = errors.Join(err, same("tokens of the payer", &token, new(big.Int).Sub(coins(tokenFunds), &all.token)))
	}
	return err
}

// holds is what a payer has of coin and token.
func (n *Network) holds(ctx context.Context, client *ethclient.Client, payer common.Address) (has cost, err error) {
	coin, err := client.BalanceAt(ctx, payer, nil)
	if err != nil {
		return has, err
	}
	has.coin.Set(coin)
	if n.world.token == (common.Address{}) {
		return has, nil
	}
	raw, err := client.CallContract(ctx, ethereum.CallMsg{To: &n.world.token, Data: chain.BalanceOfData(payer)}, nil)
	has.token.SetBytes(raw)
	return has, err
}
