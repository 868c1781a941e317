package relaysim

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Network is a payout network as the Relay is configured for it.
type Network struct {
	Name      string
	TokenType string // "native" or "erc20"
	Fee       uint64 // fixed part of the fee in whole coins
	Min       uint64 // the smallest withdrawal in whole coins
	Tiers     []Tier // by rising Min, the first from 0
	MaxPerDay int    // withdrawals per account, and per destination, in one UTC day
}

// Tier is the relative part of the fee from an amount on.
type Tier struct {
	Min   uint64 // whole coins
	Ratio float64
}

func (n Network) check() error {
	switch {
	case n.Name == "":
		return errors.New("network without a name")
	case len(n.Tiers) == 0 || n.Tiers[0].Min != 0:
		return fmt.Errorf("network %s: the first tier must start at 0", n.Name)
	}
	for i := 1; i < len(n.Tiers); i++ {
		if n.Tiers[i].Min <= n.Tiers[i-1].Min {
			return fmt.Errorf("network %s: tiers must rise", n.Name)
		}
	}
	return nil
}

// coins gives wei.
func coins(n uint64) *big.Int {
	return new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(1e18))
}

// FeeOf is the fee of a withdrawal in wei: the fixed part and the floor of amount × ratio, where the ratio is the exact
// rational value of its float64. One percent is not 1/100: of 10 coins it takes 100000000000000002 wei.
func (n Network) FeeOf(amount *big.Int) *big.Int {
	ratio := new(big.Rat)
	for _, t := range slices.Backward(n.Tiers) {
		if coins(t.Min).Cmp(amount) <= 0 {
			ratio.SetFloat64(t.Ratio)
			break
		}
	}
	part := ratio.Mul(ratio, new(big.Rat).SetInt(amount))
	floor := new(big.Int).Div(part.Num(), part.Denom())
	return floor.Add(floor, coins(n.Fee))
}
