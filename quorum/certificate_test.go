package quorum_test

import (
	"slices"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func approvals(t tb, c committee, n int) []quorum.Signed[quorum.Approve] {
	return signAll(t, c, n, func(i int) quorum.Approve {
		a := sampleApprove()
		a.Counter, a.Time = uint64(100+i), a.Time+uint64(10*i)
		return a
	})
}

func refusals(t tb, c committee, n int) []quorum.Signed[quorum.Refuse] {
	reasons := []quorum.Reason{quorum.ReasonSignature, quorum.ReasonDestination}
	return signAll(t, c, n, func(i int) quorum.Refuse {
		return quorum.Refuse{
			Epoch: 1, Policy: samplePolicyRef(), Counter: uint64(i), WID: 77, Content: hash(0xc0), Reason: reasons[i%2], Time: uint64(1000 + i),
		}
	})
}

func outcomes(t tb, c committee, n int) []quorum.Signed[quorum.Outcome] {
	return signAll(t, c, n, func(i int) quorum.Outcome {
		o := sampleOutcome()
		o.Counter = uint64(200 + i)
		return o
	})
}

func votes(t tb, c committee, n int, phase quorum.Phase, id common.Hash) []quorum.Signed[quorum.Vote] {
	return signAll(t, c, n, func(i int) quorum.Vote {
		return quorum.Vote{Epoch: 1, Height: 9, Round: 3, Phase: phase, ID: id, Counter: uint64(300 + i)}
	})
}

func decision(t tb, c committee, value []byte) quorum.UncheckedDecision {
	id := quorum.ValueID(testNetwork, value)
	qc, ok := quorum.NewQC(c.roster, 9, 3, quorum.Precommit, id, votes(t, c, c.roster.Q(), quorum.Precommit, id))
	require.True(t, ok)
	committed, err := quorum.NewCommitted(testNetwork, qc, value)
	require.NoError(t, err)
	return committed.Unchecked()
}

// certificates is a sample of everything that q members add up to, unchecked as it travels.
func certificates(t tb, c committee) map[string]any {
	q := c.roster.Q()
	cert, ok := quorum.Certify(c.roster, approvals(t, c, q))
	require.True(t, ok)
	refusal, ok := quorum.CertifyRefusal(c.roster, refusals(t, c, q))
	require.True(t, ok)
	outcome, ok := quorum.CertifyOutcome(c.roster, outcomes(t, c, q))
	require.True(t, ok)
	qc, ok := quorum.NewQC(c.roster, 9, 3, quorum.Prevote, hash(0x1d), votes(t, c, q, quorum.Prevote, hash(0x1d)))
	require.True(t, ok)
	return map[string]any{
		"certificate":            cert.Unchecked(),
		"refusal-certificate":    refusal.Unchecked(),
		"outcome-certificate":    outcome.Unchecked(),
		"prevote-certificate":    qc.Unchecked(),
		"checkpoint-certificate": checkpointCertificate(t, c).Unchecked(),
		"decision":               decision(t, c, []byte("the bytes of a batch")),
	}
}

// mutable is one unchecked certificate that tests bend: its votes can be reordered, dropped and repeated.
type mutable struct {
	count  int
	pick   func(order []int) any // the same certificate with these of its votes
	verify func(cert any, network common.Hash, r quorum.Roster) (quorum.Members, error)
}

func pickFrom[T any](votes []T, order []int) []T {
	out := make([]T, len(order))
	for i, j := range order {
		out[i] = votes[j]
	}
	return out
}

func mutables(t tb, c committee) map[string]mutable {
	certs := certificates(t, c)
	approve := certs["certificate"].(quorum.UncheckedCertificate)
	refuse := certs["refusal-certificate"].(quorum.UncheckedRefusal)
	outcome := certs["outcome-certificate"].(quorum.UncheckedOutcome)
	qc := certs["prevote-certificate"].(quorum.UncheckedQC)
	return map[string]mutable{
		"certificate": {
			count: len(approve.Votes),
			pick:  func(o []int) any { u := approve; u.Votes = pickFrom(approve.Votes, o); return u },
			verify: func(v any, n common.Hash, r quorum.Roster) (quorum.Members, error) {
				c, err := v.(quorum.UncheckedCertificate).Verify(n, r)
				return c.Signers(), err
			},
		},
		"refusal": {
			count: len(refuse.Votes),
			pick:  func(o []int) any { u := refuse; u.Votes = pickFrom(refuse.Votes, o); return u },
			verify: func(v any, n common.Hash, r quorum.Roster) (quorum.Members, error) {
				c, err := v.(quorum.UncheckedRefusal).Verify(n, r)
				return c.Signers(), err
			},
		},
		"outcome": {
			count: len(outcome.Votes),
			pick:  func(o []int) any { u := outcome; u.Votes = pickFrom(outcome.Votes, o); return u },
			verify: func(v any, n common.Hash, r quorum.Roster) (quorum.Members, error) {
				c, err := v.(quorum.UncheckedOutcome).Verify(n, r)
				return c.Signers(), err
			},
		},
		"qc": {
			count: len(qc.Votes),
			pick:  func(o []int) any { u := qc; u.Votes = pickFrom(qc.Votes, o); return u },
			verify: func(v any, n common.Hash, r quorum.Roster) (quorum.Members, error) {
				c, err := v.(quorum.UncheckedQC).Verify(n, r)
				return c.Signers(), err
			},
		},
	}
}

func identity(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestCertificatesHoldExactlyQInOrder(t *testing.T) {
	for _, n := range []int{2, 3, 4, 7} {
		c := newCommittee(t, n)
		q := c.roster.Q()
		for name, m := range mutables(t, c) {
			signers, err := m.verify(m.pick(identity(q)), testNetwork, c.roster)
			require.NoError(t, err, "%s of %d", name, n)
			require.Equal(t, c.ids()[:q], signers)

			refused := map[string][]int{"one short": identity(q - 1), "none": {}, "one more": append(identity(q), q-1)}
			swapped := identity(q)
			swapped[0], swapped[q-1] = swapped[q-1], swapped[0]
			refused["out of order"] = swapped
			twice := identity(q)
			twice[q-1] = twice[q-2]
			refused["a signer twice"] = twice
			for what, order := range refused {
				_, err := m.verify(m.pick(order), testNetwork, c.roster)
				require.ErrorIs(t, err, quorum.ErrCertificate, "%s of %d: %s", name, n, what)
			}
		}
	}
}

func TestCertificatesProveNothingElsewhere(t *testing.T) {
	c := newCommittee(t, 4)
	next := c.roster
	next.Epoch = 2
	var others []quorum.Member
	for i := 10; i < 14; i++ {
		others = append(others, testMember(i, testKey("member", i)))
	}
	strangers, err := quorum.NewRoster(1, others)
	require.NoError(t, err)

	for name, m := range mutables(t, c) {
		whole := m.pick(identity(m.count))
		_, err := m.verify(whole, hash(0x66), c.roster)
		require.ErrorIs(t, err, quorum.ErrNotMember, name)
		_, err = m.verify(whole, testNetwork, next)
		require.ErrorIs(t, err, quorum.ErrCertificate, name)
		_, err = m.verify(whole, testNetwork, strangers)
		require.ErrorIs(t, err, quorum.ErrNotMember, name)
	}
}

// Whatever field of a certificate changes, its signatures no longer fit. Decoding is canonical, so bytes that decode are
// the only bytes of their certificate.
func TestCertificateBytesAreBound(t *testing.T) {
	c := newCommittee(t, 4)
	cert := certificates(t, c)["certificate"].(quorum.UncheckedCertificate)
	raw := encode(t, cert)
	rapid.Check(t, func(t *rapid.T) {
		bent := slices.Clone(raw)
		i := rapid.IntRange(0, len(bent)-1).Draw(t, "at")
		bent[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		var u quorum.UncheckedCertificate
		if rlp.DecodeBytes(bent, &u) != nil {
			return
		}
		_, err := u.Verify(testNetwork, c.roster)
		require.Error(t, err)
	})
}

func TestCertifyTakesTheLargestEqualGroup(t *testing.T) {
	c := newCommittee(t, 7)
	q := c.roster.Q()
	rapid.Check(t, func(t *rapid.T) {
		agree := rapid.IntRange(0, 7).Draw(t, "agree")
		all := approvals(t, c, 7)
		for i := agree; i < 7; i++ {
			other := sampleApprove()
			other.Head, other.Counter = hash(byte(i)), 1
			all[i] = sign(t, c.keys[i], other)
		}
		all = append(all, all[:rapid.IntRange(0, 7).Draw(t, "repeated")]...)
		all = rapid.Permutation(all).Draw(t, "order")

		cert, ok := quorum.Certify(c.roster, all)
		require.Equal(t, agree >= q, ok)
		if !ok {
			return
		}
		again, err := cert.Unchecked().Verify(testNetwork, c.roster)
		require.NoError(t, err)
		require.Equal(t, cert, again)
		require.Equal(t, c.ids()[:q], cert.Signers())
	})
}

func TestMedianTimes(t *testing.T) {
	require.Zero(t, quorum.LowerMedian(nil))
	require.Equal(t, uint64(1), quorum.LowerMedian([]uint64{2, 1}))
	require.Equal(t, uint64(2), quorum.LowerMedian([]uint64{3, 1, 2}))
	in := []uint64{4, 3, 2, 1}
	require.Equal(t, uint64(2), quorum.LowerMedian(in))
	require.Equal(t, []uint64{4, 3, 2, 1}, in, "the argument stays as it is")

	c := newCommittee(t, 4)
	cert, _ := quorum.Certify(c.roster, approvals(t, c, 3))
	require.Equal(t, sampleApprove().Time+10, cert.MedianTime())
	refusal, _ := quorum.CertifyRefusal(c.roster, refusals(t, c, 3))
	require.Equal(t, uint64(1001), refusal.Unchecked().MedianTime())
}

func TestRefusalsKeepEachReason(t *testing.T) {
	c := newCommittee(t, 4)
	cert, ok := quorum.CertifyRefusal(c.roster, refusals(t, c, 4))
	require.True(t, ok)
	u := cert.Unchecked()
	require.Equal(t, quorum.ReasonSignature, u.Votes[0].Reason)
	require.Equal(t, quorum.ReasonDestination, u.Votes[1].Reason)
	u.Votes = slices.Clone(u.Votes)
	u.Votes[0].Reason = "because"
	_, err := u.Verify(testNetwork, c.roster)
	require.ErrorContains(t, err, "unknown reason")
}

// What no honest member can sign, q Byzantine members must not be able to put before a reader either.
func TestCertificatesOfImpossibleStatements(t *testing.T) {
	c := newCommittee(t, 4)
	raw := func(i int, d common.Hash) quorum.Signature {
		sig, err := quorum.SignDigest(c.keys[i], d)
		require.NoError(t, err)
		return sig
	}
	a := sampleApprove()
	a.Seq = 0
	u := quorum.UncheckedCertificate{Epoch: 1, Policy: a.Policy, WID: a.WID, Content: a.Content, Account: a.Account, Head: a.Head}
	o := quorum.UncheckedOutcome{Outcome: quorum.Outcome{Epoch: 1, Status: 2}}
	for i := range 3 {
		u.Votes = append(u.Votes, quorum.Endorsement{Counter: a.Counter, Time: a.Time, Sig: raw(i, quorum.Digest(quorum.KindApprove, testNetwork, a))})
		o.Votes = append(o.Votes, quorum.Ballot{Sig: raw(i, quorum.Digest(quorum.KindOutcome, testNetwork, o.Outcome))})
	}
	_, err := u.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrCertificate)
	_, err = o.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrCertificate)
}

func TestOutcomeCertificate(t *testing.T) {
	c := newCommittee(t, 4)
	all := outcomes(t, c, 4)
	cert, ok := quorum.CertifyOutcome(c.roster, all)
	require.True(t, ok)
	require.Zero(t, cert.Outcome().Counter)
	require.Equal(t, hash(0x77), cert.Outcome().TxHash)
	cert.Signers()[0] = common.Address{}
	require.Equal(t, c.ids()[:3], cert.Signers(), "a caller cannot change who signed")
	_, ok = quorum.CertifyOutcome(c.roster, all[:2])
	require.False(t, ok)

	u := cert.Unchecked()
	u.Outcome.Counter = 1
	_, err := u.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrCertificate, "a second encoding of one certificate")
}
