package tss

import (
	"context"
	"crypto/ecdsa"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/quorum"
)

// machine is the library's state machine as a session uses it: one call at a time, never two.
type machine interface {
	start() step
	feed([]checked) step
}

// session is one run of a protocol with fixed participants. Its fields belong to the goroutine in run; others reach it
// through mail only.
//
// A round goes: our messages leave · all others' messages arrive · everyone shows the signed broadcasts that it holds ·
// all agree · the guard reads each message · the library computes, which produces our messages of the next round.
type session struct {
	id        common.Hash
	network   common.Hash
	self      common.Address
	key       *ecdsa.PrivateKey
	transport Transport
	log       *zap.Logger
	drops     *drops

	plan     plan
	order    []common.Address // participants; in the library's order where they are one committee
	cast     *cast            // who says what, where not everyone says everything; nil elsewhere
	timeout  time.Duration
	guard    *guard
	machine  machine
	progress func(round, of int)

	// across compares the messages of a round with each other, once each passed by itself; nil where nothing is to compare.
	across func(round uint8) *Outcome
	// conclude is told the library's result. It returns our message of the closing round, if we have one, or the outcome.
	conclude func(result any) (payload []byte, out *Outcome)
	// closing reads all messages of the closing round, ours too, and gives the outcome.
	closing func(map[common.Address][]byte) *Outcome
	// takeOver reads a final signature that another participant shows; nil where the protocol has none.
	takeOver func(payload []byte) *Outcome
	// judge checks another participant's evidence with the key's public material; nil where there is no key yet.
	judge func(Evidence) error

	mail   *mailbox
	turn   turn            // of the key
	calls  *sync.WaitGroup // library calls of the engine
	worker *worker
	ctx    context.Context // of run
	timer  *time.Timer
	since  time.Time // when the others' part of the round began

	// Set once somebody ran out of patience: who said for whom it waits, and whom we had missed for long then.
	waiting map[common.Address][]common.Address
	missed  []common.Address

	round  uint8             // whose messages are being collected
	held   map[slot]Envelope // everything accepted, ours too
	echoed bool              // our echo of this round is out
	fed    uint8             // the last round that the library has got
}

// run drives the session to its end. It returns when ctx ends, at the latest; a library call under way then is left behind.
func (s *session) run(ctx context.Context) Outcome {
	s.held, s.round, s.ctx = map[slot]Envelope{}, 1, ctx
	s.timer = time.NewTimer(s.timeout)
	s.patience()
	s.worker = startWorker(s.turn, s.calls)
	s.worker.run(s.machine.start)

	out := s.loop()

	s.timer.Stop()
	s.worker.stop()
	out.Session, out.Round = s.id, s.round
	return *out
}

// loop waits for one thing after the other until one of them ends the session.
func (s *session) loop() *Outcome {
	for {
		var out *Outcome
		told := false
		select {
		case <-s.ctx.Done():
			out = s.left()

		case <-s.timer.C:
			out = s.expire()
			told = out != nil // when it ran out of patience

		case st := <-s.worker.results:
			s.worker.busy = false
			if s.waiting == nil {
				s.patience()
			}
			out = s.apply(st)

		case <-s.mail.ready:
			if out, told = s.read(); told {
				out, told = s.afterStep(out)
			}
		}
		if out == nil && s.waiting == nil {
			out = s.advance()
		}
		if out != nil {
			if !told {
				s.tell(out)
			}
			return out
		}
	}
}

// left is the outcome of a session whose node gives it up.
func (s *session) left() *Outcome { return &Outcome{Ending: Cancelled, Err: context.Cause(s.ctx)} }

// afterStep lets the library call under way end before another participant's failure is believed: what it finds may name the
// member that both of us saw, and that only the fastest would name otherwise.
func (s *session) afterStep(told *Outcome) (out *Outcome, stillTold bool) {
	if told.Ending != Unattributed || !s.worker.busy {
		return told, true
	}
	select {
	case <-s.ctx.Done():
		return s.left(), false
	case st := <-s.worker.results:
		s.worker.busy = false
		if st.err != nil {
			if own := s.blame(st.err); own.Ending == Aborted {
				return own, false
			}
		}
	}
	return told, true
}

// read takes what has arrived. told reports that the ending came from another participant, who tells the others itself.
func (s *session) read() (out *Outcome, told bool) {
	for _, r := range s.mail.take() {
		if out, told = s.accept(r); out != nil {
			return out, told
		}
	}
	return nil, false
}

// accept looks at one envelope: first at who and what it claims to be, then at whether its slot is free.
func (s *session) accept(r received) (out *Outcome, told bool) {
	h := r.env.Header
	switch signer, err := r.env.Signer(s.network); {
	case r.size > s.plan.maxFrame:
		s.drops.add(DropOversized)
		return nil, false
	case !slices.Contains(s.order, r.from) || r.from == s.self:
		s.drops.add(DropNotParticipant)
		return nil, false
	case err != nil || signer != r.from:
		s.drops.add(DropSignature)
		return nil, false
	}
	switch h.Type {
	case typeAbort, typeDone:
		if h.To != (common.Address{}) {
			s.drops.add(DropClass)
			return nil, false
		}
		return s.acceptEnding(r)
	case typeEcho:
		if !s.plan.echoes(h.Round) {
			s.drops.add(DropUnknownType)
			return nil, false
		}
		if h.To != (common.Address{}) {
			s.drops.add(DropClass)
			return nil, false
		}
	default:
		sp, known := s.plan.find(h.Type)
		if !known || sp.round != h.Round {
			s.drops.add(DropUnknownType)
			return nil, false
		}
		if h.To != s.recipient(sp) || !s.owes(sp, r.from) {
			s.drops.add(DropClass)
			return nil, false
		}
	}
	at := h.slot(r.from)
	before, filled := s.held[at]
	switch {
	case !filled:
		s.held[at] = r.env
	case before.Header.Payload == h.Payload:
		s.drops.add(DropDuplicate)
	default:
		return equivocation(r.from, before, r.env), false
	}
	return nil, false
}

// acceptEnding reads an abort or a final signature.
func (s *session) acceptEnding(r received) (out *Outcome, told bool) {
	if r.env.Header.Type == typeAbort {
		n, err := parseAbort(r.env.Payload)
		if err != nil {
			s.drops.add(DropBadAbort)
			return nil, false
		}
		out = s.believeAbort(r.from, n)
		// Proof found here is news to the others; the rest they hear from the sender.
		return out, out != nil && out.Ending != Aborted
	}
	if s.takeOver != nil {
		out = s.takeOver(r.env.Payload)
	}
	if out == nil {
		s.drops.add(DropBadDone)
	}
	return out, true
}

// recipient is whom a message of the class names when it is for us.
func (s *session) recipient(sp spec) common.Address {
	if sp.broadcast {
		return common.Address{}
	}
	return s.self
}

// apply takes the result of a library call: an error, or messages to send, or the end.
func (s *session) apply(st step) *Outcome {
	if st.err != nil {
		return s.blame(st.err)
	}
	for _, m := range st.out {
		if out := s.post(Header{Round: m.spec.round, Type: m.spec.kind, To: m.to}, m.payload); out != nil {
			return out
		}
	}
	if st.result == nil {
		if s.fed == s.plan.library {
			return unattributed("the library ended without a result")
		}
		return nil
	}
	payload, out := s.conclude(st.result)
	if out != nil || payload == nil {
		return out
	}
	return s.post(Header{Round: s.plan.rounds, Type: typeTranscript}, payload)
}

// post signs a message of ours, remembers it when it is a broadcast, and sends it.
func (s *session) post(h Header, payload []byte) *Outcome {
	h.Session = s.id
	env, err := seal(s.key, s.network, h, payload)
	if err != nil {
		return unattributed(err.Error())
	}
	if h.To == (common.Address{}) {
		s.held[h.slot(s.self)] = env
	}
	frame := env.frame()
	for _, to := range s.order {
		if to == s.self || h.To != (common.Address{}) && h.To != to {
			continue
		}
		if err := s.transport.Send(to, frame); err != nil {
			// The peer may come back before the deadline; if not, it is silent.
			s.drops.add(DropSend)
			s.log.Debug("frame not sent", zap.Stringer("peer", to), zap.Error(err))
		}
	}
	return nil
}

// tell lets the others stop waiting. Endings that all reach by themselves are not told.
func (s *session) tell(out *Outcome) {
	switch out.Ending {
	case Signed:
		s.post(Header{Round: s.round, Type: typeDone}, out.Signature[:])
	case TimedOut, Aborted, Unattributed, Cancelled:
		s.post(Header{Round: s.round, Type: typeAbort}, encodeAbort(out.notice()))
	}
}

// advance goes as far as the messages at hand allow.
func (s *session) advance() *Outcome {
	if len(s.missingMessages()) > 0 {
		return nil
	}
	if s.plan.echoes(s.round) {
		if out := s.showBroadcasts(); out != nil {
			return out
		}
		if len(s.missingEchoes()) > 0 {
			return nil
		}
	}
	if s.worker.busy || !s.ownSent() {
		return nil
	}
	if out := s.contradiction(); out != nil {
		return out
	}
	if s.round > s.plan.library {
		return s.close()
	}
	return s.feed()
}

// feed has the guard read all messages of the round and gives them to the library.
func (s *session) feed() *Outcome {
	var batch []checked
	for _, sp := range s.plan.of(s.round) {
		for _, a := range s.owing(sp) {
			env := s.held[slot{sp.round, sp.kind, s.recipient(sp), a}]
			if s.ctx.Err() != nil {
				return s.left() // reading a large committee's proofs takes a second
			}
			m, bad := s.guard.check(sp, a, env.Payload)
			if bad != nil {
				return refused(a, bad.rule, env)
			}
			batch = append(batch, m)
		}
	}
	if s.across != nil {
		if out := s.across(s.round); out != nil {
			return out
		}
	}
	if s.progress != nil {
		s.progress(int(s.round), int(s.plan.rounds))
	}
	if s.fed = s.round; s.round < s.plan.rounds {
		s.round, s.echoed = s.round+1, false
	}
	s.worker.run(func() step { return s.machine.feed(batch) })
	return nil
}

// compareMaterial checks that the members of a new key, whose material came in messages of the type, brought what is their own.
func (s *session) compareMaterial(kind uint8, members []common.Address) *Outcome {
	if pair, ok := s.guard.independent(members); !ok {
		return s.dependent(kind, pair)
	}
	return nil
}

// dependent is the outcome of two members with common key material. Who copied cannot be told, unless one of them is us.
func (s *session) dependent(kind uint8, pair []common.Address) *Outcome {
	others := slices.DeleteFunc(distinct(pair), func(a common.Address) bool { return a == s.self })
	if len(others) == 1 {
		sp, _ := s.plan.find(kind)
		return refused(others[0], ruleShared, s.held[slot{sp.round, sp.kind, common.Address{}, others[0]}])
	}
	return unattributed(ruleShared, others...)
}

// close reads the closing round.
func (s *session) close() *Outcome {
	payloads := map[common.Address][]byte{}
	sp := s.broadcastOf(s.round)
	for _, a := range s.speakers(sp) {
		payloads[a] = s.held[slot{sp.round, sp.kind, common.Address{}, a}].Payload
	}
	if s.progress != nil {
		s.progress(int(s.round), int(s.plan.rounds))
	}
	return s.closing(payloads)
}

// showBroadcasts sends our echo of the round, once.
func (s *session) showBroadcasts() *Outcome {
	if s.echoed {
		return nil
	}
	s.echoed = true
	sp := s.broadcastOf(s.round)
	var entries []echoEntry
	for _, a := range s.owing(sp) {
		env := s.held[slot{sp.round, sp.kind, common.Address{}, a}]
		entries = append(entries, echoEntry{From: a, Type: sp.kind, Payload: env.Header.Payload, Sig: env.Sig})
	}
	return s.post(Header{Round: s.round, Type: typeEcho}, encodeEcho(entries))
}

// broadcastOf is the one broadcast of a round.
func (s *session) broadcastOf(round uint8) spec {
	for _, sp := range s.plan.of(round) {
		if sp.broadcast {
			return sp
		}
	}
	return spec{}
}

// ownSent reports whether our broadcast of the round is out. A round without one needs none: its direct messages left in the
// same step that made it current.
func (s *session) ownSent() bool {
	sp := s.broadcastOf(s.round)
	if sp.kind == 0 || !slices.Contains(s.speakers(sp), s.self) {
		return true
	}
	_, sent := s.held[slot{sp.round, sp.kind, common.Address{}, s.self}]
	return sent
}

// has reports whether a is another participant. The order never changes, so any goroutine may ask.
func (s *session) has(a common.Address) bool { return a != s.self && slices.Contains(s.order, a) }

// others are the participants without us.
func (s *session) others() []common.Address {
	return slices.DeleteFunc(slices.Clone(s.order), func(a common.Address) bool { return a == s.self })
}

// missing is who keeps the round from ending.
func (s *session) missing() []common.Address {
	if who := s.missingMessages(); len(who) > 0 {
		return who
	}
	if s.plan.echoes(s.round) {
		return s.missingEchoes()
	}
	return nil
}

func (s *session) missingMessages() []common.Address {
	specs := s.plan.of(s.round)
	return slices.DeleteFunc(s.others(), func(a common.Address) bool {
		for _, sp := range specs {
			if _, ok := s.held[slot{sp.round, sp.kind, s.recipient(sp), a}]; !ok && s.owes(sp, a) {
				return false
			}
		}
		return true
	})
}

// speakers are those who send messages of the type.
func (s *session) speakers(sp spec) []common.Address {
	if s.cast == nil {
		return s.order
	}
	return s.cast.speakers(sp.kind)
}

// owes reports whether another participant sends a message of the type to us.
func (s *session) owes(sp spec, a common.Address) bool {
	heard := sp.broadcast || s.cast == nil || slices.Contains(s.cast.listeners, s.self)
	return heard && slices.Contains(s.speakers(sp), a)
}

// owing are the others who send a message of the type to us.
func (s *session) owing(sp spec) []common.Address {
	return slices.DeleteFunc(s.others(), func(a common.Address) bool { return !s.owes(sp, a) })
}

func (s *session) missingEchoes() []common.Address {
	return slices.DeleteFunc(s.others(), func(a common.Address) bool {
		_, ok := s.held[slot{s.round, typeEcho, common.Address{}, a}]
		return ok
	})
}

// takeOverSigned accepts a final signature that verifies, from whomever.
func takeOverSigned(payer common.Address, digest common.Hash) func([]byte) *Outcome {
	return func(payload []byte) *Outcome {
		var sig quorum.Signature
		if len(payload) != len(sig) {
			return nil
		}
		copy(sig[:], payload)
		if !verifySignature(payer, digest, sig) {
			return nil
		}
		return &Outcome{Ending: Signed, Signature: sig}
	}
}
