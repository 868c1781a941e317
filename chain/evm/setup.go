package evm

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/payout"
)

// What is looked at, and done once, before a lane is used. None of it is part of chain.Endpoint: a node that pays asks none
// of it.

// ErrNoSimulation means that the server does not answer what would happen if an address had other code.
var ErrNoSimulation = errors.New("evm: the server does not simulate calls with other code")

// Probe is what one transfer of a token would do. Amounts are in the token's smallest unit.
type Probe struct {
	Succeeds  bool // answers true, or nothing
	Lost, Got uint256.Int
	Gas       uint64 // that the transfer uses
}

// probeWords is how many words TokenProbe answers.
const probeWords = 5

// ProbeToken asks what a transfer of the payer's tokens would do: the server executes TokenProbe at the payer's address, and
// nothing is changed. ErrNoSimulation when it cannot.
func (e *Endpoint) ProbeToken(ctx context.Context, token, payer, to common.Address, amount uint256.Int, at chain.Header) (Probe, error) {
	var out hexutil.Bytes
	call := map[string]any{"to": payer, "data": hexutil.Bytes(payout.ProbeData(token, to, amount))}
	override := map[common.Address]any{payer: map[string]any{"code": hexutil.Bytes(payout.ProbeCode())}}
	err := named(e.read(ctx, &out, "eth_call", call, byHash(at.Hash), override), []naming{{wordsArguments, ErrNoSimulation}})
	if err != nil {
		return Probe{}, err
	}
	if len(out) == 0 {
		return Probe{}, ErrNoSimulation // it dropped the third argument
	}
	if len(out) != probeWords*common.HashLength {
		return Probe{}, fmt.Errorf("eth_call: %d bytes for %d words", len(out), probeWords)
	}
	word := func(i int) (v uint256.Int) {
		v.SetBytes32(out[i*common.HashLength : (i+1)*common.HashLength])
		return v
	}
	succeeds, gas := word(0), word(4)
	return Probe{Succeeds: !succeeds.IsZero(), Lost: word(2), Got: word(3), Gas: gas.Uint64()}, nil
}

// wordsArguments is how servers refuse an argument that they do not know.
var wordsArguments = []string{"too many arguments", "too many params", "invalid params", "invalid argument", "unexpected argument"}

// createTip is the tip of a transaction that deploys, in wei for one unit of gas.
const createTip = 1_000_000_000

// Created is a contract that is being deployed.
type Created struct {
	Address common.Address // where it will stand
	Tx      common.Hash
}

// Create broadcasts a transaction of key that deploys code, at twice the base fee. It knows no nonce but the server's: the
// key must be used by nobody else meanwhile, and must never be a payer's.
func (e *Endpoint) Create(ctx context.Context, key *ecdsa.PrivateKey, code []byte) (Created, error) {
	from := crypto.PubkeyToAddress(key.PublicKey)
	head, err := e.Head(ctx)
	if err != nil {
		return Created{}, err
	}
	var nonce, gas hexutil.Uint64
	if err := e.read(ctx, &nonce, "eth_getTransactionCount", from, "pending"); err != nil {
		return Created{}, err
	}
	if err := e.read(ctx, &gas, "eth_estimateGas", map[string]any{"from": from, "data": hexutil.Bytes(code)}); err != nil {
		return Created{}, err
	}

	var feeCap uint256.Int
	feeCap.Lsh(&head.BaseFee, 1)
	feeCap.AddUint64(&feeCap, createTip)
	id := new(uint256.Int).SetUint64(e.chainID).ToBig()
	limit := min(uint64(gas)+uint64(gas)/10, chain.MaxGas) // the estimate is of a state that moves on
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(id), &types.DynamicFeeTx{
		ChainID: id, Nonce: uint64(nonce), Gas: limit, Data: code,
		GasTipCap: uint256.NewInt(createTip).ToBig(), GasFeeCap: feeCap.ToBig(),
	})
	if err != nil {
		return Created{}, fmt.Errorf("sign: %w", err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return Created{}, fmt.Errorf("encode: %w", err)
	}
	return Created{Address: crypto.CreateAddress(from, uint64(nonce)), Tx: tx.Hash()}, e.SendRaw(ctx, raw)
}

// pollEvery is how often Mined looks.
const pollEvery = 500 * time.Millisecond

// Mined waits until a transaction is in a block, or ctx ends. Whether it succeeded is in the receipt. A server that does not
// answer is asked again.
func (e *Endpoint) Mined(ctx context.Context, tx common.Hash) (chain.Receipt, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		r, err := e.Receipt(ctx, tx)
		if err == nil {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("wait for %s: %w (last answer: %w)", tx, ctx.Err(), err)
		case <-tick.C:
		}
	}
}
