package batch_test

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
	"conclave/quorum/batch"
)

// newcomer is the record of a member that the genesis document does not know, made for tests.
func newcomer(i int) (quorum.Member, *ecdsa.PrivateKey) {
	key := testKey("newcomer", i)
	return quorum.Member{
		Name: fmt.Sprintf("newcomer-%d", i), Address: crypto.PubkeyToAddress(key.PublicKey), PublicKey: compressed(key),
		Operator: crypto.PubkeyToAddress(testKey("new operator", i).PublicKey), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/7001"},
	}, key
}

// reshared is the proofs of a ceremony of members for the epoch behind the one in force, and the operators' word for it.
func (w *world) reshared(t tb, members []quorum.Member, change quorum.SignedAction) quorum.MembersAction {
	t.Helper()
	sorted := quorum.NewMemberChange(members, "r").Members
	r, err := quorum.NewRoster(w.s.Roster.Epoch+1, sorted)
	require.NoError(t, err)
	a := quorum.MembersAction{Epoch: r.Epoch, Members: sorted, Change: change.Encode(), Transcript: quorum.Transcript{
		Epoch: r.Epoch, Session: common.Hash{0x5e, byte(r.Epoch)}, PublicKey: compressed(w.payer), Members: r.IDs(), Threshold: uint64(r.Q()),
		Moduli: common.Hash{0x31},
	}}
	w.prove(t, &a)
	return a
}

// prove signs a transcript and its canaries.
func (w *world) prove(t tb, a *quorum.MembersAction) {
	t.Helper()
	a.Signatures, a.Canaries = nil, nil
	keys := slices.Clone(w.keys)
	for i := range 4 {
		_, key := newcomer(i)
		keys = append(keys, key)
	}
	for _, id := range a.Transcript.Members {
		i := slices.IndexFunc(keys, func(k *ecdsa.PrivateKey) bool { return crypto.PubkeyToAddress(k.PublicKey) == id })
		sig, err := quorum.SignDigest(keys[i], quorum.Digest(quorum.KindTranscript, w.network, a.Transcript))
		require.NoError(t, err)
		a.Signatures = append(a.Signatures, sig)
	}
	for try := range quorum.CoveringSets(len(a.Transcript.Members)) {
		set := quorum.CanarySet(a.Transcript.Members, uint64(try))
		sig, err := quorum.SignDigest(w.payer, a.Transcript.CanaryDigest(w.network, set))
		require.NoError(t, err)
		a.Canaries = append(a.Canaries, quorum.Canary{Set: set, Sig: sig})
	}
}

// fifth is a proposed and carried out change from four members to five.
func (w *world) fifth(t tb) (members []quorum.Member, change quorum.SignedAction) {
	t.Helper()
	n, _ := newcomer(0)
	members = append(slices.Clone(w.s.Roster.Members), n)
	return members, w.acts(t, w.q(), quorum.NewMemberChange(members, "a fifth"))
}

func TestMembersChange(t *testing.T) {
	w := founded(t, 4)
	w.decide(t, w.pay(t, w.content(1, "native")))
	next, payer := w.s.NextNonce(w.lane("native").Nonces()), w.s.Payer
	members, change := w.fifth(t)

	b, err := w.s.BuildMembers(w.reshared(t, members, change), w.views(t, 0))
	require.NoError(t, err)
	fx, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	require.EqualValues(t, 2, fx.Members.Epoch)
	require.EqualValues(t, 2, w.s.Roster.Epoch)
	require.Len(t, w.s.Roster.Members, 5)
	require.Equal(t, payer, w.s.Payer, "the address stays")
	require.Equal(t, next, w.s.NextNonce(w.lane("native").Nonces()), "nonces go on")
	require.True(t, w.s.Decided(1), "what was decided stays decided")
	require.Equal(t, change.Action.Serial, w.s.Serial)

	// What the old epoch's operators signed means nothing any more, and neither do its members' words.
	_, err = change.Open(w.network, w.s.Roster)
	require.ErrorContains(t, err, "epoch 1, in force is 2")
	_, err = w.s.BuildMembers(*fx.Members, w.views(t, 0))
	require.ErrorIs(t, err, batch.ErrInvalid)
}

func TestMembersChangeRules(t *testing.T) {
	w := founded(t, 4)
	members, change := w.fifth(t)
	with := func(do func(a *quorum.MembersAction)) quorum.MembersAction {
		a := w.reshared(t, members, change)
		do(&a)
		return a
	}
	proposal := func(s quorum.SignedAction) quorum.MembersAction { return w.reshared(t, members, s) }
	wide := quorum.NewMemberChange(members, "a fifth")
	stranger := testKey("stranger", 0)
	for name, c := range map[string]struct {
		a    quorum.MembersAction
		want string
	}{
		"nobody's word":        {with(func(a *quorum.MembersAction) { a.Change = nil }), "without the operators' proposal"},
		"no action's bytes":    {with(func(a *quorum.MembersAction) { a.Change = []byte{0xc0} }), "without the operators' proposal"},
		"too few operators":    {proposal(w.acts(t, 2, wide)), "2 signatures, want exactly 3"},
		"another serial":       {proposal(w.acts(t, 3, wide, func(a *quorum.Action) { a.Serial = 0 })), "serial 0"},
		"another policy":       {proposal(w.acts(t, 3, wide, func(a *quorum.Action) { a.Policy = 7 })), "policy version 7"},
		"another epoch's word": {proposal(w.acts(t, 3, wide, func(a *quorum.Action) { a.Epoch = 2 })), "of epoch 2"},
		"another action":       {proposal(w.acts(t, 3, quorum.PolicyChange{File: policyFile("2")})), "proposal is a POLICY"},
		"signed last month":    {proposal(w.actsAt(t, 3, now-30*24*3_600_000, wide)), "in the 7 days before"},
		"other members":        {w.reshared(t, w.s.Roster.Members, change), "not so many"},
		"a member's record": {with(func(a *quorum.MembersAction) {
			a.Members = slices.Clone(a.Members)
			a.Members[0].Multiaddrs = []string{"/ip4/127.0.0.1/tcp/1"}
		}), "another's record"},
		"another key": {with(func(a *quorum.MembersAction) {
			a.Transcript.PublicKey = compressed(stranger)
			payer := w.payer
			w.payer = stranger
			w.prove(t, a)
			w.payer = payer
		}), "another key than the one that pays"},
		"a share that never signed": {with(func(a *quorum.MembersAction) { a.Canaries = a.Canaries[:1] }), "not every member"},
		"the same epoch": {with(func(a *quorum.MembersAction) {
			a.Epoch, a.Transcript.Epoch = 1, 1
			w.prove(t, a)
		}), "does not follow"},
	} {
		_, err := w.s.BuildMembers(c.a, w.views(t, 0))
		require.ErrorIs(t, err, batch.ErrInvalid, name)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := w.s.BuildMembers(w.reshared(t, members, change), w.views(t, 0))
	require.NoError(t, err, "and as it should be")
}

// TestAProposalIsNoDecision: the operators' signatures alone change nobody.
func TestAProposalIsNoDecision(t *testing.T) {
	w := founded(t, 4)
	_, change := w.fifth(t)
	b := w.actionBatch(t, change)
	require.Equal(t, batch.Members, b.Kind)
	require.ErrorIs(t, w.s.Valid(b), batch.ErrInvalid)
	for kind := range batch.Kind(16) {
		b.Kind = kind
		require.ErrorIs(t, w.s.Valid(b), batch.ErrInvalid, kind)
	}
	v, err := change.Open(w.network, w.s.Roster)
	require.NoError(t, err)
	_, err = w.s.BuildAction(v, w.views(t, 0))
	require.ErrorIs(t, err, batch.ErrInvalid)
}

// TestOneEncodingOfAMembersAction: an empty word that is spelled out would be another value with the same effect.
func TestOneEncodingOfAMembersAction(t *testing.T) {
	w := newWorld(t, 4)
	a := w.action(t)
	plain := encode(t, a)
	got, err := quorum.DecodeMembersAction(plain)
	require.NoError(t, err)
	require.Equal(t, plain, encode(t, got))
	_, rest, _ := bytes.Cut(plain, nil)
	require.Equal(t, byte(0xf9), rest[0], "a long list, whose length stands in two bytes")
	n := int(rest[1])<<8 + int(rest[2]) + 1
	spelled := append([]byte{0xf9, byte(n >> 8), byte(n)}, append(bytes.Clone(rest[3:]), 0x80)...)
	_, err = quorum.DecodeMembersAction(spelled)
	require.ErrorIs(t, err, quorum.ErrAction)
}

func TestActiveChange(t *testing.T) {
	w := founded(t, 4)
	members, _ := w.fifth(t)
	open := func(n int, serial uint64, at uint64, reason string) quorum.VerifiedAction {
		v, err := w.actsAt(t, n, at, quorum.NewMemberChange(members, reason), func(a *quorum.Action) { a.Serial = serial }).Open(w.network, w.s.Roster)
		require.NoError(t, err)
		return v
	}
	other, err := w.acts(t, 3, quorum.PolicyChange{File: policyFile("2")}, func(a *quorum.Action) { a.Serial = 9 }).Open(w.network, w.s.Roster)
	require.NoError(t, err)
	all := []quorum.VerifiedAction{
		open(3, 1, now, "first"), open(3, 3, now, "a"), open(3, 3, now, "b"), open(2, 4, now, "two operators"),
		open(3, 5, now-30*24*3_600_000, "long ago"), open(4, 2, now, "all four"), other,
	}
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.Permutation(all).Draw(rt, "order")
		v, ok := w.s.ActiveChange(order, now)
		require.True(rt, ok)
		require.EqualValues(rt, 3, v.Action().Serial, "the highest that q operators signed in time")
		want := max(all[1].Action().Hash(w.network).Hex(), all[2].Action().Hash(w.network).Hex())
		require.Equal(rt, want, v.Action().Hash(w.network).Hex(), "whatever was heard first")
	})
	_, ok := w.s.ActiveChange(all[3:5], now)
	require.False(t, ok)
}

func TestDiffers(t *testing.T) {
	w := founded(t, 4)
	n, _ := newcomer(0)
	after := append(slices.Clone(w.s.Roster.Members[1:]), n)
	after[0].Name = "moved"
	joins, leaves, changed := quorum.NewMemberChange(after, "r").Differs(w.s.Roster)
	require.Equal(t, quorum.Members{n.Address}, joins)
	require.Equal(t, quorum.Members{w.members()[0]}, leaves)
	require.Equal(t, quorum.Members{w.members()[1]}, changed)
}
