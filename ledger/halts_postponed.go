package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// keyPostponed is in bucketSelf: fuses that blew while nothing could be signed, as bodies without a counter. They stop this
// node at once, and are signed when it speaks again.
var keyPostponed = []byte("postponed-halts")

// Postponed returns this node's halts that are not signed yet, oldest first.
func (tx *Tx) Postponed() (all []quorum.Halt, err error) {
	_, err = tx.get(bucketSelf, keyPostponed, &all)
	return all, err
}

// postpone records a fuse that nobody can be told of yet.
func (tx *Tx) postpone(body quorum.Halt) error {
	all, err := tx.Postponed()
	if err != nil {
		return err
	}
	if len(all) >= MaxHalts {
		return fmt.Errorf("halt: %w", ErrFull)
	}
	body.Counter = 0
	return errors.Join(tx.put(bucketSelf, keyPostponed, append(all, body)),
		tx.Audit("halted", fmt.Sprintf("%s %s: %s; not signed yet", body.Scope, body.Code, body.Reason)))
}

// dropPostponed forgets the postponed halts that drop wants to.
func (tx *Tx) dropPostponed(drop func(quorum.Halt) bool) error {
	all, err := tx.Postponed()
	if err != nil || len(all) == 0 {
		return err
	}
	var rest []quorum.Halt
	for _, h := range all {
		if !drop(h) {
			rest = append(rest, h)
		}
	}
	return tx.put(bucketSelf, keyPostponed, rest)
}

// postponedRecords are the postponed halts as they stand: without bytes, and nobody else has heard of them.
func (tx *Tx) postponedRecords(self common.Address) ([]HaltRecord, error) {
	all, err := tx.Postponed()
	out := make([]HaltRecord, len(all))
	for i, h := range all {
		out[i] = HaltRecord{Signer: self, Halt: h}
	}
	return out, err
}

func sameFuse(a, b quorum.Halt) bool {
	return a.Scope == b.Scope && a.Target == b.Target && a.Code == b.Code
}
