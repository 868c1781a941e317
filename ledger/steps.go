package ledger

import "github.com/ethereum/go-ethereum/common"

// Step is a place of a commit between two durable steps.
type Step string

// The places, in their order.
const (
	// StepCommit: the transaction is complete in memory, nothing of it is on disk.
	StepCommit Step = "commit"
	// StepMark: the database is on disk, the high-water file is not.
	StepMark Step = "mark"
	// StepReplace: the new high-water file stands beside the old one, under another name. Not every commit raises the mark.
	StepReplace Step = "replace"
	// StepDone: everything is on disk, and nobody has heard of it.
	StepDone Step = "done"
)

// Steps is called at each place of each commit, by the goroutine that commits. An error fails the commit there, as a
// full or broken disk would; a goroutine that ends there is a process that died.
type Steps func(Step) error

// OpenWatched is [Open] for who must be asked between the durable steps: tests of what a crash and a broken disk leave
// behind. steps may be nil.
func OpenWatched(dir string, network common.Hash, steps Steps) (*Ledger, error) {
	l, err := Open(dir, network)
	if err == nil && steps != nil {
		l.steps = steps
		l.high.between = func() error { return steps(StepReplace) }
	}
	return l, err
}

// at asks what watches the durable steps.
func (l *Ledger) at(s Step) error {
	if l.steps == nil {
		return nil
	}
	return l.steps(s)
}
