package node

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
	"conclave/quorum/agreement"
)

// loud counts what leaves the node.
type loud struct {
	wire
	sent int
}

func (l *loud) Publish(string, []byte) error              { l.sent++; return nil }
func (l *loud) Send(common.Address, string, []byte) error { l.sent++; return nil }

// A ledger that cannot be written, as on a full disk, stops the core before a byte of what it would have signed leaves.
func TestAFullDiskStopsTheNodeBeforeAnythingLeaves(t *testing.T) {
	for name, act := range map[string]func(*lab, []byte){
		"fuse": func(l *lab, _ []byte) { l.trip("operator", "because") },
		"vote": func(l *lab, value []byte) {
			id, _ := l.holdValue(value)
			l.commit(agreement.Commit{Votes: []quorum.Vote{{
				Epoch: l.state.Roster.Epoch, Height: l.state.Height + 1, Phase: quorum.Prevote, ID: id,
			}}})
		},
		"decision": func(l *lab, value []byte) {
			_ = l.hearDecision(l.decision(l.refused(7, 1_000)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, out := newLab(t), &loud{}
			value := l.refused(7, 1_000).Encode()
			l.net = out
			require.NoError(t, l.led.Close())
			act(l, value)
			require.Error(t, l.fatal, "the node must not live on")
			require.Zero(t, out.sent, "nothing may leave that is not on disk")
		})
	}
}
