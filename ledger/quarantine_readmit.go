package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// ErrVoted refuses a height in which a quarantined node has voted, or may have, as far as anybody can know.
var ErrVoted = errors.New("it may have voted in that height")

// Heard is what others hold of a node that asks from where it may vote.
type Heard struct {
	Height uint64 // the highest that one of them proves to work on
	Voted  uint64 // the highest in which one of them holds a vote or a proposal of this node; 0 for none
}

// Readmit records the operators' word on where this node votes again, in place of the heights that too few others show. The
// word must bear q operators' signatures, mean the quarantine that lasts, and name no height in which a vote of this node is
// known: by the database, by the high-water file, or by one who answered. It fails with [ErrVoted], [ErrOrder] or [quorum.ErrAction].
//
// Verdicts and sessions gain nothing from it: what was judged under the decisions of a life that is missing stays barred.
func (tx *Tx) Readmit(self common.Address, word quorum.VerifiedAction, heard Heard) error {
	body, ok := word.Body().(quorum.Readmit)
	if !ok {
		return fmt.Errorf("readmit by a %s: %w", word.Action().Kind, quorum.ErrAction)
	}
	q, ok, err := tx.Quarantined()
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("readmit a node that is not quarantined: %w", ErrOrder))
	}
	if body.Member != self || body.Since != q.Since || body.Counter != q.Floor {
		return fmt.Errorf("%w: it is about another member or another quarantine", quorum.ErrAction)
	}
	if err := tx.mayReadmit(q, body.Height, word, heard); err != nil {
		return err
	}
	q.Known, q.Named, q.Word = true, body.Height, word.Signed().Encode()
	q.Above = max(q.Above, heard.Height, body.Height)
	return errors.Join(tx.put(bucketSelf, keyQuarantine, q),
		tx.Audit("readmitted", fmt.Sprintf("by %d operators: votes again from %d", len(word.Operators()), q.Back())))
}

func (tx *Tx) mayReadmit(q Quarantine, height uint64, word quorum.VerifiedAction, heard Heard) error {
	roster, _, since, err := tx.CurrentEpoch()
	if err != nil {
		return err
	}
	mark, err := tx.mark()
	switch voted := max(mark.Height, heard.Voted); {
	case err != nil:
		return err
	case since == 0 || word.Action().Epoch != roster.Epoch || len(word.Operators()) < roster.Q():
		return fmt.Errorf("%w: %d operators of epoch %d, in force is %d", quorum.ErrAction, len(word.Operators()), word.Action().Epoch, roster.Epoch)
	case q.Votes(height):
		return fmt.Errorf("%w: it votes from height %d anyway", ErrOrder, q.Back())
	case height <= voted:
		return fmt.Errorf("%w: votes of this node are known up to height %d", ErrVoted, voted)
	case height < heard.Height || height <= tx.LastHeight():
		return fmt.Errorf("%w: others are at height %d already", ErrVoted, max(heard.Height, tx.LastHeight()+1))
	}
	return nil
}

// word is the part of I14 that is about the operators: without them a node votes from two above, not from below.
func (c *protocolCheck) word(q Quarantine) error {
	if q.Named == 0 {
		return nil
	}
	s, err := quorum.DecodeSignedAction(q.Word)
	if err != nil {
		return violation("I14", "the operators' word on height %d does not read: %v", q.Named, err)
	}
	roster, _, _, ok, err := c.tx.EpochRecord(s.Action.Epoch)
	if err != nil || !ok {
		return errors.Join(err, violation("I14", "the operators' word is of epoch %d, which is not known", s.Action.Epoch))
	}
	v, err := s.Verify(c.tx.network(), roster)
	if err != nil {
		return violation("I14", "the operators' word on height %d: %v", q.Named, err)
	}
	if body, ok := v.Body().(quorum.Readmit); !ok || body.Height != q.Named || body.Since != q.Since || body.Counter != q.Floor {
		return violation("I14", "the operators named another height, or another quarantine, than %d", q.Named)
	}
	return nil
}
