package devnet

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/internal/devnet/simchain"
	"conclave/node/config"
	"conclave/relay/relaysim"
)

// A network on the devnet's own chain has a lane that pays many withdrawals in one transaction, in the chain's coin. Beside it,
// where users are simulated too, stands one that pays a token, each withdrawal by itself unless the options say otherwise. On a chain that stands already there
// is one lane, which pays singly unless the options name the contract that somebody deployed there.

// tokenFunds is what the payer gets of the token, in whole ones.
const tokenFunds = 1_000_000

// tokenNetwork is the Relay's name of the lane that pays tokens.
func tokenNetwork(network string) string { return network + "-token" }

// networks are the names of the lanes.
func (o Options) networks() []string {
	if o.simulated() {
		return []string{o.Network, tokenNetwork(o.Network)}
	}
	return []string{o.Network}
}

// relayNetworks are the tariffs that the own Relay publishes.
func (o Options) relayNetworks() (out []relaysim.Network) {
	t := defaultTariff()
	for i, name := range o.networks() {
		kind := "native"
		if i > 0 {
			kind = "erc20"
		}
		out = append(out, relaysim.Network{Name: name, TokenType: kind, Fee: t.fixed, Min: t.minimum, Tiers: t.tiers, MaxPerDay: 100_000})
	}
	return out
}

// deploy puts the contracts on the own chain.
func (n *Network) deploy(ctx context.Context, faucet *simchain.Wallet) (err error) {
	w := n.world
	if w.benefit, _, err = faucet.DeployBenefit(ctx); err != nil {
		return fmt.Errorf("deploy the benefit contract: %w", err)
	}
	if w.payout, _, err = faucet.DeployPayout(ctx); err != nil {
		return fmt.Errorf("deploy the payout contract: %w", err)
	}
	if n.o.simulated() {
		if w.token, _, err = faucet.DeployToken(ctx, *uint256.MustFromBig(coins(tokenFunds))); err != nil {
			return fmt.Errorf("deploy the token: %w", err)
		}
	}
	return nil
}

// laneFile is what `conclave network new` reads of the lanes.
func (n *Network) laneFile() string {
	var b strings.Builder
	w := n.world
	for i, name := range n.o.networks() {
		fmt.Fprintf(&b, "[[lane]]\nnetwork = %q\nchain_id = %d\ndeposit_address = %q\nfinality = %d\nmin_endpoints = %d\n",
			name, n.chainID, w.deposit, cmp.Or(n.o.Finality, finalDepth), len(n.urls(0)))
		if w.benefit != (common.Address{}) {
			fmt.Fprintf(&b, "benefit_contract = %q\n", w.benefit)
		}
		switch {
		case i > 0:
			fmt.Fprintf(&b, "token = %q\n", w.token)
			if n.o.Tokens {
				fmt.Fprintf(&b, "way = \"batch\"\ncontract = %q\n", w.payout)
			}
		case w.payout != (common.Address{}):
			fmt.Fprintf(&b, "way = \"batch\"\ncontract = %q\n", w.payout)
		}
	}
	return b.String()
}

// endpoints are the lanes of custodian i's configuration: all are on one chain.
func (n *Network) endpoints(i int) (out []config.Lane) {
	for _, name := range n.o.networks() {
		out = append(out, config.Lane{Network: name, Endpoints: n.urls(i)})
	}
	return out
}

// urls are custodian i's endpoints. It must ask all of them.
func (n *Network) urls(i int) []string {
	if n.world.censor != nil {
		return []string{n.world.censor.url}
	}
	out := []string{pick(n.o.RPCs, i, n.chainURL)}
	if n.world.bad != nil {
		out = append(out, n.world.bad.url)
	}
	return out
}

// fundTokens gives the payer all tokens that there are.
func (n *Network) fundTokens(ctx context.Context, wallet *simchain.Wallet) (common.Hash, error) {
	return wallet.TransferToken(ctx, n.world.token, n.payer, *uint256.MustFromBig(coins(tokenFunds)))
}
