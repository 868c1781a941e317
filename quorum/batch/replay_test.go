package batch_test

import (
	"testing"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// namesake is a founded network of the same members, operators and keys as founded(t, 4), under another name.
func namesake(t tb) *world {
	t.Helper()
	w := newWorld(t, 4)
	w.genesis.Name = "another"
	s, err := batch.NewState(w.genesis)
	require.NoError(t, err)
	w.s, w.network = s, w.genesis.ID()
	b, err := w.s.BuildMembers(w.action(t), w.views(t, 0))
	require.NoError(t, err)
	_, err = w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	return w
}

// refuses demands that an action is nothing here: not as it was signed, not at any place in history that it does not name.
func (w *world) refuses(t tb, s quorum.SignedAction) {
	t.Helper()
	places := []func(*quorum.Action){
		func(*quorum.Action) {},
		func(a *quorum.Action) { a.Serial = w.s.Serial + 1 },
		func(a *quorum.Action) { a.Serial, a.Policy = w.s.Serial+1, w.s.Policy.Version },
		func(a *quorum.Action) {
			a.Serial, a.Policy, a.Epoch = w.s.Serial+1, w.s.Policy.Version, w.s.Roster.Epoch
		},
		func(a *quorum.Action) { a.Epoch++ },
	}
	for i, move := range places {
		moved := s
		if move(&moved.Action); i > 0 && moved.Action.Hash(w.network) == s.Action.Hash(w.network) {
			continue // it was signed for this place, and stands in the list as it is
		}
		before := w.sum()
		require.ErrorIs(t, w.s.Valid(w.actionBatch(t, moved)), batch.ErrInvalid, "place %d", i)
		if v, err := moved.Open(w.network, w.s.Roster); err == nil {
			require.Error(t, w.s.CheckAction(v), "place %d", i)
			_, err = w.s.BuildAction(v, w.views(t, 0))
			require.Error(t, err, "place %d", i)
		}
		require.Equal(t, before, w.sum(), "whoever asks changes nothing")
	}
}

// TestActionsMeanOnePlaceInOneNetwork: whatever operators decided is, at every later moment and in a network of the same
// people under another name, nothing: not as it was, not at another serial, epoch or policy version; nor is its decision.
func TestActionsMeanOnePlaceInOneNetwork(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		here, there := founded(t, 4), namesake(t)
		require.NotEqual(t, here.network, there.network)
		require.Equal(t, here.s.Roster.Operators(), there.s.Roster.Operators())
		var past []quorum.SignedAction
		for _, kind := range order {
			file := policyFile(uint256.NewInt(here.s.Policy.Version + 1).Dec())
			s := here.acts(t, 3, []quorum.ActionBody{
				quorum.PolicyChange{File: file}, quorum.NewResume(here.network, here.halts(t, 0, 1), "r"),
				quorum.Resolve{File: file, Reason: "r", Uncovered: *uint256.NewInt(7)},
			}[kind])
			there.refuses(t, s)
			c := here.commit(t, here.actionBatch(t, s).Encode())
			_, err := here.s.Apply(c)
			require.NoError(t, err)
			here.policy, past = here.s.Policy.Ref(), append(past, s)
			_, err = c.Unchecked().Verify(there.network, there.s.Roster)
			require.Error(t, err, "a decision is one network's")
			before := there.sum()
			_, err = there.s.Apply(c)
			require.Error(t, err)
			require.Equal(t, before, there.sum())
			for _, p := range past {
				here.refuses(t, p)
			}
		}
	}
}

// Halts and their ends count in the network that they were signed in.
func TestHaltsAreOneNetworks(t *testing.T) {
	here, there := founded(t, 4), namesake(t)
	for _, s := range here.halts(t, 0, 1) {
		_, err := quorum.Open[quorum.Halt](there.network, there.members(), s.Bytes())
		require.Error(t, err)
		resume := quorum.NewResume(there.network, []quorum.Signed[quorum.Halt]{s}, "r")
		_, err = resume.Open(there.network, there.members())
		require.Error(t, err)
		clear := sign(t, here, 0, quorum.Clear{Epoch: 1, Counter: 9, Halt: s.Body().ID(here.network, s.Signer()), Reason: "r"})
		_, err = quorum.Open[quorum.Clear](there.network, there.members(), clear.Bytes())
		require.Error(t, err)
	}
}

// What was rejected is decided: no later word pays it, also when that word knows of it.
func TestARejectIsNotResolvedAgain(t *testing.T) {
	w := founded(t, 4)
	c := w.content(1, "native")
	w.decide(t, w.refuse(t, c))
	for _, pay := range []bool{true, false} {
		require.ErrorIs(t, w.s.Valid(w.actionBatch(t, w.acts(t, 3, word(w, pay, c, 1)))), batch.ErrInvalid)
	}
}
