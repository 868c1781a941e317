package quorum_test

import (
	"crypto/ecdsa"
	"fmt"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

// TestAStatementBindsAMemberOfItsEpoch: a member left after epoch 1 and came back in epoch 3; another took a new key in 2. What each
// signed convicts it for the epochs in which it ruled, whoever rules now, and for no other.
func TestAStatementBindsAMemberOfItsEpoch(t *testing.T) {
	stays, returns, old, fresh := testKey("member", 0), testKey("member", 1), testKey("member", 2), testKey("member", 9)
	ids := func(keys ...*ecdsa.PrivateKey) (out quorum.Members) {
		for _, k := range keys {
			out = append(out, crypto.PubkeyToAddress(k.PublicKey))
		}
		return out
	}
	seats := map[uint64]quorum.Members{1: ids(stays, returns, old), 2: ids(stays, fresh), 3: ids(stays, fresh, returns)}
	in := func(epoch uint64) (quorum.Members, error) {
		if m, ok := seats[epoch]; ok {
			return m, nil
		}
		return nil, fmt.Errorf("%w: %d", quorum.ErrEpochUnknown, epoch)
	}
	vote := func(key *ecdsa.PrivateKey, epoch, counter uint64, id byte) []byte {
		s, err := quorum.Sign(key, testNetwork, quorum.Vote{Epoch: epoch, Height: 10 * epoch, Phase: quorum.Prevote, ID: common.Hash{id}, Counter: counter})
		require.NoError(t, err)
		return s.Bytes()
	}
	for name, c := range map[string]struct {
		first, second []byte
		rule          quorum.Rule
		who           *ecdsa.PrivateKey
		fails         error
	}{
		"left since":                   {first: vote(old, 1, 1, 1), second: vote(old, 1, 2, 2), rule: quorum.RuleVotes, who: old},
		"came back":                    {first: vote(returns, 3, 1, 1), second: vote(returns, 3, 2, 2), rule: quorum.RuleVotes, who: returns},
		"one count over two terms":     {first: vote(returns, 1, 7, 1), second: vote(returns, 3, 7, 1), rule: quorum.RuleCounter, who: returns},
		"two terms":                    {first: vote(returns, 1, 7, 1), second: vote(returns, 3, 8, 2), fails: quorum.ErrNoConflict},
		"between its terms":            {first: vote(returns, 2, 1, 1), second: vote(returns, 2, 2, 2), fails: quorum.ErrNotMember},
		"one side between its terms":   {first: vote(returns, 3, 7, 1), second: vote(returns, 2, 7, 2), fails: quorum.ErrNotMember},
		"the new key before its epoch": {first: vote(fresh, 1, 1, 1), second: vote(fresh, 1, 2, 2), fails: quorum.ErrNotMember},
		"the old key behind its epoch": {first: vote(old, 2, 1, 1), second: vote(old, 2, 2, 2), fails: quorum.ErrNotMember},
		"the old key beside the new":   {first: vote(old, 1, 1, 1), second: vote(fresh, 2, 1, 2), fails: quorum.ErrNoConflict},
		"an epoch to come":             {first: vote(stays, 4, 1, 1), second: vote(stays, 4, 2, 2), fails: quorum.ErrEpochUnknown},
		"one side to come":             {first: vote(stays, 3, 1, 1), second: vote(stays, 4, 1, 2), fails: quorum.ErrEpochUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			rule, who, err := quorum.Conflict(testNetwork, in, c.first, c.second)
			if c.fails != nil {
				require.ErrorIs(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.rule, rule)
			require.Equal(t, crypto.PubkeyToAddress(c.who.PublicKey), who)
		})
	}
}

// TestEveryCountedKindNamesItsEpoch: what names none would bind whoever ruled first.
func TestEveryCountedKindNamesItsEpoch(t *testing.T) {
	c := newCommittee(t, 4)
	counted := 0
	for _, s := range statements(c) {
		raw, err := s.sign(c.keys[0], testNetwork)
		require.NoError(t, err)
		if _, _, err := quorum.CounterOf(testNetwork, c.ids(), raw); err != nil {
			continue
		}
		counted++
		_, _, err = quorum.Conflict(testNetwork, func(epoch uint64) (quorum.Members, error) {
			require.NotZero(t, epoch, s.kind)
			return c.ids(), nil
		}, raw, raw)
		require.ErrorIs(t, err, quorum.ErrNoConflict)
	}
	require.Equal(t, 11, counted)
}
