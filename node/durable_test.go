package node

import (
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
)

// talk keeps everything that the core says.
type talk struct {
	*wire
	said int
}

func (s *talk) Send(common.Address, string, []byte) error { s.said++; return nil }

func (s *talk) Publish(string, []byte) error { s.said++; return nil }

// Nothing of this node's own leaves before the disk holds it: when a commit fails at any of its durable steps, nobody has
// heard of what it would have made durable, and the node stops.
func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	broken := errors.New("the disk is broken")
	acts := map[string]func(*lab){
		"a prevote":        func(l *lab) { l.propose(l.proposerOf(0), 0, l.refused(7, uint64(time.Now().UnixMilli()))) },
		"a halt":           func(l *lab) { l.trip("test", "for the test") },
		"a halt of a lane": func(l *lab) { _ = l.tripScope(quorum.ScopeLane, "devnet", "test", "for the test") },
		"a decision": func(l *lab) {
			_ = l.hearDecision(l.decision(l.refused(7, uint64(time.Now().UnixMilli()))))
		},
	}
	for name, act := range acts {
		for _, at := range []ledger.Step{"", ledger.StepCommit, ledger.StepMark, ledger.StepReplace} {
			var fails ledger.Step
			l := newLab(t, func(s ledger.Step) error {
				if s == fails {
					return broken
				}
				return nil
			})
			require.NotZero(t, l.proposerOf(0), "another member proposes")
			l.step(agreement.Begin{})
			all := &talk{wire: l.wire}
			l.net, fails = all, at
			act(l)
			switch {
			case at == "":
				require.NoError(t, l.fatal, name)
				require.NotZero(t, all.said, "%s is told when it is durable", name)
			case at == ledger.StepReplace && name == "a decision":
				require.NoError(t, l.fatal, "it raises no mark, so no file is replaced")
			default:
				require.ErrorIs(t, l.fatal, broken, "%s at %s", name, at)
				require.Zero(t, all.said, "%s at %s", name, at)
			}
		}
	}
}
