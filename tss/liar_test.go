package tss

import (
	"crypto/ecdsa"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet/devkeys"
	"conclave/quorum"
)

// lie is one way in which a member misbehaves, in every session that it is in. Everything it does not mention is honest.
type lie struct {
	name string
	// frame is what becomes of a message of a session; the honest bytes when nil.
	frame func(l *liar, to common.Address, env Envelope) [][]byte
	// ready, strike and start are what becomes of its statements; they report whether it makes any.
	ready  func(l *liar, body *quorum.Ready) bool
	strike func(l *liar, body *quorum.Abort) bool
	start  func(l *liar, s *Start) bool
	// live: its messages spoil nothing, and the first session it is in signs.
	live bool
	// convicted: somebody must hold evidence against it. Otherwise it may stay unnamed.
	convicted bool
	// silent: somebody must have named it as silent.
	silent bool
}

// liar is the member that lies, with what it remembers.
type liar struct {
	*stage
	self   common.Address
	key    *ecdsa.PrivateKey
	rnd    *rand.Rand
	heard  []Envelope        // of others, in this session
	before map[slot]Envelope // what it sent in the session before
	now    map[slot]Envelope
	id     common.Hash
}

// sealed signs a message as the liar.
func (l *liar) sealed(h Header, payload []byte) []byte {
	env, err := seal(l.key, testNetwork, h, payload)
	require.NoError(l.t, err)
	return env.frame()
}

// speak notes what the liar is about to say, and lets the lie change it.
func (l *liar) speak(to common.Address, frame []byte) [][]byte {
	env, err := parseFrame(frame)
	require.NoError(l.t, err)
	if env.Header.Session != l.id {
		l.id, l.before, l.now, l.heard = env.Header.Session, l.now, map[slot]Envelope{}, nil
	}
	l.now[env.Header.slot(common.Address{})] = env
	if l.lie.frame == nil {
		return [][]byte{frame}
	}
	return l.lie.frame(l, to, env)
}

// unseen is another's message as the liar's own engine reads it: an engine that saw its lie in an echo would end the session.
func (l *liar) unseen(key *ecdsa.PrivateKey, env Envelope) []byte {
	entries, err := parseEcho(env.Payload)
	if env.Header.Type != typeEcho || err != nil {
		return env.frame()
	}
	for i, e := range entries {
		// What its engine has not said yet stays as it was shown: in its place there is nothing that anybody signed.
		mine, said := l.now[slot{env.Header.Round, e.Type, common.Address{}, common.Address{}}]
		if e.From == l.self && said {
			entries[i].Payload, entries[i].Sig = mine.Header.Payload, mine.Sig
		}
	}
	env, err = seal(key, testNetwork, env.Header, encodeEcho(entries))
	require.NoError(l.t, err)
	return env.frame()
}

// others are the members that it lies to, in one order.
func (l *liar) others() []common.Address {
	return slices.DeleteFunc(slices.Clone(l.members), func(a common.Address) bool { return a == l.self })
}

// victim is one participant of its session that is treated differently: another with each session.
func (l *liar) victim(env Envelope) common.Address {
	set := slices.DeleteFunc(slices.Clone(l.sets[env.Header.Session]), func(a common.Address) bool { return a == l.self })
	return set[int(env.Header.Session[0])%len(set)]
}

// stage is a committee that signs one digest: real engines, real attempts, a transport in memory and a virtual clock.
type stage struct {
	t       *testing.T
	lie     lie
	members quorum.Members
	hub     *hub
	actors  []*actor
	liar    *liar
	events  chan func()
	sets    map[common.Hash]quorum.Members // by session
	live    int                            // sessions under way
	digest  common.Hash
	payer   common.Address

	outcomes []Outcome // of honest members
	most     uint64    // the highest attempt that an honest member joined
}

// actor is a member with its machine of attempts.
type actor struct {
	*Attempts
	self  common.Address
	key   *ecdsa.PrivateKey
	share *KeyShare
	said  map[uint64]quorum.Signed[quorum.Ready]
	done  bool
}

// Bounds of what a liar may cost.
const (
	stageTick     = 100 * time.Millisecond
	stagePatience = time.Hour // of virtual time
)

// dealtShares are those of a committee of n, from a dealer: n = 4 are the fixtures.
func dealtShares(t testing.TB, members quorum.Members) []*KeyShare {
	if len(members) == 4 {
		return testShares(t)
	}
	return dealt(t, members)
}

func newStage(t *testing.T, n int, seed uint64, what lie) *stage {
	h, members := newHub(t, n)
	s := &stage{
		t: t, lie: what, members: members, hub: h, events: make(chan func(), 1024), sets: map[common.Hash]quorum.Members{},
		digest: sessionOf("the digest"),
	}
	_, keys := testMembers(n)
	shares := dealtShares(t, members)
	s.payer = shares[0].payer
	for i, m := range members {
		s.actors = append(s.actors, &actor{
			self: m, key: keys[m], share: shares[i], said: map[uint64]quorum.Signed[quorum.Ready]{},
			Attempts: NewAttempts(AttemptsConfig{Network: testNetwork, Epoch: 1, Self: m, Members: members}),
		})
	}
	// The liar is in the first set that will be drawn.
	first, ok := Draw(members, s.members.Q(), s.slot().Batch, 0, 0, never)
	require.True(t, ok)
	who := first[seed%uint64(len(first))]
	s.liar = &liar{stage: s, self: who, key: keys[who], rnd: rand.New(rand.NewPCG(seed, 2)), now: map[slot]Envelope{}}
	h.tamper = func(from, to common.Address, frame []byte) [][]byte {
		switch {
		case from == who:
			return s.liar.speak(to, frame)
		case to == who:
			env, err := parseFrame(frame)
			require.NoError(t, err)
			s.liar.heard = append(s.liar.heard, env)
			return [][]byte{s.liar.unseen(keys[from], env)}
		}
		return [][]byte{frame}
	}
	return s
}

func (s *stage) slot() Slot {
	return Slot{Chain: 1337, Nonce: 5, Height: 9, Batch: sessionOf("the batch"), Digest: s.digest}
}

// play runs until every honest member has the signature.
func (s *stage) play() {
	begin := time.Now()
	for _, a := range s.actors {
		a.Open(s.slot(), begin)
	}
	tick := time.NewTicker(stageTick)
	defer tick.Stop()
	for !s.over() {
		require.Less(s.t, time.Since(begin), stagePatience, "%s: no signature", s.lie.name)
		select {
		case f := <-s.events:
			f()
		case now := <-tick.C:
			for _, a := range s.actors {
				if !a.done {
					s.act(a, a.Tick(now, s.members))
				}
			}
		}
	}
}

func (s *stage) over() bool {
	return s.live == 0 && !slices.ContainsFunc(s.actors, func(a *actor) bool { return !a.done && a.self != s.liar.self })
}

// act is what a custodian does with effects.
func (s *stage) act(a *actor, fx Effects) {
	lies := a.self == s.liar.self
	require.Empty(s.t, fx.Stuck, s.lie.name)
	if fx.Ready != nil && (!lies || s.lie.ready == nil || s.lie.ready(s.liar, fx.Ready)) {
		s.ready(a, *fx.Ready)
	}
	if fx.Abort != nil && (!lies || s.lie.strike == nil || s.lie.strike(s.liar, fx.Abort)) {
		abort, err := quorum.Sign(a.key, testNetwork, *fx.Abort)
		require.NoError(s.t, err)
		for _, o := range s.actors {
			o.HearAbort(abort)
		}
	}
	if fx.Start != nil && (!lies || s.lie.start == nil || s.lie.start(s.liar, fx.Start)) {
		for _, o := range s.actors {
			if o == a || o.done {
				continue
			}
			if more, err := o.Follow(a.self, *fx.Start, time.Now()); err == nil {
				s.act(o, more)
			}
		}
	}
	if fx.Join != nil {
		s.join(a, *fx.Join)
	}
}

func (s *stage) ready(a *actor, body quorum.Ready) {
	r, ok := a.said[body.Attempt]
	if !ok {
		var err error
		r, err = quorum.Sign(a.key, testNetwork, body)
		require.NoError(s.t, err)
		a.said[body.Attempt] = r
	}
	for _, o := range s.actors {
		if o.done {
			a.finish() // to a READY for what is signed, the answer is the bytes
			return
		}
	}
	for _, o := range s.actors {
		o.Hear(r, time.Now())
	}
}

func (a *actor) finish() {
	a.done = true
	a.Close()
}

func (s *stage) join(a *actor, session quorum.Session) {
	require.Equal(s.t, s.digest, session.Digest)
	s.live++
	s.sets[session.Hash()] = session.Set
	if a.self != s.liar.self {
		s.most = max(s.most, session.Attempt)
	}
	engine := s.hub.engines[a.self]
	go func() {
		out := engine.sign(s.t.Context(), signRequest{
			session: session.Hash(), digest: session.Digest, participants: session.Set, share: a.share,
		})
		s.events <- func() { s.ended(a, session, out) }
	}()
}

func (s *stage) ended(a *actor, session quorum.Session, out Outcome) {
	s.live--
	if a.self != s.liar.self {
		s.outcomes = append(s.outcomes, out)
		s.blameless(out)
	}
	if out.Ending == Signed {
		require.True(s.t, verifySignature(s.payer, s.digest, out.Signature), "%s: %s", s.lie.name, out)
		for _, o := range s.actors {
			o.finish()
		}
		return
	}
	if !a.done {
		s.act(a, a.Ended(out, session, time.Now()))
	}
}

// blameless: no honest member is named, for anything, by an honest one; and what names the liar holds.
func (s *stage) blameless(out Outcome) {
	only := []common.Address{s.liar.self}
	for _, who := range [][]common.Address{out.Culprits, out.Silent} {
		require.Subset(s.t, only, who, "%s: %s", s.lie.name, out)
	}
	if out.Ending == TimedOut && len(out.Suspects) > 0 {
		require.Contains(s.t, out.Suspects, s.liar.self, "%s: %s", s.lie.name, out)
	}
	for _, ev := range out.Evidence {
		require.Equal(s.t, s.liar.self, ev.Culprit, "%s: %s", s.lie.name, out)
		if ev.Portable() {
			require.NoError(s.t, ev.Verify(testNetwork), s.lie.name)
		}
	}
}

// judge looks at the end: who was named, and what everyone still holds.
func (s *stage) judge() {
	convicted, silent := false, false
	for _, o := range s.outcomes {
		convicted, silent = convicted || len(o.Culprits) > 0, silent || len(o.Silent) > 0
	}
	for _, a := range s.actors {
		for m := range a.evidence {
			require.Equal(s.t, s.liar.self, m, "%s: an honest member is excluded", s.lie.name)
		}
		for set, by := range a.aborts {
			if len(by) > s.members.F() {
				require.True(s.t, setHas(set, s.liar.self), "%s: a set without the liar was struck", s.lie.name)
			}
		}
	}
	require.True(s.t, convicted || !s.lie.convicted, "%s: nobody convicted the liar: %v", s.lie.name, s.outcomes)
	require.True(s.t, silent || !s.lie.silent, "%s: nobody named the silent one: %v", s.lie.name, s.outcomes)
	if s.lie.live {
		require.Zero(s.t, s.most, "%s: this costs no attempt", s.lie.name)
	}
	require.Less(s.t, s.most, uint64(2*subsets(len(s.members), s.members.Q())), s.lie.name)
	for m, e := range s.hub.engines {
		s.bounded(m, e)
	}
}

func setHas(key string, m common.Address) bool {
	for i := 0; i < len(key); i += common.AddressLength {
		if key[i:i+common.AddressLength] == string(m[:]) {
			return true
		}
	}
	return false
}

// bounded: nothing that ended is held, and what waits for sessions that never came is within its bounds.
func (s *stage) bounded(m common.Address, e *Engine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Empty(s.t, e.live, "%s: %s", s.lie.name, m)
	require.LessOrEqual(s.t, len(e.ended), maxEnded)
	require.LessOrEqual(s.t, len(e.early.peers), len(s.members))
	for _, p := range e.early.peers {
		require.LessOrEqual(s.t, len(p.held), maxEarlySessions, s.lie.name)
		require.LessOrEqual(s.t, p.frames, maxQueuedFrames, s.lie.name)
		require.LessOrEqual(s.t, p.bytes, maxQueuedBytes, s.lie.name)
	}
}

// tellLie runs one lie in a committee of n.
func tellLie(t *testing.T, n int, seed uint64, what lie) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, n, seed, what)
		start := time.Now()
		s.play()
		s.judge()
		t.Logf("n = %d, %s: attempt %d, %s of virtual time; %v", n, what.name, s.most, time.Since(start).Round(time.Millisecond), s.endings())
	})
}

// endings counts how honest members' sessions ended.
func (s *stage) endings() map[string]int {
	out := map[string]int{}
	for _, o := range s.outcomes {
		key := o.Ending.String()
		if len(o.Culprits) > 0 {
			key += ": " + o.Reason
		}
		out[key]++
	}
	return out
}

// dealt makes the shares of a committee as a trusted dealer would.
func dealt(t testing.TB, members quorum.Members) []*KeyShare {
	q := order()
	var polynomial []uint64 // small coefficients: these shares are published
	for i := range members.Q() {
		polynomial = append(polynomial, uint64(1000+7*i))
	}
	in := storedShare{
		Version: shareVersion, Epoch: 1, Members: members, Threshold: uint64(members.Q()), Session: sessionOf("dealt"),
		Public: baseTimes(newInt(int(polynomial[0]))).compress(),
	}
	var own []storedShare
	for i, m := range members {
		pre, x, y := devPreParams(t, i%devkeys.Count), partyKey(m, 1), newInt(0)
		for k := len(polynomial) - 1; k >= 0; k-- {
			y.Mul(y, x).Add(y, newInt(int(polynomial[k]))).Mod(y, q)
		}
		pub := pre.moduli()
		in.Parties = append(in.Parties, storedParty{pub.N, pub.NTilde, pub.H1, pub.H2, baseTimes(y).compress()})
		own = append(own, storedShare{Self: m, Xi: y, P: pre.p, Q: pre.q})
	}
	var out []*KeyShare
	for _, o := range own {
		s := in
		s.Self, s.Xi, s.P, s.Q = o.Self, o.Xi, o.P, o.Q
		b, err := rlp.EncodeToBytes(&s)
		require.NoError(t, err)
		share, err := LoadKeyShare(b)
		require.NoError(t, err)
		out = append(out, share)
	}
	return out
}
