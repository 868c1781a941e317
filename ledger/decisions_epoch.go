package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// bucketEpochs maps an epoch to its record.
var bucketEpochs = []byte("epochs")

// epochRecord is who rules from a height on.
type epochRecord struct {
	Since  uint64
	Payer  common.Address // address of the transcript's key
	Roster quorum.Roster
	Action quorum.MembersAction
}

// enthrone records what a MEMBERS decision changes: the new epoch rules from the next height.
func (tx *Tx) enthrone(action quorum.MembersAction, height uint64) error {
	if now := tx.epoch(); action.Epoch <= now {
		return fmt.Errorf("members of epoch %d: %w: in force is %d", action.Epoch, ErrOrder, now)
	}
	roster, err := quorum.NewRoster(action.Epoch, action.Members)
	if err != nil {
		return err
	}
	payer, err := action.Transcript.PublicKey.Address()
	if err != nil {
		return err
	}
	change, changed, err := action.Proposal()
	if err == nil && changed {
		err = tx.act(ActionEffects{Serial: change.Action.Serial, Kind: change.Action.Kind}, height)
	}
	return errors.Join(err,
		tx.put(bucketEpochs, be64(action.Epoch), epochRecord{height + 1, payer, roster, action}),
		tx.Audit("members", fmt.Sprintf("epoch %d from height %d, payer %s", action.Epoch, height+1, payer)))
}

// epoch is the number of the epoch in force, 0 before the first MEMBERS.
func (tx *Tx) epoch() uint64 {
	k, _ := tx.b.Bucket(bucketEpochs).Cursor().Last()
	return readBE64(k)
}

// CurrentEpoch returns who rules the next height, the decided action behind it, and since which height. Before the first
// MEMBERS the roster is empty and since is 0: the genesis document's members then rule, for height 1 alone.
func (tx *Tx) CurrentEpoch() (roster quorum.Roster, action quorum.MembersAction, since uint64, err error) {
	k, raw := tx.b.Bucket(bucketEpochs).Cursor().Last()
	if k == nil {
		return roster, action, 0, nil
	}
	var rec epochRecord
	if err := decode(raw, &rec); err != nil {
		return roster, action, 0, err
	}
	return rec.Roster, rec.Action, rec.Since, nil
}

// EpochAt returns the roster that decides a height. ok is false for heights before the first MEMBERS took effect.
func (tx *Tx) EpochAt(height uint64) (roster quorum.Roster, ok bool, err error) {
	c := tx.b.Bucket(bucketEpochs).Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		var rec epochRecord
		if err := decode(v, &rec); err != nil {
			return roster, false, err
		}
		if rec.Since <= height {
			return rec.Roster, true, nil
		}
	}
	return roster, false, nil
}

// Payer returns the address that pays, by the key of the epoch in force. ok is false before the first MEMBERS.
func (tx *Tx) Payer() (payer common.Address, ok bool, err error) {
	k, raw := tx.b.Bucket(bucketEpochs).Cursor().Last()
	if k == nil {
		return payer, false, nil
	}
	var rec epochRecord
	if err := decode(raw, &rec); err != nil {
		return payer, false, err
	}
	return rec.Payer, true, nil
}
