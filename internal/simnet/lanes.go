package simnet

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/memchain"
	"conclave/quorum"
	"conclave/relay/relaysim"
)

// OtherNetwork is the second lane, in a world that has one: another chain with the same payer.
const (
	OtherNetwork = "simnet-other"
	otherChainID = 7078
)

// otherLane is everything about the second chain.
type otherLane struct {
	chain  *memchain.Chain
	end    *memchain.Endpoint // the world's own look at it
	funded uint256.Int
}

func otherGenesis(finality uint64) quorum.Lane {
	return quorum.Lane{Network: OtherNetwork, ChainID: otherChainID, Way: quorum.WaySingle, DepositAddress: place("other deposit"),
		BenefitContract: place("other benefit contract"), Finality: finality, MinEndpoints: 1}
}

// lanes are the networks of a world.
func (cfg Config) lanes() []string {
	if cfg.OtherLane {
		return []string{Network, OtherNetwork}
	}
	return []string{Network}
}

func (cfg Config) relayTariffs() (out []relaysim.Network) {
	for _, name := range cfg.lanes() {
		out = append(out, relaysim.Network{Name: name, TokenType: "native", Fee: tariffFixed, Min: tariffMin,
			Tiers: []relaysim.Tier{{Min: 0, Ratio: tariffRatio}}, MaxPerDay: 1000})
	}
	return out
}

// openOther makes the second chain.
func (w *World) openOther() error {
	if !w.cfg.OtherLane {
		return nil
	}
	c, err := memchain.New(memchain.Config{
		ChainID: otherChainID, Depth: w.cfg.Finality, BaseFee: *uint256.NewInt(1_000_000_000), Benefit: w.Genesis.Lanes[1].BenefitContract,
		Alloc: map[common.Address]uint256.Int{w.payer: w.funded},
	})
	if err == nil {
		w.other = &otherLane{c, c.Endpoint("world"), w.funded}
	}
	return err
}

// endpoints is the custodian's way to every chain.
func (c *Custodian) endpoints() (map[string]chain.Endpoint, error) {
	first, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	out := map[string]chain.Endpoint{Network: chainDoor{first, c.crash, c}}
	if c.w.other != nil {
		out[OtherNetwork] = c.w.other.chain.Endpoint(c.Name + " other")
	}
	return out, nil
}

// benefitOf is what the newest block of a network's chain says, as the real Relay asks.
func (w *World) benefitOf(ctx context.Context, network string, account common.Address) (common.Address, error) {
	end, lane := w.end, w.Genesis.Lanes[0]
	if network == OtherNetwork {
		end, lane = w.other.end, w.Genesis.Lanes[1]
	}
	head, err := end.Head(ctx)
	if err != nil {
		return common.Address{}, err
	}
	return end.BenefitAddress(ctx, lane.BenefitContract, account, head)
}

// WithdrawOther signs and posts a request on the second lane.
func (w *World) WithdrawOther(ctx context.Context, u *User, coins, name string) (*Request, error) {
	if w.other == nil {
		return nil, fmt.Errorf("the world has one lane")
	}
	wei, err := Coins(coins)
	if err != nil {
		return nil, err
	}
	body, err := u.wire.Sign(OtherNetwork, wei, u.Address.Hex())
	if err != nil {
		return nil, err
	}
	return w.post(ctx, &Request{Name: name, User: u, Amount: wei, body: body, network: OtherNetwork, Destination: u.Address})
}
