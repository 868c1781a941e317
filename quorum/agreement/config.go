package agreement

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Bounds of what one height may hold in memory, whatever its members send.
const (
	// keepRounds is how many rounds before the current one keep their votes, so that late precommits still decide. Older
	// rounds decide by certificate: whoever decided shows it.
	keepRounds = 8
	// maxRound bounds a round's number. At a minute each, honest members need eight thousand years to get there.
	maxRound = 1 << 32
)

// Timeouts say how long a round waits: base plus delta for each round that failed, never more than Max.
type Timeouts struct {
	Propose, ProposeDelta time.Duration // for the proposal, from the round's start
	Vote, VoteDelta       time.Duration // for the rest of the votes, once q of them are in
	Max                   time.Duration
	Resend                time.Duration // between two repetitions of the own messages
}

// DefaultTimeouts are the protocol's: 2 s + 1 s·r for a proposal, 1 s + 0.5 s·r for votes, at most 60 s; resend each second.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Propose: 2 * time.Second, ProposeDelta: time.Second,
		Vote: time.Second, VoteDelta: 500 * time.Millisecond,
		Max:    time.Minute,
		Resend: time.Second,
	}
}

func (t Timeouts) check() error {
	for _, d := range []time.Duration{t.Propose, t.ProposeDelta, t.Vote, t.VoteDelta, t.Max, t.Resend} {
		if d <= 0 {
			return errors.New("every timeout must be positive: a round that does not grow may never be long enough")
		}
	}
	return nil
}

func (t Timeouts) propose(round uint64) time.Duration {
	return t.grow(t.Propose, t.ProposeDelta, round)
}

func (t Timeouts) vote(round uint64) time.Duration { return t.grow(t.Vote, t.VoteDelta, round) }

func (t Timeouts) grow(base, delta time.Duration, round uint64) time.Duration {
	// Compared before multiplied: a large round must not wrap around into a short timeout.
	if round > uint64(t.Max/delta) {
		return t.Max
	}
	return min(base+delta*time.Duration(round), t.Max)
}

// Config says which height is decided, by whom, and who we are.
type Config struct {
	Network  common.Hash
	Roster   quorum.Roster // of the epoch that rules at Height
	Self     common.Address
	Height   uint64
	Timeouts Timeouts
}

func (c Config) check() error {
	if !c.Roster.IDs().Has(c.Self) {
		return fmt.Errorf("agreement: %w: %s", quorum.ErrNotMember, c.Self)
	}
	if err := c.Timeouts.check(); err != nil {
		return fmt.Errorf("agreement: %w", err)
	}
	return nil
}
