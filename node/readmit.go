package node

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// errSpoken refuses the operators' word on a height in which this node has heard the member vote.
var errSpoken = fmt.Errorf("%w: the member has voted", batch.ErrInvalid)

// spokenThere refuses to pass on a word that the member could not follow safely: this node is one that knows of its votes.
func (c *core) spokenThere(v quorum.VerifiedAction) error {
	word, ok := v.Body().(quorum.Readmit)
	if !ok || word.Member == c.self {
		return nil
	}
	voted := uint64(0)
	err := c.led.View(func(tx *ledger.Tx) (err error) { _, voted, err = c.newestVote(tx, word.Member); return err })
	if err == nil && voted >= word.Height {
		err = fmt.Errorf("%w in height %d, and may not vote again from %d on", errSpoken, voted, word.Height)
	}
	return err
}

// followWord follows what operators signed about this node's return, when that is safe as far as anybody can know.
func (c *core) followWord(now time.Time) {
	q := &c.question
	if q.closed || q.twinOfRecord || q.record.Since == 0 || q.record.Votes(c.state.Height+1) {
		return
	}
	for _, p := range c.proposals.sorted() {
		if word, ok := p.v.Body().(quorum.Readmit); !ok || word.Member != c.self || now.Sub(p.tried) < buildEvery {
			continue
		}
		p.tried, p.waits = now, ""
		if err := c.readmit(p.v); err != nil {
			p.waits = err.Error()
			continue
		}
		c.followQuarantine()
		c.rejoin()
		return
	}
}

// readmit ends the silence of a quarantine by the operators' word. Nothing happened when it fails.
func (c *core) readmit(v quorum.VerifiedAction) error {
	word, err := c.state.Readmits(v, uint64(c.now().UnixMilli()))
	if err != nil {
		return err
	}
	heard, err := c.heardOfSelf()
	if err != nil {
		return err
	}
	err = c.led.Update(func(tx *ledger.Tx) error { return tx.Readmit(c.self, word, heard) })
	switch {
	case errors.Is(err, ledger.ErrVoted) || errors.Is(err, ledger.ErrOrder) || errors.Is(err, quorum.ErrAction):
		return err
	case err != nil:
		c.stop(fmt.Errorf("record readmission: %w", err))
		return err
	}
	c.log.Warn("operators named the height from which this node votes again", zap.Stringer("action", word.Action()))
	return nil
}

// errTooFew waits for answers: without q−1 others nobody knows enough, and nothing could be decided either.
var errTooFew = fmt.Errorf("%w: too few others have answered", batch.ErrInvalid)

// heardOfSelf is what those who answered hold of this node, of whom there must be q−1; and this node has followed them.
func (c *core) heardOfSelf() (ledger.Heard, error) {
	var out ledger.Heard
	proven := 0
	for _, a := range c.question.answers {
		out.Voted = max(out.Voted, a.voted)
		if a.proven {
			proven++
			out.Height = max(out.Height, a.height)
		}
	}
	switch {
	case proven < c.needed():
		return out, fmt.Errorf("%w: %d of %d", errTooFew, proven, c.needed())
	case out.Height > c.state.Height+1:
		return out, fmt.Errorf("%w: they are at height %d, this node at %d", batch.ErrInvalid, out.Height, c.state.Height+1)
	}
	return out, nil
}

// readmitWaits says why the word of the operators does nothing yet, in the view of a proposal.
func (c *core) readmitWaits(p *proposal, word quorum.Readmit) string {
	if _, err := c.state.Readmits(p.v, uint64(c.now().UnixMilli())); err != nil {
		return err.Error()
	}
	switch q := c.question.record; {
	case word.Member != c.self:
		return fmt.Sprintf("%s follows it by itself, if nothing speaks against it: its status says so", c.nameOf(word.Member))
	case q.Named == word.Height && q.Floor == word.Counter:
		return fmt.Sprintf("this node follows it and votes from height %d", word.Height)
	case c.question.twinOfRecord:
		return "this node's operator must mend its fuse first"
	}
	return p.waits
}
