package node

import (
	"time"

	"conclave/ledger"
)

// StageTime is when this node saw a withdrawal come to a stage. Stages that passed while the node was away are missing.
type StageTime struct {
	Stage string    `json:"stage"`
	At    time.Time `json:"at"`
}

// stageTimes tells the story of what a height decided, up to the Relay's answer.
func stageTimes(tx *ledger.Tx, height uint64, r ledger.Report) ([]StageTime, error) {
	out := []StageTime{}
	add := func(stage string, ms uint64) { out = append(out, StageTime{stage, time.UnixMilli(int64(ms)).UTC()}) }
	slot, ok, err := tx.SlotAt(height)
	if err != nil {
		return nil, err
	}
	if ok {
		all, err := tx.StageTimes(slot.Key)
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			add(t.Stage.String(), t.At)
		}
	} else if r.DecidedAt > 0 { // a reject has no transaction
		add(stageRejected, r.DecidedAt)
	}
	if r.DoneAt > 0 {
		add(stageReported, r.DoneAt)
	}
	return out, nil
}
