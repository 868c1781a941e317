package devnet

import (
	"fmt"
	"math/big"
	"strings"

	"conclave/relay/relaysim"
)

// coin is one coin in wei.
var coin = new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)

// coins is n coins in wei.
func coins(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), coin) }

// tariff is what a withdrawal costs here: the Relay and the policy must say the same.
type tariff struct {
	fixed, minimum uint64 // whole coins
	tiers          []relaysim.Tier
}

// defaultTariff is that of the real Relay's test network.
func defaultTariff() tariff {
	return tariff{fixed: 1, minimum: 4, tiers: []relaysim.Tier{{Min: 0, Ratio: 0.01}, {Min: 1000, Ratio: 0.005}}}
}

// policyFile is the devnet's policy for its networks.
func policyFile(networks []string, t tariff) string {
	var b strings.Builder
	b.WriteString(`# Policy of a development network.
version = 1
gap_grace = "60s"
uncovered_max = "1000000000000000000000"
hold_max = "10m"
batch_wait = "100ms"
in_flight = 4
bump_after = "30s"
resume_delay = "10s"

[fees]
tip_floor = "1000000000"
offer_percent = 200
cap_percent = 400
ceiling = "1000000000000"
gas_limit = 60000
token_gas_limit = 120000
`)
	for _, network := range networks {
		fmt.Fprintf(&b, "\n[[tariff]]\nnetwork = %q\nfixed = \"%s\"\nminimum = \"%s\"\n", network, coins(int64(t.fixed)), coins(int64(t.minimum)))
		for _, tier := range t.tiers {
			fmt.Fprintf(&b, "[[tariff.tiers]]\nfrom = \"%s\"\nratio = \"%v\"\n", coins(int64(tier.Min)), tier.Ratio)
		}
	}
	return b.String()
}
