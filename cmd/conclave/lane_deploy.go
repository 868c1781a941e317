package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/chain/payout"
	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/spf13/cobra"
)

type deployFlags struct {
	source  laneSource
	chainID uint64
	key     string
	wait    time.Duration
}

// deployed is the JSON of `lane deploy-contract`.
type deployed struct {
	Network  string         `json:"network"`
	ChainID  uint64         `json:"chain_id"`
	Contract common.Address `json:"contract"`
	CodeHash common.Hash    `json:"code_hash"`
	Tx       common.Hash    `json:"tx"`
	Block    uint64         `json:"block"`
	Gas      uint64         `json:"gas"`
}

func newLaneDeploy(env *cli.Env) *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use: "deploy-contract --home DIR --network NAME --key-file FILE", Short: "Deploy the contract that pays batches, from any key that has coins", Args: cobra.NoArgs,
		Long: "Deploys the payout contract over the first endpoint of the lane, and waits until its code stands there. Nobody owns it,\n" +
			"whoever deploys it: use a key that is good for nothing else. The payer's key has no part in it.",
		RunE: env.Run(func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			out, err := f.run(ctx, env)
			if err != nil {
				return err
			}
			return env.Print(out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "contract  %s\nchain     %d\ncode      %s\ntx        %s\nblock     %d\ngas       %d\n",
					out.Contract, out.ChainID, out.CodeHash, out.Tx, out.Block, out.Gas)
				return err
			})
		}),
	}
	f.source.register(cmd)
	cmd.Flags().Uint64Var(&f.chainID, "chain-id", 0, "the chain's id, when neither --lanes nor the home's document says it")
	cmd.Flags().StringVar(&f.key, "key-file", "", "file with the key that pays for it, mode 0600 (required)")
	cmd.Flags().DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for a block")
	return cmd
}

func (f deployFlags) run(ctx context.Context, env *cli.Env) (deployed, error) {
	var out deployed
	if f.key == "" || f.source.network == "" {
		return out, cli.Errorf(cli.Usage, "", "lane deploy-contract: --network and --key-file are required")
	}
	cfg, lane, err := f.lane()
	if err != nil {
		return out, err
	}
	key, err := f.payingKey(cfg)
	if err != nil {
		return out, err
	}
	ends, end, err := endpoints(cfg, lane)
	if err != nil {
		return out, err
	}
	defer end()

	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	made, err := ends[0].Create(ctx, key, payout.CreationCode())
	if err != nil {
		hint := ""
		if errors.Is(err, chain.ErrFunds) {
			hint = "send coins to " + crypto.PubkeyToAddress(key.PublicKey).Hex()
		}
		return out, cli.With(cli.Failed, fmt.Errorf("deploy at %s: %w", ends[0].Name(), err), hint)
	}
	env.Note("sent %s; the contract will stand at %s", made.Tx, made.Address)
	receipt, err := codeStands(ctx, ends[0], made)
	if err != nil {
		return out, err
	}
	env.Note("next: name it in the lanes file (way = \"batch\", contract = %q), then `conclave lane check`", made.Address)
	return deployed{lane.Network, lane.ChainID, made.Address, payout.CodeHash(), made.Tx, receipt.BlockNumber, receipt.GasUsed}, nil
}

// lane is the lane that the contract is for, as far as it is known: before there is a document, an endpoint and a chain id.
func (f deployFlags) lane() (config.Config, quorum.Lane, error) {
	if f.chainID == 0 || f.source.lanes != "" {
		cfg, lanes, err := f.source.open()
		if err != nil {
			return cfg, quorum.Lane{}, err
		}
		if f.chainID != 0 && f.chainID != lanes[0].ChainID {
			return cfg, quorum.Lane{}, cli.Errorf(cli.Usage, "", "--chain-id: lane %q is of chain %d", lanes[0].Network, lanes[0].ChainID)
		}
		return cfg, lanes[0], nil
	}
	if f.source.home == "" {
		return config.Config{}, quorum.Lane{}, cli.Errorf(cli.Usage, "", "--home is required")
	}
	cfg, err := config.Read(f.source.home)
	return cfg, quorum.Lane{Network: f.source.network, ChainID: f.chainID}, err
}

// payingKey reads the key, and keeps a node's identity out of it: its signature means other things.
func (f deployFlags) payingKey(cfg config.Config) (*ecdsa.PrivateKey, error) {
	key, err := config.ReadKey(f.key)
	if err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("key: %w", err), "")
	}
	if own, err := config.ReadKey(cfg.NodeKeyPath()); err == nil && own.Equal(key) {
		return nil, cli.Errorf(cli.Usage, "use a key that is good for nothing else", "lane deploy-contract: %s holds the node's identity", f.key)
	}
	return key, nil
}

// codeStands waits until the transaction is mined and the code that it made is the contract's.
func codeStands(ctx context.Context, e *evm.Endpoint, made evm.Created) (chain.Receipt, error) {
	receipt, err := e.Mined(ctx, made.Tx)
	if err != nil {
		return receipt, cli.With(cli.Failed, err, "it may still be mined: `conclave lane check` tells; another run would deploy another contract")
	}
	if receipt.Status != 1 {
		return receipt, cli.Errorf(cli.Failed, "", "transaction %s failed in block %d", made.Tx, receipt.BlockNumber)
	}
	code, err := e.CodeAt(ctx, made.Address, chain.Header{Hash: receipt.BlockHash})
	if err != nil {
		return receipt, err
	}
	if hash := crypto.Keccak256Hash(code); hash != payout.CodeHash() {
		return receipt, cli.Errorf(cli.Failed, "do not use it; ask another endpoint", "the code at %s has the hash %s, not %s", made.Address, hash, payout.CodeHash())
	}
	return receipt, nil
}
