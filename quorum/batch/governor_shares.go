package batch

import (
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

// maxDestinations bounds the destinations that are remembered as paid: those of the last so many payouts, some ten
// megabytes. One that was paid longer ago counts as new again, which can queue a payout and never lets one pass.
const maxDestinations = 1 << 18

// destinations is where the last payouts went. It follows from the decisions alone, and is kept whether or not a rule asks
// for it: a policy that asks later must find the same on a node that restarted and on one that did not.
type destinations struct {
	ring  []uint64 // in the order of decisions, the oldest at next once it is full
	next  int
	times map[uint64]uint32 // how often each stands in the ring
}

func newDestinations() destinations { return destinations{times: map[uint64]uint32{}} }

// destinationKey is 64 bits of a hash: finding another address with the same ones costs more than the rule can be worth.
func destinationKey(network string, to common.Address) uint64 {
	return binary.BigEndian.Uint64(crypto.Keccak256([]byte(network), to[:]))
}

func (d *destinations) has(c quorum.Content) bool {
	return d.times[destinationKey(c.Network, c.To)] > 0
}

func (d *destinations) add(c quorum.Content) {
	d.push(destinationKey(c.Network, c.To), maxDestinations)
}

func (d *destinations) push(key uint64, bound int) {
	d.times[key]++
	if len(d.ring) < bound {
		d.ring = append(d.ring, key)
		return
	}
	old := d.ring[d.next]
	if d.times[old]--; d.times[old] == 0 {
		delete(d.times, old)
	}
	d.ring[d.next] = key
	d.next = (d.next + 1) % bound
}

// shared checks the shares of new and of equal destinations in one batch. Batches below the policy's minimum are not
// judged; a single-transaction lane's never reach it.
func (s *State) shared(b Batch) error {
	rule, n := s.Policy.Shares, uint64(len(b.Items))
	if n == 0 || n < rule.MinItems {
		return nil
	}
	fresh, most, to := uint64(0), uint64(0), map[common.Address]uint64{}
	for _, it := range b.Items {
		if !s.governors.paid.has(it.Content) {
			fresh++
		}
		to[it.Content.To]++
		most = max(most, to[it.Content.To])
	}
	if rule.NewPercent > 0 && fresh*100 > rule.NewPercent*n {
		return invalid("%d of %d items go to destinations that were never paid, at most %d %% may", fresh, n, rule.NewPercent)
	}
	if rule.DestinationPercent > 0 && most*100 > rule.DestinationPercent*n {
		return invalid("%d of %d items go to one destination, at most %d %% may", most, n, rule.DestinationPercent)
	}
	return nil
}
