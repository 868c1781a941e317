package agreement

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// seat is one member's state on a bench: a driver without network that signs what it is asked to and keeps the effects.
type seat struct {
	t    *testing.T
	ring *keyring
	self int
	s    *State
	now  time.Time

	cast  []quorum.Vote
	props []quorum.Proposal
	last  Effects // of the last event from outside
	all   []Effects
}

var (
	none = common.Hash{}
	valA = value("A")
	valB = value("B")
)

func sit(t *testing.T, n, self int) *seat {
	ring := rings[n]()
	return &seat{t: t, ring: ring, self: self, s: must(New(ring.config(self))), now: time.UnixMilli(1_700_000_000_000)}
}

// begun is a seat at a height that has begun.
func begun(t *testing.T, n, self int) *seat {
	b := sit(t, n, self)
	b.on(Begin{})
	return b
}

func (b *seat) on(evs ...Event) *seat {
	for first := true; len(evs) > 0; first = false {
		fx := b.s.Step(evs[0], b.now)
		evs = evs[1:]
		b.all = append(b.all, fx)
		if first {
			b.last = fx
		}
		if p := fx.Commit.Proposal; p != nil {
			b.props = append(b.props, *p)
			evs = append(evs, ProposalSeen{Proposal: b.ring.propose(b.self, p.Round, p.ID, p.ValidRound)})
		}
		for _, v := range fx.Commit.Votes {
			b.cast = append(b.cast, v)
			evs = append(evs, VoteSeen{b.ring.say(b.self, v.Phase, v.Round, v.ID)})
		}
	}
	return b
}

func (b *seat) later(d time.Duration) *seat {
	b.now = b.now.Add(d)
	return b.on(Tick{})
}

func (b *seat) votes(phase quorum.Phase, round uint64, id common.Hash, who ...int) *seat {
	for _, w := range who {
		b.on(VoteSeen{b.ring.say(w, phase, round, id)})
	}
	return b
}

// proposed gives the proposal of a round's proposer, of a valid value.
func (b *seat) proposed(round uint64, id common.Hash, validRound uint64, pol quorum.QC) *seat {
	who := int((testHeight + round) % uint64(len(b.ring.ids)))
	return b.on(ProposalSeen{Proposal: b.ring.propose(who, round, id, validRound), Valid: true, Pol: pol})
}

// wants checks the last vote that was cast.
func (b *seat) wants(phase quorum.Phase, round uint64, id common.Hash) {
	b.t.Helper()
	require.NotEmpty(b.t, b.cast)
	v := b.cast[len(b.cast)-1]
	require.Equal(b.t, [3]any{phase, round, id}, [3]any{v.Phase, v.Round, v.ID})
}

func (b *seat) sends() []Send {
	var out []Send
	for _, fx := range b.all {
		out = append(out, fx.Send...)
	}
	return out
}

// inRound brings a member to a round by nil votes of the others.
func (b *seat) inRound(round uint64) *seat {
	for r := b.s.round; r < round; r++ {
		b.votes(quorum.Precommit, r, none, 1, 2, 3).later(time.Minute)
	}
	require.Equal(b.t, round, b.s.round)
	b.cast = nil
	return b
}

// lockedOn brings member 0 of four to a lock on A in round 1, and into round 2.
func lockedOn(t *testing.T) *seat {
	b := begun(t, 4, 0).inRound(1)
	b.proposed(1, valA, 0, quorum.QC{}).votes(quorum.Prevote, 1, valA, 1, 2)
	b.wants(quorum.Precommit, 1, valA)
	return b.inRound(2)
}

func TestBeginsWhenOthersSpeak(t *testing.T) {
	b := sit(t, 4, 0).votes(quorum.Prevote, 0, none, 1, 1)
	require.Equal(t, StepWaiting, b.s.step, "one member may be a liar")
	b.votes(quorum.Prevote, 0, none, 2)
	require.Equal(t, StepPropose, b.s.step)

	late := sit(t, 4, 0).on(CertificateSeen{b.ring.qc(quorum.Prevote, 5, valA, 1, 2, 3)})
	require.Equal(t, uint64(5), late.s.round, "a certificate speaks for its signers")
}

func TestR0Propose(t *testing.T) {
	b := begun(t, 4, 0)
	require.Equal(t, &Build{Round: 0}, b.last.Build)
	b.on(Built{Round: 0, ID: valA})
	require.Equal(t, valA, b.props[0].ID)
	b.wants(quorum.Prevote, 0, valA)

	t.Run("a valid value comes before a new one, with its proof", func(t *testing.T) {
		b := begun(t, 4, 1)
		b.proposed(0, valA, 0, quorum.QC{}).on(CertificateSeen{b.ring.qc(quorum.Prevote, 0, valA, 0, 2, 3)})
		b.votes(quorum.Precommit, 0, none, 0, 2, 3).later(time.Minute)
		require.Equal(t, uint64(1), b.props[0].ValidRound)
		require.Equal(t, valA, b.props[0].ID)
		var pol quorum.QC
		for _, s := range b.sends() {
			if s.Proposal.Body().Height != 0 {
				pol = s.Pol
			}
		}
		require.Equal(t, valA, pol.ID())
		require.Nil(t, b.last.Build)
	})
	t.Run("nothing to propose", func(t *testing.T) {
		b := begun(t, 4, 0).on(NothingToPropose{0})
		b.wants(quorum.Prevote, 0, none)
	})
	t.Run("others do not build", func(t *testing.T) { require.Nil(t, begun(t, 4, 2).last.Build) })
}

func TestR1Prevote(t *testing.T) {
	b := begun(t, 4, 3).proposed(0, valA, 0, quorum.QC{})
	b.wants(quorum.Prevote, 0, valA)

	t.Run("invalid", func(t *testing.T) {
		b := begun(t, 4, 3)
		b.on(ProposalSeen{Proposal: b.ring.propose(0, 0, valA, 0), Valid: false})
		b.wants(quorum.Prevote, 0, none)
	})
	t.Run("not the proposer", func(t *testing.T) {
		b := begun(t, 4, 3)
		b.on(ProposalSeen{Proposal: b.ring.propose(1, 0, valA, 0), Valid: true})
		require.Empty(t, b.cast)
	})
	t.Run("locked on another", func(t *testing.T) {
		lockedOn(t).proposed(2, valB, 0, quorum.QC{}).wants(quorum.Prevote, 2, none)
	})
	t.Run("locked on it", func(t *testing.T) {
		lockedOn(t).proposed(2, valA, 0, quorum.QC{}).wants(quorum.Prevote, 2, valA)
	})
	t.Run("an older certificate does not outweigh the lock", func(t *testing.T) {
		b := lockedOn(t)
		b.proposed(2, valB, 1, b.ring.qc(quorum.Prevote, 0, valB, 1, 2, 3)).wants(quorum.Prevote, 2, none)
	})
	t.Run("a newer certificate outweighs the lock", func(t *testing.T) {
		b := lockedOn(t).inRound(5)
		b.proposed(5, valB, 4, b.ring.qc(quorum.Prevote, 3, valB, 1, 2, 3)).wants(quorum.Prevote, 5, valB)
	})
	t.Run("the certificate may come later", func(t *testing.T) {
		b := begun(t, 4, 0).inRound(2).proposed(2, valB, 2, quorum.QC{})
		require.Empty(t, b.cast)
		b.on(CertificateSeen{b.ring.qc(quorum.Prevote, 1, valB, 1, 2, 3)})
		b.wants(quorum.Prevote, 2, valB)
	})
	t.Run("a certificate for something else is none", func(t *testing.T) {
		b := begun(t, 4, 0).inRound(2)
		b.proposed(2, valB, 2, b.ring.qc(quorum.Prevote, 1, valA, 1, 2, 3))
		require.Empty(t, b.cast)
	})
	t.Run("a certificate for an invalid value changes nothing", func(t *testing.T) {
		b := begun(t, 4, 0).inRound(2)
		b.on(ProposalSeen{Proposal: b.ring.propose(2, 2, valB, 2), Pol: b.ring.qc(quorum.Prevote, 1, valB, 1, 2, 3)})
		b.wants(quorum.Prevote, 2, none)
	})
}

// A halted node keeps out of new payouts, and keeps its word on those it is locked on or that others are.
func TestR1Refrain(t *testing.T) {
	b := begun(t, 4, 3)
	b.on(ProposalSeen{Proposal: b.ring.propose(0, 0, valA, 0), Valid: true, Refrain: true})
	b.wants(quorum.Prevote, 0, none)

	b = lockedOn(t)
	b.on(ProposalSeen{Proposal: b.ring.propose(2, 2, valA, 0), Valid: true, Refrain: true})
	b.wants(quorum.Prevote, 2, valA)

	b = begun(t, 4, 0).inRound(2)
	b.on(ProposalSeen{Proposal: b.ring.propose(2, 2, valB, 2), Valid: true, Refrain: true, Pol: b.ring.qc(quorum.Prevote, 1, valB, 1, 2, 3)})
	b.wants(quorum.Prevote, 2, valB)
}

func TestR1ProposeTimeout(t *testing.T) {
	b := begun(t, 4, 3).later(2*time.Second - 1)
	require.Empty(t, b.cast)
	b.later(1).wants(quorum.Prevote, 0, none)

	b = begun(t, 4, 0).inRound(2).later(4*time.Second - 1)
	require.Empty(t, b.cast, "the time grows by a second a round")
	b.later(1).wants(quorum.Prevote, 2, none)
}

func TestR2Lock(t *testing.T) {
	b := begun(t, 4, 3).proposed(0, valA, 0, quorum.QC{}).votes(quorum.Prevote, 0, valA, 0)
	require.Len(t, b.cast, 1, "two of four are no quorum")
	b.votes(quorum.Prevote, 0, valA, 1).wants(quorum.Precommit, 0, valA)

	save := b.last.Commit.Save
	require.NotNil(t, save, "the lock is in the same transaction as the precommit")
	require.Equal(t, [3]any{uint64(1), valA, valA}, [3]any{save.LockedRound, save.LockedID, save.Valid.ID})
	require.Len(t, b.last.Commit.Votes, 1)

	t.Run("only while holding the value", func(t *testing.T) {
		b := begun(t, 4, 3).later(2*time.Second).votes(quorum.Prevote, 0, valA, 0, 1, 2)
		b.wants(quorum.Prevote, 0, none)
		require.Equal(t, []Fetch{{valA, []common.Address{b.ring.ids[0], b.ring.ids[1], b.ring.ids[2]}}}, b.last.Fetch)
		b.on(ValueReady{valA, true}).wants(quorum.Precommit, 0, valA)
	})
	t.Run("only while prevoting", func(t *testing.T) {
		b := begun(t, 4, 3).later(2*time.Second).votes(quorum.Prevote, 0, none, 0, 1)
		b.wants(quorum.Precommit, 0, none)
		b.on(ValueReady{valA, true}, CertificateSeen{b.ring.qc(quorum.Prevote, 0, valA, 0, 1, 2)})
		require.Zero(t, b.s.lockedRound)
	})
}

func TestR3Learn(t *testing.T) {
	b := lockedOn(t).on(CertificateSeen{rings[4]().qc(quorum.Prevote, 2, valB, 1, 2, 3)})
	require.Equal(t, valA, b.s.valid.ID(), "not before the value is here")
	require.Equal(t, valB, b.last.Fetch[0].ID)
	require.Equal(t, valB, b.s.high.ID(), "but it travels beside votes")
	b.on(ValueReady{valB, true})
	require.Equal(t, valB, b.s.valid.ID())
	require.Equal(t, uint64(2), b.s.valid.Round())
	require.Equal(t, [2]any{uint64(2), valA}, [2]any{b.s.lockedRound, b.s.lockedID}, "never the lock")
	require.Equal(t, valB, b.last.Commit.Save.Valid.ID)

	b.on(CertificateSeen{b.ring.qc(quorum.Prevote, 0, valA, 1, 2, 3)})
	require.Equal(t, valB, b.s.valid.ID(), "an older one changes nothing")
}

func TestR4Nil(t *testing.T) {
	b := begun(t, 4, 3).later(2*time.Second).votes(quorum.Prevote, 0, none, 0)
	require.Len(t, b.cast, 1)
	b.votes(quorum.Prevote, 0, none, 1).wants(quorum.Precommit, 0, none)
}

func TestR4PrevoteTimeout(t *testing.T) {
	b := begun(t, 4, 3).proposed(0, valA, 0, quorum.QC{}).votes(quorum.Prevote, 0, none, 0).later(5 * time.Second)
	require.Len(t, b.cast, 1, "without q prevotes no time runs")
	b.votes(quorum.Prevote, 0, none, 1).later(time.Second - 1)
	require.Len(t, b.cast, 1)
	b.later(1).wants(quorum.Precommit, 0, none)
	require.Zero(t, b.s.lockedRound)
}

func TestR5PrecommitTimeout(t *testing.T) {
	b := begun(t, 4, 3).votes(quorum.Precommit, 0, none, 0, 1).later(time.Second)
	require.Zero(t, b.s.round, "without q precommits no time runs")
	b.votes(quorum.Precommit, 0, valA, 2).later(time.Second - 1)
	require.Zero(t, b.s.round)
	b.later(1)
	require.Equal(t, uint64(1), b.s.round)
	require.Equal(t, StepPropose, b.s.step)
}

func TestR5Skip(t *testing.T) {
	b := begun(t, 4, 3).votes(quorum.Prevote, 9, none, 0, 0)
	require.Zero(t, b.s.round, "one member is not followed")
	b.votes(quorum.Precommit, 7, none, 1)
	require.Equal(t, uint64(7), b.s.round, "the highest round that f+1 have reached")

	t.Run("what was said there counts", func(t *testing.T) {
		b := begun(t, 4, 0).votes(quorum.Prevote, 3, valA, 1, 2).votes(quorum.Prevote, 3, valA, 3)
		require.Equal(t, uint64(3), b.s.round)
		require.Equal(t, valA, b.s.high.ID())
	})
}

func TestR6Decide(t *testing.T) {
	b := begun(t, 4, 3).proposed(0, valA, 0, quorum.QC{}).votes(quorum.Precommit, 0, valA, 0, 1)
	require.NotEqual(t, StepDecided, b.s.step)
	b.votes(quorum.Precommit, 0, valA, 2)
	require.Equal(t, valA, b.last.Commit.Decide.ID)
	require.Equal(t, quorum.Precommit, b.last.Commit.Decide.QC.Phase())
	require.Empty(t, b.last.Commit.Votes)
	require.True(t, b.s.Step(Tick{}, b.now.Add(time.Hour)).Commit.Empty())

	t.Run("in any round", func(t *testing.T) {
		b := begun(t, 4, 0).proposed(0, valA, 0, quorum.QC{}).on(Built{0, valA})
		b.votes(quorum.Precommit, 0, valA, 1, 2).inRound(0)
		b.votes(quorum.Prevote, 4, none, 1, 2)
		require.Equal(t, uint64(4), b.s.round)
		b.votes(quorum.Precommit, 0, valA, 3)
		require.NotNil(t, b.last.Commit.Decide)
	})
	t.Run("not without the value", func(t *testing.T) {
		b := begun(t, 4, 3).on(CertificateSeen{rings[4]().qc(quorum.Precommit, 2, valA, 0, 1, 2)})
		require.Nil(t, b.last.Commit.Decide)
		require.Equal(t, valA, b.last.Fetch[0].ID)
		b.on(ValueReady{valA, true})
		require.NotNil(t, b.last.Commit.Decide)
	})
	t.Run("not what is judged invalid", func(t *testing.T) {
		b := begun(t, 4, 3).on(CertificateSeen{rings[4]().qc(quorum.Precommit, 0, valA, 0, 1, 2)}).on(ValueReady{valA, false})
		require.Nil(t, b.last.Commit.Decide)
		require.Equal(t, valA, b.last.Contradiction.ID())
	})
	t.Run("not votes of several rounds", func(t *testing.T) {
		b := begun(t, 4, 3).proposed(0, valA, 0, quorum.QC{})
		b.votes(quorum.Precommit, 0, valA, 0, 1).votes(quorum.Precommit, 1, valA, 1, 2)
		require.NotEqual(t, StepDecided, b.s.step)
	})
}

func TestR8Resend(t *testing.T) {
	b := begun(t, 4, 0).on(Built{0, valA})
	b.all = nil
	b.later(time.Second - 1)
	require.Empty(t, b.sends())
	b.later(1)
	require.Len(t, b.sends(), 1)
	s := b.sends()[0]
	require.Equal(t, valA, s.Proposal.Body().ID)
	require.Len(t, s.Votes, 1)
	b.later(time.Second)
	require.Len(t, b.sends(), 2)
}

func TestR8HelpsPeerBehind(t *testing.T) {
	b := begun(t, 4, 3).votes(quorum.Precommit, 0, none, 0, 1, 2).later(time.Second)
	require.Equal(t, uint64(1), b.s.round)
	require.Len(t, b.s.Durable().Ended, 3, "they are on disk")
	b.votes(quorum.Prevote, 1, none, 0)
	b.all = nil
	b.later(time.Second)
	to := map[common.Address]int{}
	for _, s := range b.sends() {
		to[s.To] += len(s.Votes)
	}
	require.Equal(t, map[common.Address]int{b.ring.ids[1]: 3, b.ring.ids[2]: 3}, to, "those in round 0, not who is in round 1")
}

func TestEvidence(t *testing.T) {
	b := begun(t, 4, 3).votes(quorum.Prevote, 0, valA, 1).votes(quorum.Prevote, 0, valB, 1)
	require.Len(t, b.last.Evidence, 1)
	require.Equal(t, b.ring.ids[1], b.last.Evidence[0].Offender)
	b.votes(quorum.Prevote, 0, none, 1)
	require.Empty(t, b.last.Evidence, "once is enough")
	require.Equal(t, 1, b.s.rounds[0].count(quorum.Prevote, anyValue))

	b.proposed(0, valA, 0, quorum.QC{}).proposed(0, valB, 0, quorum.QC{})
	require.Len(t, b.last.Evidence, 1)
	b.wants(quorum.Prevote, 0, valA)
}

func TestForeign(t *testing.T) {
	b := begun(t, 4, 3).votes(quorum.Prevote, 0, valA, 3)
	require.Len(t, b.last.Foreign, 1, "under our key, but not ours")
	require.Zero(t, b.s.rounds[0].count(quorum.Prevote, anyValue))
	b.on(ProposalSeen{Proposal: b.ring.propose(3, 3, valA, 0), Valid: true})
	require.Len(t, b.last.Foreign, 1)
}

// What has no say at this height leaves no trace in it.
func TestStrangersChangeNothing(t *testing.T) {
	b := begun(t, 4, 3)
	before := b.s.Status()
	other := rings[7]()
	b.on(VoteSeen{other.say(6, quorum.Prevote, 0, valA)}, VoteSeen{}, ProposalSeen{}, CertificateSeen{})
	b.on(VoteSeen{b.ring.vote(1, quorum.Vote{Epoch: 2, Height: testHeight, Phase: quorum.Prevote})})
	b.on(VoteSeen{b.ring.vote(1, quorum.Vote{Epoch: 1, Height: testHeight + 1, Phase: quorum.Prevote})})
	b.on(VoteSeen{b.ring.vote(1, quorum.Vote{Epoch: 1, Height: testHeight, Round: maxRound + 1, Phase: quorum.Prevote})})
	require.Equal(t, before, b.s.Status())
}

func TestTimeouts(t *testing.T) {
	d := DefaultTimeouts()
	for _, c := range []struct {
		round         uint64
		propose, vote time.Duration
	}{
		{0, 2 * time.Second, time.Second}, {1, 3 * time.Second, 1500 * time.Millisecond},
		{58, time.Minute, 30 * time.Second}, {59, time.Minute, 30500 * time.Millisecond}, {1 << 63, time.Minute, time.Minute},
	} {
		require.Equal(t, [2]time.Duration{c.propose, c.vote}, [2]time.Duration{d.propose(c.round), d.vote(c.round)})
	}
}
