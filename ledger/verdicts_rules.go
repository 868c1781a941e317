package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// verdictClaim is what A1 is about.
type verdictClaim struct {
	wid     uint64
	epoch   uint64
	policy  quorum.PolicyRef
	content common.Hash
	approve bool
}

func (c verdictClaim) key() []byte { return join(be64(c.wid), be64(c.epoch), be64(c.policy.Version)) }

// givenVerdict returns the stored bytes when this very verdict was given before, and refuses a second one (A1).
func (tx *Tx) givenVerdict(c verdictClaim) ([]byte, bool, error) {
	content := tx.b.Bucket(bucketVerdictContent).Get(be64(c.wid))
	if content != nil && common.BytesToHash(content) != c.content {
		return nil, false, fmt.Errorf("withdrawal %d: %w: %x, not %s", c.wid, ErrContent, content, c.content)
	}
	counter := tx.b.Bucket(bucketVerdictOwn).Get(c.key())
	if counter == nil {
		return nil, false, nil
	}
	var s ownStatement
	if ok, err := tx.get(bucketOwn, counter, &s); err != nil || !ok {
		return nil, false, errors.Join(err, fmt.Errorf("%w: own statement %d", ErrCorrupt, readBE64(counter)))
	}
	if (s.Kind == quorum.KindApprove) != c.approve {
		return nil, false, fmt.Errorf("withdrawal %d: %w: it was %s", c.wid, ErrVerdict, s.Kind)
	}
	return s.Raw, true, nil
}

// mayJudge checks everything that a new verdict must not break, before anything is signed.
func (tx *Tx) mayJudge(c verdictClaim, on Case) error {
	if on.Content.WID != c.wid || on.Content.Hash(tx.network()) != c.content {
		return errors.New("the content is not the one that the body names")
	}
	if err := errors.Join(tx.MayJudge(), tx.MaySign(on.Content.Network, on.Content.Account)); err != nil {
		return err
	}
	if now := tx.epoch(); c.epoch != now || now == 0 {
		return fmt.Errorf("epoch %d: %w: in force is %d", c.epoch, ErrNotInForce, now)
	}
	if err := errors.Join(tx.policyAdvances(c.policy), tx.policyInForce(c.policy)); err != nil {
		return err
	}
	if _, decided, err := tx.DecidedWID(c.wid); err != nil || decided {
		return errors.Join(err, ErrDecided) // A4
	}
	if err := tx.unclaimed(c, on.Content); err != nil {
		return err
	}
	return tx.booksHold(on)
}

// policyAdvances refuses a policy older than one that this node judged by, and a second policy of one version.
func (tx *Tx) policyAdvances(p quorum.PolicyRef) error {
	var was quorum.PolicyRef
	if ok, err := tx.get(bucketSelf, keyPolicy, &was); err != nil || !ok {
		return err
	}
	if p.Version < was.Version {
		return fmt.Errorf("policy %d: %w: version %d was in force", p.Version, ErrOrder, was.Version)
	}
	if p.Version == was.Version && p.Hash != was.Hash {
		return fmt.Errorf("policy %d: %w: it has hash %s, not %s", p.Version, ErrNotInForce, was.Hash, p.Hash)
	}
	return nil
}

// unclaimed is A5: one wid per type-6 event and, for approvals, one per message, by own verdicts and by decisions.
func (tx *Tx) unclaimed(c verdictClaim, content quorum.Content) error {
	for _, bucket := range [][]byte{bucketVerdictEvent, bucketSpentEvent} {
		if by := tx.b.Bucket(bucket).Get(be64(content.EventID)); by != nil && readBE64(by) != c.wid {
			return fmt.Errorf("event %d: %w by withdrawal %d", content.EventID, ErrEventUsed, readBE64(by))
		}
	}
	if !c.approve {
		return nil
	}
	for _, bucket := range [][]byte{bucketVerdictMessage, bucketSpentMessage} {
		if by := tx.b.Bucket(bucket).Get(content.Message[:]); by != nil && readBE64(by) != c.wid {
			return fmt.Errorf("message %s: %w by withdrawal %d", content.Message, ErrMessageUsed, readBE64(by))
		}
	}
	return nil
}

// booksHold is A6: nothing on an account unless the books have debited every withdrawal of it that a decision disposed
// of. Without it a new committee, or a node that fell behind the log, forgets what was paid.
func (tx *Tx) booksHold(on Case) error {
	return tx.SpentOf(on.Content.Account, func(s Spent) error {
		ok, err := on.Debited(s.Content)
		if err == nil && !ok {
			err = fmt.Errorf("%w: withdrawal %d, event %d", ErrBooksBehind, s.Content.WID, s.Content.EventID)
		}
		return err
	})
}

// approvedHead is a head that this node signed.
type approvedHead struct {
	Head    common.Hash
	Counter uint64 // of the first APPROVE that named it
}

func headKey(account common.Address, seq uint64) []byte { return join(account[:], be64(seq)) }

// oneChain is A2: the new head, and every head of the account that this node ever approved, stand on the one chain that
// the books hold now. It is asked even for a verdict that exists, so that a changed history is noticed at once.
func (tx *Tx) oneChain(body quorum.Approve, headAt func(uint64) (common.Hash, error)) error {
	now, err := headAt(body.Seq)
	if err != nil {
		return fmt.Errorf("head of %s at %d: %w", body.Account, body.Seq, err)
	}
	if now != body.Head {
		return fmt.Errorf("approve withdrawal %d: the head is not that of the books at debit %d", body.WID, body.Seq)
	}
	return tx.each(bucketVerdictHead, body.Account[:], func(k, raw []byte) error {
		var was approvedHead
		if err := decode(raw, &was); err != nil {
			return err
		}
		seq := readBE64(k[common.AddressLength:])
		found, err := headAt(seq)
		if errors.Is(err, ErrNotFound) {
			// The chain became shorter than what was approved: as much a changed history as another head.
			found, err = common.Hash{}, nil
		}
		if err != nil {
			return fmt.Errorf("head of %s at %d: %w", body.Account, seq, err)
		}
		if found == was.Head {
			return nil
		}
		var s ownStatement
		if _, err := tx.get(bucketOwn, be64(was.Counter), &s); err != nil {
			return err
		}
		return &HeadConflict{body.Account, seq, was.Head, found, s.Raw}
	})
}

func (tx *Tx) recordHead(body quorum.Approve, counter uint64) error {
	key := headKey(body.Account, body.Seq)
	if tx.b.Bucket(bucketVerdictHead).Get(key) != nil {
		return nil
	}
	return tx.put(bucketVerdictHead, key, approvedHead{body.Head, counter})
}

// claim records what a verdict holds for ever.
func (tx *Tx) claim(c verdictClaim, content quorum.Content, counter uint64) error {
	wid := be64(c.wid)
	return errors.Join(
		tx.b.Bucket(bucketVerdictContent).Put(wid, c.content[:]),
		tx.b.Bucket(bucketVerdictEvent).Put(be64(content.EventID), wid),
		tx.b.Bucket(bucketVerdictOpen).Put(wid, be64(counter)),
		tx.put(bucketSelf, keyPolicy, c.policy))
}
