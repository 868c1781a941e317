package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// bucketDeletions maps an epoch and a member of the one before to its signed [quorum.Deletion].
var bucketDeletions = []byte("deletions")

// ErrNotMember means that this node is no member of the epoch in force: nothing that carries a counter is signed.
var ErrNotMember = errors.New("this node is no member of the epoch in force")

// SetMember says whether this node is a member of the epoch in force, as the decisions have it. A ledger begins as a member's;
// whoever opens it says otherwise before anything runs. It is asked wherever a counter is taken.
func (l *Ledger) SetMember(member bool) { l.outsider.Store(!member) }

// mayBelong fails with [ErrNotMember] for a node that is not a member.
func (tx *Tx) mayBelong() error {
	if tx.l != nil && tx.l.outsider.Load() {
		return ErrNotMember
	}
	return nil
}

// PutDeletion keeps a member's word that it destroyed its share of the epochs before one. was is who held such a share. What
// stands is not replaced.
func (tx *Tx) PutDeletion(s quorum.Signed[quorum.Deletion], was quorum.Members) (fresh bool, err error) {
	epoch, signer := s.Body().Epoch, s.Signer()
	if now := tx.epoch(); epoch > now {
		return false, fmt.Errorf("deletion before epoch %d: %w: in force is %d", epoch, ErrNotInForce, now)
	}
	if !was.Has(signer) {
		return false, fmt.Errorf("deletion of %s: %w", signer, quorum.ErrNotMember)
	}
	key := join(be64(epoch), signer[:])
	if tx.b.Bucket(bucketDeletions).Get(key) != nil {
		return false, nil
	}
	return true, errors.Join(tx.put(bucketDeletions, key, s.Bytes()),
		tx.Audit("deletion", fmt.Sprintf("%s destroyed its shares from before epoch %d", signer, epoch)))
}

// Deletions calls fn for every such word about an epoch, by member ascending.
func (tx *Tx) Deletions(epoch uint64, fn func(member common.Address, raw []byte) error) error {
	return tx.each(bucketDeletions, be64(epoch), func(k, v []byte) error {
		var raw []byte
		if err := decode(v, &raw); err != nil {
			return err
		}
		return fn(common.BytesToAddress(k[8:]), raw)
	})
}

// EpochRecord returns the roster and the decided action of an epoch. ok is false when no decision made it.
func (tx *Tx) EpochRecord(epoch uint64) (roster quorum.Roster, action quorum.MembersAction, since uint64, ok bool, err error) {
	var rec epochRecord
	ok, err = tx.get(bucketEpochs, be64(epoch), &rec)
	return rec.Roster, rec.Action, rec.Since, ok, err
}
