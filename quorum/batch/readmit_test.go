package batch_test

import (
	"math"
	"testing"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// back is the word on the return of the first member, in height 2 unless changed. The test policy lets operators end it
// ten minutes after it began.
func (w *world) back(change ...func(*quorum.Readmit)) quorum.Readmit {
	r := quorum.Readmit{Member: w.s.Roster.Members[0].Address, Height: 2, Since: now, Counter: 1 << 33, Reason: "its disk is the old one"}
	for _, c := range change {
		c(&r)
	}
	return r
}

func (w *world) open(t tb, s quorum.SignedAction) quorum.VerifiedAction {
	t.Helper()
	v, err := s.Open(w.network, w.s.Roster)
	require.NoError(t, err)
	return v
}

// TestReadmissionIsOfAMemberAndANearHeight: and it is never decided, by whatever batch would carry it.
func TestReadmissionIsOfAMemberAndANearHeight(t *testing.T) {
	w := founded(t, 4)
	good := w.acts(t, 3, w.back())
	require.NoError(t, w.s.CheckAction(w.open(t, good)))
	for name, r := range map[string]quorum.Readmit{
		"a stranger":     w.back(func(r *quorum.Readmit) { r.Member = common.Address{9} }),
		"decided":        w.back(func(r *quorum.Readmit) { w.s.Height, r.Height = 2, 2 }),
		"a digit's slip": w.back(func(r *quorum.Readmit) { r.Height = w.s.Height + 2 + batch.MaxAhead }),
	} {
		require.ErrorIs(t, w.s.CheckAction(w.open(t, w.acts(t, 3, r))), batch.ErrInvalid, name)
	}
	w = founded(t, 4)
	_, err := w.s.BuildAction(w.open(t, good), w.views(t, 0))
	require.ErrorIs(t, err, batch.ErrInvalid)
	b := w.actionBatch(t, good)
	for _, kind := range []batch.Kind{b.Kind, batch.Policy, batch.Resume, batch.Resolve, batch.Members} {
		b.Kind = kind
		require.ErrorIs(t, w.s.Valid(b), batch.ErrInvalid, kind.String())
	}
}

// TestReadmissionIsSignedByQInTime: after the policy's delay, and not long before it is followed.
func TestReadmissionIsSignedByQInTime(t *testing.T) {
	const minute, day = 60_000, 24 * 3_600_000
	delay := uint64(10 * minute)
	for name, c := range map[string]struct {
		signers  int
		signed   uint64
		followed uint64
		ok       bool
	}{
		"as it should be":    {3, now + delay, now + delay, true},
		"all operators":      {4, now + delay, now + delay, true},
		"too few":            {2, now + delay, now + delay, false},
		"nobody has looked":  {3, now + delay - 1, now + delay, false},
		"a week later":       {3, now + delay, now + delay + 7*day, true},
		"more than a week":   {3, now + delay, now + delay + 7*day + 1, false},
		"a clock far behind": {3, now + delay + 2*day, now + delay, false},
	} {
		w := founded(t, 4)
		word, err := w.s.Readmits(w.open(t, w.actsAt(t, c.signers, c.signed, w.back())), c.followed)
		if !c.ok {
			require.ErrorIs(t, err, batch.ErrInvalid, name)
			continue
		}
		require.NoError(t, err, name)
		require.Len(t, word.Operators(), w.q(), name)
	}
	w := founded(t, 4)
	_, err := w.s.Readmits(w.open(t, w.actsAt(t, 3, now, quorum.PolicyChange{File: policyFile("2")})), now)
	require.ErrorIs(t, err, batch.ErrInvalid)
	late := w.back(func(r *quorum.Readmit) { r.Since = math.MaxUint64 - 1 })
	_, err = w.s.Readmits(w.open(t, w.actsAt(t, 3, now, late)), now)
	require.ErrorIs(t, err, batch.ErrInvalid, "a clock that is nowhere")
	other := w.acts(t, 3, w.back(), func(a *quorum.Action) { a.Policy++ })
	_, err = w.s.Readmits(w.open(t, other), now)
	require.ErrorIs(t, err, batch.ErrInvalid, "another policy version")
}
