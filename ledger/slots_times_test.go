package ledger

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Each stage is told with the moment at which the slot came to it last: bytes that are sent again came to nothing new, a block
// that a reorganisation took is not the one that the story is about.
func TestStagesHaveTheirMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProtoNet(t, 4)
		began := uint64(time.Now().UnixMilli())
		c := p.pay(0, 1)
		at := map[Stage]uint64{StageDecided: 0}
		step := func(stage Stage, do func(*Tx) error) {
			time.Sleep(time.Second)
			p.update(do)
			at[stage] = uint64(time.Now().UnixMilli()) - began
		}
		track := func(stage Stage) func(*Tx) error {
			return func(tx *Tx) error { return tx.Track(p.slotKey(0), Payout{Stage: stage}) }
		}
		time.Sleep(time.Second)
		p.sign(c, 0)
		at[StageSigned] = uint64(time.Now().UnixMilli()) - began
		step(StageBroadcast, track(StageBroadcast))
		first := at[StageBroadcast]
		step(StageBroadcast, track(StageBroadcast))
		at[StageBroadcast] = first
		step(StageMined, track(StageMined))
		step(StageBroadcast, track(StageBroadcast))
		step(StageMined, track(StageMined))
		step(StageFinal, track(StageFinal))
		got := map[Stage]uint64{}
		p.view(func(tx *Tx) error {
			times, err := tx.StageTimes(p.slotKey(0))
			for i, s := range times {
				got[s.Stage] = s.At - began
				require.True(t, i == 0 || times[i-1].Stage < s.Stage)
			}
			return err
		})
		require.Equal(t, at, got)
		require.NoError(t, p.l.Close())
	})
}
