package relaysim

import (
	"math/big"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// publicFacts is how far what anybody may ask is from the truth.
type publicFacts struct {
	ahead   atomic.Int64  // seconds that /v1/now runs ahead
	moreFee atomic.Uint64 // whole coins that every published fixed fee is too high
}

// ShiftClock lets /v1/now run ahead, or behind when d is negative; whole seconds.
func (s *Sim) ShiftClock(d time.Duration) { s.public.ahead.Store(int64(d / time.Second)) }

// PublishMoreFee publishes fixed fees that are higher than the ones charged.
func (s *Sim) PublishMoreFee(coins uint64) { s.public.moreFee.Store(coins) }

// EmitAt is Emit of a row that was made at another time.
func (s *Sim) EmitAt(kind int, account common.Address, amount *big.Int, at time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.emit(kind, account, amount, "{}")
	e.CreatedAt = at.Unix()
	return e.ID
}
