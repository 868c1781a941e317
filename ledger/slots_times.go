package ledger

import "errors"

// bucketStageTimes maps a slot's key ‖ stage to the moment when this node saw the slot come to that stage, unix ms. A
// reorganisation writes the later moment: the story that is told is that of the block which stays.
var bucketStageTimes = []byte("stage-times")

// StageTime is when a slot came to a stage, by this node's clock.
type StageTime struct {
	Stage Stage
	At    uint64 // unix ms
}

// putPayout stores how far a slot is, and when it came there.
func (tx *Tx) putPayout(key SlotKey, p Payout) error {
	was, ok, err := tx.Payout(key)
	if err != nil {
		return err
	}
	if !ok || was.Stage != p.Stage {
		err = tx.b.Bucket(bucketStageTimes).Put(append(key.bytes(), byte(p.Stage)), be64(p.Changed))
	}
	return errors.Join(err, tx.put(bucketPayouts, key.bytes(), p))
}

// StageTimes are the moments at which a slot came to its stages, by stage ascending. Those that this node did not see are
// missing: it was away, or an older version wrote its database.
func (tx *Tx) StageTimes(key SlotKey) (out []StageTime, err error) {
	err = tx.each(bucketStageTimes, key.bytes(), func(k, v []byte) error {
		out = append(out, StageTime{Stage(k[len(k)-1]), readBE64(v)})
		return nil
	})
	return out, err
}
