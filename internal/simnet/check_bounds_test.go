package simnet

import (
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// TestFloodIsBounded: a member that signs without end fills its own share of every memory and no more.
func TestFloodIsBounded(t *testing.T) {
	const words = 1100 // more than a custodian remembers of one member
	inWorld(t, func(t *testing.T, w *World) {
		payOne(t, w)
		p, err := w.Puppet(3)
		require.NoError(t, err)
		for i := range uint64(words) {
			p.counter++
			v, err := quorum.Sign(p.key, w.network, quorum.Vote{Epoch: 1, Height: 3, Round: i, Phase: quorum.Prevote, ID: common.Hash{1}, Counter: p.counter})
			require.NoError(t, err)
			require.NoError(t, w.Until(time.Minute, func() error {
				return p.net.Send(w.Custodians[0].Address, "votes", encode(voteMsg{Statement: v.Bytes()}))
			}))
		}
		require.NoError(t, w.Until(time.Minute, func() error { // the last one was heard
			all, err := w.Custodians[0].Node.Bounds(t.Context())
			for _, b := range all {
				if b.Name == "window.order" && b.Held >= 1024 {
					return err
				}
			}
			return errors.New("not yet")
		}))
		require.NoError(t, w.CheckNow())
		require.Greater(t, w.bounded, 100)
	})
}
