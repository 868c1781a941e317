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
// bytes that their own key did not sign. It fails with [ErrNoConflict], or with why one of them does not open.
func Conflict(network common.Hash, members Members, first, second []byte) (Rule, common.Address, error) {
	a, err := listen(network, members, first)
	if err != nil {
		return "", common.Address{}, fmt.Errorf("first statement: %w", err)
	}
	b, err := listen(network, members, second)
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
		return RuleCounter, a.signer, nil
	}
	return "", common.Address{}, ErrNoConflict
}

// listen opens a statement of any kind that a rule is about.
func listen(network common.Hash, members Members, raw []byte) (spoken, error) {
	env, signer, err := authenticate(network, members, raw)
	if err != nil {
		return spoken{}, err
	}
	s := spoken{kind: env.Kind, signer: signer, body: env.Body}
	whole := string(env.Body)
	switch env.Kind {
	case KindApprove:
		b, err := open[Approve](network, members, raw)
		s.counter = b.Counter
		s.places = []place{
			{RuleVerdicts, "", common.Address{}, [4]uint64{b.WID, b.Epoch, b.Policy.Version}, whole},
			{RuleHeads, "", b.Account, [4]uint64{b.Seq, b.Epoch, b.Policy.Version}, string(b.Head[:])},
		}
		return s, err
	case KindRefuse:
		b, err := open[Refuse](network, members, raw)
		s.counter = b.Counter
		s.places = []place{{RuleVerdicts, "", common.Address{}, [4]uint64{b.WID, b.Epoch, b.Policy.Version}, whole}}
		return s, err
	case KindProposal:
		b, err := open[Proposal](network, members, raw)
		s.counter = b.Counter
		s.places = []place{b.Place().place(whole)}
		return s, err
	case KindPrevote, KindPrecommit:
		b, err := open[Vote](network, members, raw)
		s.counter = b.Counter
		s.places = []place{b.Place().place(whole)}
		return s, err
	}
	s.counter, err = counterOf(network, members, env.Kind, raw)
	return s, err
}

// counterOf reads the counter of the kinds that have no rule of their own.
func counterOf(network common.Hash, members Members, kind Kind, raw []byte) (uint64, error) {
	switch kind {
	case KindOutcome:
		b, err := open[Outcome](network, members, raw)
		return b.Counter, err
	case KindReady:
		b, err := open[Ready](network, members, raw)
		return b.Counter, err
	case KindAbort:
		b, err := open[Abort](network, members, raw)
		return b.Counter, err
	case KindHalt:
		b, err := open[Halt](network, members, raw)
		return b.Counter, err
	case KindClear:
		b, err := open[Clear](network, members, raw)
		return b.Counter, err
	case KindCheckpoint:
		b, err := open[Checkpoint](network, members, raw)
		return b.Counter, err
	}
	return 0, fmt.Errorf("%w: no rule is about a %s", ErrNoConflict, kind)
}

func open[T Body](network common.Hash, members Members, raw []byte) (T, error) {
	s, err := Open[T](network, members, raw)
	return s.body, err
}
