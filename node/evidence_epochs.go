package node

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// A statement binds its signer as a member of the epoch that it names, so evidence is judged by the committee of that epoch: here by
// the decisions that this node holds, elsewhere by those that the view carries.

// maxSuccessions bounds the committees that one view of evidence may carry: one a day for three years.
const maxSuccessions = 1024

// committeeOf is who ruled in an epoch, as far as this node has followed.
func (c *core) committeeOf(epoch uint64) (quorum.Members, error) {
	rosters, err := c.rosters()
	if err != nil {
		return nil, err
	}
	return verifier{rosters: rosters}.committee(epoch)
}

// inOffice is the committee in force, on whatever goroutine; the founders before the core has said.
func (c *core) inOffice() quorum.Members {
	if ids := c.office.Load(); ids != nil {
		return *ids
	}
	return quorum.Roster{Members: c.genesis.Members}.IDs()
}

// rosters are the committees that this node knows, by epoch; the founders rule the first two.
func (c *core) rosters() ([]quorum.Roster, error) {
	founders, err := c.genesis.Roster()
	if err != nil {
		return nil, err
	}
	out := foundersOf(founders)
	err = c.led.View(func(tx *ledger.Tx) error {
		for {
			r, _, _, ok, err := tx.EpochRecord(uint64(len(out)))
			if err != nil || !ok {
				return err
			}
			out = append(out, r)
		}
	})
	return out, err
}

func foundersOf(r quorum.Roster) []quorum.Roster {
	first := r
	first.Epoch = 1
	return []quorum.Roster{r, first}
}

// successions are the committees of a network by epoch, from the founders on by decisions of which each was taken by the committee
// before it. Nobody needs to be believed.
func successions(g quorum.Genesis, decisions []string) ([]quorum.Roster, error) {
	founders, err := g.Roster()
	if err != nil {
		return nil, err
	}
	if len(decisions) > maxSuccessions {
		return nil, fmt.Errorf("%w: %d successions", ErrEvidence, len(decisions))
	}
	network, out := g.ID(), foundersOf(founders)
	for i, text := range decisions {
		next, err := succession(network, out[len(out)-1], text)
		if err != nil {
			return nil, fmt.Errorf("%w: succession %d: %w", ErrEvidence, i, err)
		}
		out = append(out, next)
	}
	return out, nil
}

func succession(network [32]byte, now quorum.Roster, text string) (quorum.Roster, error) {
	var none quorum.Roster
	raw, err := hexutil.Decode(text)
	if err != nil {
		return none, err
	}
	var d quorum.UncheckedDecision
	if err := unmarshal(raw, &d); err != nil {
		return none, err
	}
	if _, err := d.Verify(network, now); err != nil {
		return none, err
	}
	b, err := batch.Decode(d.Value)
	if err != nil {
		return none, err
	}
	if b.Kind != batch.Members {
		return none, fmt.Errorf("the decision is a %s", b.Kind)
	}
	action, err := quorum.DecodeMembersAction(b.Action)
	if err != nil {
		return none, err
	}
	next, err := action.Verify(network)
	if err == nil && next.Epoch != now.Epoch+1 {
		err = fmt.Errorf("epoch %d behind %d", next.Epoch, now.Epoch)
	}
	return next, err
}

// successionsOf are the decisions that made each committee behind the founders, 0x-hex.
func successionsOf(tx *ledger.Tx) (out []string, err error) {
	for epoch := uint64(2); ; epoch++ {
		_, _, since, ok, err := tx.EpochRecord(epoch)
		if err != nil || !ok {
			return out, err
		}
		d, ok, err := tx.Decision(since - 1)
		if err != nil || !ok {
			return out, err
		}
		out = append(out, hexutil.Encode(marshal(d)))
	}
}

// tickEvidence asks everyone again for what this node lacks when it has reached another epoch: what it was shown of members whom
// it did not know then was passed over.
func (c *core) tickEvidence(now time.Time) {
	e := &c.evidenceEpoch
	if epoch := c.state.Roster.Epoch; epoch != e.reached {
		// Who was asked a moment ago does not answer again at once.
		e.reached, e.askAt = epoch, now.Add(2*evidenceAnswerEvery)
	}
	if e.askAt.IsZero() || now.Before(e.askAt) {
		return
	}
	e.askAt = time.Time{}
	frame, err := c.heldEvidence()
	if err != nil {
		c.log.Error("evidence is not read", zap.Error(err))
		return
	}
	c.sendAll(protoEvidence, frame)
}

// evidenceEpoch is when evidence is asked for again.
type evidenceEpoch struct {
	reached uint64
	askAt   time.Time
}
