package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// nextPolicy is the policy of these tests with another version and batch_wait.
func nextPolicy(version, wait int) []byte {
	text := strings.Replace(testPolicy, "version = 1", fmt.Sprint("version = ", version), 1)
	return []byte(strings.Replace(text, `"300ms"`, fmt.Sprintf("%q", fmt.Sprint(wait, "ms")), 1))
}

// policyAction is signed by the operators of some members.
func (l *lab) policyAction(wait int, serial uint64, operators ...int) quorum.SignedAction {
	return l.policyActionAt(signedAt(), wait, serial, operators...)
}

// decree decides what q operators signed.
func (l *lab) decree(body quorum.ActionBody) {
	l.t.Helper()
	a, err := quorum.NewAction(l.state.Roster.Epoch, l.state.Policy.Version, l.state.Serial+1, body)
	require.NoError(l.t, err)
	by := []int{0, 1, 2}
	slices.SortFunc(by, func(x, y int) int { return operatorAddress(x).Cmp(operatorAddress(y)) })
	s := quorum.SignedAction{Action: a}
	for _, i := range by {
		e, err := quorum.SignAction(testKey("operator", i), l.network, a, signedAt())
		require.NoError(l.t, err)
		s.Signatures = append(s.Signatures, e)
	}
	v, err := s.Open(l.network, l.state.Roster)
	require.NoError(l.t, err)
	for _, view := range l.views(l.state.Height, uint64(time.Now().UnixMilli())) {
		l.pool.addView(view)
	}
	b, err := l.state.BuildAction(v, l.pool.viewList())
	require.NoError(l.t, err)
	require.NoError(l.t, l.hearDecision(l.decision(b)))
}

// signedAt is when operators sign in these tests, the same for the whole run: the same action twice is the same bytes.
var signedAt = sync.OnceValue(func() uint64 { return uint64(time.Now().UnixMilli()) })

func (l *lab) policyActionAt(at uint64, wait int, serial uint64, operators ...int) quorum.SignedAction {
	a, err := quorum.NewAction(l.state.Roster.Epoch, l.state.Policy.Version, serial, quorum.PolicyChange{File: nextPolicy(int(l.state.Policy.Version)+1, wait)})
	require.NoError(l.t, err)
	s := quorum.SignedAction{Action: a}
	slices.SortFunc(operators, func(x, y int) int { return operatorAddress(x).Cmp(operatorAddress(y)) })
	for _, i := range operators {
		e, err := quorum.SignAction(testKey("operator", i), l.network, a, at)
		require.NoError(l.t, err)
		s.Signatures = append(s.Signatures, e)
	}
	return s
}

func operatorAddress(i int) common.Address {
	return crypto.PubkeyToAddress(testKey("operator", i).PublicKey)
}

func TestSignaturesOfAnActionAddUp(t *testing.T) {
	l := newLab(t)
	l.onPolicy = func(quorum.Policy) {}
	p, err := l.core.propose(l.policyAction(400, 1, 0))
	require.NoError(t, err)
	again, err := l.core.propose(l.policyAction(400, 1, 0))
	require.NoError(t, err)
	require.Same(t, p, again, "nothing new")
	require.NoError(t, l.hearGovernance(l.keysOf(1), govMsg{Actions: [][]byte{l.policyAction(400, 1, 1).Encode()}}))
	require.Len(t, l.proposals[p.hash].v.Operators(), 2)
	_, ok := l.buildAction()
	require.False(t, ok, "two are fewer than q")

	// A restart holds what was held.
	require.NoError(t, l.loadProposals())
	require.Len(t, l.proposals[p.hash].v.Operators(), 2)

	for name, s := range map[string]quorum.SignedAction{
		"nobody signed":  {Action: l.policyAction(400, 1, 2).Action},
		"another serial": {Action: l.policyAction(400, 2, 2).Action, Signatures: l.policyAction(400, 1, 2).Signatures},
		"serial 0":       l.policyAction(400, 0, 2),
		"a member's node key": func() quorum.SignedAction {
			s := l.policyAction(400, 1, 2)
			e, err := quorum.SignAction(l.keys[2], l.network, s.Action, 1)
			require.NoError(t, err)
			s.Signatures = []quorum.Endorsed{e}
			return s
		}(),
	} {
		_, err := l.core.propose(s)
		require.ErrorIs(t, err, errProposal, name)
	}
	require.Error(t, l.hearGovernance(l.keysOf(1), govMsg{Actions: [][]byte{{0xc0}}}))
	require.Len(t, l.proposals, 1)
}

func (l *lab) keysOf(i int) common.Address { return crypto.PubkeyToAddress(l.keys[i].PublicKey) }

// One operator cannot fill anybody's memory, nor push out what others signed, also not by signing that first.
func TestOpenActionsAreBounded(t *testing.T) {
	l := newLab(t)
	at := signedAt()
	both, err := l.core.propose(l.policyActionAt(at, 999, 1, 0, 1))
	require.NoError(t, err)
	for i := range 3 * maxProposed {
		_, err := l.core.propose(l.policyActionAt(at+uint64(i)+1, 100+i, 1, 0, 2))
		require.NoError(t, err)
	}
	require.Len(t, l.proposals, maxProposed+1)
	require.Contains(t, l.proposals, both.hash, "it is the last that the other operator signed")
	_, err = l.core.propose(l.policyActionAt(at, 998, 1, 0))
	require.ErrorIs(t, err, errCrowded, "what would be dropped next is not taken")
	require.NoError(t, l.hearGovernance(l.keysOf(1), govMsg{Actions: [][]byte{l.policyActionAt(at, 998, 1, 0).Encode()}}),
		"nobody broke a contract by showing it")
	kept := 0
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		return tx.Proposals(func([]byte) error { kept++; return nil })
	}))
	require.Equal(t, maxProposed+1, kept)
}

// What is kept follows from what was signed, not from when it came: otherwise members that hold different actions of one
// operator would push them back and forth without end.
func TestWhatIsKeptDoesNotDependOnTheOrder(t *testing.T) {
	l := newLab(t)
	var all []*proposal
	for i := range 3 * maxProposed {
		by := [][]int{{0}, {0, 1}, {1}, {0, 2}}[i%4]
		v, err := l.policyActionAt(uint64(1+i/3), 100+i, 1, by...).Open(l.network, l.state.Roster)
		require.NoError(t, err)
		all = append(all, l.newProposal(v))
	}
	keep := func(order []*proposal) []common.Hash {
		ps := proposals{}
		for _, p := range order {
			drop := ps.crowdedBy(p)
			ps[p.hash] = p
			for _, h := range drop {
				delete(ps, h)
			}
		}
		for h, p := range ps {
			require.Empty(t, ps.crowdedBy(p), "what is kept is kept when it comes again: %s", h)
		}
		return slices.SortedFunc(maps.Keys(ps), common.Hash.Cmp)
	}
	want := keep(all)
	require.LessOrEqual(t, len(want), 3*maxProposed)
	require.Greater(t, len(want), maxProposed)
	rapid.Check(t, func(rt *rapid.T) {
		require.Equal(t, want, keep(rapid.Permutation(all).Draw(rt, "order")))
	})
}

// A signature far ahead of every clock would never age, and later ones of its operator would stand behind it.
func TestASignatureFromTheFutureIsNotTaken(t *testing.T) {
	l := newLab(t)
	far := uint64(time.Now().Add(48 * time.Hour).UnixMilli())
	_, err := l.core.propose(l.policyActionAt(far, 400, 1, 0))
	require.ErrorIs(t, err, errProposal)
	require.Error(t, l.hearGovernance(l.keysOf(1), govMsg{Actions: [][]byte{l.policyActionAt(far, 400, 1, 0).Encode()}}))
	require.Empty(t, l.proposals)
}

// A node that died between a decision and what follows from it in memory: the policy is in force, and what the decision
// made void is neither open nor on the disk.
func TestDeathBehindADecidedAction(t *testing.T) {
	l := newLab(t)
	l.onPolicy = func(quorum.Policy) {}
	_, err := l.core.propose(l.policyAction(500, 1, 0, 1))
	require.NoError(t, err)
	signed, err := l.policyAction(400, 1, 0, 1, 2).Open(l.network, l.state.Roster)
	require.NoError(t, err)
	for _, v := range l.views(l.state.Height, uint64(time.Now().UnixMilli())) {
		l.pool.addView(v)
	}
	b, err := l.state.BuildAction(signed, l.pool.viewList())
	require.NoError(t, err)
	committed, err := l.decision(b).Verify(l.network, l.state.Roster)
	require.NoError(t, err)
	_, ok := l.decide(committed) // and nothing behind it
	require.True(t, ok)
	require.Len(t, l.proposals, 1)

	require.NoError(t, l.loadProposals())
	require.Empty(t, l.proposals)
	n := &Node{led: l.led, genesis: l.genesis, network: l.network}
	require.NoError(t, n.loadPolicy())
	require.Equal(t, l.state.Policy.Ref(), n.policy().Ref())
	require.Equal(t, uint64(2), n.policy().Version)
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		require.Equal(t, uint64(1), tx.LastSerial())
		return tx.Proposals(func([]byte) error { t.Fatal("void, and kept"); return nil })
	}))
	require.NoError(t, l.hearDecision(l.decision(b)), "shown again it is nothing new")
	require.Equal(t, uint64(1), l.state.Serial)
}

// Who holds more than a peer shows what it holds; who holds the same is quiet.
func TestHeldActionsAreShownToWhoLacksThem(t *testing.T) {
	l := newLab(t)
	sent := &sends{wire: l.wire}
	l.net = sent
	_, err := l.core.propose(l.policyAction(400, 1, 0))
	require.NoError(t, err)
	require.Len(t, sent.frames, 3, "each other member hears of a new signature")
	sent.frames = nil
	var nothing govMsg
	require.NoError(t, unmarshal(marshal(nothing), &nothing), "as it comes by the wire: no list is nil")
	require.NoError(t, l.hearGovernance(l.keysOf(1), nothing))
	require.Len(t, sent.frames, 1)
	var m govMsg
	require.NoError(t, unmarshal(sent.frames[0], &m))
	require.Equal(t, [][]byte{l.policyAction(400, 1, 0).Encode()}, m.Actions)
	require.NoError(t, l.hearGovernance(l.keysOf(1), govMsg{}))
	require.Len(t, sent.frames, 1, "one peer is not shown the same again at once")
	require.NoError(t, l.hearGovernance(l.keysOf(2), govMsg{}))
	require.Len(t, sent.frames, 2)
	sent.frames = nil
	var held govMsg
	require.NoError(t, unmarshal(l.heldMsg(), &held))
	require.NoError(t, l.hearGovernance(l.keysOf(3), held))
	require.Empty(t, sent.frames)
}

// sends keeps what the core sends.
type sends struct {
	*wire
	frames [][]byte
}

func (s *sends) Send(_ common.Address, _ string, frame []byte) error {
	s.frames = append(s.frames, frame)
	return nil
}

func TestADecidedPolicyIsInForceEverywhere(t *testing.T) {
	l := newLab(t)
	var heard quorum.Policy
	l.onPolicy = func(p quorum.Policy) { heard = p }
	_, err := l.core.propose(l.policyAction(400, 1, 0, 1, 2))
	require.NoError(t, err)
	other, err := l.core.propose(l.policyAction(500, 1, 0, 1))
	require.NoError(t, err)
	l.trip("operator", "halted all the while")
	for _, v := range l.views(l.state.Height, uint64(time.Now().UnixMilli())) {
		l.pool.addView(v)
	}
	for _, p := range l.proposals {
		p.tried = time.Time{}
	}
	b, ok := l.build()
	require.True(t, ok, "also while halted")
	require.Equal(t, batch.Policy, b.Kind)
	require.False(t, l.refrains(b))
	require.NoError(t, l.hearDecision(l.decision(b)))
	require.Equal(t, uint64(2), l.state.Policy.Version)
	require.Equal(t, l.state.Policy.Ref(), heard.Ref())
	require.Equal(t, l.state.Policy.Ref(), l.pool.policy)
	require.NotEmpty(t, l.pool.views, "views are of the epoch, not of the policy")
	require.Empty(t, l.proposals, "another action of that serial, under that policy, is void")
	_, err = l.core.propose(other.v.Signed())
	require.ErrorIs(t, err, errProposal)

	// The next process reads it before anything runs.
	n := &Node{led: l.led, genesis: l.genesis, network: l.network}
	require.NoError(t, n.loadPolicy())
	require.Equal(t, heard.Ref(), n.policy().Ref())
}

// What the API is asked of the operators' affairs is answered by the core.
func TestGovernanceIsAnswered(t *testing.T) {
	l := newLab(t)
	n := &Node{core: l.core, led: l.led, genesis: l.genesis, network: l.network, refusals: newRefusals(zap.NewNop())}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case task := <-l.tasks:
				task()
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })

	c, err := n.Committee(ctx)
	require.NoError(t, err)
	require.Equal(t, 3, c.Need)
	require.Equal(t, testPolicy, c.PolicyFile)
	require.Len(t, c.Members, 4)

	v, err := n.Submit(ctx, "0x"+hex.EncodeToString(l.policyAction(400, 1, 0).Encode()))
	require.NoError(t, err)
	require.Len(t, v.Signed, 1)
	require.Equal(t, "1 of 3 operators signed", v.Waits)
	e := l.policyAction(400, 1, 1).Signatures[0]
	v, err = n.Endorse(ctx, v.Hash, e.Time, e.Sig)
	require.NoError(t, err)
	require.Len(t, v.Missing, 2)
	_, err = n.Endorse(ctx, common.Hash{1}, e.Time, e.Sig)
	require.ErrorIs(t, err, ErrUnknown)
	_, err = n.Endorse(ctx, v.Hash, e.Time+1, e.Sig)
	require.ErrorIs(t, err, ErrAction)
	_, err = n.Submit(ctx, "not hex")
	require.ErrorIs(t, err, ErrAction)
	_, err = n.Submit(ctx, "0xc0")
	require.ErrorIs(t, err, ErrAction)
	list, err := n.Proposals(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	one, err := n.Proposal(ctx, v.Hash)
	require.NoError(t, err)
	require.Equal(t, list[0], one)

	_, err = n.Case(CaseQuery{Withdrawals: []uint64{7}})
	require.ErrorIs(t, err, ErrUnknown)
	empty, err := n.Case(CaseQuery{Accounts: []common.Address{{1}}})
	require.NoError(t, err)
	require.Empty(t, empty.Accounts[0].Debits)

	account := common.Address{0xac}
	require.ErrorIs(t, n.HaltOn(ctx, HaltTarget{Lane: "nowhere"}, "r"), ErrTarget)
	require.ErrorIs(t, n.HaltOn(ctx, HaltTarget{Lane: "devnet", Account: &account}, "r"), ErrTarget)
	require.NoError(t, n.HaltOn(ctx, HaltTarget{Account: &account}, "r"))
	c, err = n.Committee(ctx)
	require.NoError(t, err)
	require.Equal(t, "account", c.Halts[0].Scope)
	require.Equal(t, account.Hex(), c.Halts[0].Target)
	stops := l.stops()
	require.True(t, stops.Covers("devnet", account))
	require.False(t, stops.Covers("devnet", common.Address{0xad}))
}

// Any frame of a member: nothing but what operators signed is kept.
func FuzzGovernanceFrame(f *testing.F) {
	f.Add(marshal(govMsg{Held: []govHeld{{common.Hash{1}, common.Hash{2}}}}))
	f.Add(marshal(govMsg{Actions: [][]byte{{0xc0}, {}}}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var m govMsg
		if unmarshal(frame, &m) != nil {
			return
		}
		require.Equal(t, frame, marshal(m), "one encoding")
		for _, raw := range m.Actions {
			if s, err := quorum.DecodeSignedAction(raw); err == nil {
				require.Equal(t, raw, s.Encode())
			}
		}
	})
}
