package tss

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// This file says who is to blame, and for what. A culprit is named only by something that it signed; whatever else fails is
// unattributed, because a liar's cheapest weapon is a failure that looks like another's.

// equivocation convicts the author of two envelopes in one slot.
func equivocation(culprit common.Address, a, b Envelope) *Outcome {
	return convicted(Evidence{
		Kind: Equivocation, Culprit: culprit, Rule: "equivocation", Envelopes: []Envelope{a.bare(), b.bare()},
	})
}

// refused convicts the author of a message that the guard did not let pass.
func refused(culprit common.Address, rule string, env Envelope) *Outcome {
	return convicted(Evidence{Kind: Refused, Culprit: culprit, Rule: rule, Envelopes: []Envelope{env}})
}

// blame turns an error of the library into an outcome. Blame that names this node itself (round 9 does so when the points do
// not add up) and a signature that does not verify say only that somebody lied.
func (s *session) blame(err *libraryError) *Outcome {
	if err.suspect != (common.Address{}) {
		return unattributed(err.Error(), err.suspect)
	}
	others := slices.DeleteFunc(slices.Clone(err.culprits), func(a common.Address) bool { return a == s.self })
	if len(others) == 0 || len(others) != len(err.culprits) {
		return unattributed(err.Error(), others...)
	}
	slices.SortFunc(others, common.Address.Cmp)
	others = slices.Compact(others)

	out := &Outcome{Ending: Aborted, Culprits: others, Reason: err.Error()}
	for _, c := range others {
		out.Evidence = append(out.Evidence, Evidence{
			Kind: BadProof, Culprit: c, Rule: "proof", Envelopes: s.envelopesOf(c),
		})
	}
	return out
}

// envelopesOf returns everything that one participant signed in this session and we hold, in the order of rounds.
func (s *session) envelopesOf(a common.Address) []Envelope {
	var all []Envelope
	for _, sp := range s.plan.specs {
		if env, ok := s.held[slot{sp.round, sp.kind, s.recipient(sp), a}]; ok {
			all = append(all, env)
		}
	}
	return all
}

// compareEcho checks what a participant shows of a round against what we hold. Every difference has a signer.
func (s *session) compareEcho(from common.Address, echo Envelope) *Outcome {
	want := s.broadcastOf(echo.Header.Round)
	authors := slices.DeleteFunc(slices.Clone(s.speakers(want)), func(a common.Address) bool { return a == from })
	entries, err := parseEcho(echo.Payload)
	if err != nil || len(entries) != len(authors) {
		return refused(from, "echo.shape", echo)
	}
	for _, e := range entries {
		// Entries are distinct, so as many authors other than the sender as there are, are all of them.
		if !slices.Contains(authors, e.From) || e.Type != want.kind {
			return refused(from, "echo.shape", echo)
		}
		held, ok := s.held[slot{want.round, want.kind, common.Address{}, e.From}]
		if !ok || held.Header.Payload == e.Payload {
			continue
		}
		if !e.genuine(s.network, echo.Header) {
			return convicted(Evidence{Kind: FalseEcho, Culprit: from, Rule: "echo.false", Envelopes: []Envelope{echo}})
		}
		if e.From == s.self {
			// Another process signs with our key. Nobody else is to blame, and going on would be worse.
			return unattributed("this node's key signed another message in this session")
		}
		return equivocation(e.From, held, e.envelope(echo.Header))
	}
	return nil
}

// contradiction compares the echoes of the round that have come so far.
func (s *session) contradiction() *Outcome {
	if !s.plan.echoes(s.round) {
		return nil
	}
	for _, a := range s.others() {
		echo, ok := s.held[slot{s.round, typeEcho, common.Address{}, a}]
		if !ok {
			continue
		}
		if out := s.compareEcho(a, echo); out != nil {
			return out
		}
	}
	return nil
}

// unfit has the guard read what is at hand of the round under way: whoever signed what it refuses is to blame, however far
// the round has come. Without it only the fastest reader would name the member.
func (s *session) unfit() *Outcome {
	for _, sp := range s.plan.of(s.round) {
		for _, a := range s.owing(sp) {
			env, ok := s.held[slot{sp.round, sp.kind, s.recipient(sp), a}]
			if !ok || sp.name == "" {
				continue
			}
			if _, bad := s.guard.check(sp, a, env.Payload); bad != nil {
				return refused(a, bad.rule, env)
			}
		}
	}
	return nil
}

// believeAbort turns another participant's abort into an outcome, or nil when the participants first compare for whom they
// wait. Proof convicts; the rest only ends the waiting.
func (s *session) believeAbort(from common.Address, n abortNotice) *Outcome {
	if _, spoke := s.waiting[from]; spoke && Ending(n.Kind) == TimedOut {
		s.drops.add(DropDuplicate) // reading what is at hand costs a second in a large committee
		return nil
	}
	convicts := func(ev Evidence) error { return ev.Verify(s.network) }
	if s.judge != nil {
		convicts = s.judge
	}
	for _, ev := range n.Evidence {
		inSession := len(ev.Envelopes) > 0 && ev.Envelopes[0].Header.Session == s.id
		if inSession && slices.Contains(s.order, ev.Culprit) && ev.Culprit != s.self && convicts(ev) == nil {
			return convicted(ev)
		}
	}
	// A liar that sees its lie in an echo may abort before the proof is complete here. What is at hand is looked at first.
	if out := s.contradiction(); out != nil {
		return out
	}
	named := slices.DeleteFunc(slices.Clone(n.Named), func(a common.Address) bool {
		return a == s.self || !slices.Contains(s.order, a)
	})
	switch Ending(n.Kind) {
	case TimedOut:
		s.hearWaiting(from, named)
		return nil
	case Cancelled:
		return &Outcome{Ending: TimedOut, Silent: []common.Address{from}, Reason: "a participant left"}
	}
	if out := s.unfit(); out != nil {
		return out
	}
	return unattributed("another participant aborted", distinct(append([]common.Address{from}, named...))...)
}

// distinct keeps the first of each address.
func distinct(in []common.Address) []common.Address {
	var out []common.Address
	for _, a := range in {
		if !slices.Contains(out, a) && len(out) < quorum.MaxMembers {
			out = append(out, a)
		}
	}
	return out
}

// Convicts checks evidence as a holder of the key can: beyond what [Evidence.Verify] proves to anyone, it reads a refused
// message of a signing session again, with the committee's public material and as its receiver would have. It fails with
// [ErrNoProof]. [BadProof] stays with its witness: an accuser could have sent the accused something else than it shows.
func (s *KeyShare) Convicts(network common.Hash, ev Evidence) error {
	if ev.Kind != Refused {
		return ev.Verify(network)
	}
	if len(ev.Envelopes) != 1 || !slices.Contains(s.members, ev.Culprit) {
		return fmt.Errorf("%w: not one message of a member", ErrNoProof)
	}
	env, err := parseFrame(ev.Envelopes[0].frame())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	if signer, err := env.Signer(network); err != nil || signer != ev.Culprit {
		return fmt.Errorf("%w: the envelope is not the culprit's", ErrNoProof)
	}
	sp, known := signPlan().find(env.Header.Type)
	receiver := env.Header.To
	if !known || sp.round != env.Header.Round || sp.broadcast != (receiver == common.Address{}) {
		return fmt.Errorf("%w: no message of signing", ErrNoProof)
	}
	if sp.broadcast {
		receiver = s.self // no rule of a broadcast looks at the receiver
	}
	if receiver == ev.Culprit || !slices.Contains(s.members, receiver) {
		return fmt.Errorf("%w: the receiver is no other member", ErrNoProof)
	}
	return s.readAgain(sp, ev, env.Payload, receiver)
}

// readAgain runs the guard as a receiver would have, and fails unless it refuses by the rule that the evidence names.
func (s *KeyShare) readAgain(sp spec, ev Evidence, payload []byte, receiver common.Address) error {
	order, err := partyOrder(s.members, s.epoch)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	g := signGuard(s, order, namedParties(order, s.epoch))
	g.self = receiver
	if _, bad := g.check(sp, ev.Culprit, payload); bad == nil || bad.rule != ev.Rule {
		return fmt.Errorf("%w: the message does not break the rule %q", ErrNoProof, ev.Rule)
	}
	return nil
}
