package devnet

import (
	"bytes"
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
	"conclave/node"
)

// sent is a transaction of a payer, in its block.
type sent struct {
	from    common.Address
	tx      *types.Transaction
	receipt *types.Receipt
}

// besides finds what the payers sent that paid no withdrawal, and adds what it cost: ALLOWs, a CANCEL, and what a swept payer sent.
func (n *Network) besides(ctx context.Context, client *ethclient.Client, paid map[common.Hash][]node.WithdrawalView, all *cost) (count int, err error) {
	if n.old == (common.Address{}) && !n.o.Tokens && n.world.censor == nil {
		return 0, nil // and the count of its transactions tells
	}
	cancels := 0
	err = n.eachSent(ctx, client, func(s sent) error {
		if paid[s.tx.Hash()] != nil {
			return nil
		}
		switch cancel, err := n.isCancel(s); {
		case err != nil:
			return err
		case cancel:
			cancels++
		case !n.isAllow(s) && !n.isSweep(s):
			return errors.New("it pays no withdrawal, and nothing else explains it")
		}
		if s.receipt.Status != types.ReceiptStatusSuccessful {
			return errors.New("it reverted")
		}
		all.coin.Add(&all.coin, gasOf(s.receipt))
		count++
		return nil
	})
	if err != nil {
		return 0, err
	}
	return count, n.cancelled(ctx, client, cancels)
}

// eachSent calls fn with everything that the payers sent, in chain order.
func (n *Network) eachSent(ctx context.Context, client *ethclient.Client, fn func(sent) error) error {
	last, err := client.BlockNumber(ctx)
	if err != nil {
		return err
	}
	signer := types.LatestSignerForChainID(new(big.Int).SetUint64(n.chainID))
	for h := uint64(1); h <= last; h++ {
		block, err := client.BlockByNumber(ctx, new(big.Int).SetUint64(h))
		if err != nil {
			return err
		}
		for _, tx := range block.Transactions() {
			from, err := types.Sender(signer, tx)
			if err != nil || !slices.Contains(n.payers(), from) {
				continue
			}
			receipt, err := client.TransactionReceipt(ctx, tx.Hash())
			if err == nil {
				err = fn(sent{from, tx, receipt})
			}
			if err != nil {
				return fmt.Errorf("transaction %s: %w", tx.Hash(), err)
			}
		}
	}
	return nil
}

// isAllow: the payout contract may take the payer's tokens.
func (n *Network) isAllow(s sent) bool {
	want := chain.ApproveData(n.world.payout, *new(uint256.Int).SetAllOne())
	return n.o.Tokens && s.tx.To() != nil && *s.tx.To() == n.world.token && s.tx.Value().Sign() == 0 && bytes.Equal(s.tx.Data(), want)
}

// isSweep: the swept payer moves coin or token to the payer in force, and nothing else.
func (n *Network) isSweep(s sent) bool {
	if s.from != n.old || s.tx.To() == nil {
		return false
	}
	// transfer(address,uint256): the word behind the selector is the recipient.
	token := *s.tx.To() == n.world.token && len(s.tx.Data()) == 68 && s.tx.Value().Sign() == 0 &&
		bytes.Equal(s.tx.Data()[4:36], common.LeftPadBytes(n.payer.Bytes(), 32))
	return token || *s.tx.To() == n.payer && len(s.tx.Data()) == 0
}

// isCancel: the payer pays itself nothing, at the nonce whose payment was never taken.
func (n *Network) isCancel(s sent) (bool, error) {
	if n.world.censor == nil || s.tx.To() == nil || *s.tx.To() != s.from || s.tx.Value().Sign() != 0 || len(s.tx.Data()) > 0 {
		return false, nil
	}
	if nonce, stuck := n.world.censor.stuck(); !stuck || s.tx.Nonce() != nonce {
		return false, fmt.Errorf("it cancels nonce %d, which was not stuck", s.tx.Nonce())
	}
	return true, nil
}

// cancelled checks what must have come of a payment that the chain never takes: one CANCEL, and no trace of the payment.
func (n *Network) cancelled(ctx context.Context, client *ethclient.Client, cancels int) error {
	c := n.world.censor
	if c == nil {
		return nil
	}
	if cancels != 1 {
		return fmt.Errorf("%d CANCELs are on the chain, want one", cancels)
	}
	for _, hash := range c.all() {
		if _, _, err := client.TransactionByHash(ctx, hash); !errors.Is(err, ethereum.NotFound) {
			return fmt.Errorf("the chain knows %s, which it was never to take (%w)", hash, err)
		}
	}
	return nil
}
