package quorum

import "errors"

// ErrEpochUnknown means that nothing here says who the members of an epoch are.
var ErrEpochUnknown = errors.New("the members of that epoch are not known")

// Committees says who the members of an epoch are; it fails with [ErrEpochUnknown] for one that is not known. A statement binds
// its signer as a member of the epoch that it names: who left, or had not come yet, spoke for nobody there.
type Committees func(epoch uint64) (Members, error)

// InEveryEpoch are the same members whatever epoch a statement names.
func (m Members) InEveryEpoch() Committees {
	return func(uint64) (Members, error) { return m, nil }
}

// epochOf is what a statement's body says it is of.
func epochOf(b Body) uint64 {
	switch b := b.(type) {
	case Approve:
		return b.Epoch
	case Refuse:
		return b.Epoch
	case Proposal:
		return b.Epoch
	case Vote:
		return b.Epoch
	case Outcome:
		return b.Epoch
	case Ready:
		return b.Epoch
	case Abort:
		return b.Epoch
	case Halt:
		return b.Epoch
	case Clear:
		return b.Epoch
	case Checkpoint:
		return b.Epoch
	}
	return 0
}
