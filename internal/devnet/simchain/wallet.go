package simchain

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/evm/contracts"
	"conclave/chain/payout"
)

const (
	// tipWei is what wallets offer beyond the base fee: 1 gwei.
	tipWei = 1_000_000_000

	// callGas is the limit for calls of our contracts; unused gas is not paid.
	callGas = 150_000

	// deployGas is the limit for deploying one of our contracts.
	deployGas = 2_000_000

	// pollEvery is how often Wait looks for a receipt.
	pollEvery = 200 * time.Millisecond
)

// Wallet signs and sends the transactions of one development key. It is safe for concurrent use.
type Wallet struct {
	key    *ecdsa.PrivateKey
	signer types.Signer
	client *ethclient.Client

	*turns
}

// turns keeps the nonces of one key in order, for all wallets that hold it.
type turns struct {
	mu    sync.Mutex // guards next
	next  uint64
	known bool // next was read from the chain
}

// NewWallet opens a wallet on the chain that answers at url. It does not connect before it is used.
func NewWallet(url string, chainID uint64, key *ecdsa.PrivateKey) (*Wallet, error) {
	client, err := ethclient.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("open wallet: %w", err)
	}
	return &Wallet{key: key, signer: types.LatestSignerForChainID(new(big.Int).SetUint64(chainID)), client: client, turns: &turns{}}, nil
}

// Address is the wallet's address.
func (w *Wallet) Address() common.Address { return crypto.PubkeyToAddress(w.key.PublicKey) }

// Close ends the wallet's connections.
func (w *Wallet) Close() { w.client.Close() }

// Transfer sends coins, in wei; to the deposit address that is a deposit. It does not wait for a block.
func (w *Wallet) Transfer(ctx context.Context, to common.Address, wei uint256.Int) (common.Hash, error) {
	tx, err := w.send(ctx, &to, wei.ToBig(), nil, chain.MinGas)
	if err != nil {
		return common.Hash{}, fmt.Errorf("transfer to %s: %w", to, err)
	}
	return tx.Hash(), nil
}

// TransferToken sends an ERC-20 token, in its smallest unit.
func (w *Wallet) TransferToken(ctx context.Context, token, to common.Address, amount uint256.Int) (common.Hash, error) {
	tx, err := w.send(ctx, &token, nil, chain.TransferData(to, amount), callGas)
	if err != nil {
		return common.Hash{}, fmt.Errorf("transfer token to %s: %w", to, err)
	}
	return tx.Hash(), nil
}

// Bind sends setBenefitAddress(benefit) to the contract. It can succeed once for each wallet.
func (w *Wallet) Bind(ctx context.Context, contract, benefit common.Address) (common.Hash, error) {
	tx, err := w.send(ctx, &contract, nil, chain.SetBenefitData(benefit), callGas)
	if err != nil {
		return common.Hash{}, fmt.Errorf("bind benefit address: %w", err)
	}
	return tx.Hash(), nil
}

// DeployBenefit deploys the BenefitAddress contract and returns where it will be once the transaction is mined.
func (w *Wallet) DeployBenefit(ctx context.Context) (common.Address, common.Hash, error) {
	return w.deploy(ctx, contracts.BenefitAddressCode())
}

// DeployPayout deploys the contract that pays batches.
func (w *Wallet) DeployPayout(ctx context.Context) (common.Address, common.Hash, error) {
	return w.deploy(ctx, payout.CreationCode())
}

// DeployToken deploys the development token, its whole supply at this wallet.
func (w *Wallet) DeployToken(ctx context.Context, supply uint256.Int) (common.Address, common.Hash, error) {
	return w.deploy(ctx, contracts.DevTokenCode(supply))
}

func (w *Wallet) deploy(ctx context.Context, code []byte) (common.Address, common.Hash, error) {
	tx, err := w.send(ctx, nil, nil, code, deployGas)
	if err != nil {
		return common.Address{}, common.Hash{}, fmt.Errorf("deploy contract: %w", err)
	}
	return crypto.CreateAddress(w.Address(), tx.Nonce()), tx.Hash(), nil
}

// send signs with the next nonce, at twice the base fee.
func (w *Wallet) send(ctx context.Context, to *common.Address, wei *big.Int, data []byte, gas uint64) (*types.Transaction, error) {
	head, err := w.client.HeaderByNumber(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read base fee: %w", err)
	}
	if head.BaseFee == nil {
		return nil, errors.New("the chain has no base fee")
	}
	feeCap := new(big.Int).Lsh(head.BaseFee, 1)
	feeCap.Add(feeCap, big.NewInt(tipWei))
	return w.submit(ctx, types.DynamicFeeTx{To: to, Value: wei, Data: data, Gas: gas, GasTipCap: big.NewInt(tipWei), GasFeeCap: feeCap})
}

// submit fills in chain and nonce, signs and sends. The chain is asked for the nonce once; after a refusal it is asked again, because the
// count kept here may be wrong then.
func (w *Wallet) submit(ctx context.Context, what types.DynamicFeeTx) (*types.Transaction, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		next, err := w.client.PendingNonceAt(ctx, w.Address())
		if err != nil {
			return nil, fmt.Errorf("read nonce: %w", err)
		}
		w.next, w.known = next, true
	}
	what.ChainID, what.Nonce = w.signer.ChainID(), w.next
	tx, err := types.SignNewTx(w.key, w.signer, &what)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if err := w.client.SendTransaction(ctx, tx); err != nil {
		w.known = false
		return nil, err
	}
	w.next++
	return tx, nil
}

// Wait blocks until the transaction is in a block, or ctx ends, and returns an error unless it succeeded there. A server
// that does not answer, or still indexes, is asked again.
func (w *Wallet) Wait(ctx context.Context, hash common.Hash) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		receipt, err := w.client.TransactionReceipt(ctx, hash)
		switch {
		case err == nil && receipt.Status != types.ReceiptStatusSuccessful:
			return fmt.Errorf("transaction %s failed in block %d", hash, receipt.BlockNumber)
		case err == nil:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last answer: %w)", hash, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Balance is an address's balance of coins at the newest block, in wei.
func (w *Wallet) Balance(ctx context.Context, addr common.Address) (uint256.Int, error) {
	wei, err := w.client.BalanceAt(ctx, addr, nil)
	if err != nil {
		return uint256.Int{}, fmt.Errorf("balance of %s: %w", addr, err)
	}
	v, over := uint256.FromBig(wei)
	if over {
		return uint256.Int{}, fmt.Errorf("balance of %s is above 2^256", addr)
	}
	return *v, nil
}
