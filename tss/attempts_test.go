package tss

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// bench is one machine under test among members whose statements the test signs.
type bench struct {
	*Attempts
	t       testing.TB
	s       *sim
	members quorum.Members
	now     time.Time
}

func newBench(t testing.TB, self int) *bench {
	s := newSim(t, 4, 1, nil)
	b := &bench{t: t, s: s, members: s.members, now: s.now}
	b.Attempts = NewAttempts(AttemptsConfig{Network: testNetwork, Epoch: 1, Self: s.members[self], Members: s.members})
	b.Open(simSlot, b.now)
	return b
}

func (b *bench) readyOf(member int, change ...func(*quorum.Ready)) quorum.Signed[quorum.Ready] {
	body := quorum.Ready{Epoch: 1, Height: simSlot.Height, Batch: simSlot.Batch}
	for _, c := range change {
		c(&body)
	}
	return simSign(b.s.nodes[member], body)
}

func at(attempt uint64) func(*quorum.Ready) { return func(r *quorum.Ready) { r.Attempt = attempt } }

// startOf is what an honest coordinator of the attempt sends when the members are ready.
func (b *bench) startOf(attempt uint64, members ...int) Start {
	s := Start{Batch: simSlot.Batch, Attempt: attempt}
	var ready quorum.Members
	for _, m := range members {
		s.Readies, ready = append(s.Readies, b.readyOf(m, at(attempt)).Bytes()), append(ready, b.members[m])
	}
	s.Set, _ = Draw(ready, 3, s.Batch, 0, attempt, func(quorum.Members) bool { return false })
	return s
}

func (b *bench) coordinatorOf(attempt uint64) common.Address {
	return b.members.Proposer(simSlot.Height, attempt)
}

func (b *bench) abortOf(member int, set quorum.Members) quorum.Signed[quorum.Abort] {
	return simSign(b.s.nodes[member], quorum.Abort{Epoch: 1, Set: set})
}

// twoFaces is evidence that the key signed two payloads in one slot.
func twoFaces(t *testing.T, member *simNode) Evidence {
	var envs []Envelope
	for _, payload := range []string{"one", "other"} {
		env, err := seal(member.key, testNetwork, Header{Session: common.Hash{1}, Round: 3, Type: typeSign3}, []byte(payload))
		require.NoError(t, err)
		envs = append(envs, env.bare())
	}
	return Evidence{Kind: Equivocation, Culprit: member.self, Rule: "equivocation", Envelopes: envs}
}

// Each way in which a start does not follow from what it shows. Every case is a start that was good once.
func TestFollowRefuses(t *testing.T) {
	outsider := &simNode{key: testKey(9), self: crypto.PubkeyToAddress(testKey(9).PublicKey)}
	for name, c := range map[string]struct {
		before func(b *bench)
		change func(b *bench, s *Start, from *common.Address)
		want   string
	}{
		"no slot":            {before: func(b *bench) { b.Close() }, want: "not the slot"},
		"another batch":      {change: func(_ *bench, s *Start, _ *common.Address) { s.Batch[0] ^= 1 }, want: "not the slot"},
		"another fee step":   {change: func(_ *bench, s *Start, _ *common.Address) { s.K = 1 }, want: "not the slot"},
		"in a session":       {before: func(b *bench) { b.live = true }, want: "is live"},
		"an old attempt":     {before: func(b *bench) { b.begin(8, b.now) }, want: "not above what was recorded"},
		"a recorded attempt": {before: func(b *bench) { b.slot.Attempt = 8 }, want: "not above what was recorded"},
		"started before":     {before: func(b *bench) { b.begin(7, b.now); b.started = true }, want: "not above what was recorded"},
		"of no coordinator": {change: func(b *bench, _ *Start, from *common.Address) { *from = b.coordinatorOf(8) },
			want: "does not coordinate"},
		"too far ahead": {change: func(b *bench, s *Start, _ *common.Address) {
			*s = b.startOf(7+4<<20, 0, 1, 2, 3)
		}, want: "does not coordinate"},
		"too few ready":   {change: func(b *bench, s *Start, _ *common.Address) { s.Readies = s.Readies[:2] }, want: "2 members are ready"},
		"one ready twice": {change: func(b *bench, s *Start, _ *common.Address) { s.Readies[1] = s.Readies[0] }, want: "of something else"},
		"too many ready": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Readies = append(s.Readies, s.Readies...)
		}, want: "more than the members"},
		"a READY of another attempt": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Readies[0] = b.readyOf(0, at(8)).Bytes()
		}, want: "of something else"},
		"a READY of another batch": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Readies[0] = b.readyOf(0, at(7), func(r *quorum.Ready) { r.Batch[0] ^= 1 }).Bytes()
		}, want: "of something else"},
		"a READY of another epoch": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Readies[0] = b.readyOf(0, at(7), func(r *quorum.Ready) { r.Epoch = 2 }).Bytes()
		}, want: "of something else"},
		"a READY of a stranger": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Readies[0] = simSign(outsider, quorum.Ready{Epoch: 1, Batch: simSlot.Batch, Attempt: 7}).Bytes()
		}, want: "not a member"},
		"another set": {change: func(b *bench, s *Start, _ *common.Address) {
			for drop := range b.members {
				if set := slices.Delete(slices.Clone(b.members), drop, drop+1); !slices.Equal(set, s.Set) {
					s.Set = set
				}
			}
		}, want: "not the draw"},
		"a set that is known to be struck": {before: func(b *bench) {
			set := b.startOf(7, 0, 1, 2, 3).Set
			for _, m := range set {
				b.HearAbort(b.abortOf(slices.Index(b.members, m), set))
			}
		}, want: "not the draw"},
		"an abort of a stranger": {change: func(b *bench, s *Start, _ *common.Address) {
			outsider.s = b.s
			s.Aborts = [][]byte{simSign(outsider, quorum.Abort{Epoch: 1, Set: s.Set}).Bytes()}
		}, want: "abort"},
		"too many aborts": {change: func(b *bench, s *Start, _ *common.Address) { s.Aborts = make([][]byte, maxStartAborts+1) },
			want: "more than the members"},
		"too much evidence": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Evidence = make([]Evidence, maxStartEvidence+1)
		}, want: "more than the members"},
		"evidence of nothing": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Evidence = []Evidence{twoFaces(t, b.s.nodes[0])}
			s.Evidence[0].Envelopes[1] = s.Evidence[0].Envelopes[0]
		}, want: "proves nothing"},
		"evidence against a stranger": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Evidence = []Evidence{twoFaces(t, outsider)}
		}, want: "proves nothing"},
		"a refused message as evidence": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Evidence = []Evidence{{Kind: Refused, Culprit: b.members[0], Rule: "message.type"}}
		}, want: "proves nothing"},
		"evidence that the draw forgot": {change: func(b *bench, s *Start, _ *common.Address) {
			s.Evidence = []Evidence{twoFaces(t, b.s.node(s.Set[0]))}
		}, want: "not the draw"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 0)
			outsider.s = b.s
			s, from := b.startOf(7, 0, 1, 2, 3), b.coordinatorOf(7)
			good := newBench(t, 0)
			_, err := good.Follow(from, s, good.now)
			require.NoError(t, err, "it was good")
			if c.before != nil {
				c.before(b)
			}
			if c.change != nil {
				c.change(b, &s, &from)
			}
			fx, err := b.Follow(from, s, b.now)
			require.ErrorIs(t, err, ErrStart)
			require.ErrorContains(t, err, c.want)
			late := slices.Contains([]string{"not the slot", "is live", "not above what was recorded"}, c.want)
			require.Equal(t, late, errors.Is(err, ErrNotNow), "only bad timing is forgiven")
			require.Nil(t, fx.Join)
		})
	}
}

// Evidence that came with a start excludes from the next draws, and only its culprit.
func TestEvidenceExcludes(t *testing.T) {
	b := newBench(t, 0)
	s := b.startOf(7, 0, 1, 2)
	s.Readies = append(s.Readies, b.readyOf(3, at(7)).Bytes())
	s.Evidence = []Evidence{twoFaces(t, b.s.nodes[3])}
	fx, err := b.Follow(b.coordinatorOf(7), s, b.now)
	require.NoError(t, err)
	require.NotNil(t, fx.Join)
	require.Equal(t, b.members[:3], fx.Join.Set)
	require.Contains(t, b.evidence, b.members[3])
}

// One member cannot push the attempt, whatever it names; f+1 take everyone along.
func TestAttemptCannotBePushed(t *testing.T) {
	b := newBench(t, 0)
	for _, far := range []uint64{1, 1000, maxAttemptJump, maxAttemptJump + 1, math.MaxUint64} {
		b.Hear(b.readyOf(3, at(far)), b.now)
		require.Zero(t, b.Attempt(), "attempt %d by one member", far)
	}
	b.Hear(b.readyOf(2, at(math.MaxUint64)), b.now)
	require.Zero(t, b.Attempt(), "two members can be f+1, but not that far")
	b.Hear(b.readyOf(1, at(5)), b.now)
	require.EqualValues(t, 5, b.Attempt())
	b.Hear(b.readyOf(1, at(4)), b.now)
	require.EqualValues(t, 5, b.Attempt(), "never back")
	require.EqualValues(t, 5, b.readies[b.members[1]].Body().Attempt)
}

func TestHearIgnores(t *testing.T) {
	outsider := &simNode{key: testKey(9)}
	for name, change := range map[string]func(*quorum.Ready){
		"another batch": func(r *quorum.Ready) { r.Batch[0] ^= 1 },
		"another epoch": func(r *quorum.Ready) { r.Epoch = 2 },
	} {
		b := newBench(t, 0)
		b.Hear(b.readyOf(1, change), b.now)
		require.Empty(t, b.Ready(), name)
	}
	b := newBench(t, 0)
	outsider.s = b.s
	b.Hear(simSign(outsider, quorum.Ready{Epoch: 1, Batch: simSlot.Batch}), b.now)
	require.Empty(t, b.Ready())
	b.slot.K = 1
	b.Hear(b.readyOf(1), b.now)
	require.Empty(t, b.Ready(), "a READY up to a lower fee step")
	b.Close()
	b.Hear(b.readyOf(1), b.now)
	require.Nil(t, b.Slot())
}

// A set falls by f+1 of its own members, and by nobody else.
func TestStrikes(t *testing.T) {
	b := newBench(t, 0)
	set := b.members[:3]
	b.HearAbort(b.abortOf(0, set))
	b.HearAbort(b.abortOf(0, set))
	b.HearAbort(b.abortOf(3, set))
	b.HearAbort(simSign(b.s.nodes[1], quorum.Abort{Epoch: 2, Set: set}))
	b.HearAbort(b.abortOf(1, b.members[:2]))
	b.HearAbort(b.abortOf(1, quorum.Members{set[1], set[0], set[2]}))
	require.False(t, b.struck(set))
	require.Empty(t, b.strikes())
	b.HearAbort(b.abortOf(1, set))
	require.True(t, b.struck(set))
	require.Len(t, b.strikes(), 2)
	b.HearAbort(b.abortOf(2, set))
	require.Len(t, b.strikes(), 2, "f+1 prove it")
}

// The same slot opened again keeps attempt and READYs; another one starts from its own record.
func TestOpenAgain(t *testing.T) {
	b := newBench(t, 0)
	b.Hear(b.readyOf(1), b.now)
	b.Open(simSlot, b.now)
	require.Len(t, b.Ready(), 1)
	other := simSlot
	other.Batch, other.Attempt = common.Hash{0xbb}, 3
	b.Open(other, b.now)
	require.Empty(t, b.Ready())
	require.EqualValues(t, 3, b.Attempt())
}

// What ended a session decides what follows: silence is advice that doubles, evidence is for all, the rest strikes.
func TestEnded(t *testing.T) {
	b := newBench(t, 0)
	start := func(attempt uint64) quorum.Session {
		fx, err := b.Follow(b.coordinatorOf(attempt), b.startOf(attempt, 0, 1, 2), b.now)
		require.NoError(t, err)
		require.NotNil(t, fx.Join)
		require.True(t, b.Live())
		return *fx.Join
	}
	b.Ended(Outcome{Ending: TimedOut, Silent: []common.Address{b.members[2]}}, start(0), b.now)
	require.False(t, b.Live())
	require.EqualValues(t, 1, b.Attempt())
	require.True(t, b.isSilent(b.members[2], b.now.Add(silentFor-1)))
	require.False(t, b.isSilent(b.members[2], b.now.Add(silentFor)))
	b.Ended(Outcome{Ending: TimedOut, Silent: []common.Address{b.members[2]}}, start(1), b.now)
	require.True(t, b.isSilent(b.members[2], b.now.Add(2*silentFor-1)), "the wait doubles")

	s := start(2)
	b.Hear(b.readyOf(1, at(9)), b.now)
	b.Hear(b.readyOf(2, at(9)), b.now)
	require.EqualValues(t, 2, b.Attempt(), "a session is seen through")
	fx := b.Ended(Outcome{Ending: Unattributed}, s, b.now)
	require.EqualValues(t, 9, b.Attempt())
	require.Equal(t, &quorum.Abort{Epoch: 1, Session: s.Hash(), Batch: s.Batch, Attempt: 2, Set: s.Set}, fx.Abort)

	fx = b.Ended(Outcome{Ending: Aborted, Evidence: []Evidence{{Kind: Refused, Culprit: b.members[1], Rule: "theta"}}}, start(10), b.now)
	require.Empty(t, b.evidence, "only what convinces everyone excludes")
	require.NotNil(t, fx.Abort, "what convinces one strikes the set")
	require.True(t, b.isSilent(b.members[1], b.now))
	fx = b.Ended(Outcome{Ending: Aborted, Evidence: []Evidence{twoFaces(t, b.s.nodes[2])}}, start(11), b.now)
	require.Nil(t, fx.Abort, "the member is out, and the set with it")
	require.Contains(t, b.evidence, b.members[2])
	require.EqualValues(t, 12, b.Attempt())
	suspected := Outcome{Ending: TimedOut, Suspects: []common.Address{b.members[3]}}
	b.Ended(suspected, quorum.Session{Attempt: 12}, b.now)
	require.True(t, b.isSilent(b.members[3], b.now), "who may have been silent is asked last too")
	b.Ended(Outcome{Ending: Signed}, start(12), b.now)
	require.EqualValues(t, 12, b.Attempt(), "what is signed is not tried again")
}

// The coordinator of the first attempt is member 1: it waits for whom it may expect, and shows what its draw rests on.
func TestCoordinates(t *testing.T) {
	ready := func(members ...int) *bench {
		b := newBench(t, 1)
		for _, m := range members {
			b.Hear(b.readyOf(m), b.now)
		}
		return b
	}
	tick := func(b *bench, after time.Duration) *Start { return b.Tick(b.now.Add(after), b.members).Start }

	b := ready(0, 1)
	require.Nil(t, tick(b, collectWait), "two are no quorum")
	b = ready(0, 1, 2)
	require.Nil(t, tick(b, collectWait-1), "member 3 is connected and may still answer")
	st := tick(b, collectWait)
	require.NotNil(t, st)
	require.Equal(t, b.members[:3], st.Set)
	require.Nil(t, tick(b, collectWait), "once")
	b = ready(0, 1, 2, 3)
	require.NotNil(t, tick(b, 0), "nobody else can answer")

	b = ready(0, 1, 2)
	b.silence(b.members[3], b.now)
	require.NotNil(t, tick(b, 0), "nobody waits for who was silent")
	for quiet := range 4 {
		b = ready(0, 1, 2, 3)
		b.silence(b.members[quiet], b.now)
		st = tick(b, 0)
		require.NotContains(t, st.Set, b.members[quiet])
		require.Len(t, st.Readies, 3)
	}
	for spoiled := range 4 {
		b = ready(0, 1, 2, 3)
		set := slices.Delete(slices.Clone(b.members), spoiled, spoiled+1)
		for _, m := range set {
			b.HearAbort(simSign(b.s.node(m), quorum.Abort{Epoch: 1, Set: set}))
		}
		st = tick(b, 0)
		require.NotEqual(t, set, st.Set)
		require.Len(t, st.Aborts, 2)
		follower := newBench(t, 0)
		_, err := follower.Follow(follower.members[1], *st, follower.now)
		require.NoError(t, err)
	}
	b = ready(0, 1, 2, 3)
	b.evidence[b.members[2]] = twoFaces(t, b.s.nodes[2])
	st = tick(b, collectWait)
	require.NotContains(t, st.Set, b.members[2])
	follower := newBench(t, 0)
	_, err := follower.Follow(follower.members[1], *st, follower.now)
	require.NoError(t, err)
}

func never(quorum.Members) bool { return false }

func TestDrawIsFair(t *testing.T) {
	members, _ := testMembers(7)
	count := map[common.Address]int{}
	sets := map[string]int{}
	const draws = 4200
	for attempt := range uint64(draws) {
		set, ok := Draw(members, 5, common.Hash{1}, 0, attempt, never)
		require.True(t, ok)
		require.Len(t, set, 5)
		require.True(t, slices.IsSortedFunc(set, common.Address.Cmp))
		sets[setKey(set)]++
		for _, m := range set {
			count[m]++
		}
	}
	for _, m := range members {
		require.InDelta(t, draws*5/7, count[m], 150)
	}
	require.Len(t, sets, 21)
	for _, n := range sets {
		require.InDelta(t, draws/21, n, 75)
	}
}

func TestDrawDependsOnItsInputs(t *testing.T) {
	members, _ := testMembers(7)
	draws := func(batch common.Hash, k uint64) (out []string) {
		for attempt := range uint64(8) {
			set, _ := Draw(members, 5, batch, k, attempt, never)
			out = append(out, setKey(set))
		}
		return out
	}
	first := draws(common.Hash{1}, 0)
	require.Equal(t, first, draws(common.Hash{1}, 0))
	require.NotEqual(t, first, draws(common.Hash{2}, 0))
	require.NotEqual(t, first, draws(common.Hash{1}, 1))
}

func TestDrawSkipsStruckSets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(rt, "n")
		members, _ := testMembers(n)
		q := quorum.Size(n)
		struck := map[string]bool{}
		for left := subsets(n, q); left > 0; left-- {
			set, ok := Draw(rapid.Permutation(members).Draw(rt, "order"), q, common.Hash{1}, 0, 3, func(m quorum.Members) bool { return struck[setKey(m)] })
			require.True(rt, ok, "%d sets are left", left)
			require.False(rt, struck[setKey(set)])
			struck[setKey(set)] = true
		}
		_, ok := Draw(members, q, common.Hash{1}, 0, 3, func(m quorum.Members) bool { return struck[setKey(m)] })
		require.False(rt, ok, "no set is left")
		_, ok = Draw(members[:q-1], q, common.Hash{1}, 0, 3, never)
		require.False(rt, ok, "too few are ready")
	})
}

func TestSubsets(t *testing.T) {
	require.Equal(t, 4, subsets(4, 3))
	require.Equal(t, 21, subsets(7, 5))
	require.Equal(t, 4368, subsets(16, 11))
	require.Equal(t, 1, subsets(3, 3))
}

// Who is not among the signers leaves them the time of a session, and no more.
func TestWatcherGoesOn(t *testing.T) {
	b := newBench(t, 0)
	attempt := uint64(0)
	for b.startOf(attempt, 0, 1, 2, 3).Set.Has(b.members[0]) {
		attempt++
	}
	fx, err := b.Follow(b.coordinatorOf(attempt), b.startOf(attempt, 0, 1, 2, 3), b.now)
	require.NoError(t, err)
	require.Nil(t, fx.Join)
	for m := range 4 {
		b.Hear(b.readyOf(m, at(attempt)), b.now)
	}
	b.Tick(b.now.Add(sessionWait-1), b.members)
	require.Equal(t, attempt, b.Attempt())
	b.Tick(b.now.Add(sessionWait), b.members)
	require.Equal(t, attempt+1, b.Attempt())
}
