package devnet

import (
	"context"
	"math/big"
	"time"
)

// Rhythms of many withdrawals under kills.
const (
	largestBurst = 40 // withdrawals that come at once, at the most
	burstPause   = 2 * time.Second
	oneToken     = 25 // of so many one is paid in the token, by a transaction of its own
)

// load lets users withdraw while custodians are killed.
func (k *killer) load(ctx context.Context, calm <-chan struct{}) error {
	if k.n.o.Load == 0 {
		return k.n.load(ctx, calm)
	}
	n, total := k.n, k.n.o.Load
	first := min(perRound, total)
	if err := n.world.live(ctx, first, n.made); err != nil {
		return err
	}
	people, err := n.world.people(crowd, new(big.Int).Mul(coins(100), big.NewInt(int64(total/crowd+largestBurst))))
	if err != nil {
		return err
	}
	for asked, burst := first, 0; asked < total; asked += burst {
		burst = min(largestBurst, k.due(total, calm)-asked)
		for i := range max(0, burst) {
			lane := n.world.network
			if (asked+i)%oneToken == oneToken-1 {
				lane = tokenNetwork(lane)
			}
			r, err := n.world.ask(ctx, people[(asked+i)%len(people)], lane, asked+i)
			if err != nil {
				return err
			}
			n.made(r)
		}
		burst = max(0, burst)
		if err := pause(ctx, burstPause); err != nil {
			return err
		}
	}
	return nil
}

// due is how many may have asked by now: as many as kills have come of all, and everybody once there are no more.
func (k *killer) due(total int, calm <-chan struct{}) int {
	select {
	case <-calm:
		return total
	default:
		return min(total, total*(int(k.struck.Load())+1)/k.n.o.Kills)
	}
}
