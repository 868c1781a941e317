package risk

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"conclave/quorum"
)

// Tariff judges what the Relay publishes about withdrawals against the policy, network by network. Networks that the
// policy does not name are not paid, so their tariff is nobody's matter.
func (s *Watches) Tariff(ours, published map[string]quorum.Tariff, now uint64) []Finding {
	differ := tariffDifferences(ours, published)
	is := state{latch: latch{ruleTariff, ""}, code: AlertTariff, breached: len(differ) > 0, text: "the Relay's published tariff is not the policy's",
		threshold: "the policy's tariff", observed: strings.Join(differ, "; "),
		do: "withdrawals with another fee wait: ask the Relay's operator, and vote a new policy if the change is right"}
	s.tariff = is
	return s.rise(nil, is, now)
}

func tariffDifferences(ours, published map[string]quorum.Tariff) (out []string) {
	for _, network := range slices.Sorted(maps.Keys(ours)) {
		a := ours[network]
		b, ok := published[network]
		switch {
		case !ok:
			out = append(out, network+" is not published")
		case a.Fixed != b.Fixed:
			out = append(out, fmt.Sprintf("%s: the fixed part is %s wei, published are %s", network, a.Fixed.Dec(), b.Fixed.Dec()))
		case a.Minimum != b.Minimum:
			out = append(out, fmt.Sprintf("%s: the minimum is %s wei, published are %s", network, a.Minimum.Dec(), b.Minimum.Dec()))
		case !slices.EqualFunc(a.Tiers, b.Tiers, sameTier):
			out = append(out, network+": the tiers differ")
		}
	}
	return out
}

func sameTier(a, b quorum.Tier) bool { return a.From == b.From && a.Ratio.Cmp(b.Ratio) == 0 }
