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

// share is how many items of a batch go where.
type share struct {
	fresh int                    // to destinations that were never paid
	to    map[common.Address]int // to each
	most  common.Address         // the one with most; of equals the one that comes to it first
}

func (s *State) shareOf(b Batch) (out share) {
	out.to = map[common.Address]int{}
	for _, it := range b.Items {
		if !s.governors.paid.has(it.Content) {
			out.fresh++
		}
		if out.to[it.Content.To]++; out.to[it.Content.To] > out.to[out.most] {
			out.most = it.Content.To
		}
	}
	return out
}

// judges reports whether shares are looked at: one of a few items means nothing. A lane that pays one withdrawal in each
// transaction never comes to the policy's minimum.
func judges(rule quorum.Shares, n int) bool { return n > 0 && uint64(n) >= rule.MinItems }

// above reports whether a part of n items is more than a percentage; zero is off.
func above(part, n int, percent uint64) bool {
	return percent > 0 && uint64(part)*100 > percent*uint64(n)
}

// shared checks the shares of new and of equal destinations in one batch.
func (s *State) shared(b Batch) error {
	rule, n := s.Policy.Shares, len(b.Items)
	if !judges(rule, n) {
		return nil
	}
	sh := s.shareOf(b)
	if above(sh.fresh, n, rule.NewPercent) {
		return invalid("%d of %d items go to destinations that were never paid, at most %d %% may", sh.fresh, n, rule.NewPercent)
	}
	if most := sh.to[sh.most]; above(most, n, rule.DestinationPercent) {
		return invalid("%d of %d items go to one destination, at most %d %% may", most, n, rule.DestinationPercent)
	}
	return nil
}

// overShare is the last item of a batch that belongs to a share that is too large, -1 when none is.
func (s *State) overShare(b Batch) int {
	rule, n := s.Policy.Shares, len(b.Items)
	if !judges(rule, n) {
		return -1
	}
	sh := s.shareOf(b)
	fresh, one := above(sh.fresh, n, rule.NewPercent), above(sh.to[sh.most], n, rule.DestinationPercent)
	for i := n - 1; i >= 0 && (fresh || one); i-- {
		c := b.Items[i].Content
		if (fresh && !s.governors.paid.has(c)) || (one && c.To == sh.most) {
			return i
		}
	}
	return -1
}
