package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Errors of verdicts. Each means that the withdrawal WAITs, and most that a person should look.
var (
	// ErrContent means that this node's earlier verdict on the withdrawal was on another content (A1).
	ErrContent = errors.New("another content was judged under this withdrawal id")
	// ErrVerdict means that this node gave the other verdict for the withdrawal, epoch and policy version (A1).
	ErrVerdict = errors.New("another verdict was given for this withdrawal, epoch and policy")
	// ErrMessageUsed means that the requester's message stands for another withdrawal (A5).
	ErrMessageUsed = errors.New("the requester's message is used")
	// ErrEventUsed means that the type-6 event stands for another withdrawal (A5).
	ErrEventUsed = errors.New("the event is used")
	// ErrBooksBehind means that the books have not debited a withdrawal of the account that a decision disposed of (A6).
	ErrBooksBehind = errors.New("the books have not debited every decided withdrawal of the account")
)

// HeadConflict means that the account's chain of debits is not the one that this node approved before (A2): the Relay
// changed the account's history. The account must be frozen; Approval is the evidence.
type HeadConflict struct {
	Account  common.Address
	Seq      uint64
	Approved common.Hash // the head that this node signed
	Found    common.Hash // the head of the books now
	Approval []byte      // the signed APPROVE
}

func (c *HeadConflict) Error() string {
	return fmt.Sprintf("account %s: its chain at debit %d is %s, approved was %s", c.Account, c.Seq, c.Found, c.Approved)
}

// Buckets of own verdicts: by wid ‖ epoch ‖ policy version; the newest of each undecided wid; and what A1, A2 and A5 hold
// for ever: content by wid, wid by event, wid by message, head by account ‖ seq, highest approved event by account.
var (
	bucketVerdictOwn     = []byte("verdict-own")
	bucketVerdictOpen    = []byte("verdict-open")
	bucketVerdictContent = []byte("verdict-content")
	bucketVerdictEvent   = []byte("verdict-event")
	bucketVerdictMessage = []byte("verdict-message")
	bucketVerdictHead    = []byte("verdict-head")
	bucketVerdictUpTo    = []byte("verdict-upto")
)

// Case is what a verdict rests on beyond its body. Content must be the one that the body's hash is of. The functions are
// asked inside the transaction, so that they and the record see one moment of the books.
type Case struct {
	Content quorum.Content
	// Debited reports whether the books hold, with equal content, and have debited the type-6 event of a withdrawal that
	// a decision disposed of, wherever its id stands in the log (A6).
	Debited func(spent quorum.Content) (bool, error)
	// HeadAt returns the head of the account's chain of debits after seq of them (A2). A refusal does not need it.
	HeadAt func(seq uint64) (common.Hash, error)
}

// Approve signs an APPROVE, its counter filled in, when rules A1, A2, A4, A5 and A6 allow it, and records it with what
// they need to hold for ever. The same verdict again gives the stored bytes: send those. A different head is
// [*HeadConflict]. The caller vouches for A6's second half: that the policy it names is in force by the last decision.
func (tx *Tx) Approve(body quorum.Approve, on Case, sign func(quorum.Approve) (quorum.Signed[quorum.Approve], error)) ([]byte, error) {
	if err := body.Check(); err != nil {
		return nil, err
	}
	claim := verdictClaim{wid: body.WID, epoch: body.Epoch, policy: body.Policy, content: body.Content, approve: true}
	if on.Content.Account != body.Account {
		return nil, fmt.Errorf("approve withdrawal %d: the account is not the content's", body.WID)
	}
	if err := tx.oneChain(body, on.HeadAt); err != nil {
		return nil, err
	}
	if raw, ok, err := tx.givenVerdict(claim); ok || err != nil {
		return raw, err
	}
	if err := tx.mayJudge(claim, on); err != nil {
		return nil, fmt.Errorf("approve withdrawal %d: %w", body.WID, err)
	}
	s, err := say(tx, bucketVerdictOwn, claim.key(), func(counter uint64) quorum.Approve {
		body.Counter = counter
		return body
	}, sign)
	if err != nil {
		return nil, err
	}
	if _, _, err := tx.PutApproval(s); err != nil {
		return nil, err
	}
	return s.Bytes(), errors.Join(
		tx.claim(claim, on.Content, s.Body().Counter),
		tx.b.Bucket(bucketVerdictMessage).Put(on.Content.Message[:], be64(body.WID)),
		tx.recordHead(body, s.Body().Counter),
		tx.raiseApproved(body.Account, on.Content.EventID))
}

// Refuse signs a REFUSE under the same rules; it claims the type-6 event, not the message, for a message that another
// withdrawal used is a reason to refuse. The same refusal again gives the stored bytes, with the reason given first.
func (tx *Tx) Refuse(body quorum.Refuse, on Case, sign func(quorum.Refuse) (quorum.Signed[quorum.Refuse], error)) ([]byte, error) {
	if err := body.Check(); err != nil {
		return nil, err
	}
	claim := verdictClaim{wid: body.WID, epoch: body.Epoch, policy: body.Policy, content: body.Content}
	if raw, ok, err := tx.givenVerdict(claim); ok || err != nil {
		return raw, err
	}
	if err := tx.mayJudge(claim, on); err != nil {
		return nil, fmt.Errorf("refuse withdrawal %d: %w", body.WID, err)
	}
	s, err := say(tx, bucketVerdictOwn, claim.key(), func(counter uint64) quorum.Refuse {
		body.Counter = counter
		return body
	}, sign)
	if err != nil {
		return nil, err
	}
	if _, _, err := tx.PutRefusal(s); err != nil {
		return nil, err
	}
	return s.Bytes(), tx.claim(claim, on.Content, s.Body().Counter)
}

// OwnVerdict returns this node's newest verdict on an undecided withdrawal. ok is false when there is none.
func (tx *Tx) OwnVerdict(wid uint64) (raw []byte, ok bool, err error) {
	return tx.said(bucketVerdictOpen, be64(wid))
}

// OwnVerdicts calls fn for the newest own verdict of every undecided withdrawal, by id: what is gossiped again. Verdicts
// of an epoch or policy that no longer rules are among them until the withdrawal is judged anew.
func (tx *Tx) OwnVerdicts(fn func(wid uint64, raw []byte) error) error {
	return tx.each(bucketVerdictOpen, nil, func(k, _ []byte) error {
		raw, _, err := tx.said(bucketVerdictOpen, k)
		if err != nil {
			return err
		}
		return fn(readBE64(k), raw)
	})
}

// ApprovedUpTo returns the highest type-6 event of the account that this node ever approved, 0 for none: beyond it a late
// debit may be inserted at its place.
func (tx *Tx) ApprovedUpTo(account common.Address) (uint64, error) {
	return readBE64(tx.b.Bucket(bucketVerdictUpTo).Get(account[:])), nil
}

func (tx *Tx) raiseApproved(account common.Address, event uint64) error {
	if was, _ := tx.ApprovedUpTo(account); event <= was {
		return nil
	}
	return tx.b.Bucket(bucketVerdictUpTo).Put(account[:], be64(event))
}
