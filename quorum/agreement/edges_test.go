package agreement

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// A certificate that made us skip to its round still locks there.
func TestSkipKeepsCertificate(t *testing.T) {
	b := begun(t, 4, 3).proposed(0, valA, 0, quorum.QC{})
	b.on(CertificateSeen{b.ring.qc(quorum.Prevote, 5, valA, 0, 1, 2)})
	require.Equal(t, uint64(5), b.s.round)
	b.later(7*time.Second).wants(quorum.Precommit, 5, valA)
}

func TestFetchIsRepeated(t *testing.T) {
	b := begun(t, 4, 3).on(CertificateSeen{rings[4]().qc(quorum.Precommit, 0, valA, 0, 1, 2)})
	require.Len(t, b.last.Fetch, 1)
	b.on(Tick{})
	require.Empty(t, b.last.Fetch)
	b.later(time.Second)
	require.Len(t, b.last.Fetch, 1)
}

// A restart forgets neither the certificate to show nor that the values of lock and valid round are held.
func TestResumeHolds(t *testing.T) {
	b := lockedOn(t).inRound(3).on(CertificateSeen{rings[4]().qc(quorum.Prevote, 2, valB, 1, 2, 3)}).on(ValueReady{valB, true})
	require.Equal(t, [2]any{valA, valB}, [2]any{b.s.lockedID, b.s.valid.ID()})
	resume := func() *seat {
		return &seat{t: t, ring: b.ring, s: must(Resume(b.ring.config(0), b.s.Durable(), Own{})), now: b.now}
	}
	r := resume().on(Begin{})
	require.Empty(t, r.last.Fetch)
	require.Equal(t, valB, r.s.high.ID())
	r.on(CertificateSeen{b.ring.qc(quorum.Precommit, 1, valA, 1, 2, 3)})
	require.NotNil(t, r.last.Commit.Decide, "the locked value is here")

	r = resume().on(Begin{}).inRound(4)
	require.Equal(t, [2]any{valB, uint64(3)}, [2]any{r.props[0].ID, r.props[0].ValidRound})
}

// The own proposal comes back by gossip after a restart: it is ours.
func TestResumeKnowsOwnProposal(t *testing.T) {
	b, own := rich(t)
	s := must(Resume(b.ring.config(0), b.s.Durable(), own))
	s.Step(Begin{}, b.now)
	fx := s.Step(ProposalSeen{Proposal: own.Proposals[0], Valid: true}, b.now)
	require.Empty(t, fx.Foreign)
	require.Nil(t, fx.Commit.Proposal)
}

func TestOnlyProposersAreHeard(t *testing.T) {
	b := begun(t, 4, 3)
	b.on(ProposalSeen{Proposal: b.ring.propose(1, 0, valA, 0), Valid: true})
	require.Nil(t, b.s.rounds[0].words[1].proposal)
	require.Empty(t, b.s.held)
}

func TestProofOfProposal(t *testing.T) {
	b := begun(t, 4, 0).inRound(2)
	b.proposed(2, valB, 2, b.ring.qc(quorum.Prevote, 0, valB, 1, 2, 3))
	require.Empty(t, b.cast, "a certificate of another round is not the one it names")

	b = begun(t, 4, 0).inRound(2).proposed(2, valB, 2, b.ring.qc(quorum.Prevote, 1, valB, 1, 2, 3))
	require.Equal(t, valB, b.s.valid.ID(), "the proof is a certificate like any other")
}

// I18: whatever is sent, the state stays within members and keepRounds.
func TestMemoryIsBounded(t *testing.T) {
	b := begun(t, 4, 0)
	for i := range 100 {
		b.on(ValueReady{value(fmt.Sprint(i)), true})
		b.votes(quorum.Prevote, uint64(1000+i), valA, 3)
	}
	require.LessOrEqual(t, len(b.s.held), 1)
	b.inRound(3 * keepRounds)
	require.LessOrEqual(t, len(b.s.rounds), keepRounds+1)

	waiting := sit(t, 4, 0)
	for i := range 100 {
		waiting.proposed(uint64(4*i+3), value(fmt.Sprint(i)), 0, quorum.QC{})
	}
	require.Equal(t, StepWaiting, waiting.s.step)
	require.LessOrEqual(t, len(waiting.s.held), 1)
}
