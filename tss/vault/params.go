package vault

import "fmt"

// Params is what deriving a key from the password costs. It is stored with the slot.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes over the memory
	Threads uint8
}

// limits bound Params, when a vault is made and when it is opened.
type limits struct{ least, most Params }

// Bounds. Below the least, a stolen file is worth guessing at. Above the most, a header that someone else wrote would take
// the machine's memory, or minutes, before the password is even tried.
const (
	leastMemory, mostMemory   = 64 << 10, 2 << 20 // 64 MiB to 2 GiB
	leastTime, mostTime       = 3, 10
	leastThreads, mostThreads = 1, 16
)

func bounds() limits {
	return limits{Params{leastMemory, leastTime, leastThreads}, Params{mostMemory, mostTime, mostThreads}}
}

// DefaultParams is 512 MiB, three passes, four threads: two seconds of two cores.
func DefaultParams() Params { return Params{Memory: 512 << 10, Time: 3, Threads: 4} }

// LeastParams is the cheapest that a vault may have: 64 MiB, three passes. It suits passwords that were drawn at random,
// and development.
func LeastParams() Params { return Params{Memory: leastMemory, Time: leastTime, Threads: 4} }

func (l limits) check(p Params) error {
	switch {
	case p.Memory < l.least.Memory || p.Memory > l.most.Memory:
		return fmt.Errorf("%w: %d KiB of memory, not %d to %d", ErrParams, p.Memory, l.least.Memory, l.most.Memory)
	case p.Time < l.least.Time || p.Time > l.most.Time:
		return fmt.Errorf("%w: %d passes, not %d to %d", ErrParams, p.Time, l.least.Time, l.most.Time)
	case p.Threads < l.least.Threads || p.Threads > l.most.Threads:
		return fmt.Errorf("%w: %d threads, not %d to %d", ErrParams, p.Threads, l.least.Threads, l.most.Threads)
	}
	return nil
}
