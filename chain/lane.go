package chain

import (
	"errors"
	"fmt"
	"math"

	"github.com/ethereum/go-ethereum/common"
)

// WaySingle is the lane's way of paying that sends one transaction for each withdrawal.
const WaySingle = "single"

// MaxDepth bounds the configured depth of finality: a day of one-second blocks. More is a typing error.
const MaxDepth = 86_400

// Finality says which block of a chain counts as final: the chain's own finalized tag, or the block that has Depth
// blocks on top of it. Exactly one of the two is set.
type Finality struct {
	Tag   bool
	Depth uint64
}

// Lane is one payout network as the genesis document fixes it. The payer's address is not part of it: the key that
// decides it is made after the genesis is signed.
type Lane struct {
	Network         string         // the Relay's name of the network, which requesters sign
	ChainID         uint64         // EIP-155
	Token           common.Address // ERC-20 contract; zero means the chain's native coin
	Deposit         common.Address // where users send what the Relay credits as type 3
	BenefitContract common.Address // binds accounts to destinations; zero: this network knows no bindings
	BenefitSince    uint64         // block of that contract's creation: where its logs begin
	Finality        Finality
	Way             string         // WaySingle or WayBatch
	Contract        common.Address // that pays batches; zero with WaySingle
}

// Native reports whether the lane pays in the chain's own coin.
func (l Lane) Native() bool { return l.Token == (common.Address{}) }

// Validate names the first thing that is wrong with the lane.
func (l Lane) Validate() error {
	switch {
	case l.Network == "":
		return errors.New("lane: no network name")
	case l.ChainID == 0:
		// Zero would render transactions that are valid nowhere; the upper bound is what v of older formats can hold.
		return fmt.Errorf("lane %q: chain id 0", l.Network)
	case l.ChainID > math.MaxInt64/2:
		return fmt.Errorf("lane %q: chain id %d is too large", l.Network, l.ChainID)
	case l.Way != WaySingle && l.Way != WayBatch:
		return fmt.Errorf("lane %q: unknown way %q", l.Network, l.Way)
	case (l.Way == WayBatch) == (l.Contract == (common.Address{})):
		return fmt.Errorf("lane %q: way %q and contract %s do not go together", l.Network, l.Way, l.Contract)
	case l.Deposit == (common.Address{}):
		return fmt.Errorf("lane %q: no deposit address", l.Network)
	case l.Finality.Tag == (l.Finality.Depth > 0):
		return fmt.Errorf("lane %q: finality is either the tag or a depth of at least 1", l.Network)
	case l.Finality.Depth > MaxDepth:
		return fmt.Errorf("lane %q: a depth of %d blocks is more than %d", l.Network, l.Finality.Depth, MaxDepth)
	}
	return nil
}

// ValidateLanes checks each lane and that they do not contradict each other: a network stands once, and lanes of one
// chain agree about its finality, because they share one payer nonce sequence.
func ValidateLanes(lanes []Lane) error {
	finality := make(map[uint64]Finality, len(lanes))
	networks := make(map[string]bool, len(lanes))
	for _, l := range lanes {
		if err := l.Validate(); err != nil {
			return err
		}
		if networks[l.Network] {
			return fmt.Errorf("lane %q stands twice", l.Network)
		}
		networks[l.Network] = true

		known, ok := finality[l.ChainID]
		if ok && known != l.Finality {
			return fmt.Errorf("lane %q: chain %d has another finality on another lane", l.Network, l.ChainID)
		}
		finality[l.ChainID] = l.Finality
	}
	return nil
}

// ErrNonceRange means that the chain has seen a number of the payer's transactions that this network's decisions
// cannot explain. The node must not sign: another copy of the key may be at work, or its books are another network's.
var ErrNonceRange = errors.New("chain: the payer's transaction count does not fit the decisions")

// CheckNonce compares the payer's final transaction count with the books: it can be neither below what they hold as
// settled nor above what was decided. Run it only on a node that holds every decision it was shown.
func CheckNonce(first, settled, decided, final uint64) error {
	if final < first || final-first < settled || final-first > decided {
		return fmt.Errorf("%w: first %d, settled %d, decided %d, final %d", ErrNonceRange, first, settled, decided, final)
	}
	return nil
}
