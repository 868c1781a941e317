package ledger

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// saidWhat is what one own statement says, in the terms of the rules.
type saidWhat struct {
	counter uint64
	index   []byte // bucket and key under which the rule must find it; nil for a statement without a rule
	key     []byte
	verdict *quorum.Approve // of a verdict; Seq zero marks a refusal
}

// statements is I12 for counters, I2 and I4 from the bytes themselves: every statement verifies, carries the counter that
// it is filed under, and is the only one at the place that its rule gives it.
func (c *protocolCheck) statements() error {
	self, _ := c.tx.Self()
	contents, heads := map[uint64]common.Hash{}, map[string]common.Hash{}
	last, highest := uint64(0), c.tx.Counter()
	return c.tx.each(bucketOwn, nil, func(k, raw []byte) error {
		var s ownStatement
		if err := decode(raw, &s); err != nil {
			return err
		}
		filed := readBE64(k)
		if s.Signer != self {
			return violation("I12", "statement %d is signed by %s, the others by %s", filed, s.Signer, self)
		}
		w, err := c.read(s)
		if err != nil {
			return violation("I12", "statement %d: %v", filed, err)
		}
		if w.counter != filed || filed <= last || filed > highest {
			return violation("I12", "statement %d carries counter %d; the last was %d, the highest is %d", filed, w.counter, last, highest)
		}
		last = filed
		if w.index != nil {
			// A second vote, or verdict, for one place would leave the first without an index, or the second.
			if at := c.tx.b.Bucket(w.index).Get(w.key); readBE64(at) != filed {
				return violation(invariantOf(w.index), "statement %d (%s) is not the one recorded for its place", filed, s.Kind)
			}
		}
		c.step("statements", &c.report.Statements)
		return c.verdict(w, contents, heads)
	})
}

func invariantOf(index []byte) string {
	if bytes.Equal(index, bucketVerdictOwn) {
		return "I4"
	}
	return "I2"
}

// verdict is A1's one content per withdrawal and A2's one head per account and sequence.
func (c *protocolCheck) verdict(w saidWhat, contents map[uint64]common.Hash, heads map[string]common.Hash) error {
	if w.verdict == nil {
		return nil
	}
	v := *w.verdict
	if was, ok := contents[v.WID]; ok && was != v.Content {
		return violation("I4", "withdrawal %d was judged with contents %s and %s", v.WID, was, v.Content)
	}
	contents[v.WID] = v.Content
	if v.Seq == 0 {
		return nil
	}
	era, err := c.tx.era(v.Account, w.counter)
	if err != nil {
		return err
	}
	key := string(join(headKey(v.Account, v.Seq), be64(uint64(era))))
	if was, ok := heads[key]; ok && was != v.Head {
		return violation("I4", "account %s: heads %s and %s were approved at debit %d", v.Account, was, v.Head, v.Seq)
	}
	heads[key] = v.Head
	return nil
}

// read opens a statement, its signature verified, and says where its rule must find it.
func (c *protocolCheck) read(s ownStatement) (w saidWhat, err error) {
	switch s.Kind {
	case quorum.KindApprove:
		v, err := reopen[quorum.Approve](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketVerdictOwn, join(be64(b.WID), be64(b.Epoch), be64(b.Policy.Version)), &b}, err
	case quorum.KindRefuse:
		v, err := reopen[quorum.Refuse](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketVerdictOwn, join(be64(b.WID), be64(b.Epoch), be64(b.Policy.Version)),
			&quorum.Approve{WID: b.WID, Content: b.Content}}, err
	case quorum.KindProposal:
		v, err := reopen[quorum.Proposal](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketVotes, voteKey(b.Height, b.Round, StepProposal), nil}, err
	case quorum.KindPrevote, quorum.KindPrecommit:
		v, err := reopen[quorum.Vote](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketVotes, voteKey(b.Height, b.Round, uint64(b.Phase)), nil}, err
	case quorum.KindReady:
		v, err := reopen[quorum.Ready](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketReady, join(be64(b.Epoch), b.Batch[:], be64(b.KMax), be64(b.Attempt)), nil}, err
	case quorum.KindAbort:
		v, err := reopen[quorum.Abort](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketAbortOwn, b.Session[:], nil}, err
	case quorum.KindOutcome:
		v, err := reopen[quorum.Outcome](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketOutcomeOwn, join(be64(b.Epoch), slotKeyOfOutcome(b).bytes(), b.BlockHash[:]), nil}, err
	case quorum.KindHalt:
		v, err := reopen[quorum.Halt](c.tx, s.Signer, s.Raw)
		return saidWhat{counter: v.Body().Counter}, err
	case quorum.KindClear:
		v, err := reopen[quorum.Clear](c.tx, s.Signer, s.Raw)
		return saidWhat{counter: v.Body().Counter}, err
	case quorum.KindCheckpoint:
		v, err := reopen[quorum.Checkpoint](c.tx, s.Signer, s.Raw)
		b := v.Body()
		return saidWhat{b.Counter, bucketCheckpointOwn, join(be64(b.Range), be64(b.Epoch), be64(b.Count), b.Hash[:]), nil}, err
	}
	return w, violation("I12", "unknown kind %q", s.Kind)
}

// indices is the other way of I2 and I4: every place that a rule remembers has its bytes, and votes only move on.
func (c *protocolCheck) indices() error {
	for _, bucket := range [][]byte{bucketVotes, bucketVerdictOwn, bucketReady, bucketAbortOwn, bucketOutcomeOwn, bucketCheckpointOwn} {
		err := c.tx.each(bucket, nil, func(k, counter []byte) error {
			if c.tx.b.Bucket(bucketOwn).Get(counter) == nil {
				return violation("I2", "%s: the bytes of statement %d are gone", bucket, readBE64(counter))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	last := uint64(0)
	return c.tx.each(bucketVotes, nil, func(k, counter []byte) error {
		if at := readBE64(counter); at <= last {
			return violation("I12", "%s was voted with counter %d, after %d", positionText(k), at, last)
		}
		last = readBE64(counter)
		return nil
	})
}
