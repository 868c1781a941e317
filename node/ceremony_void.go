package node

import (
	"go.uber.org/zap"

	"conclave/quorum"
	"conclave/tss"
)

// maxMade bounds the shares that are remembered for destruction before their epoch is decided. Operators sign few changes; what is
// forgotten goes with the next change of members.
const maxMade = 64

// made is a share that a change of members saved in this life of the process, and the operators' word that it was made under.
type made struct {
	of     quorum.Transcript
	action quorum.Action
}

// saving saves a share and remembers it. It remembers in memory alone, on purpose: a node that was started again, or whose books were
// made anew, cannot know which of its shares a decision that it has not read yet put in force. Those stay until the next epoch.
func (f *ceremony) saving(c *core) func(*tss.KeyShare) error {
	action := f.change.Action()
	return func(s *tss.KeyShare) error {
		if err := c.vault.SaveShare(s); err != nil {
			return err
		}
		m := made{s.Transcript(), action}
		c.post(func() {
			c.members.made = append(c.members.made, m)
			if n := len(c.members.made); n > maxMade {
				c.members.made = c.members.made[n-maxMade:]
			}
		})
		return nil
	}
}

// dropVoid destroys shares of changes that can never be decided any more: a decision raised the policy's version or the serial above
// theirs. A change that is only given up for a later one keeps its shares, for its proofs may be in front of a locked voter.
func (c *core) dropVoid() {
	var rest []made
	var void []quorum.Transcript
	for _, m := range c.members.made {
		switch {
		case m.of.Epoch <= c.state.Roster.Epoch: // destroyed with that epoch's others, or it rules
		case m.action.Policy < c.state.Policy.Version || m.action.Serial <= c.state.Serial:
			void = append(void, m.of)
		default:
			rest = append(rest, m)
		}
	}
	c.members.made = rest
	if len(void) == 0 {
		return
	}
	c.spawn(func() {
		for _, t := range void {
			if err := c.vault.DropShare(t); err != nil {
				c.log.Warn("the share of a change that is void stays in the vault until the next epoch", zap.Uint64("epoch", t.Epoch), zap.Error(err))
				continue
			}
			c.log.Info("share of a change that is void destroyed", zap.Uint64("epoch", t.Epoch))
		}
	})
}
