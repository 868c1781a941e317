package quorum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// Rule names what two statements of one member break together: a closed set.
type Rule string

// The rules that two statements can break.
const (
	RuleVotes    Rule = "two-votes"           // one proposal, prevote and precommit per height and round
	RuleVerdicts Rule = "two-verdicts"        // one verdict per withdrawal, epoch and policy
	RuleHeads    Rule = "two-heads"           // one head per account, debit, epoch and policy
	RuleCounter  Rule = "two-under-one-count" // one statement per counter
)

// ErrNoConflict means that two statements prove nothing against anybody.
var ErrNoConflict = errors.New("the two statements prove nothing")

// place is where only one statement of a member may stand.
type place struct {
	rule    Rule
	kind    Kind
	account common.Address
	numbers [4]uint64
	claim   string // what the statement says there
}

// spoken is a statement as the rules see it.
type spoken struct {
	kind    Kind
	signer  common.Address
	body    rlp.RawValue
	counter uint64 // 0 when it carries none
	places  []place
}

// Conflict says which rule two signed statements of one member break together: bytes that no honest member makes both of.
// It looks at nothing but the statements and who the members are, so anybody can check it, and nobody can be accused by
// bytes that their own key did not sign as a member of the epoch that they name. It fails with [ErrNoConflict], or with why one
// of them does not open.
func Conflict(network common.Hash, in Committees, first, second []byte) (Rule, common.Address, error) {
	a, err := listen(network, in, first)
	if err != nil {
		return "", common.Address{}, fmt.Errorf("first statement: %w", err)
	}
	b, err := listen(network, in, second)
	if err != nil {
		return "", common.Address{}, fmt.Errorf("second statement: %w", err)
	}
	if a.signer != b.signer {
		return "", common.Address{}, fmt.Errorf("%w: they are of %s and %s", ErrNoConflict, a.signer, b.signer)
	}
	if a.kind == b.kind && string(a.body) == string(b.body) {
		return "", common.Address{}, fmt.Errorf("%w: they are the same", ErrNoConflict)
	}
	for _, p := range a.places {
		for _, q := range b.places {
			if p.rule == q.rule && p.kind == q.kind && p.account == q.account && p.numbers == q.numbers && p.claim != q.claim {
				return p.rule, a.signer, nil
			}
		}
	}
	if a.counter != 0 && a.counter == b.counter {
		return RuleCounter, a.signer, nil // a member's counter goes on from one epoch to the next
	}
	return "", common.Address{}, ErrNoConflict
}

// listen opens a statement of any kind that a rule is about, of a member of its epoch.
func listen(network common.Hash, in Committees, raw []byte) (spoken, error) {
	env, signer, err := authenticate(network, nil, raw)
	if !errors.Is(err, ErrNotMember) { // nobody is one yet
		return spoken{}, err
	}
	s := spoken{kind: env.Kind, signer: signer, body: env.Body}
	body, err := s.open(network, raw)
	if err != nil {
		return spoken{}, err
	}
	members, err := in(epochOf(body))
	if err == nil && !members.Has(signer) {
		err = fmt.Errorf("%w: %s in epoch %d", ErrNotMember, signer, epochOf(body))
	}
	return s, err
}

// open reads the body, its counter and its places.
func (s *spoken) open(network common.Hash, raw []byte) (Body, error) {
	signer, whole := Members{s.signer}, string(s.body)
	switch s.kind {
	case KindApprove:
		b, err := open[Approve](network, signer, raw)
		s.counter = b.Counter
		s.places = []place{
			{RuleVerdicts, "", common.Address{}, [4]uint64{b.WID, b.Epoch, b.Policy.Version}, whole},
			{RuleHeads, "", b.Account, [4]uint64{b.Seq, b.Epoch, b.Policy.Version}, string(b.Head[:])},
		}
		return b, err
	case KindRefuse:
		b, err := open[Refuse](network, signer, raw)
		s.counter = b.Counter
		s.places = []place{{RuleVerdicts, "", common.Address{}, [4]uint64{b.WID, b.Epoch, b.Policy.Version}, whole}}
		return b, err
	case KindProposal:
		b, err := open[Proposal](network, signer, raw)
		s.counter = b.Counter
		s.places = []place{b.Place().place(whole)}
		return b, err
	case KindPrevote, KindPrecommit:
		b, err := open[Vote](network, signer, raw)
		s.counter = b.Counter
		s.places = []place{b.Place().place(whole)}
		return b, err
	}
	return s.openCounted(network, signer, raw)
}

// openCounted reads the kinds that have no rule of their own.
func (s *spoken) openCounted(network common.Hash, signer Members, raw []byte) (Body, error) {
	switch s.kind {
	case KindOutcome:
		b, err := open[Outcome](network, signer, raw)
		s.counter = b.Counter
		return b, err
	case KindReady:
		b, err := open[Ready](network, signer, raw)
		s.counter = b.Counter
		return b, err
	case KindAbort:
		b, err := open[Abort](network, signer, raw)
		s.counter = b.Counter
		return b, err
	case KindHalt:
		b, err := open[Halt](network, signer, raw)
		s.counter = b.Counter
		return b, err
	case KindClear:
		b, err := open[Clear](network, signer, raw)
		s.counter = b.Counter
		return b, err
	case KindCheckpoint:
		b, err := open[Checkpoint](network, signer, raw)
		s.counter = b.Counter
		return b, err
	}
	return nil, fmt.Errorf("%w: no rule is about a %s", ErrNoConflict, s.kind)
}

func open[T Body](network common.Hash, members Members, raw []byte) (T, error) {
	s, err := Open[T](network, members, raw)
	return s.body, err
}
