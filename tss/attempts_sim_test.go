package tss

import (
	"container/heap"
	"crypto/ecdsa"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// character is how a simulated member behaves.
type character int

const (
	honest   character = iota
	down               // not there
	silent             // connected, and says nothing
	saboteur           // takes part, and spoils each session so that nobody can be blamed
	mute               // saboteur that never joins: each session with it times out
	pusher             // names attempts that nobody has reached
	twoFaced           // as coordinator, shows each half of the members other READYs
	leaver             // takes part until its first session, and then is silent
)

// sim is a committee of Attempts machines on one virtual clock: no cryptography but the statements' signatures, sessions end
// as their members' characters say.
type sim struct {
	t       require.TestingT
	rnd     *rand.Rand
	now     time.Time
	queue   agenda
	seq     int
	members quorum.Members
	nodes   []*simNode
	loss    float64
	healed  time.Time // from here on nothing is lost

	sessions map[common.Hash]*simSession
	starts   map[uint64]map[common.Address]quorum.Members // by attempt: what each honest node joined
}

type simNode struct {
	*Attempts
	s        *sim
	i        int
	self     common.Address
	key      *ecdsa.PrivateKey
	who      character
	life     int
	done     bool
	recorded map[uint64]bool // attempts, on its disk
	highest  uint64
	any      bool
	said     map[uint64]quorum.Signed[quorum.Ready] // on its disk
	aborts   []quorum.Signed[quorum.Abort]          // on its disk, everyone's
	stuck    bool
}

type simSession struct {
	quorum.Session
	joined map[common.Address]bool
	over   bool
}

type appointment struct {
	at  time.Time
	seq int
	fn  func()
}

type agenda []appointment

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

var simSlot = Slot{Chain: 1337, Nonce: 5, Height: 9, Batch: common.Hash{0xba}, Digest: common.Hash{0xd1}}

const simTick = 100 * time.Millisecond

func newSim(t require.TestingT, n int, seed uint64, who map[int]character) *sim {
	members, keys := testMembers(n)
	s := &sim{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), now: time.UnixMilli(1_780_000_000_000), members: members,
		sessions: map[common.Hash]*simSession{}, starts: map[uint64]map[common.Address]quorum.Members{},
	}
	s.healed = s.now
	for i, m := range members {
		nd := &simNode{s: s, i: i, self: m, key: keys[m], who: who[i], recorded: map[uint64]bool{}, said: map[uint64]quorum.Signed[quorum.Ready]{}}
		s.nodes = append(s.nodes, nd)
		if nd.who != down && nd.who != silent {
			nd.boot(0)
		}
	}
	return s
}

func (s *sim) in(d time.Duration, fn func()) {
	s.seq++
	heap.Push(&s.queue, appointment{s.now.Add(d), s.seq, fn})
}

// run plays until every honest node has the signature, or for at most d.
func (s *sim) run(d time.Duration) bool {
	end := s.now.Add(d)
	for len(s.queue) > 0 && s.queue[0].at.Before(end) {
		next := heap.Pop(&s.queue).(appointment)
		s.now = next.at
		next.fn()
		if s.signed() {
			return true
		}
	}
	s.now = end
	return s.signed()
}

func (s *sim) signed() bool {
	return !slices.ContainsFunc(s.nodes, func(n *simNode) bool { return n.who == honest && !n.done })
}

// to delivers something to every other living member, unless the network loses it.
func (s *sim) to(from *simNode, fn func(n *simNode)) {
	for _, n := range s.nodes {
		if n == from || n.who == down || n.who == silent || (s.now.Before(s.healed) && s.rnd.Float64() < s.loss) {
			continue
		}
		s.in(time.Duration(1+s.rnd.IntN(150))*time.Millisecond, func() { fn(n) })
	}
}

// boot starts a life of a node: what it knows is what its disk holds.
func (n *simNode) boot(after time.Duration) {
	n.life++
	life := n.life
	n.Attempts = nil
	n.s.in(after, func() {
		n.Attempts = NewAttempts(AttemptsConfig{Network: testNetwork, Epoch: 1, Self: n.self, Members: n.s.members})
		for _, a := range n.aborts {
			n.HearAbort(a)
		}
		slot := simSlot
		if n.any {
			slot.Attempt = n.highest + 1
		}
		if !n.done {
			n.Open(slot, n.s.now)
		}
		n.tick(life)
	})
}

func (n *simNode) tick(life int) {
	if n.life != life {
		return
	}
	n.act(n.Tick(n.s.now, n.connected()))
	n.s.in(simTick, func() { n.tick(life) })
}

func (n *simNode) connected() (out quorum.Members) {
	for _, o := range n.s.nodes {
		if o.who != down {
			out = append(out, o.self)
		}
	}
	return out
}

// act is what the driver does with effects.
func (n *simNode) act(fx Effects) {
	if fx.Ready != nil {
		n.ready(*fx.Ready)
	}
	if fx.Abort != nil && n.who == honest {
		a := simSign(n, *fx.Abort)
		n.hearAbort(a)
		n.s.to(n, func(o *simNode) { o.hearAbort(a) })
	}
	n.stuck = n.stuck || fx.Stuck != ""
	if fx.Start != nil {
		n.start(*fx.Start)
	}
	if fx.Join != nil {
		n.join(*fx.Join)
	}
}

func simSign[T quorum.Body](n *simNode, body T) quorum.Signed[T] {
	s, err := quorum.Sign(n.key, testNetwork, body)
	require.NoError(n.s.t, err)
	return s
}

func (n *simNode) ready(body quorum.Ready) {
	if n.who == pusher {
		body.Attempt += 1 << (10 + n.s.rnd.IntN(40))
	}
	r, ok := n.said[body.Attempt]
	if !ok {
		r = simSign(n, body)
		n.said[body.Attempt] = r
	}
	n.Hear(r, n.s.now)
	n.s.to(n, func(o *simNode) { o.hear(n, r) })
}

func (n *simNode) hear(from *simNode, r quorum.Signed[quorum.Ready]) {
	if n.done {
		n.s.in(50*time.Millisecond, from.finish) // to a READY for what is signed, the answer is the bytes
		return
	}
	if n.Attempts != nil {
		n.Hear(r, n.s.now)
		n.act(n.Tick(n.s.now, n.connected()))
	}
}

func (n *simNode) hearAbort(a quorum.Signed[quorum.Abort]) {
	n.aborts = append(n.aborts, a)
	if n.Attempts != nil {
		n.HearAbort(a)
	}
}

func (n *simNode) start(st Start) {
	n.s.to(n, func(o *simNode) {
		own := st
		if n.who == twoFaced && o.i%2 == 0 && len(st.Readies) > n.s.members.Q() {
			own.Readies = st.Readies[1:]
			var ready quorum.Members
			for _, raw := range own.Readies {
				r, err := quorum.Open[quorum.Ready](testNetwork, n.s.members, raw)
				require.NoError(n.s.t, err)
				ready = append(ready, r.Signer())
			}
			own.Set, _ = Draw(ready, n.s.members.Q(), st.Batch, st.K, st.Attempt, func(quorum.Members) bool { return false })
		}
		if o.Attempts == nil || o.done {
			return
		}
		if fx, err := o.Follow(n.self, own, o.s.now); err == nil {
			o.act(fx)
		}
	})
}

// join records the attempt and takes part. The rules that must hold always are looked at here.
func (n *simNode) join(session quorum.Session) {
	t, s := n.s.t, n.s
	require.False(t, n.recorded[session.Attempt], "attempt %d joined twice", session.Attempt)
	require.True(t, !n.any || session.Attempt > n.highest, "attempt %d after %d", session.Attempt, n.highest)
	require.True(t, session.Set.Has(n.self))
	require.Len(t, session.Set, s.members.Q())
	require.Equal(t, simSlot.Digest, session.Digest)
	n.recorded[session.Attempt], n.highest, n.any = true, session.Attempt, true
	switch n.who {
	case mute:
		return
	case leaver:
		n.who, n.Attempts, n.life = silent, nil, n.life+1
		return
	}
	s.checkSets(n, session)

	id := session.Hash()
	in := s.sessions[id]
	if in == nil {
		in = &simSession{Session: session, joined: map[common.Address]bool{}}
		s.sessions[id] = in
	}
	in.joined[n.self] = true
	life := n.life
	s.in(10*time.Second, func() {
		if in.over || n.life != life || n.Attempts == nil {
			return
		}
		var silent []common.Address
		for _, m := range in.Set {
			if !in.joined[m] {
				silent = append(silent, m)
			}
		}
		n.act(n.Ended(Outcome{Ending: TimedOut, Silent: silent}, session, s.now))
	})
	if len(in.joined) == len(in.Set) {
		in.over = true
		in.conclude(s)
	}
}

// checkSets: honest nodes that join one attempt join one set, unless its coordinator has two faces; and even then no two
// sets of an attempt are complete, for two quorums share an honest member that joins once.
func (s *sim) checkSets(n *simNode, session quorum.Session) {
	if n.who != honest {
		return
	}
	if s.starts[session.Attempt] == nil {
		s.starts[session.Attempt] = map[common.Address]quorum.Members{}
	}
	joined := s.starts[session.Attempt]
	joined[n.self] = session.Set
	if s.node(s.members.Proposer(simSlot.Height, session.Attempt)).who == honest {
		for _, other := range joined {
			require.Equal(s.t, session.Set, other, "attempt %d", session.Attempt)
		}
	}
	complete := map[string]bool{}
	for _, set := range joined {
		all := true
		for _, m := range set {
			all = all && (s.node(m).who != honest || slices.Equal(joined[m], set))
		}
		if all {
			complete[setKey(set)] = true
		}
	}
	require.LessOrEqual(s.t, len(complete), 1, "attempt %d", session.Attempt)
}

func (s *sim) node(m common.Address) *simNode { return s.nodes[slices.Index(s.members, m)] }

// conclude ends a session that all of its members joined.
func (in *simSession) conclude(s *sim) {
	spoiled := slices.ContainsFunc(in.Set, func(m common.Address) bool { return s.node(m).who == saboteur })
	for _, m := range in.Set {
		n := s.node(m)
		life := n.life
		s.in(time.Second+time.Duration(s.rnd.IntN(500))*time.Millisecond, func() {
			if n.life != life || n.Attempts == nil {
				return
			}
			if spoiled {
				n.act(n.Ended(Outcome{Ending: Unattributed}, in.Session, s.now))
				return
			}
			n.act(n.Ended(Outcome{Ending: Signed}, in.Session, s.now))
			n.finish()
			s.to(n, func(o *simNode) { o.finish() })
		})
	}
}

func (n *simNode) finish() {
	n.done = true
	if n.Attempts != nil {
		n.Close()
	}
}

// attempts is the highest attempt that an honest node is in.
func (s *sim) attempts() (most uint64) {
	for _, n := range s.nodes {
		if n.who == honest {
			most = max(most, n.highest)
		}
	}
	return most
}

func TestAllHonestSignInTheFirstAttempt(t *testing.T) {
	for _, n := range []int{2, 3, 4, 7} {
		s := newSim(t, n, 1, nil)
		require.True(t, s.run(5*time.Second), "n = %d", n)
		require.Zero(t, s.attempts())
	}
}

// The coordinator of the first attempts is down: the next one takes over within the documented waits.
func TestCoordinatorDown(t *testing.T) {
	for _, n := range []int{4, 7} {
		gone := map[int]character{}
		members, _ := testMembers(n)
		for a := range uint64(quorum.Faults(n)) {
			gone[slices.Index(members, quorum.Members(members).Proposer(simSlot.Height, a))] = down
		}
		s := newSim(t, n, 2, gone)
		each := absentWait + 2*readyResend
		require.True(t, s.run(time.Duration(len(gone))*each+3*time.Second), "n = %d", n)
		require.EqualValues(t, len(gone), s.attempts())
	}
}

// A coordinator that is connected and says nothing costs startWait.
func TestCoordinatorSilent(t *testing.T) {
	members, _ := testMembers(4)
	first := slices.Index(members, quorum.Members(members).Proposer(simSlot.Height, 0))
	s := newSim(t, 4, 3, map[int]character{first: silent})
	require.False(t, s.run(startWait))
	require.True(t, s.run(collectWait+4*time.Second))
	require.EqualValues(t, 1, s.attempts())
}

// A member that falls silent in a session, and stays connected, costs a round's deadline and one collection of READYs; another one
// when it would have been the next coordinator, and who comes after that one has not seen it be silent.
func TestOneFallsSilentInASession(t *testing.T) {
	const usual = 3 * time.Second
	longer := 0
	for _, n := range []int{4, 7} {
		for who := range n {
			for seed := range uint64(8) {
				s := newSim(t, n, seed, map[int]character{who: leaver})
				if !s.run(DefaultSignTimeout + collectWait + usual) {
					longer++
					require.True(t, s.run(collectWait), "n = %d, member %d, seed %d: %s", n, who, seed, s)
				}
				require.LessOrEqual(t, s.attempts(), uint64(2), "n = %d", n)
			}
		}
	}
	t.Logf("%d took a second collection", longer)
}

// f liars spoil every session that they are in, and nobody can prove it. They run out of sets first.
func TestLiarsRunOutOfSets(t *testing.T) {
	for _, n := range []int{4, 7} {
		who := map[int]character{}
		for i := range quorum.Faults(n) {
			who[i] = saboteur
		}
		s := newSim(t, n, 4, who)
		require.True(t, s.run(30*time.Minute), "n = %d", n)
		for _, nd := range s.nodes {
			for _, a := range nd.aborts {
				require.True(t, slices.ContainsFunc(a.Body().Set, func(m common.Address) bool { return s.node(m).who == saboteur }),
					"a set without a liar was struck")
			}
		}
		sets := subsets(n, quorum.Size(n))
		require.LessOrEqual(t, s.attempts(), uint64(3*sets), "n = %d", n)
	}
}

// When every set is struck the machines stop say so, and burn no attempts.
func TestNoSetLeftStops(t *testing.T) {
	s := newSim(t, 4, 5, nil)
	a := NewAttempts(AttemptsConfig{Network: testNetwork, Epoch: 1, Self: s.members[3], Members: s.members})
	a.Open(simSlot, s.now)
	for drop := range s.members {
		set := slices.Delete(slices.Clone(s.members), drop, drop+1)
		for _, m := range set {
			a.HearAbort(simSign(s.node(m), quorum.Abort{Epoch: 1, Set: set}))
		}
	}
	for range 100 {
		s.now = s.now.Add(time.Second)
		fx := a.Tick(s.now, s.members)
		require.NotEmpty(t, fx.Stuck)
		require.Nil(t, fx.Ready)
	}
	require.Zero(t, a.Attempt())
}

// Whatever at most f members do and whatever the network lost before it healed: every honest node gets the signature, in a
// bounded number of attempts, and never joins one twice.
func TestAttemptsAlwaysEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]int{4, 7}).Draw(rt, "n")
		who := map[int]character{}
		for range quorum.Faults(n) {
			who[rapid.IntRange(0, n-1).Draw(rt, "member")] = character(rapid.IntRange(0, 6).Draw(rt, "character"))
		}
		s := newSim(rt, n, rapid.Uint64().Draw(rt, "seed"), who)
		s.loss = rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.9}).Draw(rt, "loss")
		s.healed = s.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "healed after")) * time.Second)
		for range rapid.IntRange(0, 6).Draw(rt, "restarts") {
			victim := s.nodes[rapid.IntRange(0, n-1).Draw(rt, "who restarts")]
			at := time.Duration(rapid.IntRange(0, 60_000).Draw(rt, "at")) * time.Millisecond
			away := time.Duration(rapid.IntRange(1, 20_000).Draw(rt, "away")) * time.Millisecond
			s.in(at, func() {
				if victim.who == honest {
					victim.boot(away)
				}
			})
		}
		end := s.run(3 * time.Hour)
		require.True(rt, end, "%s", s)
		require.Less(rt, s.attempts(), uint64(400), "%s", s)
	})
}

func (s *sim) String() string {
	out := ""
	for _, n := range s.nodes {
		out += fmt.Sprintf("%d: %d done=%v any=%v highest=%d", n.i, n.who, n.done, n.any, n.highest)
		if n.Attempts != nil {
			out += fmt.Sprintf(" attempt=%d live=%v started=%v ready=%d struck=%d", n.Attempt(), n.Live(), n.started, len(n.Ready()), len(n.Attempts.aborts))
		}
		out += "\n"
	}
	return out
}
